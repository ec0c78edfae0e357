/**
 * Runs that end in a forced recovery go on from it, beside servers of the old lineage and of another recovery; and each claim of the tool
 * that is false is noticed, on histories of three slots made by hand.
 */
import { equal, ok, throws } from "node:assert/strict";
import { test } from "node:test";
import { ZERO_HASH } from "../../base/hash64.js";
import { ballot } from "../../paxos/ballot.js";
import { type Batch, commandsBatch } from "../../paxos/batch.js";
import type { Configuration } from "../../paxos/configuration.js";
import { address, clusterId, diskId, replicaId, slot } from "../../paxos/ids.js";
import { checkApply, checkSynced, createHistory, type History, historyAfterRecovery } from "../../paxos/invariants.js";
import type { Merged } from "../../paxos/merge.js";
import { applyRecord, type Durable, virginDurable, type WalRecord } from "../../paxos/record.js";
import { checkNewLineage } from "../checkers/new-lineage.js";
import { checkRecoveryClaims, checkRefusal, type Told } from "../checkers/recovery-claims.js";
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
    ok(tally.of("went on after recovery") > 0, `seed ${seed} did not recover: draw other seeds`);
    for (const [name, count] of tally.counts) {
      seen.set(name, (seen.get(name) ?? 0) + count);
    }
  }
  for (const name of [
    "recovery that may lose",
    "recovery that loses nothing",
    "message of another lineage turned away",
    "recovered once more",
  ]) {
    ok((seen.get(name) ?? 0) > 0, `${name} was not seen`);
  }
});

test("the same seed gives the same recovery", async () => {
  const seed = RECOVERING[1] as number;
  const first = await runScenario(drawScenario(seed), { drain });
  const second = await runScenario(drawScenario(seed), { drain });
  equal(first.traceHash, second.traceHash);
  ok(first.tally.of("went on after recovery") > 0);
});

const A = replicaId(1);
const B = replicaId(2);
const C = replicaId(3);
const diskOf = (replica: number): ReturnType<typeof diskId> => diskId(String(replica).padStart(32, "0"));
const VOTERS: Configuration = {
  epoch: 1,
  prevEpoch: 0,
  voters: [A, B, C],
  tieBreak: A,
  roster: [A, B, C].map((replica) => ({
    replica,
    address: address(`127.0.0.1:${9000 + replica}`),
    diskId: diskOf(replica),
    electable: true,
  })),
  nextReplicaId: replicaId(4),
};
const [ONE, TWO, THREE, OTHER] = [1, 2, 3, 4].map((byte) => commandsBatch(Uint8Array.of(byte))) as [Batch, Batch, Batch, Batch];

const IDENTITY = { kind: "identity", clusterId: clusterId(1n), lineage: { number: 1, random: 1n }, configuration: VOTERS } as const;

function accept(index: number, round: number, by: typeof A, batch: Batch): WalRecord {
  return { kind: "accept", ballot: ballot(round, by), slot: slot(index), batch };
}

/** What each of them has on disk in the end. */
function recordsOf(replica: typeof A): readonly WalRecord[] {
  const first = [{ ...IDENTITY, replica }, accept(1, 1, A, ONE)];
  return replica === C ? [...first, accept(3, 1, C, OTHER)] : [...first, accept(2, 1, A, TWO), accept(3, 2, A, THREE)];
}

/** Slots 1 to 3 are decided: the first by all, the second by A and B, the third by A and B at ballot 2.1, after C had accepted another value at 1.3. */
function threeSlots(): History {
  const history = createHistory();
  for (const replica of [A, B, C]) {
    for (const record of recordsOf(replica)) {
      checkSynced(history, { address: address(`127.0.0.1:${9000 + replica}`), replica }, record);
    }
  }
  for (const [index, batch] of [ONE, TWO, THREE].entries()) {
    checkApply(history, slot(index + 1), batch);
  }
  return history;
}

function merged(entries: readonly Batch[], decided: number, absentQuorum: boolean): Merged {
  return { base: null, entries, decided: slot(decided), last: slot(entries.length), absentQuorum } as unknown as Merged;
}

function diskWith(replica: number, records: readonly WalRecord[]): Durable {
  const disk = virginDurable(diskOf(replica));
  for (const record of records) {
    applyRecord(disk, record);
  }
  return disk;
}

/** The disk of a replica of `threeSlots`, when it stopped. */
function told(replica: typeof A, decided: number): Told {
  return diskWith(replica, [...recordsOf(replica), { kind: "decided", slot: slot(decided) }]);
}

test("a recovery that keeps what the survivors know, and says what may be lost, is believed", () => {
  const history = threeSlots();
  checkRecoveryClaims(history, merged([ONE, TWO, THREE], 1, false), [told(B, 1), told(C, 1)]);
  checkRecoveryClaims(history, merged([ONE], 1, true), [told(C, 1)]);
  // Nobody who is left had heard of ballot 2.1.
  checkRecoveryClaims(history, merged([ONE, TWO, OTHER], 1, true), [told(C, 1)]);
});

