/** A batch: seeds in order, their sum, and an end when it is told to stop. Short seeds of the real cluster. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { runSeeds } from "./batch.js";
import { drain } from "./testing/drain.js";

test("seeds are run in order and summed, and a batch ends when told to", async () => {
  const seen: number[] = [];
  let virtualMicros = 0;
  const totals = await runSeeds({
    from: 5,
    count: 10,
    draw: { minutes: 0.05, servers: 3 },
    drain,
    keepGoing: () => seen.length < 3,
    onResult: (seed, result, sums) => {
      seen.push(seed);
      virtualMicros += result.virtualMicros;
      assert.equal(result.scenario.seed, seed);
      assert.equal(sums.seeds, seen.length);
      assert.equal(result.violation, null);
    },
  });
  assert.deepEqual(seen, [5, 6, 7]);
  assert.deepEqual([totals.seeds, totals.violations, totals.virtualMicros], [3, 0, virtualMicros]);
  assert.ok(totals.decided > 0 && totals.operations > 0 && totals.events > 0);
  assert.equal(totals.tally.of("healed"), 3);
});
