/**
 * The checks that watch a simulated cluster do fire: each is shown one small history that breaks it, and one that does not.
 * The explorer shows that they hold; this shows that they are awake.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { chainHash, ZERO_HASH } from "../base/hash64.js";
import { utf8Encode } from "../base/utf8.js";
import { BALLOT_ZERO, type Ballot, ballot } from "./ballot.js";
import { type Batch, commandsBatch, configurationBatch, NOOP_BATCH } from "./batch.js";
import { type Configuration, genesisConfiguration } from "./configuration.js";
import type { PledgeSend } from "./effect.js";
import { address, clusterId, diskId, replicaId, slot } from "./ids.js";
import {
  checkActivation,
  checkApply,
  checkInstall,
  checkPledge,
  checkPromise,
  checkProposal,
  checkRead,
  checkRecords,
  checkRefused,
  checkReplica,
  checkSettled,
  checkSynced,
  createHistory,
  type History,
  InvariantViolation,
} from "./invariants.js";
import type { Pledge, PromiseEntry, PromiseReply } from "./message.js";
import { type Durable, virginDurable } from "./record.js";

const where = (n: number) => address(`n${n}:1`);
const disk = (n: number) => diskId(String(n).repeat(32));
const CONFIGURATION = genesisConfiguration([1, 2, 3].map((n) => ({ address: where(n), diskId: disk(n) })));
const text = (value: string): Batch => commandsBatch(utf8Encode(value));

/** Three servers that hold Genesis, and whoever accepted what. */
function history(...votes: ReadonlyArray<readonly [replica: number, ballot: Ballot, slot: number, batch: Batch]>): History {
  const made = createHistory();
  for (const n of [1, 2, 3]) {
    const lineage = { number: 1, random: 1n };
    const identity = { kind: "identity", clusterId: clusterId(1n), lineage, replica: replicaId(n), configuration: CONFIGURATION } as const;
    checkSynced(made, { address: where(n), replica: replicaId(n) }, identity);
  }
  for (const [n, at, where_, batch] of votes) {
    checkSynced(made, { address: where(n), replica: replicaId(n) }, { kind: "accept", ballot: at, slot: slot(where_), batch });
  }
  return made;
}

function violates(invariant: number, action: () => void): void {
  assert.throws(action, (error) => error instanceof InvariantViolation && error.invariant === invariant);
}

function synced(promised: Ballot): Durable {
  return { ...virginDurable(disk(1)), promised };
}

function pledge(from: number, message: Pledge, epoch = 1): PledgeSend {
  const header = { clusterId: clusterId(1n), lineage: { number: 1, random: 1n }, from: replicaId(from), epoch };
  return { to: [where(2)], header, message };
}

function promise(entries: readonly PromiseEntry[], counter = 1, part = 0, parts = 1): PromiseReply {
  const replyId = { boot: 1, counter };
  return { kind: "promise", ballot: ballot(3, 1), replyId, decided: slot(0), trimmed: slot(0), part, parts, entries };
}

const b1 = ballot(1, 1);
const b2 = ballot(2, 2);
const believed = { decided: slot(1), chain: ZERO_HASH, promised: b1, configuration: CONFIGURATION };
/** The same members, of whom the first two vote. */
const TWO: Configuration = { ...CONFIGURATION, epoch: 2, prevEpoch: 1, voters: [replicaId(1), replicaId(2)] };

/** A history in which `configuration` is decided in slot 1 by the first two. */
function changed(configuration: Configuration): History {
  const batch = configurationBatch(configuration);
  const made = history([1, b1, 1, batch], [2, b1, 1, batch]);
  checkApply(made, slot(1), batch);
  return made;
}

test("1: one value per slot", () => {
  const made = history([1, b1, 1, text("x")], [2, b1, 1, text("x")]);
  checkApply(made, slot(1), text("x"));
  checkApply(made, slot(1), text("x"));
  violates(1, () => checkApply(made, slot(1), text("y")));
});

