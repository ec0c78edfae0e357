/**
 * Byte sequences: comparison, hexadecimal, and the little-endian writer and reader under every format of our own
 * (log records, snapshots, peer messages). The reader never reads past its end and never trusts a length.
 */
import { assert } from "./assert.js";
import { utf8Decode, utf8Encode } from "./utf8.js";

export const EMPTY_BYTES = new Uint8Array(0);

/** Thrown by `ByteReader` on bytes that are not what the format says; the caller knows the file or peer they came from. */
export class MalformedBytes extends Error {
  override readonly name = "MalformedBytes";
}

/** Negative, zero or positive as `a` sorts before, equal to or after `b`: unsigned bytes, a prefix before what it begins. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const difference = (a[i] as number) - (b[i] as number);
    if (difference !== 0) {
      return difference;
    }
  }
  return a.length - b.length;
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && compareBytes(a, b) === 0;
}

/** A new array with the bytes of all parts in order. */
export function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) {
    length += part.length;
  }
  const joined = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

/** Lower-case hexadecimal, two digits a byte. */
export function toHex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) {
    text += byte.toString(16).padStart(2, "0");
  }
  return text;
}

const TWO_32 = 0x1_0000_0000;
const INITIAL_CAPACITY = 256;

/**
 * Appends little-endian fields to a growing buffer. `finish` hands out a view of the buffer itself: the writer must
 * not be used after it. Lengths and small numbers are LEB128 varints (7 bits a byte, at most 2^53 - 1).
 */
export class ByteWriter {
  private buffer: Uint8Array;
  private view: DataView;
  private used = 0;

  constructor(capacity: number = INITIAL_CAPACITY) {
    this.buffer = new Uint8Array(capacity);
    this.view = new DataView(this.buffer.buffer);
  }

  get length(): number {
    return this.used;
  }

  u8(value: number): this {
    this.reserve(1);
    this.buffer[this.used++] = value;
    return this;
  }

  u32(value: number): this {
    this.reserve(4);
    this.view.setUint32(this.used, value, true);
    this.used += 4;
    return this;
  }

  /** A safe integer of at most 53 bits in eight bytes. */
  u64(value: number): this {
    assert(Number.isSafeInteger(value) && value >= 0, "u64 takes a non-negative safe integer");
    this.reserve(8);
    this.view.setUint32(this.used, value % TWO_32, true);
    this.view.setUint32(this.used + 4, Math.floor(value / TWO_32), true);
    this.used += 8;
    return this;
  }

  f64(value: number): this {
    this.reserve(8);
    this.view.setFloat64(this.used, value, true);
    this.used += 8;
    return this;
  }

  /** A 64-bit pattern of a client's (lease and member ids exceed 2^53). */
  big64(value: bigint): this {
    this.reserve(8);
    this.view.setBigUint64(this.used, BigInt.asUintN(64, value), true);
    this.used += 8;
    return this;
  }

  varint(value: number): this {
    assert(Number.isSafeInteger(value) && value >= 0, "varint takes a non-negative safe integer");
    this.reserve(8);
    let rest = value;
    while (rest >= 0x80) {
      this.buffer[this.used++] = (rest % 0x80) | 0x80;
      rest = rest < TWO_32 ? rest >>> 7 : Math.floor(rest / 0x80);
    }
    this.buffer[this.used++] = rest;
    return this;
  }

  boolean(value: boolean): this {
    return this.u8(value ? 1 : 0);
  }

  /** Bytes without a length: the reader must know it. */
  raw(bytes: Uint8Array): this {
    this.reserve(bytes.length);
    this.buffer.set(bytes, this.used);
    this.used += bytes.length;
    return this;
  }

  /** Bytes behind their varint length. */
  bytes(bytes: Uint8Array): this {
    return this.varint(bytes.length).raw(bytes);
  }

  /** Text as UTF-8 behind its varint length in bytes. */
  text(text: string): this {
    return this.bytes(utf8Encode(text));
  }

  /** What was written, without a copy. */
  finish(): Uint8Array {
    return this.buffer.subarray(0, this.used);
  }

  /** Begins again in the same buffer: what `finish` handed out is overwritten from now on. */
  rewind(): this {
    this.used = 0;
    return this;
  }

  private reserve(count: number): void {
    const needed = this.used + count;
    if (needed <= this.buffer.length) {
      return;
    }
    const larger = new Uint8Array(Math.max(needed, this.buffer.length * 2));
    larger.set(this.buffer.subarray(0, this.used));
    this.buffer = larger;
    this.view = new DataView(larger.buffer);
  }
}

/** Reads what `ByteWriter` wrote. `bytes` and `raw` return views into the input, not copies. Throws `MalformedBytes`. */
export class ByteReader {
  private readonly input: Uint8Array;
  private readonly view: DataView;
  private at = 0;

  constructor(input: Uint8Array) {
    this.input = input;
    this.view = new DataView(input.buffer, input.byteOffset, input.byteLength);
  }

  get remaining(): number {
    return this.input.length - this.at;
  }

  get position(): number {
    return this.at;
  }

  u8(): number {
    return this.view.getUint8(this.take(1));
  }

  u32(): number {
    return this.view.getUint32(this.take(4), true);
  }

  u64(): number {
    const from = this.take(8);
    const value = this.view.getUint32(from + 4, true) * TWO_32 + this.view.getUint32(from, true);
    if (!Number.isSafeInteger(value)) {
      throw new MalformedBytes(`number above 2^53 at byte ${from}`);
    }
    return value;
  }

  f64(): number {
    return this.view.getFloat64(this.take(8), true);
  }

  big64(): bigint {
    return this.view.getBigUint64(this.take(8), true);
  }

  varint(): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 8; i++) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (!Number.isSafeInteger(value)) {
          break;
        }
        return value;
      }
      scale *= 0x80;
    }
    throw new MalformedBytes(`varint above 2^53 before byte ${this.at}`);
  }

  boolean(): boolean {
    const value = this.u8();
    if (value > 1) {
      throw new MalformedBytes(`boolean ${value} before byte ${this.at}`);
    }
    return value === 1;
  }

  raw(length: number): Uint8Array {
    const from = this.take(length);
    return this.input.subarray(from, from + length);
  }

  bytes(): Uint8Array {
    return this.raw(this.varint());
  }

  text(): string {
    const text = utf8Decode(this.bytes());
    if (text === undefined) {
      throw new MalformedBytes(`text that is not UTF-8 before byte ${this.at}`);
    }
    return text;
  }

  /** Fails unless everything was read: trailing bytes mean a format that we do not know. */
  end(): void {
    if (this.remaining !== 0) {
      throw new MalformedBytes(`${this.remaining} bytes too many`);
    }
  }

  private take(count: number): number {
    const from = this.at;
    if (count > this.remaining) {
      throw new MalformedBytes(`needs ${count} bytes at ${from}, has ${this.remaining}`);
    }
    this.at = from + count;
    return from;
  }
}