test("what was known to be decided and is lost, or called decided and was not, is noticed", () => {
  const history = threeSlots();
  throws(() => checkRecoveryClaims(history, merged([ONE, OTHER, THREE], 2, true), [told(B, 1)]), /slot 2 was known to be decided/);
  throws(() => checkRecoveryClaims(history, merged([ONE, TWO, THREE, OTHER], 4, true), [told(B, 1)]), /calls slot 4 decided/);
});

test("a loss that the tool denies is noticed", () => {
  throws(() => checkRecoveryClaims(threeSlots(), merged([ONE, TWO], 2, false), [told(C, 1)]), /slot 3 was decided and is lost, although/);
});

test("a value that a survivor had accepted in the deciding ballot, or later, must be kept", () => {
  throws(
    () => checkRecoveryClaims(threeSlots(), merged([ONE, TWO, OTHER], 1, true), [told(B, 1), told(C, 1)]),
    /a survivor had accepted the value/,
  );
});

test("a log that ends before what survivors hold, or know, is noticed although voters are missing", () => {
  throws(() => checkRecoveryClaims(threeSlots(), merged([ONE, TWO], 1, true), [told(B, 1)]), /hold values up to slot 3/);
  throws(() => checkRecoveryClaims(threeSlots(), merged([ONE, TWO, THREE], 1, true), [told(B, 2)]), /a survivor knows it up to slot 2/);
});

test("the tool may refuse what has no state, or a gap below what is known to be decided, and nothing else", () => {
  const joiner = diskWith(9, [{ ...IDENTITY, replica: replicaId(4), configuration: { ...VOTERS, epoch: 2, prevEpoch: 1 } }]);
  checkRefusal("it has no state", [joiner]);
  checkRefusal("slot 2 is not there", [told(C, 3)]);
  throws(() => checkRefusal("it does not like it", [told(B, 3)]), /refuses what can be recovered, up to slot 3: it does not like it/);
  throws(() => checkRefusal("it does not like it", [joiner, told(C, 1)]), /up to slot 1/);
});

const HERE = address("127.0.0.1:9001");
/** What a recovery of three slots makes for B's place. */
const NEW: Configuration = {
  epoch: 2,
  prevEpoch: 1,
  voters: [replicaId(4)],
  tieBreak: replicaId(4),
  roster: [...VOTERS.roster.slice(1), { replica: replicaId(4), address: HERE, diskId: diskOf(4), electable: true }],
  nextReplicaId: replicaId(5),
};

/** A new directory with this configuration at its end, and what is checked of it. `change`: what else is done to its disk. */
function checkMade(configuration: Configuration, change: (disk: Durable) => void = () => {}): void {
  const end: Batch = { kind: "configuration", payload: new Uint8Array(), digest: ZERO_HASH, configuration };
  const disk = diskWith(4, [
    { ...IDENTITY, lineage: { number: 2, random: 7n }, replica: replicaId(4) },
    { kind: "promise", ballot: ballot(3, replicaId(4)) },
    ...[ONE, TWO, THREE, OTHER, end].map((batch, at): WalRecord => ({ kind: "learn", slot: slot(at + 1), batch })),
    { kind: "decided", slot: slot(5) },
  ]);
  change(disk);
  checkNewLineage(threeSlots(), { merged: merged([ONE, TWO, THREE], 3, false), durable: disk }, { survivors: [told(B, 1)], address: HERE });
}

test("the directory that a recovery makes is believed where nothing is missing", () => {
  checkMade(NEW);
});

test("each thing that is wrong with the new directory is noticed", () => {
  const rest = NEW.roster.slice(1);
  const [first = rest[0]] = NEW.roster;
  ok(first !== undefined);
  throws(() => checkMade({ ...NEW, voters: [B, replicaId(4)] }), /is not the only voter/);
  throws(() => checkMade({ ...NEW, prevEpoch: 0 }), /makes epoch 2 from 0/);
  throws(() => checkMade({ ...NEW, roster: rest }), /has forgotten replica 2/);
  throws(() => checkMade({ ...NEW, roster: [{ ...first, electable: false }, ...rest] }), /lets replica 2 never vote again/);
  throws(() => checkMade({ ...NEW, nextReplicaId: replicaId(4) }), /somebody may have had/);
  throws(() => checkMade(NEW, (disk) => disk.learned.delete(slot(5))), /holds 1 entries behind what was kept/);
  throws(() => checkMade(NEW, (disk) => disk.learned.set(slot(2), OTHER)), /another value for slot 2/);
  throws(() => checkMade(NEW, (disk) => Object.assign(disk, { promised: ballot(2, replicaId(4)) })), /promises 2.4, and 2.1 was promised/);
  throws(() => checkMade(NEW, (disk) => Object.assign(disk, { lineage: { number: 1, random: 7n } })), /is of lineage 1/);
  throws(() => checkMade(NEW, (disk) => Object.assign(disk, { hint: slot(4), learned: new Map(disk.learned) })), /knows slots up to 4/);
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
