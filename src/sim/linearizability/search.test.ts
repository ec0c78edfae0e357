/**
 * Tests the linearizability check: tables of small cases; thousands of small random histories, good and spoilt, against every
 * order tried one by one; large histories of a real register; the limits; and that contradictions are bad, small and sound.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { nextInt, type Prng, seedPrng } from "../../base/prng.js";
import type { Input, Operation, Output } from "../workload/operation.js";
import { checkHistory } from "./check.js";
import { cutAt, findContradiction, forget } from "./contradiction.js";
import { HashedSet, Memo } from "./memo.js";
import { DEFAULT_LIMITS, searchKey } from "./search.js";
import { isLinearizable } from "./testing/brute-force.js";
import { type HistoryShape, makeHistory, spoil } from "./testing/random-history.js";

const SEED = 20_240_817;

function op(start: number, end: number | null, input: Input, output: Partial<Output> = {}): Operation {
  const outcome = end === null ? "unknown" : "ok";
  return { client: start, server: 0, key: "k", input, start, end, outcome, output: end === null ? null : { revision: null, ...output } };
}
const put = (start: number, end: number | null, value: string): Operation => op(start, end, { op: "put", value });
const get = (start: number, end: number, value: string | null): Operation => op(start, end, { op: "get" }, { value });
const del = (start: number, end: number | null, deleted?: boolean): Operation =>
  op(start, end, { op: "delete" }, deleted === undefined ? {} : { deleted });
const cas = (start: number, end: number | null, change: readonly [string | null, string], swapped?: boolean): Operation =>
  op(start, end, { op: "cas", expected: change[0], value: change[1] }, swapped === undefined ? {} : { swapped });

const TABLE: ReadonlyArray<readonly [what: string, good: boolean, history: readonly Operation[]]> = [
  ["nothing happened", true, []],
  ["a fresh key is absent", true, [get(0, 1, null)]],
  ["read of what was put", true, [put(0, 1, "a"), get(2, 3, "a")]],
  ["lost write", false, [put(0, 1, "a"), get(2, 3, null)]],
  ["read during a write, either way", true, [put(0, 9, "a"), get(1, 2, null), get(3, 4, "a")]],
  ["new, then old", false, [put(0, 9, "a"), get(1, 2, "a"), get(3, 4, null)]],
  ["operations that touch are concurrent", true, [put(0, 1, "a"), get(1, 2, null)]],
  ["value of nobody", false, [put(0, 1, "a"), get(2, 3, "b")]],
  ["value of the future", false, [get(0, 1, "a"), put(2, 3, "a")]],
  ["overwritten value", false, [put(0, 1, "a"), put(2, 3, "b"), get(4, 5, "a")]],
  ["unanswered write seen late", true, [put(0, null, "a"), put(2, 3, "b"), get(4, 5, "b"), get(6, 7, "a")]],
  ["unanswered write seen twice with another between", false, [put(0, null, "a"), get(1, 2, "a"), put(3, 4, "b"), get(5, 6, "a")]],
  ["unanswered write never seen", true, [put(0, null, "a"), get(1, 2, null)]],
  ["unanswered write before its start", false, [get(0, 1, "a"), put(2, null, "a")]],
  ["unanswered delete explains absence", true, [put(0, 1, "a"), del(2, null), get(3, 4, "a"), get(5, 6, null)]],
  ["two deletes cannot both find it", false, [put(0, 1, "a"), del(2, 9, true), del(3, 8, true)]],
  ["two deletes, one finds it", true, [put(0, 1, "a"), del(2, 9, true), del(3, 8, false)]],
  ["delete that found something there never was", false, [del(0, 1, true)]],
  ["delete saved by an unanswered write", true, [put(0, null, "a"), del(1, 2, true)]],
  ["two cas from one value", false, [put(0, 1, "a"), cas(2, 9, ["a", "b"], true), cas(3, 8, ["a", "c"], true)]],
  ["cas on absent", true, [cas(0, 1, [null, "a"], true), get(2, 3, "a")]],
  ["refused cas against its value", false, [put(0, 1, "a"), cas(2, 3, ["a", "b"], false)]],
  ["refused cas saved by an unanswered write", true, [put(0, 1, "a"), put(0, null, "x"), cas(2, 3, ["a", "b"], false)]],
  ["cas to the value it met is a read", false, [put(0, 1, "a"), cas(2, 3, ["b", "b"], true)]],
  ["untold cas, either way", true, [put(0, 1, "a"), cas(2, 3, ["a", "b"]), get(4, 5, "b")]],
  ["untold cas has to swap", false, [put(0, 1, "a"), cas(2, 3, ["a", "b"]), get(4, 5, "a")]],
  ["unanswered cas in a chain", true, [put(0, null, "a"), cas(1, null, ["a", "b"]), get(2, 3, "b")]],
  ["unanswered cas after its value went", false, [put(0, 1, "a"), cas(1.5, null, ["a", "b"]), put(2, 3, "c"), get(4, 5, "b")]],
];

test("small cases, decided by hand", () => {
  for (const [what, good, history] of TABLE) {
    assert.equal(searchKey(history, DEFAULT_LIMITS).verdict, good ? "linearizable" : "not-linearizable", what);
    assert.equal(isLinearizable(history), good, `${what}, tried one by one`);
  }
});

test("failed operations have not happened", () => {
  const failed: Operation = { ...put(0, 1, "a"), outcome: "fail", output: null };
  assert.deepEqual(checkHistory([failed, get(2, 3, null)]), { kind: "linearizable" });
  assert.equal(checkHistory([failed, get(2, 3, "a")]).kind, "not-linearizable");
});

function smallShape(prng: Prng): HistoryShape {
  return {
    clients: nextInt(prng, 1, 6),
    operations: nextInt(prng, 1, 8),
    keys: 1,
    values: nextInt(prng, 0, 4),
    unknown: nextInt(prng, 0, 3) * 0.25,
    untold: nextInt(prng, 0, 2) * 0.3,
    failed: nextInt(prng, 0, 2) * 0.1,
    spanMax: nextInt(prng, 1, 12),
  };
}

/** Small random histories, spoilt up to three times, each with its seed. */
function* smallHistories(count: number): Generator<{ readonly seed: number; readonly good: boolean; readonly history: Operation[] }> {
  for (let i = 0; i < count; i++) {
    const seed = SEED + i;
    const prng = seedPrng(seed);
    let history = makeHistory(prng, smallShape(prng));
    const spoilings = nextInt(prng, 0, 4);
    for (let n = 0; n < spoilings; n++) {
      history = spoil(prng, history);
    }
    yield { seed, good: spoilings === 0, history };
  }
}

