/**
 * All retained versions of all keys: one row of 64 bytes (a cache line) each, in chunks, and one record in the slab. A version is
 * a put or a tombstone (version 0). The versions of a key form a chain from the newest back, with jumps, so that any revision
 * is found in a logarithmic number of steps. Rows are reused: a link into a row that was freed since is told by its revision,
 * which is then higher than the holder's. No JavaScript object per version, ever.
 */
import { assert } from "../base/assert.js";
import { VERSION_OVERHEAD_BYTES } from "./limits.js";
import { RECORD_HEADER_BYTES, recordBytes, Slab } from "./slab.js";
import { HASH_SEED, ItemHasher } from "./state-hash.js";

/** A row number; 0 is none. */
export type Row = number;
export const NO_ROW: Row = 0;

const CHUNK_BITS = 12;
const CHUNK_ROWS = 1 << CHUNK_BITS;
const CHUNK_MASK = CHUNK_ROWS - 1;
const ROW_WORDS = 16;
const ROW_FLOATS = ROW_WORDS / 2;
const CHUNK_BYTES = CHUNK_ROWS * ROW_WORDS * 4;

/** Positions in a row, of floats. A free row has revision 0, a tombstone version 0 and create revision 0. */
const REVISION = 0;
const CREATE = 1;
const VERSION = 2;
/** Positions in a row, of words. A free row keeps the next free one in PREVIOUS. */
const PAGE = 6;
const OFFSET = 7;
const PREVIOUS = 8;
const JUMP = 9;
const DEPTH = 10;
const WEIGHT = 11;
const HASH_HIGH = 12;
const HASH_LOW = 13;
const LEASE_LOW = 14;
const LEASE_HIGH = 15;

/** What `add` makes a version of; filled in by the caller, used over and over. */
export type Draft = {
  keySource: Uint8Array;
  keyFrom: number;
  keyLength: number;
  valueSource: Uint8Array;
  valueFrom: number;
  valueLength: number;
  revision: number;
  /** Of the first version since the key was created; 0 for a tombstone. */
  createRevision: number;
  /** 0 for a tombstone. */
  version: number;
  leaseLow: number;
  leaseHigh: number;
  /** The key's version before, or NO_ROW. */
  previous: Row;
};

export const NO_BYTES = new Uint8Array(0);

/** Below this a loop beats making a view for `set`. */
const COPY_LOOP_BYTES = 24;

function copyBytes(source: Uint8Array, from: number, length: number, target: { readonly into: Uint8Array; readonly at: number }): void {
  const { into, at } = target;
  if (length > COPY_LOOP_BYTES) {
    into.set(source.subarray(from, from + length), at);
    return;
  }
  for (let i = 0; i < length; i++) {
    into[at + i] = source[from + i] as number;
  }
}

export class Versions {
  readonly slab = new Slab();
  readonly draft: Draft = {
    keySource: NO_BYTES,
    keyFrom: 0,
    keyLength: 0,
    valueSource: NO_BYTES,
    valueFrom: 0,
    valueLength: 0,
    revision: 0,
    createRevision: 0,
    version: 0,
    leaseLow: 0,
    leaseHigh: 0,
    previous: NO_ROW,
  };
  /** What `open` found: the page's bytes and where key and value lie in them. */
  bytes: Uint8Array = NO_BYTES;
  keyFrom = 0;
  keyLength = 0;
  valueLength = 0;

  private readonly words: Uint32Array[] = [];
  private readonly floats: Float64Array[] = [];
  private readonly hasher = new ItemHasher();
  private nextRow: Row = 1;
  private freeRow: Row = NO_ROW;

  get memoryBytes(): number {
    return this.words.length * CHUNK_BYTES + this.slab.memoryBytes;
  }

  /** One above the highest row ever used. */
  get rowEnd(): Row {
    return this.nextRow;
  }

  /** Stores the version in `draft` and returns its row. */
  add(): Row {
    const { draft } = this;
    const row = this.takeRow();
    this.writeRecord(row, draft);
    const floats = this.floatsOf(row);
    const at = (row & CHUNK_MASK) * ROW_FLOATS;
    floats[at + REVISION] = draft.revision;
    floats[at + CREATE] = draft.createRevision;
    floats[at + VERSION] = draft.version;
    const words = this.wordsOf(row);
    const base = (row & CHUNK_MASK) * ROW_WORDS;
    words[base + LEASE_LOW] = draft.leaseLow;
    words[base + LEASE_HIGH] = draft.leaseHigh;
    this.link(row, draft.previous);
    this.hash(row);
    return row;
  }

