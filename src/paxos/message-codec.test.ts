/**
 * The peer message codec: every kind comes back as it went in, payloads are views, and whatever else arrives (cut short,
 * too long, mutated, oversized) is MalformedBytes and never another error. Messages are drawn from seeded generators.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ByteWriter, MalformedBytes } from "../base/bytes.js";
import { nextInt, seedPrng } from "../base/prng.js";
import { ballot } from "./ballot.js";
import { BATCH_PAYLOAD_MAX, commandsBatch } from "./batch.js";
import { MEMBERS_MAX } from "./configuration.js";
import { address, clusterId, replicaId, slot } from "./ids.js";
import { type Header, type Message, PEER_VERSION } from "./message.js";
import { ACCEPTED_SLOTS_MAX, CATCH_UP_ENTRIES_MAX, PROMISE_ENTRIES_MAX, PROMISE_PARTS_MAX } from "./message-bodies.js";
import { CHUNK_BYTES_MAX, decodeEnvelope, encodeEnvelope, MESSAGE_KIND, peekHelloVersion } from "./message-codec.js";
import { ADDRESS_BYTES_MAX } from "./message-fields.js";
import { randomHeader, randomMessage } from "./testing/random-message.js";

const KINDS = Object.keys(MESSAGE_KIND) as Message["kind"][];
const HEADER: Header = { clusterId: clusterId(7n), lineage: { number: 1, random: 9n }, from: replicaId(1), epoch: 1 };
/** Kind byte and header: where the body of a message under HEADER begins (a Hello has its version in between). */
const BODY_FROM = encodeEnvelope(HEADER, { kind: "readIndex", life: 0, id: 0 }).length - 2;

function decodesOrMalformed(bytes: Uint8Array, label: string): void {
  try {
    decodeEnvelope(bytes);
  } catch (error) {
    assert.ok(error instanceof MalformedBytes, `${label}: ${error instanceof Error ? error.stack : error}`);
  }
}

/** A message of `kind` under HEADER whose body is written by hand. */
function forged(kind: Message["kind"], body: (writer: ByteWriter) => unknown): Uint8Array {
  const writer = new ByteWriter();
  writer.raw(encodeEnvelope(HEADER, { kind: "readIndex", life: 0, id: 0 }).subarray(0, BODY_FROM));
  body(writer);
  const bytes = writer.finish();
  bytes[0] = MESSAGE_KIND[kind];
  return bytes;
}

test("every kind has its own number", () => {
  assert.equal(new Set(Object.values(MESSAGE_KIND)).size, KINDS.length);
});

for (const kind of KINDS) {
  test(`${kind} comes back as it was sent`, () => {
    const prng = seedPrng(MESSAGE_KIND[kind]);
    for (let i = 0; i < 200; i++) {
      const sent = { header: randomHeader(prng), message: randomMessage(prng, kind) };
      assert.deepEqual(decodeEnvelope(encodeEnvelope(sent.header, sent.message)), sent);
    }
  });

  test(`${kind} cut at any length, or longer by a byte, is malformed`, () => {
    const prng = seedPrng(100 + MESSAGE_KIND[kind]);
    for (let i = 0; i < 10; i++) {
      const bytes = encodeEnvelope(randomHeader(prng), randomMessage(prng, kind));
      for (let length = 0; length < bytes.length; length++) {
        assert.throws(() => decodeEnvelope(bytes.subarray(0, length)), MalformedBytes);
      }
      assert.throws(() => decodeEnvelope(Uint8Array.from([...bytes, 0])), MalformedBytes);
    }
  });

  test(`${kind} with any bytes changed is read or malformed, nothing else`, () => {
    const prng = seedPrng(200 + MESSAGE_KIND[kind]);
    for (let i = 0; i < 400; i++) {
      const bytes = encodeEnvelope(randomHeader(prng), randomMessage(prng, kind)).slice();
      for (let changes = nextInt(prng, 1, 5); changes > 0; changes--) {
        bytes[nextInt(prng, 0, bytes.length)] = nextInt(prng, 0, 3) === 0 ? 0xff : nextInt(prng, 0, 256);
      }
      decodesOrMalformed(bytes, `${kind}, change ${i}`);
    }
  });
}

test("bytes at random are read or malformed, nothing else", () => {
  const prng = seedPrng(1);
  for (let i = 0; i < 20_000; i++) {
    const bytes = Uint8Array.from({ length: nextInt(prng, 0, 80) }, () => nextInt(prng, 0, 256));
    bytes[0] = nextInt(prng, 0, KINDS.length + 2);
    decodesOrMalformed(bytes, `input ${i}`);
  }
});

test("a payload that was read is a view into the input", () => {
  const bytes = encodeEnvelope(HEADER, {
    kind: "propose",
    ballot: ballot(1, 1),
    slot: slot(1),
    batch: commandsBatch(new Uint8Array(100)),
    inform: { ballot: ballot(1, 1), decided: slot(0), chain: commandsBatch(new Uint8Array()).digest },
  });
  const { message } = decodeEnvelope(bytes);
  assert.ok(message.kind === "propose" && message.batch.payload.buffer === bytes.buffer);
});

