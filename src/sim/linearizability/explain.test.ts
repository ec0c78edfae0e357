/**
 * Tests what a person gets to see of a history: the file format, read back and forth and with every field wrong; the sentence about
 * a contradiction, by cases; and the drawing, which must be well-formed, bounded and free of the history's own marks.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { seedPrng } from "../../base/prng.js";
import type { Input, Operation, Output } from "../workload/operation.js";
import { checkHistory } from "./check.js";
import { explain } from "./explain.js";
import { formatOperation, type History, HistoryError, HistoryReader, LINE_CHARS_MAX } from "./history-format.js";
import { makeHistory } from "./testing/random-history.js";
import { makeTimeScale } from "./time-scale.js";
import { BARS_MAX, drawTimeline } from "./timeline.js";
import { secondsText, valueText } from "./words.js";

const TESTDATA = new URL("../../../../src/sim/linearizability/testdata/", import.meta.url);

function readHistory(text: string): History {
  const reader = new HistoryReader();
  for (const line of text.split("\n")) {
    reader.add(line);
  }
  return reader.finish();
}

const GOOD = { client: 1, start_ns: 1000, end_ns: 2000, op: "put", key: "k", input: "v", output: null, outcome: "ok" };
const WRONG: ReadonlyArray<readonly [line: string | object, says: RegExp, remedy: RegExp]> = [
  ["{", /^line 2: not JSON/, /one JSON object a line/],
  ["[1]", /not a JSON object/, /one JSON object a line/],
  ["x".repeat(LINE_CHARS_MAX + 1), /longer than 1048576 characters/, /shorter values/],
  [{ ...GOOD, client: undefined }, /"client" is missing/, /integer from 0/],
  [{ ...GOOD, client: -1 }, /"client" is -1/, /integer from 0/],
  [{ ...GOOD, server: "a" }, /"server" is "a"/, /integer from 0/],
  [{ ...GOOD, start_ns: 1.5 }, /"start_ns" is 1.5/, /an integer/],
  [{ ...GOOD, start_ns: "soon" }, /"start_ns" is "soon"/, /an integer/],
  [{ ...GOOD, end_ns: undefined }, /"end_ns" is missing/, /or null where none came/],
  [{ ...GOOD, end_ns: null }, /"end_ns" is null, yet the outcome is ok/, /"outcome":"unknown"/],
  [{ ...GOOD, end_ns: 999 }, /"end_ns" is before start_ns/, /never goes back/],
  [{ ...GOOD, end_ns: "99999999999999999999" }, /"end_ns" is more than a hundred days/, /one clock/],
  [{ ...GOOD, op: "append" }, /"op" is "append"/, /"get" or "put" or "delete" or "cas"/],
  [{ ...GOOD, key: 7 }, /"key" is 7/, /a string/],
  [{ ...GOOD, input: null }, /"input" is null/, /the value that was put/],
  [{ ...GOOD, outcome: "maybe" }, /"outcome" is "maybe"/, /"ok" or "fail" or "unknown"/],
  [{ ...GOOD, op: "get", input: null, output: undefined }, /"output" is not that of a get/, /null for absent/],
  [{ ...GOOD, op: "delete", input: null, output: "yes" }, /"output" is not that of a delete/, /true if it removed/],
  [{ ...GOOD, op: "cas", input: "v", output: true }, /"input" is not that of a cas/, /"expected"/],
  [{ ...GOOD, op: "cas", input: { value: "v" }, output: true }, /"input" is not that of a cas/, /"expected"/],
  [{ ...GOOD, op: "cas", input: { expected: null, value: "v" }, output: 1 }, /"output" is not that of a cas/, /true if it swapped/],
];

test("a wrong line is named, with its field and what to write instead", () => {
  for (const [line, says, remedy] of WRONG) {
    const text = typeof line === "string" ? line : JSON.stringify(line);
    assert.throws(
      () => readHistory(`${JSON.stringify(GOOD)}\n${text}\n`),
      (error) => error instanceof HistoryError && error.line === 2 && says.test(error.message) && remedy.test(error.remedy),
      text.slice(0, 120),
    );
  }
});

test("a history has at most so many operations", () => {
  const reader = new HistoryReader(2);
  reader.add(JSON.stringify(GOOD));
  reader.add("");
  reader.add(JSON.stringify(GOOD));
  assert.throws(() => reader.add(JSON.stringify(GOOD)), /^HistoryError: line 4: more than 2 operations/);
});

test("what is written is read back", () => {
  const shape = { clients: 5, operations: 400, keys: 3, values: 0, unknown: 0.2, untold: 0.2, failed: 0.1, spanMax: 30 };
  const history = makeHistory(seedPrng(3), shape);
  const again = readHistory(history.map(formatOperation).join("\n"));
  assert.equal(again.originNs, 0n);
  history.forEach((operation, i) => {
    const isMute = operation.input.op === "get" && operation.output?.value === undefined && operation.outcome === "ok";
    assert.deepEqual(again.operations[i], isMute ? { ...operation, outcome: "unknown", output: null } : operation);
  });
});

test("times beyond 2^53 keep their nanosecond, as numbers and as strings, and are counted from the first", () => {
  const line = (start: string, end: string): string => JSON.stringify(GOOD).replace("1000", start).replace("2000", end);
  const first = "1700000000000000001";
  const { operations, originNs } = readHistory(
    [line(first, "1700000000000000003"), line(`"${first}"`, '"1700000000000000004"'), line("1699999999999999999", first)].join("\n"),
  );
  assert.equal(originNs, BigInt(first));
  assert.deepEqual(
    operations.map(({ start, end }) => [start, end]),
    [
      [0, 0.002],
      [0, 0.003],
      [-0.002, 0],
    ],
  );
  const quoted = { ...GOOD, input: '"start_ns": 1234567890123456789,' };
  assert.deepEqual(readHistory(JSON.stringify(quoted)).operations[0]?.input, { op: "put", value: quoted.input });
});

test("the committed examples: one good, one that lost a write", () => {
  const good = readHistory(readFileSync(new URL("good.jsonl", TESTDATA), "utf8"));
  assert.deepEqual(checkHistory(good.operations), { kind: "linearizable" });
  const bad = readHistory(readFileSync(new URL("lost-write.jsonl", TESTDATA), "utf8"));
  const result = checkHistory(bad.operations);
  assert.ok(result.kind === "not-linearizable");
  assert.equal(
    explain(result.contradiction, bad.operations),
    "client 3 read k1=absent from 1.200 s to 1.210 s, although client 2's PUT k1=c2.4 had been acknowledged at 1.100 s, and nobody deleted it",
  );
});

let clients = 0;
function op(start: number, end: number | null, input: Input, output: Partial<Output> | null = {}): Operation {
  const outcome = end === null ? "unknown" : output === null ? "fail" : "ok";
  const told = outcome === "ok" ? { revision: null, ...output } : null;
  return { client: ++clients, server: 0, key: "k", input, start: start * 1e6, end: end === null ? null : end * 1e6, outcome, output: told };
}
const put = (start: number, end: number | null, value: string): Operation => op(start, end, { op: "put", value });
const get = (start: number, end: number, value: string | null): Operation => op(start, end, { op: "get" }, { value });
const del = (start: number, end: number | null, deleted: boolean): Operation => op(start, end, { op: "delete" }, { deleted });
const cas = (start: number, end: number, change: readonly [string | null, string], swapped: boolean): Operation =>
  op(start, end, { op: "cas", expected: change[0], value: change[1] }, { swapped });

const SENTENCES: ReadonlyArray<readonly [history: () => Operation[], sentence: string]> = [
  [() => [put(1, 2, "a"), get(3, 4, "b")], "client 2 read k=b from 3.000 s to 4.000 s, although nobody ever wrote that value"],
  [
    () => [op(1, 2, { op: "put", value: "b" }, null), get(3, 4, "b")],
    "client 2 read k=b from 3.000 s to 4.000 s, although its only write, client 1's PUT k=b of 1.000 s, had failed and was never applied",
  ],
  [
    () => [get(1, 2, "b"), put(3, 4, "b")],
    "client 1 read k=b from 1.000 s to 2.000 s, although nobody asked to write that value before 3.000 s",
  ],
  [
    () => [put(1, 2, "a"), put(3, 4, "b"), get(5, 6, "a")],
    "client 3 read k=a from 5.000 s to 6.000 s, although client 1's PUT k=a had been acknowledged at 2.000 s and client 2's PUT k=b had been acknowledged at 4.000 s, and nobody wrote the value again after that",
  ],
  [
    () => [put(0, 1, "z"), del(1.5, 1.7, true), put(2, 3, "a"), get(5, 6, null)],
    "client 4 read k=absent from 5.000 s to 6.000 s, although client 3's PUT k=a had been acknowledged at 3.000 s, and no DELETE can have come after that",
  ],
  [
    () => [put(1, 9, "a"), get(2, 3, "a"), get(4, 5, null)],
    "client 3 read k=absent from 4.000 s to 5.000 s, although client 1's PUT k=a had been acknowledged between 1.000 s and 9.000 s and client 2 had read k=a by 3.000 s; no order explains every answer",
  ],
  [
    () => [put(1, 2, "a"), cas(3, 9, ["a", "b"], true), cas(4, 8, ["a", "c"], true)],
    "client 2's CAS k from a to b ran from 3.000 s to 9.000 s and swapped, although client 1's PUT k=a had been acknowledged at 2.000 s and client 3's CAS k from a to c had swapped between 4.000 s and 8.000 s; no order explains every answer",
  ],
];

test("the sentence says what is wrong, case by case", () => {
  for (const [make, sentence] of SENTENCES) {
    clients = 0;
    const history = make();
    const result = checkHistory(history);
    assert.ok(result.kind === "not-linearizable", sentence);
    assert.equal(explain(result.contradiction, history), sentence);
  }
});

test("the drawing is well-formed, keeps the history's marks out, and is bounded", () => {
  clients = 0;
  const key = `<script>&"'\u0000\ud800`;
  const crowd = Array.from({ length: 500 }, (_, i) => ({ ...put(1.45 + i / 1e5, null, `v${i}`), key }));
  const history = [{ ...put(1, 1.4, "</svg>"), key }, { ...get(1.45, 1.5, "never & nowhere"), key }, ...crowd];
  const result = checkHistory(history);
  assert.ok(result.kind === "not-linearizable");
  const svg = drawTimeline({ key, contradiction: result.contradiction, history, explanation: explain(result.contradiction, history) });
  assert.equal(svg.split("<g>").length - 1, BARS_MAX);
  assert.ok(
    !svg.includes("<script") && !svg.includes('&"') && !svg.includes("\u0000") && !/https?:(?!\/\/www\.w3\.org\/2000\/svg")/.test(svg),
  );
  assertWellFormed(svg);
  assert.match(svg, /prefers-color-scheme: dark/);
  assert.match(svg, /<title id="title">Not linearizable/);
});

/** Every element that opens closes in its order, and every `&` begins an entity. */
function assertWellFormed(xml: string): void {
  const open: string[] = [];
  for (const [, close, name = "", self] of xml.matchAll(/<(\/?)([a-z]+)[^<>]*?(\/?)>/g)) {
    if (close === "/") {
      assert.equal(open.pop(), name);
    } else if (self !== "/") {
      open.push(name);
    }
  }
  assert.deepEqual(open, []);
  assert.doesNotMatch(xml, /&(?!(amp|lt|gt|quot|apos);)/);
}

test("the scale keeps the order of times and shortens only long gaps", () => {
  const scale = makeTimeScale([0, 10, 20, 30, 5000, 5010], { from: 100, end: 900 });
  assert.deepEqual([scale.at(0), scale.at(5010), scale.breaks.length], [100, 900, 1]);
  assert.ok(scale.at(30) < scale.at(2000) && scale.at(2000) < scale.at(5000));
  assert.equal(makeTimeScale([7, 7], { from: 100, end: 900 }).at(7), 100);
});

test("seconds and values in words", () => {
  assert.deepEqual(
    [0, 1_200_000, 1.5, 1234567.891].map((micros) => secondsText(micros)),
    ["0.000 s", "1.200 s", "0.0000015 s", "1.234567891 s"],
  );
  assert.deepEqual([secondsText(1_234_567.891, 6), secondsText(1_200_000, 6)], ["1.234568 s", "1.200 s"]);
  assert.deepEqual([null, "a b", "absent", "", "c2.4"].map(valueText), ["absent", '"a b"', '"absent"', '""', "c2.4"]);
  assert.equal(valueText("x".repeat(100)).length, 43);
});
