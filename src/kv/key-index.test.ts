/**
 * The ordered index against a sorted array: insertions and removals in many orders and sizes, over keys that share long prefixes,
 * are prefixes of each other, or differ in zeros only. After each phase the walk must be the sorted array.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { compareBytes } from "../base/bytes.js";
import { nextInt, type Prng, seedPrng } from "../base/prng.js";
import { IndexCursor } from "./index-cursor.js";
import { FIRST_KEY, OPEN_END } from "./model.js";
import { Mvcc } from "./mvcc.js";
import { NO_ROW } from "./versions.js";

type KeyMaker = (index: number) => Uint8Array;
const numbered: KeyMaker = (index) => Buffer.from(`key/${index.toString().padStart(9, "0")}`);
const longPrefix: KeyMaker = (index) => Buffer.from(`${"/registry/a-very-long-namespace".repeat(4)}/${index}`);
const zeros: KeyMaker = (index) => new Uint8Array(2 + (index % 40)).fill(Math.floor(index / 40) % 256);
const binary: KeyMaker = (index) => {
  const prng = seedPrng(index);
  return Uint8Array.from({ length: nextInt(prng, 1, 20) }, () => nextInt(prng, 0, 256));
};

function insert(mvcc: Mvcc, key: Uint8Array): void {
  mvcc.draftPair(key, 0, key.length, key.length);
  mvcc.putDraft(mvcc.locateDraft(), ++mvcc.visibleRevision);
}

function remove(mvcc: Mvcc, key: Uint8Array): void {
  assert.ok(mvcc.index.locateKey(key));
  mvcc.index.remove();
}

function walk(mvcc: Mvcc, key: Uint8Array, end: Uint8Array): Buffer[] {
  const cursor = new IndexCursor(mvcc.index, key, end);
  cursor.resume();
  const keys: Buffer[] = [];
  for (let row = cursor.next(); row !== NO_ROW; row = cursor.next()) {
    keys.push(Buffer.from(mvcc.versions.keyOf(row)));
  }
  return keys;
}

function shuffled(prng: Prng, items: Uint8Array[]): Uint8Array[] {
  for (let at = items.length - 1; at > 0; at--) {
    const other = nextInt(prng, 0, at + 1);
    [items[at], items[other]] = [items[other] as Uint8Array, items[at] as Uint8Array];
  }
  return items;
}

function distinct(make: KeyMaker, count: number): Uint8Array[] {
  const keys = new Map<string, Uint8Array>();
  for (let index = 0; index < count; index++) {
    const key = make(index);
    keys.set(Buffer.from(key).toString("hex"), key);
  }
  return [...keys.values()].sort(compareBytes);
}

function checkWalks(prng: Prng, mvcc: Mvcc, sorted: readonly Uint8Array[]): void {
  assert.deepEqual(
    walk(mvcc, FIRST_KEY, OPEN_END),
    sorted.map((key) => Buffer.from(key)),
  );
  assert.equal(mvcc.index.size, sorted.length);
  for (let i = 0; i < 10 && sorted.length > 0; i++) {
    const from = nextInt(prng, 0, sorted.length);
    const end = nextInt(prng, from, sorted.length);
    const expected = sorted.slice(from, end).map((key) => Buffer.from(key));
    assert.deepEqual(walk(mvcc, sorted[from] as Uint8Array, sorted[end] as Uint8Array), expected);
  }
}

const makers = { numbered, longPrefix, zeros, binary };
for (const [name, make] of Object.entries(makers)) {
  for (const count of [1, 2, 127, 128, 129, 300, 5000]) {
    test(`${name}, ${count} keys: ascending, descending and shuffled in, shuffled out`, () => {
      const prng = seedPrng(count);
      const sorted = distinct(make, count);
      for (const order of [sorted, [...sorted].reverse(), shuffled(prng, [...sorted])]) {
        const mvcc = new Mvcc();
        for (const key of order) {
          insert(mvcc, key);
        }
        checkWalks(prng, mvcc, sorted);
        const leaving = shuffled(prng, [...sorted]);
        const half = leaving.splice(0, leaving.length >> 1);
        for (const key of half) {
          remove(mvcc, key);
        }
        checkWalks(prng, mvcc, leaving.sort(compareBytes));
        for (const key of leaving) {
          remove(mvcc, key);
        }
        checkWalks(prng, mvcc, []);
        for (const key of order) {
          insertAgain(mvcc, key);
        }
        checkWalks(prng, mvcc, sorted);
      }
    });
  }
}

function insertAgain(mvcc: Mvcc, key: Uint8Array): void {
  mvcc.draftPair(key, 0, key.length, key.length);
  assert.equal(mvcc.locateDraft(), false);
  mvcc.putDraft(false, ++mvcc.visibleRevision);
}

test("a queue: 200,000 keys in at the end and out at the beginning stay few leaves", () => {
  const mvcc = new Mvcc();
  for (let index = 0; index < 200_000; index++) {
    insert(mvcc, numbered(index));
    if (index >= 1000) {
      remove(mvcc, numbered(index - 1000));
    }
  }
  assert.equal(mvcc.index.size, 1000);
  assert.equal(walk(mvcc, FIRST_KEY, OPEN_END).length, 1000);
  assert.ok(mvcc.index.memoryBytes < 2e6);
});
