/**
 * What operators and lost disks do in whole runs: a server that is added votes; servers are taken away one by one as far as they can be, and a cluster
 * that cannot follow is told apart; of three disks only one is lost at a time; a removed server ends, and its machine comes back under another id.
 */
import { equal, match, ok } from "node:assert/strict";
import { test } from "node:test";
import { runScenario } from "../run.js";
import { drawScenario } from "../scenario/draw.js";
import type { Fault } from "../scenario/faults.js";
import type { Scenario } from "../scenario/scenario.js";
import { PLAIN_SETTINGS, PLAIN_SPEEDS } from "../shrink/plainer.js";
import { drain } from "../testing/drain.js";

function scenarioWith(faults: readonly Fault[], changes: Partial<Scenario> = {}): Scenario {
  const base = drawScenario(1, { servers: 3, minutes: 0.25, faults: [] });
  const settings = { ...PLAIN_SETTINGS, removeAfterMs: 1500, stableMs: 500 };
  const workload = { ...base.workload, clients: 2, pauseMs: 100, loyalty: 0, retries: 1 };
  return { ...base, durationMs: 20_000, settings, speeds: PLAIN_SPEEDS, workload, faults, held: [], core: [0, 1, 2], left: [], ...changes };
}

const taken: Fault = { kind: "oneByOne", at: 3000, forMs: 16_000, how: "kill", whom: "follower", downTo: 1, thenBlock: false };

test("a server that is added joins, catches up and votes; one that is removed ends, and its machine comes back under another id", async () => {
  const faults: Fault[] = [
    { kind: "add", at: 3000, forMs: 0, server: 3 },
    { kind: "remove", at: 9000, forMs: 0, server: "coordinator", via: "coordinator" },
    ...[0, 1, 2, 3].map((server): Fault => ({ kind: "rejoin", at: 14_000, forMs: 0, server })),
  ];
  const { violation, tally } = await runScenario(scenarioWith(faults, { spares: 1 }), { drain });
  equal(violation, null, violation?.message);
  for (const seen of ["server added", "voters 3 to 4", "voters 4 to 3", "remove done", "removed server ended", "machine brought back"]) {
    equal(tally.of(seen), seen === "voters 3 to 4" ? 2 : 1, seen);
  }
  equal(tally.of("member joined"), 2);
});

test("followers are taken one by one down to the last voter, and come back", async () => {
  const { violation, tally } = await runScenario(scenarioWith([taken]), { drain });
  equal(violation, null, violation?.message);
  equal(tally.of("one by one down to 1"), 1);
  equal(tally.of("came to rest"), 1);
});

test("a cluster that does not follow the servers that are taken away is a violation", async () => {
  const still = scenarioWith([taken]);
  const { violation } = await runScenario({ ...still, settings: { ...still.settings, removeAfterMs: 0 } }, { drain });
  match(violation?.message ?? "", /one by one stands still at 3 voters/);
});

test("of three disks the second is not lost before the first one's server votes again", async () => {
  const lost = (server: number, at: number): Fault[] => [
    { kind: "wipe", at, forMs: 0, server },
    { kind: "kill", at: at + 1, forMs: 50, server },
  ];
  const { violation, tally } = await runScenario(scenarioWith([...lost(0, 6000), ...lost(1, 6010), ...lost(2, 14_000)]), { drain });
  equal(violation, null, violation?.message);
  equal(tally.of("disk loss withheld"), 1);
  equal(tally.of("disk wiped"), 2);
  ok(tally.of("wiped member joined") === 2);
});
