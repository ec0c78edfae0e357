/**
 * Whole runs: a slice of seeds is clean; one seed gives one trace, again in the same process with others between, and on another
 * Node where SYNOD_OTHER_NODE names its binary (`.ci/run` sets it). Nothing here looks at real time.
 */
import { deepEqual, equal, notEqual, ok } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { type RunResult, runScenario } from "./run.js";
import { drawScenario } from "./scenario/draw.js";
import { drain } from "./testing/drain.js";

const SLICE_FROM = 1;
const SLICE_SEEDS = 20;
const TRACED = [1, 3, 5, 14];

const OTHER_NODE = process.env["SYNOD_OTHER_NODE"];

function run(seed: number): Promise<RunResult> {
  return runScenario(drawScenario(seed, { minutes: 0.5 }), { drain });
}

test("a slice of seeds is clean and decides, elects and restarts", async () => {
  const totals = new Map<string, number>();
  for (let seed = SLICE_FROM; seed < SLICE_FROM + SLICE_SEEDS; seed++) {
    const { violation, tally, decided } = await run(seed);
    equal(violation, null, `seed ${seed}: ${violation?.message}`);
    ok(decided > 0 || tally.of("never founded") > 0, `seed ${seed} decided nothing`);
    for (const [name, count] of tally.counts) {
      totals.set(name, (totals.get(name) ?? 0) + count);
    }
  }
  for (const name of ["election won", "restart", "put ok", "get ok", "snapshot taken", "healed"]) {
    ok((totals.get(name) ?? 0) > SLICE_SEEDS / 2, `${name} happened ${totals.get(name) ?? 0} times`);
  }
});

test("the same seed gives the same run, another seed another", async () => {
  const first = new Map<number, RunResult>();
  for (const seed of TRACED) {
    first.set(seed, await run(seed));
  }
  for (const seed of TRACED) {
    const again = await run(seed);
    equal(again.traceHash, first.get(seed)?.traceHash);
    deepEqual(again.tally.counts, first.get(seed)?.tally.counts);
    deepEqual(again.operations, first.get(seed)?.operations);
  }
  equal(new Set([...first.values()].map(({ traceHash }) => traceHash)).size, TRACED.length);
});

test("another version of Node runs the same", { skip: OTHER_NODE === undefined && "SYNOD_OTHER_NODE names no other Node" }, async () => {
  ok(OTHER_NODE !== undefined);
  const version = spawnSync(OTHER_NODE, ["--version"], { encoding: "utf8" }).stdout.trim();
  notEqual(version.split(".")[0], process.version.split(".")[0], "SYNOD_OTHER_NODE is another major version");
  const script = fileURLToPath(new URL("./testing/print-traces.js", import.meta.url));
  const { stdout, stderr } = spawnSync(OTHER_NODE, [script, ...TRACED.map(String)], { encoding: "utf8" });
  const own: string[] = [];
  for (const seed of TRACED) {
    own.push(`${seed} ${(await run(seed)).traceHash}`);
  }
  deepEqual(stdout.trim().split("\n"), own, stderr);
});
