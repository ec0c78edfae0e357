/**
 * Runs that end in a forced recovery go on from it, beside servers of the old lineage and of another recovery; and each claim of the tool
 * that is false is noticed, on histories of three slots made by hand.
 */
import { equal, ok, throws } from "node:assert/strict";
import { test } from "node:test";
import { ballot } from "../../paxos/ballot.js";
import { type Batch, commandsBatch } from "../../paxos/batch.js";
import type { Configuration } from "../../paxos/configuration.js";
import { address, clusterId, diskId, replicaId, slot } from "../../paxos/ids.js";
import { checkApply, checkSynced, createHistory, type History, historyAfterRecovery } from "../../paxos/invariants.js";
import type { Merged } from "../../paxos/merge.js";
import { checkRecoveryClaims } from "../checkers/recovery-claims.js";
import { runScenario } from "../run.js";
import { drawScenario } from "../scenario/draw.js";
import { drain } from "../testing/drain.js";

/** Seeds that lose a quorum for good, or recover without need. */
const RECOVERING = [29, 32, 35];

test("after a forced recovery the cluster goes on, and turns away who is of another lineage", async () => {
  const seen = new Map<string, number>();
  for (const seed of RECOVERING) {
    const { violation, tally } = await runScenario(drawScenario(seed), { drain });
    equal(violation, null, `seed ${seed}: ${violation?.message}`);
    equal(tally.of("went on after recovery"), 1, `seed ${seed} did not recover: draw other seeds`);
    for (const [name, count] of tally.counts) {
      seen.set(name, (seen.get(name) ?? 0) + count);
    }
  }
  for (const name of ["recovery that may lose", "recovery that loses nothing", "message of another lineage turned away"]) {
    ok((seen.get(name) ?? 0) > 0, `${name} was not seen`);
  }
});

test("the same seed gives the same recovery", async () => {
  const seed = RECOVERING[1] as number;
  const first = await runScenario(drawScenario(seed), { drain });
  const second = await runScenario(drawScenario(seed), { drain });
  equal(first.traceHash, second.traceHash);
  ok(first.tally.of("went on after recovery") === 1);
});

const A = replicaId(1);
const B = replicaId(2);
const C = replicaId(3);
const VOTERS: Configuration = {
  epoch: 1,
  prevEpoch: 0,
  voters: [A, B, C],
  tieBreak: A,
  roster: [A, B, C].map((replica) => ({
    replica,
    address: address(`127.0.0.1:${9000 + replica}`),
    diskId: diskId(String(replica).padStart(32, "0")),
    electable: true,
  })),
  nextReplicaId: replicaId(4),
};
const [ONE, TWO, THREE, OTHER] = [1, 2, 3, 4].map((byte) => commandsBatch(Uint8Array.of(byte))) as [Batch, Batch, Batch, Batch];

/** Slots 1 to 3 are decided: the first by all, the second by A and B, the third by A and B at ballot 2.1, after C had accepted another value at 1.3. */
function threeSlots(): History {
  const history = createHistory();
  const at = (replica: typeof A): { address: ReturnType<typeof address>; replica: typeof A } => ({
    address: address(`127.0.0.1:${9000 + replica}`),
    replica,
  });
  const accept = (replica: typeof A, index: number, round: number, by: typeof A, batch: Batch): void =>
    checkSynced(history, at(replica), { kind: "accept", ballot: ballot(round, by), slot: slot(index), batch });
  checkSynced(history, at(A), {
    kind: "identity",
    clusterId: clusterId(1n),
    lineage: { number: 1, random: 1n },
    replica: A,
    configuration: VOTERS,
  });
  for (const replica of [A, B, C]) {
    accept(replica, 1, 1, A, ONE);
  }
  accept(A, 2, 1, A, TWO);
  accept(B, 2, 1, A, TWO);
  accept(C, 3, 1, C, OTHER);
  accept(A, 3, 2, A, THREE);
  accept(B, 3, 2, A, THREE);
  for (const [index, batch] of [ONE, TWO, THREE].entries()) {
    checkApply(history, slot(index + 1), batch);
  }
  return history;
}

function merged(entries: readonly Batch[], decided: number, absentQuorum: boolean): Merged {
  return { base: null, entries, decided: slot(decided), last: slot(entries.length), absentQuorum } as unknown as Merged;
}

test("a recovery that keeps what the survivors know, and says what may be lost, is believed", () => {
  const history = threeSlots();
  checkRecoveryClaims(history, merged([ONE, TWO, THREE], 1, false), new Set([B, C]));
  checkRecoveryClaims(history, merged([ONE], 1, true), new Set([C]));
  // Nobody who is left had heard of ballot 2.1.
  checkRecoveryClaims(history, merged([ONE, TWO, OTHER], 1, true), new Set([C]));
});

test("what was known to be decided and is lost, or called decided and was not, is noticed", () => {
  const history = threeSlots();
  throws(() => checkRecoveryClaims(history, merged([ONE, OTHER], 2, true), new Set([B])), /slot 2 was known to be decided/);
  throws(() => checkRecoveryClaims(history, merged([ONE, TWO, THREE, OTHER], 4, true), new Set([B])), /calls slot 4 decided/);
});

test("a loss that the tool denies is noticed", () => {
  throws(() => checkRecoveryClaims(threeSlots(), merged([ONE, TWO], 2, false), new Set([C])), /slot 3 was decided and is lost, although/);
});

test("a value that a survivor had accepted in the deciding ballot, or later, must be kept", () => {
  throws(() => checkRecoveryClaims(threeSlots(), merged([ONE, TWO, OTHER], 1, true), new Set([B, C])), /a survivor had accepted the value/);
});

test("the history of the new lineage is the log that was kept, and counts its last voters alone", () => {
  const alone: Configuration = {
    ...VOTERS,
    epoch: 2,
    prevEpoch: 1,
    voters: [replicaId(4)],
    tieBreak: replicaId(4),
    nextReplicaId: replicaId(5),
  };
  const entry = { kind: "configuration", payload: new Uint8Array(), digest: OTHER.digest, configuration: alone } as const;
  const history = historyAfterRecovery(threeSlots(), [ONE, TWO, entry]);
  equal(history.decided.length, 3);
  equal(history.configurations.at(-1)?.from, 4);
  throws(() => checkApply(history, slot(3), THREE), /decided with two values/);
  throws(() => checkApply(history, slot(4), TWO), /without a quorum/);
});
