/** Tests durations and sizes by tables: what people write, and what is written for them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { nearest } from "../suggest.js";
import { formatBytes, formatDuration, parseBytes, parseDuration } from "./quantities.js";

test("durations", () => {
  const table: ReadonlyArray<readonly [text: string, ms: number | undefined]> = [
    ["5s", 5000],
    ["500ms", 500],
    ["1m30s", 90_000],
    ["1.5h", 5_400_000],
    ["250us", 0.25],
    ["0", 0],
    ["5", undefined],
    ["5 s", undefined],
    ["s", undefined],
    ["-1s", undefined],
    ["", undefined],
    ["1d", undefined],
  ];
  for (const [text, ms] of table) {
    assert.equal(parseDuration(text, { bareIsMs: false }), ms, text);
  }
  assert.equal(parseDuration("250", { bareIsMs: true }), 250);
});

test("sizes", () => {
  const table: ReadonlyArray<readonly [text: string, bytes: number | undefined]> = [
    ["1024", 1024],
    ["64KiB", 65_536],
    ["1.5 mib", 1_572_864],
    ["2GB", 2_000_000_000],
    ["10B", 10],
    ["1.5", undefined],
    ["5K", undefined],
    ["KiB", undefined],
    ["-1", undefined],
  ];
  for (const [text, bytes] of table) {
    assert.equal(parseBytes(text), bytes, text);
  }
});

test("durations and sizes as people read them", () => {
  assert.deepEqual([0, 999, 1000, 61_000, 3_600_000, 90_061_000].map(formatDuration), [
    "0 ms",
    "999 ms",
    "1 s",
    "1 m 1 s",
    "1 h",
    "1 d 1 h",
  ]);
  assert.deepEqual([0, 1023, 1024, 1_572_864, 2 ** 31, 104_857_600].map(formatBytes), [
    "0 B",
    "1023 B",
    "1 KiB",
    "1.5 MiB",
    "2 GiB",
    "100 MiB",
  ]);
});

test("suggestions are near or none", () => {
  const names = ["my_addr", "my_paxos", "replica", "fail_rate", "data_dir"];
  assert.equal(nearest("my_adr", names), "my_addr");
  assert.equal(nearest("MY-PAXOS", names), "my_paxos");
  assert.equal(nearest("replcia", names), "replica");
  assert.equal(nearest("failrate", names), "fail_rate");
  assert.equal(nearest("colour", names), undefined);
});