test("3 and 4: promises do not fall, and nothing is accepted below them", () => {
  checkRecords(b1, [{ kind: "promise", ballot: b2 }]);
  violates(3, () => checkRecords(b2, [{ kind: "promise", ballot: b1 }]));
  violates(4, () => checkRecords(b2, [{ kind: "accept", ballot: b1, slot: slot(1), batch: NOOP_BATCH }]));
  const made = history();
  checkPledge(made, pledge(1, promise([])), { boot: 1, synced: synced(ballot(3, 1)) });
  violates(3, () => checkReplica(made, replicaId(1), { ...believed, decided: slot(0), promised: b2 }));
});

test("6: one ballot and slot, one value", () => {
  const made = history([1, b1, 1, text("x")]);
  const [one, two] = [
    { address: where(2), replica: replicaId(2) },
    { address: where(3), replica: replicaId(3) },
  ];
  checkSynced(made, one, { kind: "accept", ballot: b1, slot: slot(1), batch: text("x") });
  violates(6, () => checkSynced(made, two, { kind: "accept", ballot: b1, slot: slot(1), batch: text("y") }));
  checkProposal(made, { ballot: b1, slot: slot(2), batch: text("a"), epoch: 1 });
  violates(6, () => checkProposal(made, { ballot: b1, slot: slot(2), batch: text("b"), epoch: 1 }));
});

test("7: a ballot belongs to one replica, one life, one epoch", () => {
  const made = history();
  const prepare = { kind: "prepare", ballot: b1, from: slot(1), handoverOf: null } as const;
  checkPledge(made, pledge(1, prepare), { boot: 1, synced: synced(b1) });
  checkPledge(made, pledge(1, prepare), { boot: 1, synced: synced(b1) });
  violates(7, () => checkPledge(made, pledge(1, prepare), { boot: 2, synced: synced(b1) }));
  checkPledge(made, pledge(1, prepare, 2), { boot: 1, synced: synced(b1) }); // it caught up over a change, and asks the voters of now
  checkProposal(made, { ballot: b1, slot: slot(1), batch: text("x"), epoch: 2 });
  violates(7, () => checkProposal(made, { ballot: b1, slot: slot(2), batch: text("y"), epoch: 3 }));
  violates(7, () => checkPledge(made, pledge(2, { ...prepare, ballot: ballot(5, 1) }), { boot: 1, synced: synced(ballot(5, 1)) }));
});

test("9: nothing is proposed above a configuration entry of the same ballot", () => {
  const made = history();
  checkProposal(made, { ballot: b1, slot: slot(1), batch: configurationBatch(TWO), epoch: 1 });
  violates(9, () => checkProposal(made, { ballot: b1, slot: slot(2), batch: text("x"), epoch: 1 }));
  const other = history();
  checkProposal(other, { ballot: b1, slot: slot(2), batch: text("x"), epoch: 1 });
  violates(9, () => checkProposal(other, { ballot: b1, slot: slot(1), batch: configurationBatch(TWO), epoch: 1 }));
});

test("10: a slot is decided by the voters of that slot, half of them with the one that breaks ties", () => {
  const x = text("x");
  const decided = (...replicas: readonly number[]): History => {
    const made = changed(TWO);
    for (const n of replicas) {
      checkSynced(made, { address: where(n), replica: replicaId(n) }, { kind: "accept", ballot: b2, slot: slot(2), batch: x });
    }
    return made;
  };
  checkApply(decided(1), slot(2), x);
  violates(10, () => checkApply(decided(2, 3), slot(2), x));
});

test("13: the epoch rises by one, and one voter changes", () => {
  assert.equal(changed(TWO).configurations.length, 2);
  violates(13, () => changed({ ...TWO, epoch: 3 }));
  violates(13, () => changed({ ...TWO, voters: [replicaId(1)] }));
  violates(13, () => changed({ ...TWO, voters: [replicaId(2), replicaId(3)] })); // who breaks ties does not vote
  violates(13, () => changed({ ...TWO, roster: TWO.roster.slice(1) }));
  const stale = changed({ ...TWO, prevEpoch: 0, epoch: 9 });
  assert.deepEqual([stale.configurations.length, stale.staleEntries], [1, 1]);
});