test("the version of any Hello can be read, and another version is refused by both numbers", () => {
  const hello = randomMessage(seedPrng(3), "hello");
  assert.ok(hello.kind === "hello");
  const foreign = encodeEnvelope(HEADER, { ...hello, peerVersion: PEER_VERSION + 7 });
  assert.equal(peekHelloVersion(foreign), PEER_VERSION + 7);
  assert.equal(peekHelloVersion(foreign.subarray(0, 2)), PEER_VERSION + 7);
  assert.throws(() => decodeEnvelope(foreign), new RegExp(`version ${PEER_VERSION + 7}.*${PEER_VERSION}`));
  assert.equal(peekHelloVersion(encodeEnvelope(HEADER, { kind: "readIndex", life: 1, id: 1 })), null);
  assert.throws(() => peekHelloVersion(new Uint8Array()), MalformedBytes);
});

test("the hot messages are small", () => {
  const inform = { ballot: ballot(300, 3), decided: slot(1e9), chain: commandsBatch(new Uint8Array()).digest };
  const accepted = encodeEnvelope(HEADER, { kind: "accepted", ballot: inform.ballot, slots: [slot(1e9)] });
  assert.ok(accepted.length <= 40, `${accepted.length} bytes`);
  const empty = commandsBatch(new Uint8Array());
  const propose = encodeEnvelope(HEADER, { kind: "propose", ballot: inform.ballot, slot: slot(1e9), batch: empty, inform });
  assert.ok(propose.length <= 60, `${propose.length} bytes`);
});

/** Each list and payload one above its limit; the count alone must be refused, before anything is allocated for it. */
const TOO_MANY: ReadonlyArray<readonly [string, Message["kind"], (writer: ByteWriter) => unknown]> = [
  [
    "accepted slots",
    "accepted",
    (w) =>
      w
        .varint(1)
        .varint(1)
        .varint(ACCEPTED_SLOTS_MAX + 1),
  ],
  ["parts of a Promise", "promise", (w) => writeNumbers(w, [1, 1, 1, 1, 0, 0, 0, PROMISE_PARTS_MAX + 1])],
  ["a part beyond the parts", "promise", (w) => writeNumbers(w, [1, 1, 1, 1, 0, 0, 2, 2])],
  ["entries of a Promise", "promise", (w) => writeNumbers(w, [1, 1, 1, 1, 0, 0, 0, 1, PROMISE_ENTRIES_MAX + 1])],
  ["entries of a CatchUpReply", "catchUpReply", (w) => writeNumbers(w, [1, CATCH_UP_ENTRIES_MAX + 1])],
  ["replicas heard", "ping", (w) => writeNumbers(w, [1, 0, 0, 0, 0, MEMBERS_MAX + 1])],
  [
    "bytes of a chunk",
    "snapshotChunk",
    (w) =>
      writeNumbers(w, [1, 1])
        .u32(0)
        .varint(CHUNK_BYTES_MAX + 1),
  ],
  ["bytes of a Forward", "forward", (w) => writeNumbers(w, [1, BATCH_PAYLOAD_MAX + 1])],
  ["characters of an address", "join", (w) => w.text("a".repeat(ADDRESS_BYTES_MAX + 1)).raw(new Uint8Array(16))],
  ["an empty address", "join", (w) => w.text("").raw(new Uint8Array(16))],
  ["members of a Genesis", "genesis", (w) => writeNumbers(w.big64(1n).varint(1).big64(1n), [1, 0, MEMBERS_MAX + 1])],
  ["a member without address", "genesis", (w) => writeNumbers(w.big64(1n).varint(1).big64(1n), [1, 0, 0, 1, 1, 1]).text("").text("")],
  ["a member's bad disk id", "genesis", (w) => writeNumbers(w.big64(1n).varint(1).big64(1n), [1, 0, 0, 1, 1, 1]).text("a:1").text("zz")],
  ["reason of a Nack", "nack", (w) => writeNumbers(w, [1, 1]).u8(6)],
];

function writeNumbers(writer: ByteWriter, numbers: readonly number[]): ByteWriter {
  for (const number of numbers) {
    writer.varint(number);
  }
  return writer;
}

for (const [what, kind, body] of TOO_MANY) {
  test(`refused in a ${kind}: ${what}`, () => {
    assert.throws(() => decodeEnvelope(forged(kind, body)), MalformedBytes);
  });
}

test("listed addresses of a Hello are bounded", () => {
  const hello = randomMessage(seedPrng(4), "hello");
  assert.ok(hello.kind === "hello");
  const list = Array.from({ length: MEMBERS_MAX }, (_, i) => address(`h:${i + 1}`));
  assert.equal(decodeEnvelope(encodeEnvelope(HEADER, { ...hello, list })).message.kind, "hello");
  assert.throws(() => encodeEnvelope(HEADER, { ...hello, list: [...list, address("h:99")] }), /bound/);
});
