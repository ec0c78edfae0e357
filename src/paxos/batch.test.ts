/** Batches: digests tell kind and payload apart, payloads are shared, bad bytes are MalformedBytes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { EMPTY_BYTES, MalformedBytes } from "../base/bytes.js";
import { seedPrng } from "../base/prng.js";
import { BATCH_KIND, BATCH_PAYLOAD_MAX, type Batch, commandsBatch, configurationBatch, decodeBatch, NOOP_BATCH } from "./batch.js";
import { randomBatch, randomConfiguration } from "./testing/random-message.js";

test("decoding kind and payload gives the batch again, its payload shared", () => {
  const prng = seedPrng(1);
  for (let i = 0; i < 200; i++) {
    const batch: Batch = randomBatch(prng);
    const decoded = decodeBatch(BATCH_KIND[batch.kind], batch.payload);
    assert.deepEqual(decoded, batch);
    assert.equal(decoded.payload, batch.payload);
  }
});

test("equal payloads of different kinds have different digests", () => {
  const configuration = configurationBatch(randomConfiguration(seedPrng(2)));
  assert.notEqual(commandsBatch(configuration.payload).digest, configuration.digest);
  assert.notEqual(commandsBatch(EMPTY_BYTES).digest, NOOP_BATCH.digest);
});

test("a change of any byte changes the digest", () => {
  const payload = Uint8Array.from({ length: 100 }, (_, i) => i);
  const digests = new Set([commandsBatch(payload).digest]);
  for (let at = 0; at < payload.length; at++) {
    const changed = payload.slice();
    changed[at] = (changed[at] ?? 0) ^ 1;
    digests.add(commandsBatch(changed).digest);
  }
  assert.equal(digests.size, payload.length + 1);
});

const { payload } = configurationBatch(randomConfiguration(seedPrng(3)));
const BAD: ReadonlyArray<readonly [string, number, Uint8Array]> = [
  ["an unknown kind", 3, EMPTY_BYTES],
  ["a no-op with a payload", BATCH_KIND.noop, Uint8Array.of(1)],
  ["a configuration cut short", BATCH_KIND.configuration, payload.subarray(0, payload.length - 1)],
  ["a configuration with a byte too many", BATCH_KIND.configuration, Uint8Array.of(...payload, 0)],
  ["a payload above BATCH_PAYLOAD_MAX", BATCH_KIND.commands, new Uint8Array(BATCH_PAYLOAD_MAX + 1)],
];
for (const [what, kind, bytes] of BAD) {
  test(`refused: ${what}`, () => assert.throws(() => decodeBatch(kind, bytes), MalformedBytes));
}

test("the largest payload is allowed", () => {
  assert.equal(decodeBatch(BATCH_KIND.commands, new Uint8Array(BATCH_PAYLOAD_MAX)).kind, "commands");
});
