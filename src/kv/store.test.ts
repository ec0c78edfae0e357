/**
 * The store against the naive model: thousands of random commands of every kind, under sessions with repeats, duplicates and
 * pruning. Each reply must be the model's, and now and then every read, the totals and the history too. Meanwhile a second store
 * gets the same batches in small slices, with its memory reclaimed at other moments, and a third is restored from a snapshot on
 * the way: hashes and snapshot bytes of all three must be equal.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { nextChance, nextInt, type Prng, seedPrng } from "../base/prng.js";
import type { KvStore } from "./kv-store.js";
import { FIRST_KEY, OPEN_END } from "./model.js";
import { Store } from "./store.js";
import { randomCommand, randomRange } from "./testing/generate.js";
import { chunksOf, DEAF, payloadOf, Recorder, type Request, restoreFrom } from "./testing/kit.js";
import { NaiveModel } from "./testing/naive-model.js";

const LIMITS = { sessions: 4, replies: 1000, replyBytes: 1e9 };

/** A request that is new, repeated, late or of an unknown session. */
function randomRequest(prng: Prng, model: NaiveModel, slot: number): Request {
  const command = randomCommand(prng, model.revision, slot);
  const ids = [...model.sessions.keys()];
  if (ids.length === 0 || nextChance(prng, 0.1)) {
    return { session: nextChance(prng, 0.8) ? 0 : nextInt(prng, 1, 50), seq: nextInt(prng, 0, 5), firstUnacked: 0, command };
  }
  const session = ids[nextInt(prng, 0, ids.length)] as number;
  const { prunedTo, replies } = model.sessions.get(session) as { prunedTo: number; replies: Map<number, unknown> };
  const next = Math.max(prunedTo, ...replies.keys()) + 1;
  const seq = nextChance(prng, 0.7) ? next : Math.max(0, next - nextInt(prng, -3, 12));
  const firstUnacked = nextChance(prng, 0.3) ? Math.max(0, seq - nextInt(prng, 0, 8)) : prunedTo;
  return { session, seq, firstUnacked: nextChance(prng, 0.02) ? seq + 2 : firstUnacked, command };
}

function applySliced(prng: Prng, store: KvStore, slot: number, payload: Uint8Array): void {
  const before = store.range({ key: FIRST_KEY, rangeEnd: OPEN_END, revision: store.revision });
  const revision = store.revision;
  store.startBatch(slot, payload, DEAF);
  while (!store.continueBatch(nextInt(prng, 1, 6))) {
    if (nextChance(prng, 0.2)) {
      store.maintain(nextInt(prng, 1, 20));
    }
    if (store.compactedRevision <= revision) {
      assert.deepEqual({ ...store.range({ key: FIRST_KEY, rangeEnd: OPEN_END, revision }), revision }, before);
    }
  }
}

function compareReads(prng: Prng, model: NaiveModel, store: KvStore): void {
  for (let i = 0; i < 5; i++) {
    const request = randomRange(prng, model.revision);
    assert.deepEqual(store.range(request), model.range(request), JSON.stringify(request));
    const scan = store.openRange(request);
    while (!scan.step(nextInt(prng, 1, 3))) {
      if (nextChance(prng, 0.2)) {
        store.maintain(1);
      }
    }
    assert.deepEqual(scan.result(), model.range(request));
  }
  for (const [name, pair] of model.at(model.revision)) {
    assert.deepEqual(store.get(new Uint8Array(Buffer.from(name, "hex"))), pair);
  }
  assert.equal(store.stats().dataBytes, model.dataBytes());
  assert.equal(store.stats().keys, model.at(model.revision).size);
  const from = nextInt(prng, model.compacted + 1, model.revision + 2);
  assert.deepEqual(store.events(from, 1e9), model.eventsFrom(from));
}

function runSeed(seed: number, batches: number): void {
  const prng = seedPrng(seed);
  const model = new NaiveModel(LIMITS.sessions);
  const store = Store.empty(LIMITS);
  const sliced = Store.empty(LIMITS);
  let restored: KvStore | undefined;
  for (let slot = 1; slot <= batches; slot++) {
    const requests: Request[] = [];
    const expected = [];
    for (let left = nextInt(prng, 1, 6); left > 0; left--) {
      const request = randomRequest(prng, model, slot);
      requests.push(request);
      const { session, seq } = request;
      // A group shares one firstUnacked, the highest that leaves its first request alive: give each request its own group.
      expected.push({ session, seq, reply: model.request({ slot, ...request }, request.command) });
    }
    const payload = payloadOf(separate(requests));
    const recorder = new Recorder();
    store.applyBatch(slot, payload, recorder);
    assert.deepEqual(
      recorder.heard.filter(({ session }) => session !== 999_999),
      expected,
      `seed ${seed} slot ${slot}`,
    );
    applySliced(prng, sliced, slot, payload);
    restored?.applyBatch(slot, payload, DEAF);
    assert.equal(sliced.stateHash(), store.stateHash());
    if (restored !== undefined) {
      assert.equal(restored.stateHash(), store.stateHash());
    }
    if (slot % 10 === 0) {
      compareReads(prng, model, store);
      const chunks = chunksOf(store.openReadView());
      assert.deepEqual(chunksOf(sliced.openReadView(), nextInt(prng, 1, 10)), chunks);
      restored = restoreFrom(chunks, nextInt(prng, 1, 10), LIMITS);
      assert.deepEqual(chunksOf(restored.openReadView()), chunks);
    }
  }
}

/** Puts a request of an unknown session between neighbours, so that no two share a group. */
function separate(requests: readonly Request[]): Request[] {
  return requests.flatMap((request) => [
    request,
    { session: 999_999, seq: 1, firstUnacked: 0, command: { kind: "compact", revision: 0 } as const },
  ]);
}

test("random commands: replies, reads, totals, slices, hashes and snapshots are the model's", () => {
  const { KV_SEED = "1", KV_SEEDS = "25" } = process.env;
  const seeds = Number(KV_SEEDS);
  const first = Number(KV_SEED);
  for (let seed = first; seed < first + seeds; seed++) {
    runSeed(seed, 60);
  }
});