  /** Frees a row and its record. */
  free(row: Row): void {
    const words = this.wordsOf(row);
    const base = (row & CHUNK_MASK) * ROW_WORDS;
    assert(this.revisionOf(row) !== 0, "a version is freed once");
    this.slab.free(words[base + PAGE] as number, this.sizeOf(row));
    this.floatsOf(row)[(row & CHUNK_MASK) * ROW_FLOATS + REVISION] = 0;
    words[base + PREVIOUS] = this.freeRow;
    this.freeRow = row;
  }

  /** Makes `previous` (or NO_ROW) the version before `row`: prev link, jump and depth. */
  link(row: Row, previous: Row): void {
    const words = this.wordsOf(row);
    const base = (row & CHUNK_MASK) * ROW_WORDS;
    words[base + PREVIOUS] = previous;
    if (previous === NO_ROW) {
      words[base + JUMP] = NO_ROW;
      words[base + DEPTH] = 0;
      return;
    }
    const depth = this.word(previous, DEPTH);
    words[base + DEPTH] = depth + 1;
    words[base + JUMP] = this.jumpFrom(previous, depth);
  }

  /**
   * The newest version at or before `revision` in the chain that begins at `row`, or NO_ROW. May be a tombstone. The jumps are
   * those of a skew-binary random access list (Myers, An applicative random-access stack, 1983).
   */
  atRevision(row: Row, revision: number): Row {
    let at = row;
    while (at !== NO_ROW && this.revisionOf(at) > revision) {
      const jump = this.liveLink(at, JUMP);
      at = jump !== NO_ROW && this.revisionOf(jump) > revision ? jump : this.liveLink(at, PREVIOUS);
    }
    return at;
  }

  /** The version before `row` while it is retained, else NO_ROW. */
  previousOf(row: Row): Row {
    return this.liveLink(row, PREVIOUS);
  }

  /** 0 for a free row. */
  revisionOf(row: Row): number {
    return this.floatsOf(row)[(row & CHUNK_MASK) * ROW_FLOATS + REVISION] as number;
  }

  createRevisionOf(row: Row): number {
    return this.floatsOf(row)[(row & CHUNK_MASK) * ROW_FLOATS + CREATE] as number;
  }

  /** 0 for a tombstone. */
  versionOf(row: Row): number {
    return this.floatsOf(row)[(row & CHUNK_MASK) * ROW_FLOATS + VERSION] as number;
  }

  isTombstone(row: Row): boolean {
    return this.versionOf(row) === 0;
  }

  leaseLowOf(row: Row): number {
    return this.word(row, LEASE_LOW);
  }

  leaseHighOf(row: Row): number {
    return this.word(row, LEASE_HIGH);
  }

  leaseOf(row: Row): bigint {
    const low = this.word(row, LEASE_LOW);
    const high = this.word(row, LEASE_HIGH);
    return low === 0 && high === 0 ? 0n : BigInt.asIntN(64, (BigInt(high) << 32n) | BigInt(low));
  }

  hashHighOf(row: Row): number {
    return this.word(row, HASH_HIGH) | 0;
  }

  hashLowOf(row: Row): number {
    return this.word(row, HASH_LOW) | 0;
  }

  /** What the version counts in replicated bytes. */
  weightOf(row: Row): number {
    return this.word(row, WEIGHT);
  }

  /** Points `bytes`, `keyFrom`, `keyLength` and `valueLength` at the record; the value follows the key. Valid until the next change. */
  open(row: Row): void {
    const words = this.wordsOf(row);
    const base = (row & CHUNK_MASK) * ROW_WORDS;
    const page = this.slab.pageAt(words[base + PAGE] as number);
    const offset = words[base + OFFSET] as number;
    const at = offset >> 2;
    this.bytes = page.bytes;
    this.keyFrom = offset + RECORD_HEADER_BYTES;
    this.keyLength = page.words[at + 1] as number;
    this.valueLength = page.words[at + 2] as number;
  }

  keyOf(row: Row): Uint8Array {
    this.open(row);
    return this.bytes.slice(this.keyFrom, this.keyFrom + this.keyLength);
  }

  /** Whether the record at `page`, `offset` is the one that `row` owns: else it was freed. */
  owns(row: Row, page: number, offset: number): boolean {
    return row < this.nextRow && this.revisionOf(row) !== 0 && this.word(row, PAGE) === page && this.word(row, OFFSET) === offset;
  }

