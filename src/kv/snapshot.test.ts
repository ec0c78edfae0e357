/**
 * Snapshots: a view is of its moment whatever is written, compacted and expired meanwhile; what is restored from it behaves and
 * hashes like the original; bytes that were cut, damaged, mixed up or written by a newer program are refused.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { nextInt, seedPrng } from "../base/prng.js";
import type { KvStore } from "./kv-store.js";
import { SNAPSHOT_CHUNK_BYTES } from "./limits.js";
import type { LeaseId } from "./model.js";
import { SnapshotFailure } from "./snapshot-format.js";
import { Store } from "./store.js";
import { randomCommand } from "./testing/generate.js";
import { bytes, chunksOf, DEAF, payloadOf, put, restoreFrom, run, runIn } from "./testing/kit.js";

function churn(store: KvStore, seed: number, count: number): void {
  const prng = seedPrng(seed);
  for (let i = 0; i < count; i++) {
    const slot = store.appliedSlot + 1;
    const command = randomCommand(prng, store.revision, slot);
    const session = nextInt(prng, 0, 4);
    store.applyBatch(slot, payloadOf([{ session, seq: slot, firstUnacked: Math.max(0, slot - 9), command }]), DEAF);
  }
}

test("a view shows its moment while everything changes, in equal bytes however it is sliced", () => {
  for (let seed = 1; seed <= 10; seed++) {
    const store = Store.empty();
    churn(store, seed, 200);
    run(store, { kind: "setQuota", bytes: 1e9 });
    for (let i = 0; i < 50; i++) {
      put(store, `key${i}`, "value");
    }
    const hash = store.stateHash();
    const expected = chunksOf(store.openReadView());
    const view = store.openReadView();
    let writes = 0;
    const chunks = chunksOf(view, 3, () => {
      churn(store, seed * 1000 + writes, 1);
      store.maintain(10);
      writes++;
    });
    assert.ok(writes > 10);
    assert.deepEqual(chunks, expected);
    assert.equal(view.stateHash, hash);
    const restored = restoreFrom(chunks, 3);
    assert.equal(restored.stateHash(), hash);
    churn(restored, 99, 50);
  }
});

test("two views at different moments, one closed early", () => {
  const store = Store.empty();
  churn(store, 1, 100);
  const expected = chunksOf(store.openReadView());
  const first = store.openReadView();
  churn(store, 2, 50);
  const second = store.openReadView();
  const later = chunksOf(store.openReadView());
  churn(store, 3, 50);
  second.next(1);
  assert.deepEqual(chunksOf(first), expected);
  second.close();
  second.close();
  assert.notDeepEqual(later, expected);
  run(store, { kind: "compact", revision: store.revision });
  while (!store.maintain(100)) {
    // with no view open, all can be reclaimed
  }
  assert.equal(store.stats().historyBytes, 0);
});

test("chunks keep to their size, and records larger than one are cut into pieces", () => {
  const store = Store.empty();
  const large = new Uint8Array(3 * SNAPSHOT_CHUNK_BYTES + 17).map((_, at) => at % 251);
  run(store, { kind: "put", key: bytes("large"), value: large, lease: -5n as LeaseId });
  for (let i = 0; i < 30; i++) {
    run(store, { kind: "put", key: bytes(`k${i}`), value: new Uint8Array(100_000 * (i % 11)) });
  }
  run(store, { kind: "put", key: bytes("z"), value: large });
  const chunks = chunksOf(store.openReadView(), 50);
  assert.ok(chunks.every((chunk) => chunk.length <= SNAPSHOT_CHUNK_BYTES));
  const restored = restoreFrom(chunks, 50);
  assert.deepEqual(restored.get(bytes("large")), store.get(bytes("large")));
  assert.deepEqual(chunksOf(restored.openReadView()), chunks);
});

test("a session whose kept replies fill more than a chunk", () => {
  const store = Store.empty();
  const registered = run(store, { kind: "registerSession", nonce: 1n });
  const session = registered.kind === "registered" ? registered.session : 0;
  for (let seq = 0; seq < 5; seq++) {
    const command = { kind: "put", key: bytes("k"), value: new Uint8Array(500_000), prevKv: true } as const;
    runIn(store, { session, seq, firstUnacked: 0, command });
  }
  const restored = restoreFrom(chunksOf(store.openReadView()));
  assert.equal(restored.stateHash(), store.stateHash());
});

test("the empty store", () => {
  const store = Store.empty();
  const restored = restoreFrom(chunksOf(store.openReadView()));
  assert.deepEqual([restored.revision, restored.appliedSlot, restored.stateHash()], [1, 0, store.stateHash()]);
});

test("cut, damaged and mixed-up snapshots are refused", () => {
  const store = Store.empty();
  churn(store, 5, 80);
  const [chunk] = chunksOf(store.openReadView()) as [Uint8Array];
  for (let cut = 0; cut < chunk.length; cut += 3) {
    assert.throws(() => restoreFrom([chunk.slice(0, cut)]), SnapshotFailure, `cut at ${cut}`);
  }
  assert.throws(() => restoreFrom([]), SnapshotFailure);
  assert.throws(() => restoreFrom([chunk, chunk]), SnapshotFailure);
  const prng = seedPrng(8);
  for (let at = 0; at < chunk.length; at++) {
    const flipped = chunk.slice();
    flipped[at] = (flipped[at] as number) ^ (1 << nextInt(prng, 0, 8));
    // The slot is no part of the state hash: storage and wire have checksums for that.
    let restored: KvStore | undefined;
    try {
      restored = restoreFrom([flipped]);
    } catch (error) {
      assert.ok(error instanceof SnapshotFailure, `byte ${at}: ${error}`);
    }
    assert.ok(restored === undefined || restored.stateHash() === store.stateHash());
  }
});

test("a snapshot of a newer program, and a file that is none, say so", () => {
  const store = Store.empty();
  put(store, "a", "b");
  const [chunk] = chunksOf(store.openReadView()) as [Uint8Array];
  const newer = chunk.slice();
  newer[11] = 9; // chunk kind, record tag, length of the magic, eight letters, then the version
  assert.throws(() => restoreFrom([newer]), /format 9, this program reads format 1/);
  const foreign = chunk.slice();
  foreign[5] = 0x21;
  assert.throws(() => restoreFrom([foreign]), /this is no snapshot of a store/);
});
