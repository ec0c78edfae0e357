/**
 * A failing seed of a planted bug gives the committed transcript, byte for byte, whoever runs it; and such a seed shrinks. Each file of
 * testdata/ is named <mutant>-<seed>.txt and says above a rule what is run; below it stand the violation and the last lines before it. To
 * record anew: `node dist/src/sim/narrate/transcript.test.js --rewrite`, then read the difference.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import type * as simulator from "../simulator.js";
import { drain } from "../testing/drain.js";

const ROOT = new URL("../../../../", import.meta.url);
const FOLDER = new URL("src/sim/narrate/testdata/", ROOT);
const RULE = "----\n";
/** Lines of a transcript that are committed. */
const LINES = 60;
const isRewriting = process.argv.includes("--rewrite");

/** The simulator of the copy of the program in which `mutant` is switched on. */
async function planted(mutant: string): Promise<typeof simulator> {
  const { plantAll } = (await import(new URL("scripts/plant.js", ROOT).href)) as { readonly plantAll: () => Promise<boolean> };
  await plantAll();
  const copy = new URL("dist/planted/src/", ROOT);
  const { plant } = (await import(new URL("base/planted.js", copy).href)) as { readonly plant: (id: string | null) => void };
  plant(mutant);
  return (await import(new URL("sim/simulator.js", copy).href)) as typeof simulator;
}

/** What the lines above the rule say. */
function readHead(head: string): { readonly mutant: string; readonly seed: number; readonly draw: simulator.DrawOptions } {
  const word = (name: string): string => new RegExp(`^${name} (.+)$`, "m").exec(head)?.[1] ?? assert.fail(`${name} is missing`);
  return {
    mutant: word("mutant"),
    seed: Number(word("seed")),
    draw: { minutes: Number(word("minutes")), servers: Number(word("servers")) },
  };
}

async function record(head: string): Promise<string> {
  const { mutant, seed, draw } = readHead(head);
  const { drawScenario, runScenario, Narrator, serverAddresses } = await planted(mutant);
  const scenario = drawScenario(seed, draw);
  const narrator = new Narrator({ addresses: serverAddresses(scenario.servers), keep: LINES });
  const { violation } = await runScenario(scenario, { drain, observers: [narrator] });
  assert.ok(violation !== null, `seed ${seed} does not find mutant ${mutant} any more: name another seed in a new file`);
  return [...narrator.last(), `violation of ${violation.invariant}: ${violation.message}`, ""].join("\n");
}

for (const file of readdirSync(FOLDER)) {
  const path = new URL(file, FOLDER);
  const text = readFileSync(path, "utf8");
  const head = text.slice(0, text.indexOf(RULE) + RULE.length);
  if (isRewriting) {
    writeFileSync(path, head + (await record(head)));
  } else {
    test(`${file}: ${head.slice(2, head.indexOf("\n"))}`, async () => {
      assert.equal(`${readHead(head).mutant}-${readHead(head).seed}.txt`, file);
      assert.equal(await record(head), text.slice(head.length));
    });
  }
}

if (!isRewriting) {
  test("a failing seed of a planted bug shrinks to next to nothing, and still breaks the same invariant", async () => {
    const { drawScenario, runScenario, shrink } = await planted("2");
    const scenario = drawScenario(4, { minutes: 0.25, servers: 5 });
    const { violation } = await runScenario(scenario, { drain });
    assert.ok(violation !== null && scenario.faults.length > 3);
    const small = await shrink(scenario, violation.at, {
      runsMax: 60,
      fails: async (candidate) => {
        const again = (await runScenario(candidate, { drain })).violation;
        return again?.invariant === violation.invariant ? { at: again.at } : null;
      },
    });
    assert.equal(small.scenario.faults.length, 0);
    assert.equal(small.scenario.workload.clients, 1);
    assert.ok(small.scenario.servers < 5);
    assert.equal((await runScenario(small.scenario, { drain })).violation?.invariant, violation.invariant);
  });
}
