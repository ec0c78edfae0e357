/** The hand-written messages against the generated ones, and against bytes that are no message. */
import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { CompareAndSetRequestSchema, GetResponseSchema, PutRequestSchema } from "../gen/keyvaluestore_pb.js";
import { decodeKeyValue, encodeGetResponse } from "./key-value-codec.js";

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const bytes = (value: string): Uint8Array => new TextEncoder().encode(value);

test("a PutRequest of any length is read as the generated code wrote it", () => {
  for (const length of [0, 1, 127, 128, 16_383, 16_384, 300_000]) {
    const value = "v".repeat(length);
    const request = decodeKeyValue(toBinary(PutRequestSchema, create(PutRequestSchema, { key: "ключ", value })), true);
    equal(request && text(request.key), "ключ");
    equal(request && text(request.value), value);
  }
});

test("session, numbers and the expected value are read as the generated code wrote them; wrong wire types are unknown fields", () => {
  const session = Uint8Array.from({ length: 16 }, (_, at) => at);
  for (const [seq, read] of [
    [1n, 1],
    [127n, 127],
    [2n ** 32n, 2 ** 32],
    [2n ** 53n - 1n, 2 ** 53 - 1],
    [2n ** 53n, Number.POSITIVE_INFINITY],
    [2n ** 64n - 1n, Number.POSITIVE_INFINITY],
  ] as const) {
    const fields = { key: "k", value: "v", session, seq, firstUnacked: seq, expected: "was" };
    const request = decodeKeyValue(toBinary(CompareAndSetRequestSchema, create(CompareAndSetRequestSchema, fields)), true);
    deepEqual(request && [request.session, request.seq, request.firstUnacked], [session, read, read]);
    equal(request?.expected && text(request.expected), "was");
  }
  const without = decodeKeyValue(toBinary(PutRequestSchema, create(PutRequestSchema, { key: "k" })), true);
  deepEqual(without && [without.session.length, without.seq, without.firstUnacked, without.expected], [0, 0, 0, undefined]);
  const wrong = decodeKeyValue(Uint8Array.of(0x18, 7, 0x22, 1, 9, 0x2a, 1, 9, 0x30, 1, 0x0a, 1, 97), true);
  deepEqual(wrong && [wrong.session.length, wrong.seq, wrong.firstUnacked, wrong.expected, text(wrong.key)], [0, 0, 0, undefined, "a"]);
  equal(decodeKeyValue(Uint8Array.of(0x20, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1), true), undefined);
  equal(decodeKeyValue(Uint8Array.of(0x20, 0x80), true), undefined);
});

test("a GetResponse of any length is read by the generated code as we wrote it", () => {
  for (const length of [0, 1, 127, 128, 16_384, 300_000]) {
    const value = "v".repeat(length);
    equal(fromBinary(GetResponseSchema, encodeGetResponse(bytes(value))).value, value);
  }
});

test("unknown fields of every wire type are skipped, the last of a repeated field counts", () => {
  const message = Uint8Array.of(
    0x0a,
    1,
    97,
    0x18,
    0x96,
    1,
    0x21,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    0x2d,
    1,
    2,
    3,
    4,
    0x32,
    2,
    9,
    9,
    0x0a,
    1,
    98,
    0x12,
    1,
    99,
  );
  const request = decodeKeyValue(message, true);
  deepEqual(request && [text(request.key), text(request.value)], ["b", "c"]);
  const withoutValue = decodeKeyValue(message, false);
  deepEqual(withoutValue && [text(withoutValue.key), withoutValue.value.length], ["b", 0]);
});

test("what is no message is refused, cut at every length included", () => {
  const whole = toBinary(PutRequestSchema, create(PutRequestSchema, { key: "key", value: "value" }));
  for (let length = 0; length <= whole.length; length++) {
    const isPrefix = length === 0 || length === 5 || length === whole.length;
    equal(decodeKeyValue(whole.subarray(0, length), true) !== undefined, isPrefix, `cut at ${length}`);
  }
  const broken = [
    [0x00],
    [0x02, 1, 1],
    [0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
    [0x0b],
    [0x0c],
    [0x0f],
    [0x19, 1],
    [0x1d, 1],
    [0x18, 0x80],
    [0xff],
  ];
  for (const input of broken) {
    equal(decodeKeyValue(Uint8Array.from(input), true), undefined, input.join(" "));
  }
});
