/**
 * Memory and large states: what is compacted is reclaimed, in slices, and reused; a delete and a read of many keys run in slices
 * while reads see the state before; sorting many keys; the quota that refuses and gives way. Sizes are hundreds of thousands.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { nextInt, seedPrng } from "../base/prng.js";
import { BatchBuilder } from "./batch.js";
import { encodeCommand, encodePlainPut } from "./command.js";
import type { KvStore } from "./kv-store.js";
import { QUOTA_BYTES_DEFAULT, VERSION_OVERHEAD_BYTES } from "./limits.js";
import { FIRST_KEY, NO_SESSION, OPEN_END } from "./model.js";
import { FIRST_PAGE_BYTES, PAGE_BYTES } from "./slab.js";
import { Store } from "./store.js";
import { bytes, chunksOf, DEAF, payloadOf, put, restoreFrom, run } from "./testing/kit.js";

const ALL = { key: FIRST_KEY, rangeEnd: OPEN_END };
const keyOf = (index: number): Uint8Array => bytes(`key/${String((index * 7919) % 1_000_003).padStart(12, "0")}`);

function fill(store: KvStore, count: number, valueBytes: number): void {
  const value = new Uint8Array(valueBytes);
  for (let from = 0; from < count; from += 1000) {
    const builder = new BatchBuilder();
    for (let index = from; index < Math.min(count, from + 1000); index++) {
      builder.add(NO_SESSION, index, 0, encodePlainPut(keyOf(index), value));
    }
    store.applyBatch(store.appliedSlot + 1, builder.finish(), DEAF);
  }
}

function reclaimAll(store: KvStore): void {
  while (!store.maintain(1000)) {
    // the next slice
  }
}

test("200,000 keys: counts, reads at both ends of history, bytes a key, and all of it given back", () => {
  const store = Store.empty();
  fill(store, 200_000, 200);
  assert.equal(store.stats().keys, 200_000);
  const perKey = store.stats().memoryBytes / 200_000;
  assert.ok(perKey < 200 + 16 + 130, `${perKey} bytes a key`);
  const middle = store.revision;
  fill(store, 200_000, 200);
  assert.equal(store.get(keyOf(199_999))?.version, 2);
  const old = store.range({ key: keyOf(5), revision: middle });
  assert.equal("pairs" in old && old.pairs[0]?.version, 1);
  const before = store.stats();
  assert.equal(before.historyBytes, 200_000 * (200 + 16 + VERSION_OVERHEAD_BYTES));
  run(store, { kind: "compact", revision: store.revision });
  assert.equal(store.stats().historyBytes, 0, "the quota counts at once");
  reclaimAll(store);
  assert.ok(store.stats().memoryBytes < before.memoryBytes * 0.8, `${store.stats().memoryBytes} of ${before.memoryBytes}`);
  assert.equal(restoreFrom(chunksOf(store.openReadView())).stateHash(), store.stateHash());
});

test("a small store takes little memory, and a record of any size finds its place in it", () => {
  const store = Store.empty();
  fill(store, 10, 100);
  const slabBytes = store.stats().memoryBytes - Store.empty().stats().memoryBytes;
  assert.ok(slabBytes < 512 * 1024, `${slabBytes} bytes for ten keys`);
  for (const length of [FIRST_PAGE_BYTES - 100, FIRST_PAGE_BYTES, FIRST_PAGE_BYTES + 1, PAGE_BYTES / 4, PAGE_BYTES, 10]) {
    for (const filled of [store, Store.empty()]) {
      const value = "x".repeat(length);
      put(filled, `large ${length}`, value);
      assert.deepEqual(filled.get(bytes(`large ${length}`))?.value, bytes(value));
    }
  }
  assert.deepEqual(store.get(keyOf(3))?.value, new Uint8Array(100));
});

test("overwriting the same keys for ever, compacting as one goes, takes bounded memory without maintain", () => {
  const store = Store.empty();
  const prng = seedPrng(5);
  let most = 0;
  for (let round = 0; round < 150; round++) {
    const builder = new BatchBuilder();
    for (let i = 0; i < 1000; i++) {
      builder.add(NO_SESSION, i, 0, encodePlainPut(keyOf(nextInt(prng, 0, 2000)), new Uint8Array(nextInt(prng, 0, 400))));
    }
    builder.add(NO_SESSION, 1000, 0, encodeCommand({ kind: "compact", revision: store.revision + 500 }));
    store.applyBatch(store.appliedSlot + 1, builder.finish(), DEAF);
    most = Math.max(most, store.stats().memoryBytes);
  }
  assert.ok(most < 20e6, `${most} bytes for 2000 keys of at most 416`);
  assert.equal(restoreFrom(chunksOf(store.openReadView())).stateHash(), store.stateHash());
});

test("deleting 100,000 keys runs in slices, reads seeing all or nothing", () => {
  const store = Store.empty();
  fill(store, 100_000, 10);
  const before = store.revision;
  const payload = payloadOf([
    { session: 0, seq: 1, firstUnacked: 0, command: { kind: "deleteRange", ...ALL } },
    { session: 0, seq: 2, firstUnacked: 0, command: { kind: "put", key: bytes("after"), value: bytes("v") } },
  ]);
  const heard: number[] = [];
  store.startBatch(store.appliedSlot + 1, payload, { onReply: (_, seq) => heard.push(seq) });
  let slices = 0;
  while (!store.continueBatch(2000)) {
    slices++;
    const { revision } = store;
    assert.ok(revision === before || heard.length > 0);
    if (heard.length === 0) {
      assert.notEqual(store.get(keyOf(nextInt(seedPrng(slices), 0, 100_000))), undefined);
    }
  }
  assert.ok(slices > 30, `${slices} slices`);
  assert.deepEqual(heard, [1, 2]);
  assert.equal(store.stats().keys, 1);
  assert.equal(store.get(bytes("after"))?.modRevision, before + 2);
  assert.equal(store.get(keyOf(1)), undefined);
});

test("a scan of 100,000 keys in slices streams, stays at its revision, and ends when that is compacted", () => {
  const store = Store.empty();
  fill(store, 100_000, 10);
  const { revision } = store;
  const scan = store.openRange({ ...ALL, keysOnly: true });
  let pairs = 0;
  while (!scan.step(1000)) {
    pairs += scan.takePairs().length;
    put(store, `key/new${pairs}`, "later");
    run(store, { kind: "deleteRange", key: keyOf(pairs) });
  }
  const result = scan.result();
  assert.ok("pairs" in result);
  assert.deepEqual([pairs + result.pairs.length, result.count, result.revision], [100_000, 100_000, revision]);
  const late = store.openRange({ ...ALL, countOnly: true });
  late.step(10);
  put(store, "one", "more");
  run(store, { kind: "compact", revision: store.revision });
  while (!late.step(1000)) {
    // the next slice
  }
  assert.deepEqual(late.result(), { kind: "compacted", limit: 0, size: 0 });
});

test("sorting 60,000 pairs by what is not their key, and the first few of them", () => {
  const store = Store.empty();
  fill(store, 60_000, 4);
  const scan = store.openRange({ ...ALL, sortTarget: "mod", sortOrder: "descend", limit: 3 });
  let slices = 0;
  while (!scan.step(500)) {
    slices++;
    run(store, { kind: "deleteRange", key: keyOf(slices) });
    store.maintain(100);
  }
  assert.ok(slices > 10);
  const result = scan.result();
  assert.ok("pairs" in result);
  assert.deepEqual(
    result.pairs.map((pair) => pair.key),
    [59_999, 59_998, 59_997].map(keyOf),
  );
  assert.deepEqual([result.more, result.count], [true, 60_000]);
  const abandoned = store.openRange({ ...ALL, sortTarget: "value" });
  abandoned.step(1);
  abandoned.close();
  run(store, { kind: "compact", revision: store.revision });
  reclaimAll(store);
  assert.equal(store.stats().keys, 60_000 - slices);
});

test("the quota: refuses puts with its size, lets deletes and compaction pass, and gives way by itself", () => {
  const store = Store.empty();
  assert.equal(store.stats().quotaBytes, QUOTA_BYTES_DEFAULT);
  const weight = 1 + 100 + VERSION_OVERHEAD_BYTES;
  run(store, { kind: "setQuota", bytes: 3 * weight });
  const value = "v".repeat(100);
  assert.deepEqual(
    ["a", "b", "c"].map((key) => put(store, key, value).kind),
    ["put", "put", "put"],
  );
  const refused = put(store, "d", value);
  assert.deepEqual(refused.kind === "error" && refused.error, { kind: "quota-exceeded", limit: 3 * weight, size: 4 * weight });
  const txn = { kind: "txn", compares: [], success: [{ kind: "put", key: bytes("d"), value: bytes(value) }], failure: [] } as const;
  assert.equal(run(store, txn).kind, "error");
  assert.equal(run(store, { ...txn, success: [{ kind: "deleteRange", key: bytes("a") }] }).kind, "txn");
  assert.equal(put(store, "d", value).kind, "error", "a delete alone frees nothing: history keeps the pair");
  assert.equal(run(store, { kind: "compact", revision: store.revision }).kind, "compact");
  assert.equal(put(store, "d", value).kind, "put");
  assert.equal(put(store, "e", value).kind, "error");
  run(store, { kind: "setQuota", bytes: 10 * weight });
  assert.equal(put(store, "e", value).kind, "put");
});

test("a key with 30,000 versions: any revision is found, and compaction in the middle keeps the rest", () => {
  const store = Store.empty();
  for (let from = 0; from < 30_000; from += 1000) {
    const builder = new BatchBuilder();
    for (let i = 0; i < 1000; i++) {
      builder.add(NO_SESSION, i, 0, encodePlainPut(bytes("hot"), bytes(String(from + i))));
    }
    store.applyBatch(store.appliedSlot + 1, builder.finish(), DEAF);
  }
  const valueAt = (revision: number): string | undefined => {
    const result = store.range({ key: bytes("hot"), revision });
    return "pairs" in result && result.pairs[0] !== undefined ? Buffer.from(result.pairs[0].value).toString() : undefined;
  };
  for (let revision = 2; revision < 30_000; revision += 997) {
    assert.equal(valueAt(revision), String(revision - 2));
  }
  run(store, { kind: "compact", revision: 15_000 });
  reclaimAll(store);
  for (let revision = 15_000; revision <= 30_001; revision += 499) {
    assert.equal(valueAt(revision), String(revision - 2));
  }
  const restored = restoreFrom(chunksOf(store.openReadView(), 100), 100);
  assert.equal(restored.stateHash(), store.stateHash());
  assert.deepEqual(restored.range({ key: bytes("hot"), revision: 20_000 }), store.range({ key: bytes("hot"), revision: 20_000 }));
});