test("21: equal slots, equal voters, in replicas and in snapshots", () => {
  const made = changed(TWO);
  const chain = made.chains[1] ?? ZERO_HASH;
  checkReplica(made, replicaId(1), { ...believed, chain, configuration: TWO });
  violates(21, () => checkReplica(made, replicaId(1), { ...believed, chain }));
  const meta = { index: slot(1), chain, stateHash: ZERO_HASH, configuration: TWO, chunks: 1, bytes: 1, hash: ZERO_HASH };
  checkInstall(made, slot(0), meta);
  violates(21, () => checkInstall(made, slot(0), { ...meta, configuration: CONFIGURATION }));
});

test("29: a change is settled when a quorum of the new voters knows it durably", () => {
  const made = changed(TWO);
  made.durable.set(replicaId(2), slot(1)).set(replicaId(3), slot(1));
  violates(29, () => checkSettled(made, TWO, slot(1)));
  made.durable.set(replicaId(1), slot(1));
  checkSettled(made, TWO, slot(1));
});

test("33: an id is given once, to one disk", () => {
  const [first, ...others] = TWO.roster;
  assert.ok(first !== undefined);
  violates(33, () => changed({ ...TWO, roster: [{ ...first, diskId: disk(9) }, ...others] }));
  const newcomer = { ...first, replica: replicaId(4), diskId: disk(9) };
  violates(33, () => changed({ ...TWO, roster: [...TWO.roster, newcomer] }));
  const made = changed({ ...TWO, roster: [...TWO.roster.slice(0, 2), newcomer], nextReplicaId: replicaId(5) });
  const back = configurationBatch({ ...TWO, epoch: 3, prevEpoch: 2, nextReplicaId: replicaId(5) });
  for (const n of [1, 2]) {
    checkSynced(made, { address: where(n), replica: replicaId(n) }, { kind: "accept", ballot: b2, slot: slot(2), batch: back });
  }
  violates(33, () => checkApply(made, slot(2), back));
});

test("10 and 12: decided means a quorum's disks in one ballot, in order", () => {
  violates(10, () => checkApply(history([1, b1, 1, text("x")]), slot(1), text("x")));
  violates(10, () => checkApply(history([1, b1, 1, text("x")], [2, b2, 1, text("x")]), slot(1), text("x")));
  violates(12, () => checkApply(history([1, b1, 2, text("x")], [2, b1, 2, text("x")]), slot(2), text("x")));
});

test("11: a value that a quorum accepted stays, and phase 1 obliges", () => {
  const chosen = history([1, b1, 1, text("x")], [2, b1, 1, text("x")]);
  checkProposal(chosen, { ballot: b2, slot: slot(1), batch: text("x"), epoch: 1 });
  violates(11, () => checkProposal(chosen, { ballot: ballot(3, 3), slot: slot(1), batch: text("y"), epoch: 1 }));
  const made = history();
  const entries: PromiseEntry[] = [
    { slot: slot(1), acceptedAt: b1, batch: text("old") },
    { slot: slot(3), acceptedAt: b1, batch: text("lost") },
  ];
  const own: PromiseEntry[] = [
    { slot: slot(1), acceptedAt: b2, batch: text("new") },
    { slot: slot(3), acceptedAt: "decided", batch: text("decided") },
  ];
  const counted = new Map([[replicaId(2), [promise(entries)]]]);
  assert.equal(checkActivation(made, { ballot: ballot(3, 1), decided: slot(0), own, counted }), 2);
  checkProposal(made, { ballot: ballot(3, 1), slot: slot(1), batch: text("new"), epoch: 1 });
  checkProposal(made, { ballot: ballot(3, 1), slot: slot(2), batch: NOOP_BATCH, epoch: 1 });
  violates(11, () => checkProposal(made, { ballot: ballot(3, 1), slot: slot(3), batch: text("lost"), epoch: 1 }));
  violates(11, () => checkActivation(made, { ballot: ballot(4, 1), decided: slot(0), own: [], counted: new Map() }));
});