test("agrees with every order tried one by one", () => {
  const seen = { good: 0, bad: 0 };
  for (const { seed, good, history } of smallHistories(12_000)) {
    const expected = isLinearizable(history);
    assert.ok(expected || !good, `seed ${seed}: the register's own history`);
    assert.equal(searchKey(history, DEFAULT_LIMITS).verdict, expected ? "linearizable" : "not-linearizable", `seed ${seed}`);
    seen[expected ? "good" : "bad"]++;
  }
  assert.ok(seen.good > 2000 && seen.bad > 2000, JSON.stringify(seen));
});

test("a prefix, and what is left when operations are removed, are good where the whole is", () => {
  let removed = 0;
  for (const { seed, history } of smallHistories(6000)) {
    if (!isLinearizable(history)) {
      continue;
    }
    const sorted = history.filter(({ outcome }) => outcome !== "fail").sort((a, b) => a.start - b.start);
    const prng = seedPrng(seed);
    const at = nextInt(prng, 0, 60);
    assert.ok(isLinearizable(cutAt(history, at)), `seed ${seed}: cut at ${at}`);
    const from = nextInt(prng, 0, sorted.length + 1);
    const end = nextInt(prng, from, sorted.length + 1);
    const left = forget(sorted, { from, end });
    removed += sorted.length - left.length;
    assert.ok(isLinearizable(left), `seed ${seed}: forgetting ${from} to ${end}`);
  }
  assert.ok(removed > 2000, `${removed} removed`);
});

test("a contradiction is part of the history, bad, and small", () => {
  let operations = 0;
  let contradictions = 0;
  for (const { seed, history } of smallHistories(3000)) {
    if (isLinearizable(history)) {
      continue;
    }
    const contradiction = findContradiction(history);
    assert.ok(!isLinearizable(contradiction), `seed ${seed}: bad by itself`);
    assert.ok(
      contradiction.every((operation) => history.includes(operation)),
      `seed ${seed}: of the history`,
    );
    operations += contradiction.length;
    contradictions++;
  }
  assert.ok(operations / contradictions < 3, `${operations} operations in ${contradictions}`);
});

test("a contradiction leaves out what has no part in it", () => {
  const noise = [put(0, 1, "n1"), get(1, 2, "n1"), cas(2, 3, ["n1", "n2"], true), del(4, 5, true), get(5, 6, null), put(6, null, "n3")];
  const lost = [put(10, 11, "a"), get(12, 13, null)];
  const later = [put(20, 21, "b"), get(22, 23, "b")];
  assert.deepEqual(findContradiction([...noise, ...lost, ...later]), lost);
  const stale = [put(10, 11, "a"), put(12, 13, "b"), get(14, 15, "a")];
  assert.deepEqual(findContradiction([...noise, ...stale, get(14.5, 16, "b")]), stale);
  const back = [put(10, 19, "a"), get(11, 12, "a"), get(13, 14, null)];
  assert.deepEqual(findContradiction([...back, ...later]), back);
});

