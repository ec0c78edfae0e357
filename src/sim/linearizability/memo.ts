/**
 * The states of a search that led nowhere, so that none is searched twice. A state is kept whole and compared whole: a hash
 * alone could take an open state for a dead one and call a good history bad. Its memory is bounded.
 */

const SLOTS_FIRST = 1024;
const ARENA_WORDS_FIRST = 8192;
const EMPTY = -1;
/** Words of an entry before the state: hash, number of exact words, number of words. */
const HEAD = 3;

/** Mixes `word` well: MurmurHash3's finalizer. */
export function mixWord(word: number): number {
  let h = word | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/**
 * A set of numbers below `size` with a hash that is kept up to date, written out short: a search adds numbers roughly in order,
 * so whole words of ones at the front, and of zeros at the end, are left out.
 */
export class HashedSet {
  private readonly words: Uint32Array;
  /** No bit is set in words from here on. */
  private wordsEnd = 0;
  hash = 0;

  constructor(size: number) {
    this.words = new Uint32Array((size >>> 5) + 1);
  }

  add(member: number): void {
    const word = member >>> 5;
    this.words[word] = (this.words[word] as number) | (1 << (member & 31));
    this.wordsEnd = Math.max(this.wordsEnd, word + 1);
    this.hash ^= mixWord(member);
  }

  remove(member: number): void {
    const word = member >>> 5;
    this.words[word] = (this.words[word] as number) & ~(1 << (member & 31));
    this.hash ^= mixWord(member);
  }

  /** Appends its bits, from the word `from` on; the words before that are the caller's to tell. */
  appendTo(state: number[], from: number): void {
    while (this.wordsEnd > 0 && this.words[this.wordsEnd - 1] === 0) {
      this.wordsEnd--;
    }
    for (let word = from; word < this.wordsEnd; word++) {
      state.push(this.words[word] as number);
    }
  }
}

/**
 * Dead states, in an arena with an open hash table over it. A state is a sequence of words, of which the last ones are a set of
 * things used up: where a state is dead, so is every one that is the same but for more used up, and `has` knows it.
 */
export class Memo {
  private readonly wordsMax: number;
  private arena = new Uint32Array(ARENA_WORDS_FIRST);
  private used = 0;
  private slots = new Int32Array(SLOTS_FIRST).fill(EMPTY);
  private count = 0;
  /** Dead states that `has` has compared so far. */
  looks = 0;

  /** `wordsMax`: words of four bytes that all states together may take. */
  constructor(wordsMax: number) {
    this.wordsMax = wordsMax;
  }

  /** Whether the state is dead for all we know. `hash` is that of the first `exact` words; the rest are the bits of the set. */
  has(hash: number, exact: number, state: readonly number[]): boolean {
    const mask = this.slots.length - 1;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const entry = this.slots[slot] as number;
      if (entry === EMPTY) {
        return false;
      }
      this.looks++;
      if (this.covers(entry, hash, exact, state)) {
        return true;
      }
    }
  }

  /** Keeps a dead state that `has` does not know; false, and nothing kept, where the memory is used up. */
  add(hash: number, exact: number, state: readonly number[]): boolean {
    if (!this.reserve(HEAD + state.length)) {
      return false;
    }
    this.place(hash, this.used);
    this.arena[this.used++] = hash;
    this.arena[this.used++] = exact;
    this.arena[this.used++] = state.length;
    for (let i = 0; i < state.length; i++) {
      this.arena[this.used++] = state[i] as number;
    }
    if (++this.count * 2 > this.slots.length) {
      this.rehash();
    }
    return true;
  }

  /** Whether `entry` is the same state, with no more used up. */
  private covers(entry: number, hash: number, exact: number, state: readonly number[]): boolean {
    const { arena } = this;
    if (arena[entry] !== hash >>> 0 || arena[entry + 1] !== exact) {
      return false;
    }
    const length = arena[entry + 2] as number;
    for (let i = 0; i < exact; i++) {
      if (arena[entry + HEAD + i] !== (state[i] as number) >>> 0) {
        return false;
      }
    }
    for (let i = exact; i < length; i++) {
      if (((arena[entry + HEAD + i] as number) & ~(state[i] ?? 0)) !== 0) {
        return false;
      }
    }
    return true;
  }

  private reserve(words: number): boolean {
    const needed = this.used + words;
    if (needed > this.wordsMax) {
      return false;
    }
    if (needed > this.arena.length) {
      const larger = new Uint32Array(Math.max(needed, this.arena.length * 2));
      larger.set(this.arena.subarray(0, this.used));
      this.arena = larger;
    }
    return true;
  }

  private place(hash: number, entry: number): void {
    const mask = this.slots.length - 1;
    let slot = hash & mask;
    while (this.slots[slot] !== EMPTY) {
      slot = (slot + 1) & mask;
    }
    this.slots[slot] = entry;
  }

  private rehash(): void {
    this.slots = new Int32Array(this.slots.length * 2).fill(EMPTY);
    for (let entry = 0; entry < this.used; entry += HEAD + (this.arena[entry + 2] as number)) {
      this.place(this.arena[entry] as number, entry);
    }
  }
}
