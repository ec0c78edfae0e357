/**
 * The leaves of the key index: sorted runs of versions (the newest of each key) in blocks of words outside the V8 heap. A leaf
 * keeps the prefix that its keys share and a head per key (`key-head.ts`), so that a lookup touches the keys themselves about
 * once. Knows nothing of the tree above; never frees versions.
 */
import { headOf, lowerBound, sharedLength, upperBound } from "./key-head.js";
import type { Row, Versions } from "./versions.js";

/** A leaf's number; 0 is none. */
export type Leaf = number;
export const NO_LEAF: Leaf = 0;

export const LEAF_KEYS_MAX = 128;
/** Longer shared prefixes are cut here: the rest is then compared key by key. */
const PREFIX_BYTES_MAX = 64;

const COUNT = 0;
const PREFIX_LENGTH = 1;
const BEFORE = 2;
const NEXT = 3;
const PREFIX = 4;
const HEADS = PREFIX + PREFIX_BYTES_MAX / 4;
const ROWS = HEADS + LEAF_KEYS_MAX;
const LEAF_WORDS = ROWS + LEAF_KEYS_MAX;
const CHUNK_BITS = 8;
const CHUNK_LEAVES = 1 << CHUNK_BITS;
const CHUNK_MASK = CHUNK_LEAVES - 1;

/** A key in somebody's bytes. Filled in by the caller, used over and over. */
export type Probe = { bytes: Uint8Array; from: number; end: number };

export class IndexLeaves {
  /** Where `search` ended: the first slot whose key is not below the probe. */
  slot = 0;
  private readonly versions: Versions;
  private readonly words: Uint32Array[] = [];
  private readonly bytes: Uint8Array[] = [];
  private nextLeaf: Leaf = 1;
  private freeLeaf: Leaf = NO_LEAF;

  constructor(versions: Versions) {
    this.versions = versions;
  }

  get memoryBytes(): number {
    return this.words.length * CHUNK_LEAVES * LEAF_WORDS * 4;
  }

  create(): Leaf {
    let leaf = this.freeLeaf;
    if (leaf === NO_LEAF) {
      leaf = this.nextLeaf++;
      if (leaf >>> CHUNK_BITS === this.words.length) {
        const chunk = new ArrayBuffer(CHUNK_LEAVES * LEAF_WORDS * 4);
        this.words.push(new Uint32Array(chunk));
        this.bytes.push(new Uint8Array(chunk));
      }
    } else {
      this.freeLeaf = this.next(leaf);
    }
    this.wordsOf(leaf).fill(0, this.baseOf(leaf), this.baseOf(leaf) + HEADS);
    return leaf;
  }

  /** Unlinks a leaf from its neighbours and gives it up. */
  drop(leaf: Leaf): void {
    const before = this.before(leaf);
    const next = this.next(leaf);
    if (before !== NO_LEAF) {
      this.set(before, NEXT, next);
    }
    if (next !== NO_LEAF) {
      this.set(next, BEFORE, before);
    }
    this.set(leaf, NEXT, this.freeLeaf);
    this.freeLeaf = leaf;
  }

  count(leaf: Leaf): number {
    return this.wordsOf(leaf)[this.baseOf(leaf) + COUNT] as number;
  }

  next(leaf: Leaf): Leaf {
    return this.wordsOf(leaf)[this.baseOf(leaf) + NEXT] as Leaf;
  }

  before(leaf: Leaf): Leaf {
    return this.wordsOf(leaf)[this.baseOf(leaf) + BEFORE] as Leaf;
  }

  rowAt(leaf: Leaf, slot: number): Row {
    return this.wordsOf(leaf)[this.baseOf(leaf) + ROWS + slot] as Row;
  }

  /** Replaces a version of a key by another of the same key. */
  setRow(leaf: Leaf, slot: number, row: Row): void {
    this.set(leaf, ROWS + slot, row);
  }