test("a contradiction that may cost nothing is the whole history", () => {
  const history = [put(0, 9, "a"), get(1, 2, "a"), get(3, 4, null), get(20, 21, "a")];
  assert.equal(findContradiction(history).length, 3);
  assert.deepEqual(findContradiction(history, DEFAULT_LIMITS, 0), history);
});

const LARGE: HistoryShape = { clients: 20, operations: 10_000, keys: 4, values: 0, unknown: 0.02, untold: 0.05, failed: 0.02, spanMax: 40 };

test("large histories of a register are good, whatever their values", () => {
  for (const values of [0, 2, 50]) {
    assert.deepEqual(
      checkHistory(makeHistory(seedPrng(SEED + values), { ...LARGE, values })),
      { kind: "linearizable" },
      `${values} values`,
    );
  }
});

test("one stale answer in a large history is found, and comes down to a few operations", () => {
  const history = makeHistory(seedPrng(SEED), LARGE);
  const late = Math.max(...history.map(({ start }) => start)) * 0.9;
  const wrote = history.find(({ input, outcome, output }) => input.op === "cas" && outcome === "ok" && output?.swapped === true);
  assert.ok(wrote !== undefined && wrote.input.op === "cas");
  const stale: Operation = { ...get(late, late + 3, wrote.input.value), key: wrote.key };
  const result = checkHistory([...history, stale]);
  assert.equal(result.kind, "not-linearizable");
  assert.ok(result.kind === "not-linearizable" && result.key === wrote.key && result.contradiction.includes(stale));
  assert.ok(result.contradiction.length <= 4, `${result.contradiction.length} operations`);
});

test("a search that reaches a limit says so, and a bad key elsewhere still counts", () => {
  // Twice each value in one burst of writes, then each is read once: no order explains that, and the search has to try very many.
  const burst = Array.from({ length: 24 }, (_, i) => put(i, 1000 + i, `v${i % 12}`));
  const hard = [...burst, ...Array.from({ length: 12 }, (_, i) => get(2000 + i, 2000.5 + i, `v${i}`))];
  assert.deepEqual(checkHistory(hard, { limits: { stepsMax: 1000 } }), { kind: "gave-up", key: "k", limit: "stepsMax" });
  assert.deepEqual(checkHistory(hard, { limits: { memoWordsMax: 100 } }), { kind: "gave-up", key: "k", limit: "memoWordsMax" });
  const bad: Operation = { ...get(0, 1, "x"), key: "other" };
  const result = checkHistory([...hard, bad], { limits: { stepsMax: 1000 } });
  assert.deepEqual(result, { kind: "not-linearizable", key: "other", contradiction: [bad] });
});

test("the memory of dead states tells apart whatever differs, through growth, and stops at its bound", () => {
  const memo = new Memo(100_000);
  for (let i = 0; i < 5000; i++) {
    assert.equal(memo.has(i % 7, 2, [i, 0xffff_ffff, 0b0110]), false);
    assert.equal(memo.add(i % 7, 2, [i, 0xffff_ffff, 0b0110]), true);
  }
  for (let i = 0; i < 5000; i += 9) {
    assert.equal(memo.has(i % 7, 2, [i, 0xffff_ffff, 0b0110]), true);
    assert.equal(memo.has(i % 7, 2, [i, 0xffff_ffff, 0b1110, 1]), true, "more used up is dead too");
    assert.equal(memo.has(i % 7, 2, [i, 0xffff_ffff, 0b1010]), false, "others used up may live");
    assert.equal(memo.has(i % 7, 2, [i, 0xffff_ffff]), false, "fewer used up may live");
    assert.equal(memo.has(i % 7, 2, [i, 0xffff_fffe, 0b0110]), false);
    assert.equal(memo.has(i % 7, 3, [i, 0xffff_ffff, 0b0110]), false);
  }
  assert.equal(memo.add(1, 1, new Array<number>(100_000).fill(1)), false);
});

test("a set hashes and writes itself the same however it came about", () => {
  const [first, second] = [new HashedSet(200), new HashedSet(200)];
  for (const member of [0, 1, 40, 41, 180]) {
    first.add(member);
  }
  for (const member of [180, 41, 199, 40, 1, 0]) {
    second.add(member);
  }
  second.remove(199);
  const [one, two]: [number[], number[]] = [[], []];
  first.appendTo(one, 0);
  second.appendTo(two, 0);
  assert.deepEqual(one, two);
  assert.deepEqual(one, [3, 0x300, 0, 0, 0, 0x10_0000]);
  assert.equal(first.hash, second.hash);
});
