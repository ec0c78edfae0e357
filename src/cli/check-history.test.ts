/** Tests `synod check-history` as a process: verdicts with their exit statuses, the drawing, stdin, and files that are no histories. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";

const LAUNCHER = fileURLToPath(new URL("../../../bin/synod", import.meta.url));
const TESTDATA = fileURLToPath(new URL("../../../src/sim/linearizability/testdata/", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "synod-history-"));
after(() => rmSync(folder, { recursive: true }));

type Run = { readonly status: number | null; readonly stdout: string; readonly stderr: string };

function check(args: readonly string[], input = ""): Run {
  return spawnSync(process.execPath, [LAUNCHER, "check-history", ...args], { input, encoding: "utf8" });
}

function fileOf(name: string, text: string | Uint8Array): string {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
}

const good = readFileSync(join(TESTDATA, "good.jsonl"), "utf8");
const bad = readFileSync(join(TESTDATA, "lost-write.jsonl"), "utf8");

test("a good history: one line, status 0, no drawing", () => {
  const file = fileOf("good.jsonl", good);
  const { status, stdout, stderr } = check([file]);
  assert.deepEqual([status, stderr], [0, ""]);
  assert.equal(stdout, `${file}: linearizable: 10 operations on 1 key by 4 clients, 1 without an answer, 1 failed\n`);
  assert.ok(!existsSync(`${file}.svg`));
});

test("a bad history: the sentence, the operations, a drawing, status 1", () => {
  const file = fileOf("bad.jsonl", bad);
  const { status, stdout } = check([file]);
  assert.equal(status, 1);
  assert.match(stdout, /not linearizable: key k1, shown by 2 of 9 operations\n/);
  assert.match(
    stdout,
    /client 3 read k1=absent from 1\.200 s to 1\.210 s, although client 2's PUT k1=c2\.4 had been acknowledged at 1\.100 s/,
  );
  assert.match(stdout, /\n2 +1\.090 s +1\.100 s +PUT k1=c2\.4 +stored\n3 +1\.200 s +1\.210 s +GET k1 +absent\n/);
  assert.match(readFileSync(`${file}.svg`, "utf8"), /^<svg [\s\S]*<\/svg>\n$/);
});

test("stdin is read, draws only where it is told, and a drawing that cannot be written changes no verdict", () => {
  assert.deepEqual([check(["-"], good).status, check(["-"], bad).status], [0, 1]);
  const svg = join(folder, "told.svg");
  assert.match(check(["-", "--svg", svg], bad).stdout, /Timeline: .*told\.svg\n$/);
  assert.ok(existsSync(svg));
  const { status, stderr } = check(["-", "--svg", join(folder, "no", "such.svg")], bad);
  assert.equal(status, 1);
  assert.match(stderr, /^The timeline could not be written: .*\ntry: --svg/);
});

test("what is no history says so, with the line and what to write", () => {
  const cases: ReadonlyArray<readonly [text: string | Uint8Array, status: number, says: RegExp]> = [
    ["", 3, /holds no operation\ntry: /],
    [`${good}{"client":1}\n`, 3, /line 11: "outcome" is missing\ntry: "outcome": "ok" or "fail" or "unknown"/],
    ["not json\n", 3, /line 1: not JSON/],
    [`${good}"${"x".repeat(1 << 21)}`, 3, /line 11: longer than 1048576 characters/],
    [Uint8Array.of(0x7b, 0xff, 0x0a), 6, /could not be read: it is not UTF-8 text/],
  ];
  for (const [text, expected, says] of cases) {
    const { status, stdout, stderr } = check([fileOf("wrong.jsonl", text)]);
    assert.deepEqual([status, stdout], [expected, ""], stderr);
    assert.match(stderr, says);
  }
  const missing = check([join(folder, "missing.jsonl")]);
  assert.equal(missing.status, 6);
  assert.match(missing.stderr, /could not be read: ENOENT/);
  const directory = check([folder]);
  assert.equal(directory.status, 6);
  assert.match(directory.stderr, /could not be read: it is a directory\ntry: synod check-history FILE/);
  assert.equal(check([]).status, 128);
  assert.equal(check(["-", "--steps", "many"], good).status, 128);
});

test("of a long contradiction the beginning is listed", () => {
  // As many deletes found something as there may have been writes, and one more.
  const line = (n: number, fields: object): string => JSON.stringify({ client: n, key: "k", input: null, output: null, ...fields });
  const writes = Array.from({ length: 25 }, (_, i) =>
    line(i, { start_ns: i, end_ns: null, op: "put", input: `v${i}`, outcome: "unknown" }),
  );
  const deletes = Array.from({ length: 26 }, (_, i) =>
    line(i, { start_ns: 100 + 2 * i, end_ns: 101 + 2 * i, op: "delete", output: true, outcome: "ok" }),
  );
  const { status, stdout } = check(["-"], [...writes, ...deletes].join("\n"));
  assert.equal(status, 1);
  assert.match(stdout, /shown by 51 of 51 operations\nclient 25's DELETE k ran .* and removed it, and with the 50 other operations/);
  assert.match(stdout, /\nand 1 more\n$/);
});

test("a history beyond the search's limits is undecided: status 7", () => {
  const line = (fields: object): string => JSON.stringify({ client: 1, key: "k", input: null, output: null, outcome: "ok", ...fields });
  // Each value is written by four of very many concurrent writes, then read once: no order explains that, and none is quickly excluded.
  const writes = Array.from({ length: 60 }, (_, i) => line({ start_ns: i, end_ns: 1000 + i, op: "put", input: `v${i % 15}` }));
  const reads = Array.from({ length: 15 }, (_, i) => line({ start_ns: 2000 + 2 * i, end_ns: 2001 + 2 * i, op: "get", output: `v${i}` }));
  const { status, stdout } = check(["-", "--steps", "20000"], [...writes, ...reads].join("\n"));
  assert.match(stdout, /^stdin: undecided: at key k the search reached its limit of steps; no other key is bad\ntry: more --steps/);
  assert.equal(status, 7);
});
