/**
 * The small pure parts, each by table or property: timeouts, status messages, metadata, gathering, message reading, sniffing, flood budgets,
 * deadlines, output.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { concatBytes } from "../base/bytes.js";
import { Deadlines } from "./deadlines.js";
import { CONTROL_BUDGET, FloodGuard } from "./flood-guard.js";
import { PREFACE } from "./frames.js";
import { Gather } from "./gather.js";
import { MessageReader } from "./message-reader.js";
import { appendMetadata, metadataFromFields, metadataGet } from "./metadata.js";
import { Output, REFERENCE_BYTES_MIN } from "./output.js";
import { sniffProtocol } from "./sniff.js";
import { decodeStatusMessage, encodeStatusMessage, GRPC_STATUS } from "./status.js";
import { grpcMessage } from "./testing/wire.js";
import { formatTimeout, parseTimeout } from "./timeout.js";

test("grpc-timeout: units, and what is not a timeout", () => {
  for (const [text, ms] of [
    ["1H", 3_600_000],
    ["2M", 120_000],
    ["3S", 3000],
    ["99999999m", 99_999_999],
    ["500u", 0.5],
    ["1000000n", 1],
    ["0n", 0],
  ] as const) {
    assert.equal(parseTimeout(text), ms);
  }
  for (const text of ["", "S", "1", "1x", "-1S", "1.5S", "123456789S", " 1S"]) {
    assert.equal(parseTimeout(text), undefined, text);
  }
});

test("grpc-timeout: what is formatted parses to the same or a little more, in at most eight digits", () => {
  fc.assert(
    fc.property(fc.double({ min: 0, max: 1e12, noNaN: true }), (ms) => {
      const text = formatTimeout(ms);
      const parsed = parseTimeout(text);
      assert.ok(parsed !== undefined && parsed >= ms * (1 - 1e-12) && parsed <= ms * 1.001 + 0.002, `${ms} -> ${text}`);
    }),
  );
});

test("status messages survive any text, and broken escapes are shown as they came", () => {
  assert.equal(encodeStatusMessage("50 % ü\n"), "50 %25 %C3%BC%0A");
  fc.assert(fc.property(fc.string({ unit: "grapheme" }), (text) => assert.equal(decodeStatusMessage(encodeStatusMessage(text)), text)));
  assert.equal(decodeStatusMessage("100%"), "100%");
  assert.equal(decodeStatusMessage("%ff%zz"), "%ff%zz");
});

test("metadata: text and bytes survive, reserved names stay out, joined values are split", () => {
  const fields: string[] = [];
  const bytes = Uint8Array.of(0, 255, 7);
  appendMetadata(fields, [
    ["x-a", "1"],
    ["x-a", "2"],
    ["x-bin", bytes],
  ]);
  assert.deepEqual(fields, ["x-a", "1", "x-a", "2", "x-bin", "AP8H"]);
  const read = metadataFromFields([
    ":path",
    "/a/b",
    "te",
    "trailers",
    "grpc-timeout",
    "1S",
    "x!",
    "odd name",
    "x-odd",
    "\x7f",
    ...fields,
    "y-bin",
    "AQ==, Ag",
  ]);
  assert.deepEqual(read, [
    ["x-a", "1"],
    ["x-a", "2"],
    ["x-bin", bytes],
    ["y-bin", Uint8Array.of(1)],
    ["y-bin", Uint8Array.of(2)],
  ]);
  assert.equal(metadataGet(read, "x-a"), "1");
  assert.equal(metadataGet(read, "none"), undefined);
  assert.throws(() => appendMetadata([], [["grpc-status", "0"]]));
  assert.throws(() => appendMetadata([], [["Upper", "0"]]));
  assert.throws(() => appendMetadata([], [["x", "line\nbreak"]]));
});

test("a gather holds little more than came, whatever was announced", () => {
  const gather = new Gather();
  gather.expect(1 << 30);
  gather.append(new Uint8Array(10));
  assert.ok(gather.capacity <= 4096);
  gather.append(new Uint8Array(10_000));
  assert.ok(gather.capacity <= 10_010 * 32);
});

test("a message reader gives the same messages for any cut of the bytes", () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 6 }),
      fc.infiniteStream(fc.integer({ min: 1, max: 20 })),
      (messages, cuts) => {
        const bytes = Buffer.from(concatBytes(messages.map(grpcMessage)));
        const seen: Uint8Array[] = [];
        const reader = new MessageReader(1000, (message) => seen.push(new Uint8Array(message)) > 0);
        for (let at = 0; at < bytes.length; ) {
          const next = at + (cuts.next().value as number);
          assert.equal(reader.push(bytes.subarray(at, next)), undefined);
          at = next;
        }
        assert.equal(reader.midway, false);
        assert.deepEqual(seen, messages);
      },
    ),
  );
});

test("a message reader refuses what is too large, compressed or unknown, by the prefix alone", () => {
  const faults = [
    ["0000010001", GRPC_STATUS.RESOURCE_EXHAUSTED, /65537 bytes is above the limit of 65536/],
    ["0100000001", GRPC_STATUS.UNIMPLEMENTED, /compressed/],
    ["0700000001", GRPC_STATUS.INTERNAL, /flag 7/],
  ] as const;
  for (const [prefix, status, message] of faults) {
    for (const cut of [0, 2]) {
      const reader = new MessageReader(65_536, () => true);
      const bytes = Buffer.from(prefix, "hex");
      const fault = reader.push(bytes.subarray(0, cut)) ?? reader.push(bytes.subarray(cut));
      assert.equal(fault?.status, status);
      assert.match(fault?.message ?? "", message);
    }
  }
});

test("sniffing: the preface, its beginnings, and others", () => {
  for (let length = 0; length < PREFACE.length; length++) {
    assert.equal(sniffProtocol(PREFACE.subarray(0, length)), "more");
  }
  assert.equal(sniffProtocol(concatBytes([PREFACE, PREFACE])), "http2");
  for (const text of ["GET / HTTP/1.1", "P0", "\x16\x03\x01", "PRI * HTTP/1.1"]) {
    assert.equal(sniffProtocol(Buffer.from(text)), "other");
  }
});

test("a flood budget is emptied by a flood, and filled by calls and by time", () => {
  let now = 0;
  const guard = new FloodGuard(CONTROL_BUDGET, () => now);
  const spendAll = () => {
    let spent = 0;
    while (guard.spend(1)) {
      spent++;
    }
    return spent;
  };
  assert.equal(spendAll(), CONTROL_BUDGET.burst);
  now += 1000;
  assert.ok(Math.abs(spendAll() - CONTROL_BUDGET.refillPerSecond) <= 2);
  for (let call = 0; call < 100; call++) {
    guard.earn();
  }
  assert.ok(spendAll() > 100 * (CONTROL_BUDGET.earnedPerCall - 1));
  for (let i = 0; i < 100_000; i++) {
    guard.earn();
  }
  assert.ok(spendAll() <= CONTROL_BUDGET.burst + CONTROL_BUDGET.earnedPerCall);
});

test("deadlines come due in any order, and the timer is never armed too late", () => {
  const armed: number[] = [];
  const deadlines = new Deadlines((at) => armed.push(at));
  deadlines.set(1, 50);
  deadlines.set(3, 30);
  deadlines.set(5, 90);
  deadlines.delete(1);
  assert.deepEqual(armed, [50, 30]);
  assert.deepEqual(deadlines.expire(29), []);
  assert.deepEqual(deadlines.expire(30), [3]);
  assert.deepEqual(deadlines.expire(100), [5]);
  assert.deepEqual(armed, [50, 30, 30, 90]);
});

test("output keeps the order, copies what is small, refers to what is large, and says once that it is dirty", () => {
  const piece = fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: REFERENCE_BYTES_MIN - 1, max: REFERENCE_BYTES_MIN + 1 }));
  fc.assert(
    fc.property(fc.array(fc.array(piece, { maxLength: 30 }), { maxLength: 6 }), (rounds) => {
      let dirty = 0;
      const output = new Output(() => dirty++);
      let next = 0;
      for (const [round, sizes] of rounds.entries()) {
        const expected: Uint8Array[] = [];
        const before = dirty;
        for (const size of sizes) {
          const bytes = new Uint8Array(size).fill(next++ % 256);
          expected.push(bytes);
          output.append(bytes);
        }
        assert.equal(dirty - before, sizes.length > 0 ? 1 : 0);
        assert.equal(output.size, concatBytes(expected).length);
        const taken = output.take().map((part) => new Uint8Array(part));
        assert.deepEqual(concatBytes(taken), concatBytes(expected));
        if (round % 2 === 0) {
          output.giveBack();
        }
      }
    }),
  );
});