  /** Sets `slot`; true when the key at it is the probe's. */
  search(leaf: Leaf, probe: Probe): boolean {
    const words = this.wordsOf(leaf);
    const base = this.baseOf(leaf);
    const count = words[base + COUNT] as number;
    const prefixLength = words[base + PREFIX_LENGTH] as number;
    const order = this.compareWithPrefix(leaf, probe, prefixLength);
    if (order !== 0 || count === 0) {
      this.slot = order < 0 ? 0 : count;
      return false;
    }
    const heads = base + HEADS;
    const head = headOf(probe.bytes, probe.from + prefixLength, probe.end);
    let low = lowerBound(words, heads, heads + count, head);
    let high = low;
    if (low < heads + count && words[low] === head) {
      high = low + 1 < heads + count && words[low + 1] === head ? upperBound(words, low, heads + count, head) : low + 1;
    }
    while (low < high) {
      const middle = (low + high) >>> 1;
      const difference = this.compareKey(words[middle + LEAF_KEYS_MAX] as Row, probe, prefixLength);
      if (difference === 0) {
        this.slot = middle - heads;
        return true;
      }
      if (difference < 0) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    this.slot = low - heads;
    return false;
  }

  /** Puts a new key at `slot`; the leaf has room. */
  insert(leaf: Leaf, slot: number, row: Row): void {
    const words = this.wordsOf(leaf);
    const base = this.baseOf(leaf);
    const count = words[base + COUNT] as number;
    this.versions.open(row);
    const { bytes, keyFrom, keyLength } = this.versions;
    if (count === 0) {
      this.setPrefix(leaf, bytes, keyFrom, keyLength);
    } else {
      const max = Math.min(words[base + PREFIX_LENGTH] as number, keyLength);
      const shared = sharedLength(this.bytesOf(leaf), (base + PREFIX) * 4, bytes, { bFrom: keyFrom, max });
      if (shared < (words[base + PREFIX_LENGTH] as number)) {
        words[base + PREFIX_LENGTH] = shared;
        this.computeHeads(leaf);
      }
    }
    const heads = base + HEADS;
    const rows = base + ROWS;
    words.copyWithin(heads + slot + 1, heads + slot, heads + count);
    words.copyWithin(rows + slot + 1, rows + slot, rows + count);
    words[heads + slot] = headOf(bytes, keyFrom + (words[base + PREFIX_LENGTH] as number), keyFrom + keyLength);
    words[rows + slot] = row;
    words[base + COUNT] = count + 1;
  }

  /** Takes a key out. The leaf may be empty afterwards. */
  remove(leaf: Leaf, slot: number): void {
    const words = this.wordsOf(leaf);
    const base = this.baseOf(leaf);
    const count = words[base + COUNT] as number;
    const heads = base + HEADS;
    const rows = base + ROWS;
    words.copyWithin(heads + slot, heads + slot + 1, heads + count);
    words.copyWithin(rows + slot, rows + slot + 1, rows + count);
    words[base + COUNT] = count - 1;
  }

  /** Moves the keys from `slot` on into a new leaf behind this one. `slot` may be the count: then the new leaf is empty. */
  split(leaf: Leaf, slot: number): Leaf {
    const right = this.create();
    const count = this.count(leaf);
    this.copyRows(leaf, slot, right);
    this.set(leaf, COUNT, slot);
    const next = this.next(leaf);
    this.set(right, BEFORE, leaf);
    this.set(right, NEXT, next);
    this.set(leaf, NEXT, right);
    if (next !== NO_LEAF) {
      this.set(next, BEFORE, right);
    }
    if (slot < count) {
      this.computePrefix(leaf);
      this.computePrefix(right);
    }
    return right;
  }

  /** Appends all keys of `right`, the next leaf, and drops it. There is room. */
  merge(leaf: Leaf, right: Leaf): void {
    this.copyRows(right, 0, leaf);
    this.computePrefix(leaf);
    this.drop(right);
  }

  /** Appends the rows of `from`, from `slot` on, to those of `to`; heads are computed by the caller. */
  private copyRows(from: Leaf, slot: number, to: Leaf): void {
    const count = this.count(from);
    const had = this.count(to);
    const source = this.baseOf(from) + ROWS;
    const moved = this.wordsOf(from).subarray(source + slot, source + count);
    this.wordsOf(to).set(moved, this.baseOf(to) + ROWS + had);
    this.set(to, COUNT, had + count - slot);
  }

  private computePrefix(leaf: Leaf): void {
    const count = this.count(leaf);
    if (count === 0) {
      return;
    }
    this.versions.open(this.rowAt(leaf, 0));
    const { bytes, keyFrom, keyLength } = this.versions;
    this.versions.open(this.rowAt(leaf, count - 1));
    const max = Math.min(keyLength, this.versions.keyLength);
    const shared = sharedLength(bytes, keyFrom, this.versions.bytes, { bFrom: this.versions.keyFrom, max });
    this.setPrefix(leaf, bytes, keyFrom, shared);
    this.computeHeads(leaf);
  }

  private setPrefix(leaf: Leaf, bytes: Uint8Array, from: number, length: number): void {
    const kept = Math.min(length, PREFIX_BYTES_MAX);
    this.bytesOf(leaf).set(bytes.subarray(from, from + kept), (this.baseOf(leaf) + PREFIX) * 4);
    this.set(leaf, PREFIX_LENGTH, kept);
  }

  private computeHeads(leaf: Leaf): void {
    const words = this.wordsOf(leaf);
    const base = this.baseOf(leaf);
    const count = words[base + COUNT] as number;
    const skip = words[base + PREFIX_LENGTH] as number;
    for (let slot = 0; slot < count; slot++) {
      this.versions.open(words[base + ROWS + slot] as Row);
      const { bytes, keyFrom, keyLength } = this.versions;
      words[base + HEADS + slot] = headOf(bytes, keyFrom + skip, keyFrom + keyLength);
    }
  }

  /** Negative, zero or positive as the probe sorts before all keys with the leaf's prefix, among them, or after. */
  private compareWithPrefix(leaf: Leaf, probe: Probe, prefixLength: number): number {
    const bytes = this.bytesOf(leaf);
    const at = (this.baseOf(leaf) + PREFIX) * 4;
    const length = probe.end - probe.from;
    const shared = length < prefixLength ? length : prefixLength;
    for (let i = 0; i < shared; i++) {
      const difference = (probe.bytes[probe.from + i] as number) - (bytes[at + i] as number);
      if (difference !== 0) {
        return difference;
      }
    }
    return length < prefixLength ? -1 : 0;
  }

  /** Negative, zero or positive as the key of `row` sorts before, equal to or after the probe; both share `skip` bytes. */
  compareKey(row: Row, probe: Probe, skip: number): number {
    this.versions.open(row);
    const { bytes, keyFrom, keyLength } = this.versions;
    const { bytes: probed, from } = probe;
    const length = probe.end - from;
    const shared = keyLength < length ? keyLength : length;
    for (let i = skip; i < shared; i++) {
      const difference = (bytes[keyFrom + i] as number) - (probed[from + i] as number);
      if (difference !== 0) {
        return difference;
      }
    }
    return keyLength - length;
  }

  private set(leaf: Leaf, position: number, value: number): void {
    this.wordsOf(leaf)[this.baseOf(leaf) + position] = value;
  }

  private baseOf(leaf: Leaf): number {
    return (leaf & CHUNK_MASK) * LEAF_WORDS;
  }

  private wordsOf(leaf: Leaf): Uint32Array {
    return this.words[leaf >>> CHUNK_BITS] as Uint32Array;
  }

  private bytesOf(leaf: Leaf): Uint8Array {
    return this.bytes[leaf >>> CHUNK_BITS] as Uint8Array;
  }
}
