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

/** Small writers get their room from one array after another: a typed array of its own costs more than most messages. */
const SLAB_BYTES = 8192;
/** Above this a writer has an array of its own, so that a view that is kept keeps little else alive. */
const SLAB_PIECE_MAX = SLAB_BYTES / 8;

let slab = new Uint8Array(SLAB_BYTES);
let slabUsed = 0;

/** Where numbers of eight bytes are taken apart and put together. */
const scratch = new DataView(new ArrayBuffer(8));

/**
 * Appends little-endian fields to a growing buffer. `finish` hands out a view of the buffer itself: the writer must
 * not be used after it, except by `rewind`. Lengths and small numbers are LEB128 varints (7 bits a byte, at most 2^53 - 1).
 */
export class ByteWriter {
  private buffer: Uint8Array;
  /** Ours is what lies between `from` and `end`, and written is what lies before `at`. */
  private from = 0;
  private at = 0;
  private end: number;

  constructor(capacity: number = INITIAL_CAPACITY) {
    if (capacity > SLAB_PIECE_MAX) {
      this.buffer = new Uint8Array(capacity);
      this.end = capacity;
      return;
    }
    if (slabUsed + capacity > SLAB_BYTES) {
      slab = new Uint8Array(SLAB_BYTES);
      slabUsed = 0;
    }
    this.buffer = slab;
    this.from = slabUsed;
    this.at = slabUsed;
    slabUsed += capacity;
    this.end = slabUsed;
  }

  get length(): number {
    return this.at - this.from;
  }

  u8(value: number): this {
    this.reserve(1);
    this.buffer[this.at++] = value;
    return this;
  }

  u32(value: number): this {
    this.reserve(4);
    const { buffer, at } = this;
    const word = value | 0;
    buffer[at] = word;
    buffer[at + 1] = word >>> 8;
    buffer[at + 2] = word >>> 16;
    buffer[at + 3] = word >>> 24;
    this.at = at + 4;
    return this;
  }

  /** A safe integer of at most 53 bits in eight bytes. */
  u64(value: number): this {
    assert(Number.isSafeInteger(value) && value >= 0, "u64 takes a non-negative safe integer");
    return this.u32(value % TWO_32).u32(Math.floor(value / TWO_32));
  }

  f64(value: number): this {
    scratch.setFloat64(0, value, true);
    return this.eight();
  }

  /** A 64-bit pattern of a client's (lease and member ids exceed 2^53). */
  big64(value: bigint): this {
    scratch.setBigUint64(0, BigInt.asUintN(64, value), true);
    return this.eight();
  }

  varint(value: number): this {
    assert(Number.isSafeInteger(value) && value >= 0, "varint takes a non-negative safe integer");
    this.reserve(8);
    let rest = value;
    while (rest >= 0x80) {
      this.buffer[this.at++] = (rest % 0x80) | 0x80;
      rest = rest < TWO_32 ? rest >>> 7 : Math.floor(rest / 0x80);
    }
    this.buffer[this.at++] = rest;
    return this;
  }

  boolean(value: boolean): this {
    return this.u8(value ? 1 : 0);
  }

  /** Bytes without a length: the reader must know it. */
  raw(bytes: Uint8Array): this {
    this.reserve(bytes.length);
    this.buffer.set(bytes, this.at);
    this.at += bytes.length;
    return this;
  }

  /** So many zeros, whatever stood there before. */
  zeros(count: number): this {
    this.reserve(count);
    this.buffer.fill(0, this.at, this.at + count);
    this.at += count;
    return this;
  }

  /** Bytes behind their varint length. */
  bytes(bytes: Uint8Array): this {
    return this.varint(bytes.length).raw(bytes);
  }

  /** Text as UTF-8 behind its varint length in bytes. */
  text(text: string): this {
    return this.shortText(text) ? this : this.bytes(utf8Encode(text));
  }

  /** What was written, without a copy. */
  finish(): Uint8Array {
    if (this.buffer === slab && this.end === slabUsed) {
      slabUsed = this.at; // what was not needed is the next writer's
      this.end = this.at;
    }
    return this.buffer.subarray(this.from, this.at);
  }

  /** Begins again in the same buffer: what `finish` handed out is overwritten from now on. */
  rewind(): this {
    this.at = this.from;
    return this;
  }

  /** Writes what is short and ASCII, as most texts are, in place. False: it is not, and nothing was written. */
  private shortText(text: string): boolean {
    const { length } = text;
    if (length >= 0x80) {
      return false;
    }
    this.reserve(1 + length);
    const { buffer, at } = this;
    for (let i = 0; i < length; i++) {
      const code = text.charCodeAt(i);
      if (code >= 0x80) {
        return false;
      }
      buffer[at + 1 + i] = code;
    }
    buffer[at] = length;
    this.at = at + 1 + length;
    return true;
  }

  private eight(): this {
    return this.u32(scratch.getUint32(0, true)).u32(scratch.getUint32(4, true));
  }

  private reserve(count: number): void {
    const needed = this.at + count;
    if (needed > this.end) {
      this.grow(this.length + count);
    }
  }

  private grow(needed: number): void {
    const { length } = this;
    const larger = new Uint8Array(Math.max(needed, (this.end - this.from) * 2));
    larger.set(this.buffer.subarray(this.from, this.at));
    this.buffer = larger;
    this.from = 0;
    this.at = length;
    this.end = larger.length;
  }
}

/** Reads what `ByteWriter` wrote. `bytes` and `raw` return views into the input, not copies. Throws `MalformedBytes`. */
export class ByteReader {
  private readonly input: Uint8Array;
  private at = 0;

  constructor(input: Uint8Array) {
    this.input = input;
  }

  get remaining(): number {
    return this.input.length - this.at;
  }

  get position(): number {
    return this.at;
  }

  u8(): number {
    return this.input[this.take(1)] as number;
  }

  u32(): number {
    return this.word() >>> 0;
  }

  u64(): number {
    const from = this.at;
    const low = this.u32();
    const high = this.u32();
    if (high === 0) {
      return low; // a small integer to the runtime as well
    }
    const value = high * TWO_32 + low;
    if (!Number.isSafeInteger(value)) {
      throw new MalformedBytes(`number above 2^53 at byte ${from}`);
    }
    return value;
  }

  f64(): number {
    return this.eight().getFloat64(0, true);
  }

  big64(): bigint {
    return this.eight().getBigUint64(0, true);
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

  /** Four bytes as a signed number. */
  private word(): number {
    const { input } = this;
    const at = this.take(4);
    return (input[at] as number) | ((input[at + 1] as number) << 8) | ((input[at + 2] as number) << 16) | ((input[at + 3] as number) << 24);
  }

  private eight(): DataView {
    scratch.setInt32(0, this.word(), true);
    scratch.setInt32(4, this.word(), true);
    return scratch;
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