test("14: no pledge leaves before its record is synced", () => {
  const made = history([1, b1, 1, text("x")]);
  checkPledge(made, pledge(1, { kind: "accepted", ballot: b1, slots: [slot(1)] }), { boot: 1, synced: synced(b1) });
  violates(14, () => checkPledge(made, pledge(1, promise([])), { boot: 1, synced: synced(b1) }));
  violates(14, () => checkPledge(made, pledge(2, { kind: "accepted", ballot: b1, slots: [slot(1)] }), { boot: 1, synced: synced(b1) }));
});

test("18: a read sees what was decided before it began", () => {
  checkRead(3, slot(3), 1);
  violates(18, () => checkRead(3, slot(2), 1));
});

test("22: what was refused is not decided, in whichever order one learns of it", () => {
  const made = history([1, b1, 1, text("x")], [2, b1, 1, text("x")]);
  checkRefused(made, text("x"));
  violates(22, () => checkApply(made, slot(1), text("x")));
  const other = history([1, b1, 1, text("x")], [2, b1, 1, text("x")]);
  checkApply(other, slot(1), text("x"));
  violates(22, () => checkRefused(other, text("x")));
});

test("32: parts of two promises are not a promise", () => {
  const check = (parts: readonly PromiseReply[]) =>
    checkActivation(history(), { ballot: ballot(3, 1), decided: slot(0), own: [], counted: new Map([[replicaId(2), parts]]) });
  check([promise([], 1, 0, 2), promise([], 1, 1, 2)]);
  violates(32, () => check([promise([], 1, 0, 2), promise([], 2, 1, 2)]));
  violates(32, () => check([promise([], 1, 0, 2)]));
});

test("34: a Promise leaves nothing out", () => {
  const durable = synced(b1);
  durable.accepted.set(slot(1), { ballot: b1, batch: text("x") });
  durable.learned.set(slot(2), text("y"));
  const whole: PromiseEntry[] = [
    { slot: slot(1), acceptedAt: b1, batch: text("x") },
    { slot: slot(2), acceptedAt: "decided", batch: text("y") },
  ];
  checkPromise(durable, [promise(whole)]);
  violates(34, () => checkPromise(durable, [promise(whole.slice(0, 1))]));
  violates(34, () => checkPromise(durable, [promise(whole.slice(1))]));
  violates(34, () => checkPromise(durable, [promise([{ slot: slot(1), acceptedAt: BALLOT_ZERO, batch: text("x") }, ...whole.slice(1)])]));
});

test("36: equal decided slots, equal chains, in replicas and in snapshots", () => {
  const made = history([1, b1, 1, text("x")], [2, b1, 1, text("x")]);
  checkApply(made, slot(1), text("x"));
  const chain = chainHash(ZERO_HASH, text("x").digest);
  checkReplica(made, replicaId(1), { ...believed, chain });
  violates(36, () => checkReplica(made, replicaId(1), believed));
  const meta = { index: slot(1), chain, stateHash: ZERO_HASH, configuration: CONFIGURATION, chunks: 1, bytes: 1, hash: ZERO_HASH };
  checkInstall(made, slot(0), meta);
  violates(36, () => checkInstall(made, slot(0), { ...meta, chain: ZERO_HASH }));
  violates(12, () => checkInstall(made, slot(1), meta));
});

test("39: no Prepare leaves before all listed servers hold Genesis", () => {
  const made = history();
  made.founded.delete(where(3));
  const prepare = { kind: "prepare", ballot: b1, from: slot(1), handoverOf: null } as const;
  violates(39, () => checkPledge(made, pledge(1, prepare), { boot: 1, synced: synced(b1) }));
});