  /** Copies the record of `row` to where the slab writes now, and frees the old one. */
  move(row: Row): void {
    const words = this.wordsOf(row);
    const base = (row & CHUNK_MASK) * ROW_WORDS;
    const fromPage = words[base + PAGE] as number;
    const offset = words[base + OFFSET] as number;
    const size = this.sizeOf(row);
    const from = this.slab.pageAt(fromPage).bytes;
    this.slab.allocate(size);
    this.slab.pageAt(this.slab.page).bytes.set(from.subarray(offset, offset + size), this.slab.offset);
    words[base + PAGE] = this.slab.page;
    words[base + OFFSET] = this.slab.offset;
    this.slab.free(fromPage, size);
  }

  /** Computes the hash of a version anew from all that it consists of; for the check that the kept one is right. */
  rehash(row: Row): ItemHasher {
    const words = this.wordsOf(row);
    const base = (row & CHUNK_MASK) * ROW_WORDS;
    const page = this.slab.pageAt(words[base + PAGE] as number);
    const from = (words[base + OFFSET] as number) >> 2;
    const end = from + (this.sizeOf(row) >> 2);
    return this.hasher
      .begin(HASH_SEED.version)
      .number(this.revisionOf(row))
      .number(this.createRevisionOf(row))
      .number(this.versionOf(row))
      .word(words[base + LEASE_LOW] as number)
      .word(words[base + LEASE_HIGH] as number)
      .words(page.words, from + 1, end)
      .end();
  }

  private hash(row: Row): void {
    const { high, low } = this.rehash(row);
    const words = this.wordsOf(row);
    const base = (row & CHUNK_MASK) * ROW_WORDS;
    words[base + HASH_HIGH] = high;
    words[base + HASH_LOW] = low;
  }

  private sizeOf(row: Row): number {
    this.open(row);
    return recordBytes(this.keyLength, this.valueLength);
  }

  private takeRow(): Row {
    const free = this.freeRow;
    if (free !== NO_ROW) {
      this.freeRow = this.word(free, PREVIOUS);
      return free;
    }
    if (this.nextRow >>> CHUNK_BITS === this.words.length) {
      const chunk = new ArrayBuffer(CHUNK_BYTES);
      this.words.push(new Uint32Array(chunk));
      this.floats.push(new Float64Array(chunk));
    }
    assert(this.nextRow < 0x7fff_ffff, "fewer than 2^31 versions");
    return this.nextRow++;
  }

  private writeRecord(row: Row, draft: Draft): void {
    const { keyLength, valueLength } = draft;
    const size = recordBytes(keyLength, valueLength);
    this.slab.allocate(size);
    const { page: pageIndex, offset } = this.slab;
    const { bytes, words: pageWords } = this.slab.pageAt(pageIndex);
    const head = offset >> 2;
    pageWords[head + (size >> 2) - 1] = 0; // the padding: it is hashed
    pageWords[head] = row;
    pageWords[head + 1] = keyLength;
    pageWords[head + 2] = valueLength;
    const keyAt = offset + RECORD_HEADER_BYTES;
    copyBytes(draft.keySource, draft.keyFrom, keyLength, { into: bytes, at: keyAt });
    copyBytes(draft.valueSource, draft.valueFrom, valueLength, { into: bytes, at: keyAt + keyLength });
    const words = this.wordsOf(row);
    const base = (row & CHUNK_MASK) * ROW_WORDS;
    words[base + PAGE] = pageIndex;
    words[base + OFFSET] = offset;
    words[base + WEIGHT] = keyLength + valueLength + VERSION_OVERHEAD_BYTES;
  }

  private jumpFrom(previous: Row, depth: number): Row {
    const jump = this.liveLink(previous, JUMP);
    if (jump === NO_ROW) {
      return previous;
    }
    const second = this.liveLink(jump, JUMP);
    const jumpDepth = this.word(jump, DEPTH);
    return second !== NO_ROW && depth - jumpDepth === jumpDepth - this.word(second, DEPTH) ? second : previous;
  }

  private liveLink(row: Row, position: number): Row {
    const target = this.word(row, position);
    if (target === NO_ROW) {
      return NO_ROW;
    }
    const revision = this.revisionOf(target);
    return revision !== 0 && revision <= this.revisionOf(row) ? target : NO_ROW;
  }

  private word(row: Row, position: number): number {
    return this.wordsOf(row)[(row & CHUNK_MASK) * ROW_WORDS + position] as number;
  }

  private wordsOf(row: Row): Uint32Array {
    return this.words[row >>> CHUNK_BITS] as Uint32Array;
  }

  private floatsOf(row: Row): Float64Array {
    return this.floats[row >>> CHUNK_BITS] as Float64Array;
  }
}
