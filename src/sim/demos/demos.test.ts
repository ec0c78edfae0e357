/**
 * The demonstrations, whole: what is told under each rule is recorded in testdata/ and compared byte for byte, and what it must show is
 * asserted apart from its words. To record anew: `node dist/src/sim/demos/demos.test.js --rewrite`, then read the difference.
 */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import type * as simulator from "../simulator.js";
import { DEMO_LIST, runDemo } from "../simulator.js";
import { drain } from "../testing/drain.js";
import type { Demo, QuorumRule } from "./demo.js";
import type { DemoEnd } from "./run-demo.js";

const ROOT = new URL("../../../../", import.meta.url);
const FOLDER = new URL("src/sim/demos/testdata/", ROOT);
/** The planted bug that is the unsafe rule. */
const LIVE_RULE = "22";
const isRewriting = process.argv.includes("--rewrite");

async function tell(demo: Demo, rule: QuorumRule): Promise<{ readonly text: string; readonly end: DemoEnd }> {
  const lines: string[] = [];
  const run = rule === "live" ? await plantedRunDemo() : runDemo;
  const end = await run(demo, { rule, drain, say: (line) => lines.push(line) });
  return { text: `${lines.join("\n")}\n`, end };
}

async function plantedRunDemo(): Promise<typeof runDemo> {
  const { plantAll } = (await import(new URL("scripts/plant.js", ROOT).href)) as { readonly plantAll: () => Promise<boolean> };
  await plantAll();
  const copy = new URL("dist/planted/src/", ROOT);
  const { plant } = (await import(new URL("base/planted.js", copy).href)) as { readonly plant: (id: string | null) => void };
  plant(LIVE_RULE);
  return ((await import(new URL("sim/simulator.js", copy).href)) as typeof simulator).runDemo;
}

for (const demo of DEMO_LIST) {
  for (const rule of ["live", "majority"] as const) {
    const path = new URL(`${demo.name}-${rule}.txt`, FOLDER);
    if (isRewriting) {
      writeFileSync(path, (await tell(demo, rule)).text);
    } else {
      test(`${demo.name}, ${rule}: the recorded telling, and what it must show`, async () => {
        const { text, end } = await tell(demo, rule);
        assert.equal(text, readFileSync(path, "utf8"));
        assert.equal(end.isLinearizable, rule === "majority");
        assert.equal(end.disagreement === null, rule === "majority");
        const blocked = /status of n[14]: knows no coordinator; .* Only 2 of 5 voters answer, which is no quorum/;
        assert.equal(blocked.test(text), rule === "majority", "the minority says why it waits");
      });
    }
  }
}
