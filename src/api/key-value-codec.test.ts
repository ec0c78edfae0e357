/** The hand-written messages against the generated ones, and against bytes that are no message. */
import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { GetResponseSchema, PutRequestSchema } from "../gen/keyvaluestore_pb.js";
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
