/**
 * The codec of log records: every kind comes back as it was written, records that follow one another are told apart, an
 * input cut at any length or changed anywhere gives MalformedBytes or a record, never another error, and the numbers of
 * the kinds on disk are pinned.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ByteReader, ByteWriter, MalformedBytes } from "../base/bytes.js";
import { nextInt, seedPrng } from "../base/prng.js";
import type { WalRecord } from "./record.js";
import { RECORD_KIND, readRecord, writeRecord } from "./record-codec.js";
import { RECORD_KINDS, randomRecord } from "./testing/random-record.js";

const ROUNDS = 60;

function encode(records: readonly WalRecord[]): Uint8Array {
  const writer = new ByteWriter();
  for (const record of records) {
    writeRecord(writer, record);
  }
  return writer.finish();
}

/** Reads one record; undefined where the bytes are malformed. Any other error escapes. */
function decodeOrNothing(bytes: Uint8Array): WalRecord | undefined {
  try {
    return readRecord(new ByteReader(bytes));
  } catch (error) {
    assert.ok(error instanceof MalformedBytes, `expected MalformedBytes, got ${String(error)}`);
    return undefined;
  }
}

test("the numbers on disk are these for ever", () => {
  assert.deepEqual(RECORD_KIND, {
    boot: 1,
    identity: 2,
    promise: 3,
    accept: 4,
    learn: 5,
    decided: 6,
    snapshot: 7,
    snapshotInstalled: 8,
    trim: 9,
  });
});

for (const kind of RECORD_KINDS) {
  test(`${kind}: round trip, cuts and damage`, () => {
    const prng = seedPrng(RECORD_KIND[kind]);
    for (let round = 0; round < ROUNDS; round++) {
      const record = randomRecord(prng, kind);
      const bytes = encode([record]);
      const reader = new ByteReader(bytes);
      assert.deepEqual(readRecord(reader), record);
      reader.end();
      for (let cut = 0; cut < bytes.length; cut++) {
        assert.equal(decodeOrNothing(bytes.slice(0, cut)), undefined, `cut at ${cut} of ${bytes.length}`);
      }
      for (let flips = 0; flips < 40; flips++) {
        const damaged = bytes.slice();
        const at = nextInt(prng, 0, damaged.length);
        damaged[at] = (damaged[at] ?? 0) ^ nextInt(prng, 1, 256);
        decodeOrNothing(damaged);
      }
    }
  });
}

test("records follow one another without a separator", () => {
  const prng = seedPrng(7);
  const records = Array.from({ length: 200 }, (_, i) => randomRecord(prng, RECORD_KINDS[i % RECORD_KINDS.length] ?? "promise"));
  const reader = new ByteReader(encode(records));
  assert.deepEqual(
    records.map(() => readRecord(reader)),
    records,
  );
  reader.end();
});

test("an unknown kind is malformed", () => {
  for (const kind of [0, 10, 255]) {
    assert.throws(() => readRecord(new ByteReader(Uint8Array.of(kind, 1, 2, 3))), MalformedBytes);
  }
});
