/** The formats: commands, batches and replies go there and back; every cut and many a flipped bit is refused or read, never worse. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { MalformedBytes } from "../base/bytes.js";
import { nextInt, seedPrng } from "../base/prng.js";
import { BATCH_VERSION, BatchBuilder, BatchCursor } from "./batch.js";
import { decodeCommand, encodeCommand, encodePlainPut } from "./command.js";
import type { SessionId } from "./model.js";
import { decodeReply, encodeReply } from "./reply.js";
import { Store } from "./store.js";
import { randomCommand } from "./testing/generate.js";
import { bytes, DEAF, payloadOf, Recorder } from "./testing/kit.js";

function readable(decode: (input: Uint8Array) => unknown, input: Uint8Array): boolean {
  try {
    decode(input);
    return true;
  } catch (error) {
    assert.ok(error instanceof MalformedBytes, String(error));
    return false;
  }
}

test("commands: encoding the decoded gives the same bytes; cuts and flips never do harm", () => {
  const prng = seedPrng(7);
  for (let i = 0; i < 400; i++) {
    const encoded = encodeCommand(randomCommand(prng, 50, 10));
    assert.deepEqual(encodeCommand(decodeCommand(encoded)), encoded);
    for (let cut = 0; cut < encoded.length; cut += nextInt(prng, 1, 10)) {
      readable(decodeCommand, encoded.slice(0, cut));
      const flipped = encoded.slice();
      flipped[cut] = (flipped[cut] as number) ^ (1 << nextInt(prng, 0, 8));
      readable(decodeCommand, flipped);
    }
    assert.equal(readable(decodeCommand, encoded.slice(0, 0)), false);
  }
});

test("a plain put is the shortest form, for key lengths around each varint size", () => {
  for (const length of [1, 127, 128, 16_383, 16_384, 65_536]) {
    const key = new Uint8Array(length).fill(9);
    const encoded = encodePlainPut(key, bytes("value"));
    assert.deepEqual(encodeCommand({ kind: "put", key, value: bytes("value") }), encoded);
    const decoded = decodeCommand(encoded);
    assert.ok(decoded.kind === "put");
    assert.deepEqual([decoded.key, decoded.value], [key, bytes("value")]);
    const store = Store.empty();
    store.applyBatch(1, payloadOf([{ session: 0, seq: 0, firstUnacked: 0, command: decoded }]), DEAF);
    assert.deepEqual(store.get(key)?.value, bytes("value"));
  }
});

test("transactions nested beyond any budget are malformed, however short", () => {
  const deep: number[] = [4];
  for (let i = 0; i < 100_000; i++) {
    deep.push(0, 1, 4); // no compares, one operation, a transaction
  }
  assert.equal(readable(decodeCommand, Uint8Array.from(deep)), false);
});

test("batches: groups, counts and the bound on their size", () => {
  const builder = new BatchBuilder();
  const one = encodePlainPut(bytes("k"), bytes("v"));
  const requests = [
    [1, 5, 5],
    [1, 6, 5],
    [1, 7, 9],
    [1, 9, 9],
    [2, 10, 0],
    [1, 10, 0],
    [0, Number.MAX_SAFE_INTEGER - 1, 0],
  ] as const;
  for (const [session, seq, firstUnacked] of requests) {
    builder.add(session as SessionId, seq, firstUnacked, one);
  }
  assert.equal(builder.count, requests.length);
  const most = builder.byteLength;
  const payload = builder.finish();
  assert.ok(payload.length <= most && payload.length > most - 40 * 5 - 4 * requests.length);
  assert.equal(builder.count, 0);
  const cursor = new BatchCursor(payload);
  const seen: number[][] = [];
  while (cursor.nextGroup()) {
    while (cursor.nextCommand()) {
      seen.push([cursor.session, cursor.seq, cursor.firstUnacked]);
      assert.deepEqual(payload.slice(cursor.commandFrom, cursor.commandEnd), one);
    }
  }
  // The first three share a group, so its firstUnacked stops at its first request.
  assert.deepEqual(seen, [
    [1, 5, 5],
    [1, 6, 5],
    [1, 7, 5],
    [1, 9, 9],
    [2, 10, 0],
    [1, 10, 0],
    [0, Number.MAX_SAFE_INTEGER - 1, 0],
  ]);
});

test("a batch that is cut, of another version, or not a batch is malformed", () => {
  const payload = payloadOf([
    { session: 0, seq: 1, firstUnacked: 0, command: { kind: "put", key: bytes("key"), value: bytes("value") } },
    { session: 0, seq: 2, firstUnacked: 0, command: { kind: "setQuota", bytes: 5 } },
  ]);
  const apply = (input: Uint8Array): void => Store.empty().applyBatch(1, input, DEAF);
  for (let cut = 0; cut < payload.length; cut++) {
    assert.equal(readable(apply, payload.slice(0, cut)), cut === 1, `cut at ${cut}`);
  }
  const other = payload.slice();
  other[0] = BATCH_VERSION + 1;
  assert.throws(() => apply(other), /batch of version 2, this program reads 1/);
  const prng = seedPrng(3);
  for (let i = 0; i < 2000; i++) {
    const flipped = payload.slice();
    const at = nextInt(prng, 0, payload.length);
    flipped[at] = nextInt(prng, 0, 256);
    readable(apply, flipped);
  }
});

test("replies: every kind that random commands give goes there and back", () => {
  const prng = seedPrng(11);
  const store = Store.empty();
  const kinds = new Set<string>();
  for (let slot = 1; slot <= 600; slot++) {
    const recorder = new Recorder();
    const command = randomCommand(prng, store.revision, slot);
    store.applyBatch(slot, payloadOf([{ session: 0, seq: 0, firstUnacked: 0, command }]), recorder);
    for (const { reply } of recorder.heard) {
      kinds.add(reply.kind);
      const encoded = encodeReply(reply);
      assert.deepEqual(decodeReply(encoded), reply);
      for (let cut = 0; cut < Math.min(encoded.length, 60); cut++) {
        assert.equal(readable(decodeReply, encoded.slice(0, cut)), false);
      }
    }
  }
  assert.deepEqual([...kinds].sort(), ["compact", "deleteRange", "error", "put", "quotaSet", "registered", "sessionsExpired", "txn"]);
});
