/**
 * The messages of KeyValueStore, read and written by hand over views: they are the hot path. Protobuf's rules hold: fields
 * in any order, the last of a repeated one counts, unknown fields are skipped, an absent one is empty.
 * Nothing here copies a key or value; what is returned is valid only as long as the input is.
 */
import { EMPTY_BYTES } from "../base/bytes.js";

/** What the requests have; `key`, `value` and `session` are empty and numbers 0 where the message has none. */
export type KeyValue = {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly session: Uint8Array;
  /** Infinity where it is above the safe integers. */
  readonly seq: number;
  readonly firstUnacked: number;
  readonly expected: Uint8Array | undefined;
};

const WIRE_VARINT = 0;
const WIRE_64 = 1;
const WIRE_BYTES = 2;
const WIRE_32 = 5;
const KEY_FIELD = 1;
const VALUE_FIELD = 2;
const SESSION_FIELD = 3;
const SEQ_FIELD = 4;
const FIRST_UNACKED_FIELD = 5;
const EXPECTED_FIELD = 6;
const FIELD_SHIFT = 3;
const WIRE_MASK = 7;
const SCRATCH_BYTES = 64 * 1024;
/** Up to here a loop is cheaper than the view that a native copy needs. */
const COPY_BY_HAND_BYTES = 48;
/** A protobuf varint has at most ten bytes; for lengths and tags five are enough. */
const VARINT_BITS_MAX = 35;
const LONG_VARINT_BITS_MAX = 70;

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

/** A varint of up to 64 bits at `at`, which moves behind it; Infinity above the safe integers, -1 where there is none. */
function longVarint(input: Uint8Array): number {
  let value = 0;
  for (let shift = 0; shift < LONG_VARINT_BITS_MAX; shift += 7) {
    const byte = input[at++];
    if (byte === undefined) {
      return -1;
    }
    value += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) {
      return Number.isSafeInteger(value) ? value : Number.POSITIVE_INFINITY;
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
 * A GetRequest, or a request of a write, or undefined where the bytes are not one. `hasValue` says whether field 2 is the value
 * or unknown; of the other fields the caller takes those that its message has. All are views into `input`.
 */
export function decodeKeyValue(input: Uint8Array, hasValue: boolean): KeyValue | undefined {
  let key = EMPTY_BYTES as Uint8Array;
  let value = EMPTY_BYTES as Uint8Array;
  let session = EMPTY_BYTES as Uint8Array;
  let expected: Uint8Array | undefined;
  let seq = 0;
  let firstUnacked = 0;
  at = 0;
  while (at < input.length) {
    const tag = varint(input);
    const field = tag >>> FIELD_SHIFT;
    const wire = tag & WIRE_MASK;
    if (tag < 0 || field === 0) {
      return undefined;
    }
    if (wire === WIRE_BYTES && field <= EXPECTED_FIELD) {
      const length = varint(input);
      if (length < 0 || at + length > input.length) {
        return undefined;
      }
      // Not subarray: a Buffer's makes another Buffer, at twice the price.
      const bytes = new Uint8Array(input.buffer, input.byteOffset + at, length);
      at += length;
      if (field === KEY_FIELD) {
        key = bytes;
      } else if (field === VALUE_FIELD) {
        value = hasValue ? bytes : value;
      } else if (field === SESSION_FIELD) {
        session = bytes;
      } else if (field === EXPECTED_FIELD) {
        expected = bytes;
      }
    } else if (wire === WIRE_VARINT && (field === SEQ_FIELD || field === FIRST_UNACKED_FIELD)) {
      const number = longVarint(input);
      if (number < 0) {
        return undefined;
      }
      seq = field === SEQ_FIELD ? number : seq;
      firstUnacked = field === SEQ_FIELD ? firstUnacked : number;
    } else if (!skip(input, wire)) {
      return undefined;
    }
  }
  return { key, value, session, seq, firstUnacked, expected };
}

/** Bytes that the varint of `value` takes. */
function varintLength(value: number): number {
  let length = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) {
    length++;
  }
  return length;
}

/** Where GetResponses are put together; grows to the largest one. */
let scratch = new Uint8Array(SCRATCH_BYTES);

/** A GetResponse with `value`, valid until the next call: a new array for each answer would cost more than all the rest. */
export function encodeGetResponse(value: Uint8Array): Uint8Array {
  return encodeSlice(value, 0, value.length);
}

/** The same for the bytes of `source` in [from, end). */
export function encodeSlice(source: Uint8Array, from: number, end: number): Uint8Array {
  const length = end - from;
  if (length === 0) {
    return EMPTY_BYTES;
  }
  const header = 1 + varintLength(length);
  if (header + length > scratch.length) {
    scratch = new Uint8Array(Math.max(header + length, 2 * scratch.length));
  }
  scratch[0] = (KEY_FIELD << FIELD_SHIFT) | WIRE_BYTES;
  let rest = length;
  let to = 1;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) {
    scratch[to++] = (rest % 0x80) | 0x80;
  }
  scratch[to] = rest;
  if (length <= COPY_BY_HAND_BYTES) {
    for (let i = 0; i < length; i++) {
      scratch[header + i] = source[from + i] as number;
    }
  } else {
    scratch.set(source.subarray(from, end), header);
  }
  return scratch.subarray(0, header + length);
}
