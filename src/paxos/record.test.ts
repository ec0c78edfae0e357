/**
 * Durable state changes only by applying records: promises never fall, an accept promises, repeats change nothing, a trim
 * or an installed snapshot keeps what lies above it. Cases, and random logs that are applied twice.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hashBytes } from "../base/hash64.js";
import { nextInt, type Prng, seedPrng } from "../base/prng.js";
import { utf8Encode } from "../base/utf8.js";
import { ballot, compareBallots } from "./ballot.js";
import { commandsBatch } from "./batch.js";
import { genesisConfiguration } from "./configuration.js";
import { address, clusterId, diskId, replicaId, slot } from "./ids.js";
import type { SnapshotMeta } from "./message.js";
import { applyRecord, type Durable, durableDecided, virginDurable, type WalRecord } from "./record.js";

const DISK = diskId("1".repeat(32));
const CONFIGURATION = genesisConfiguration([{ address: address("a:1"), diskId: DISK }]);
const LINEAGE = { number: 1, random: 5n };
const IDENTITY: WalRecord = {
  kind: "identity",
  clusterId: clusterId(7n),
  lineage: LINEAGE,
  replica: replicaId(1),
  configuration: CONFIGURATION,
};
const batch = (text: string) => commandsBatch(utf8Encode(text));
const chain = (index: number) => hashBytes(utf8Encode(`chain ${index}`));

function meta(index: number): SnapshotMeta {
  return {
    index: slot(index),
    chain: chain(index),
    stateHash: chain(0),
    configuration: CONFIGURATION,
    chunks: 1,
    bytes: 1,
    hash: chain(1),
  };
}

function durable(...records: readonly WalRecord[]): Durable {
  const made = virginDurable(DISK);
  for (const record of [IDENTITY, ...records]) {
    applyRecord(made, record);
  }
  return made;
}

const accept = (at: number, round: number, text: string): WalRecord => ({
  kind: "accept",
  ballot: ballot(round, 1),
  slot: slot(at),
  batch: batch(text),
});

test("a promise never falls, and an accept promises its ballot", () => {
  const made = durable({ kind: "promise", ballot: ballot(3, 1) }, { kind: "promise", ballot: ballot(2, 9) });
  assert.deepEqual(made.promised, ballot(3, 1));
  applyRecord(made, accept(1, 5, "x"));
  assert.deepEqual(made.promised, ballot(5, 1));
});

test("the acceptance of the highest ballot stays; a learned value is kept beside it", () => {
  const made = durable(accept(1, 2, "new"), accept(1, 1, "old"), { kind: "learn", slot: slot(1), batch: batch("decided") });
  assert.equal(made.accepted.get(slot(1))?.batch.digest, batch("new").digest);
  assert.equal(made.learned.get(slot(1))?.digest, batch("decided").digest);
});

test("the decided slot is the hint or the snapshot, whichever is higher, and never falls", () => {
  const made = durable({ kind: "decided", slot: slot(4) }, { kind: "decided", slot: slot(3) });
  assert.equal(durableDecided(made), 4);
  applyRecord(made, { kind: "snapshot", meta: meta(9) });
  applyRecord(made, { kind: "snapshot", meta: meta(8) });
  assert.equal(durableDecided(made), 9);
  assert.equal(made.snapshot?.index, 9);
});

test("a trim drops what it covers and keeps the rest; what comes later for trimmed slots is ignored", () => {
  const trim: WalRecord = { kind: "trim", slot: slot(2), chain: chain(2), configuration: CONFIGURATION };
  const made = durable(accept(2, 1, "b"), accept(3, 1, "c"), { kind: "learn", slot: slot(1), batch: batch("a") }, trim);
  assert.deepEqual([...made.accepted.keys(), ...made.learned.keys()], [3]);
  applyRecord(made, accept(2, 1, "b"));
  applyRecord(made, { kind: "learn", slot: slot(1), batch: batch("a") });
  assert.deepEqual([...made.accepted.keys(), ...made.learned.keys()], [3]);
  assert.deepEqual([made.trimmed, made.trimmedChain], [2, chain(2)]);
});

test("an installed snapshot keeps what was accepted above it, and the promise", () => {
  const made = durable(accept(1, 4, "a"), accept(7, 4, "g"), { kind: "snapshotInstalled", meta: meta(5) });
  assert.deepEqual([...made.accepted.keys()], [7]);
  assert.deepEqual([made.promised, made.trimmed, made.trimmedChain], [ballot(4, 1), 5, chain(5)]);
  applyRecord(made, { kind: "snapshotInstalled", meta: meta(4) });
  assert.equal(made.snapshot?.index, 5);
});

test("a disk takes one identity in its life, and its boot count never falls", () => {
  const made = durable({ kind: "boot", diskId: DISK, boot: 3 });
  assert.throws(() => applyRecord(made, { ...IDENTITY, replica: replicaId(2) }), /one identity/);
  assert.throws(() => applyRecord(made, { kind: "boot", diskId: DISK, boot: 2 }), /boot/);
  applyRecord(made, IDENTITY);
  assert.equal(made.replica, 1);
});

/** A log as a replica writes it: ballots never fall, a ballot gives a slot one batch, snapshots and trims follow what is decided. */
function randomLog(prng: Prng): WalRecord[] {
  const log: WalRecord[] = [];
  let round = 1;
  let decided = 0;
  let snapshot = 0;
  for (let i = 0; i < 60; i++) {
    round += nextInt(prng, 0, 4) === 0 ? 1 : 0;
    const at = decided + nextInt(prng, 1, 4);
    const kind = nextInt(prng, 0, 6);
    if (kind === 0) {
      log.push({ kind: "promise", ballot: ballot(round, 1) });
    } else if (kind <= 2) {
      log.push(accept(at, round, `${round}/${at}`));
    } else if (kind === 3) {
      log.push({ kind: "learn", slot: slot(at), batch: batch(`decided ${at}`) });
    } else if (kind === 4) {
      decided += nextInt(prng, 0, 2);
      log.push({ kind: "decided", slot: slot(decided) });
    } else if (decided > snapshot) {
      snapshot = decided;
      const base = { chain: chain(snapshot), configuration: CONFIGURATION };
      log.push({ kind: "snapshot", meta: meta(snapshot) }, { kind: "trim", slot: slot(snapshot), ...base });
    }
  }
  return log;
}

test("any tail of a log may be applied once more, as the copy into a new segment does", () => {
  const prng = seedPrng(1);
  for (let i = 0; i < 300; i++) {
    const log = randomLog(prng);
    const from = nextInt(prng, 0, log.length);
    assert.deepEqual(durable(...log, ...log.slice(from)), durable(...log));
  }
});

test("a longer log never promises less, and never knows less to be decided", () => {
  const prng = seedPrng(2);
  for (let i = 0; i < 100; i++) {
    const made = durable();
    for (const record of randomLog(prng)) {
      const before = { promised: made.promised, decided: durableDecided(made), trimmed: made.trimmed };
      applyRecord(made, record);
      assert.ok(compareBallots(made.promised, before.promised) >= 0);
      assert.ok(durableDecided(made) >= before.decided && made.trimmed >= before.trimmed);
    }
  }
});
