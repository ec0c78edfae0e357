/**
 * The messages of KeyValueStore, read and written by hand over views: they are the hot path. Protobuf's rules hold: fields
 * in any order, the last of a repeated one counts, unknown fields are skipped, an absent one is empty.
 * Nothing here copies a key or value; what is returned is valid only as long as the input is.
 */
import { EMPTY_BYTES } from "../base/bytes.js";

/** The two text fields that the requests have; `value` is empty where the message has none. */
export type KeyValue = { readonly key: Uint8Array; readonly value: Uint8Array };

const WIRE_VARINT = 0;
const WIRE_64 = 1;
const WIRE_BYTES = 2;
const WIRE_32 = 5;
const KEY_FIELD = 1;
const VALUE_FIELD = 2;
const FIELD_SHIFT = 3;
const WIRE_MASK = 7;
/** A protobuf varint has at most ten bytes; ours are lengths and tags, for which five are enough. */
const VARINT_BITS_MAX = 35;

/** Where the next field begins; one for all, since decoding never yields. */
let at = 0;

/** A varint below 2^32 at `at`, which moves behind it; -1 where there is none. */
function varint(input: Uint8Array): number {
  let value = 0;
  for (let shift = 0; shift < VARINT_BITS_MAX; shift += 7) {
    const byte = input[at++];
    if (byte === undefined) {
      return -1;
    }
    value += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) {
      return value < 2 ** 32 ? value : -1;
    }
  }
  return -1;
}

/** Moves behind a field that we do not know; false where the input ends in it or it is of a group. */
function skip(input: Uint8Array, wire: number): boolean {
  switch (wire) {
    case WIRE_VARINT:
      while ((input[at] ?? 0) >= 0x80) {
        at++;
      }
      at++;
      break;
    case WIRE_64:
      at += 8;
      break;
    case WIRE_32:
      at += 4;
      break;
    case WIRE_BYTES: {
      const length = varint(input);
      if (length < 0) {
        return false;
      }
      at += length;
      break;
    }
    default:
      return false;
  }
  return at <= input.length;
}

/**
 * A GetRequest, PutRequest or DeleteRequest, or undefined where the bytes are not one. `hasValue` says whether field 2 is
 * the value or unknown. The fields are views into `input`.
 */
export function decodeKeyValue(input: Uint8Array, hasValue: boolean): KeyValue | undefined {
  let key = EMPTY_BYTES as Uint8Array;
  let value = EMPTY_BYTES as Uint8Array;
  at = 0;
  while (at < input.length) {
    const tag = varint(input);
    const field = tag >>> FIELD_SHIFT;
    const wire = tag & WIRE_MASK;
    if (tag < 0 || field === 0) {
      return undefined;
    }
    const known = wire === WIRE_BYTES && (field === KEY_FIELD || (hasValue && field === VALUE_FIELD));
    if (!known) {
      if (!skip(input, wire)) {
        return undefined;
      }
      continue;
    }
    const length = varint(input);
    if (length < 0 || at + length > input.length) {
      return undefined;
    }
    const bytes = input.subarray(at, at + length);
    at += length;
    if (field === KEY_FIELD) {
      key = bytes;
    } else {
      value = bytes;
    }
  }
  return { key, value };
}

/** Bytes that the varint of `value` takes. */
function varintLength(value: number): number {
  let length = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) {
    length++;
  }
  return length;
}

/** The size of a message whose field 1 is `length` bytes; an empty field is not written. */
export function bytesFieldSize(length: number): number {
  return length === 0 ? 0 : 1 + varintLength(length) + length;
}

/** A GetResponse with `value`. */
export function encodeGetResponse(value: Uint8Array): Uint8Array {
  if (value.length === 0) {
    return EMPTY_BYTES;
  }
  const header = 1 + varintLength(value.length);
  const output = new Uint8Array(header + value.length);
  output[0] = (KEY_FIELD << FIELD_SHIFT) | WIRE_BYTES;
  let rest = value.length;
  let to = 1;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) {
    output[to++] = (rest % 0x80) | 0x80;
  }
  output[to] = rest;
  output.set(value, header);
  return output;
}
