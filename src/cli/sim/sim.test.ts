/**
 * `synod sim` as a user meets it: bin/synod as a process of its own with short seeds, its exit status, output and files; and the bar of
 * progress against a made-up screen. A planted bug stands for a violation.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { newTotals } from "../../sim/batch.js";
import { COVERAGE_GATES, COVERAGE_SEEDS_MIN, RARE_SEEDS_MIN } from "../../sim/checkers/coverage.js";
import { drawScenario } from "../../sim/scenario/draw.js";
import { simOptions } from "./options.js";
import { makeProgress } from "./progress.js";
import { readReplay } from "./replay-file.js";
import { renderReport } from "./report.js";
import { summarize } from "./summary.js";

const ROOT = fileURLToPath(new URL("../../../../", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "synod-sim-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** A line of --json: of a seed, or the last one. */
type Line = { readonly [name in "seed" | "violation" | "summary" | "seeds" | "isWhole" | "violations"]?: unknown };
type Run = { readonly code: number | null; readonly stdout: string; readonly stderr: string };

/** Runs the command in an empty folder; `onOutput` is told of what has come so far. */
function sim(args: readonly string[], onOutput: (stdout: string, kill: () => void) => void = () => undefined): Promise<Run> {
  const child = spawn(process.execPath, [join(ROOT, "bin/synod"), "sim", ...args], { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
  const output = { stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output.stdout += text;
    onOutput(output.stdout, () => child.kill("SIGINT"));
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    output.stderr += text;
  });
  return new Promise((resolve) => child.on("close", (code) => resolve({ code, ...output })));
}

test("wrong flags are named, with what would be right", () => {
  const cases: ReadonlyArray<readonly [Readonly<Record<string, unknown>>, RegExp]> = [
    [{ seed: "x" }, /^--seed is 'x', and must be a whole number from 0 to /],
    [{ seed: "-1" }, /^--seed is '-1'/],
    [{ seeds: "0" }, /^--seeds is '0', and must be a whole number from 1 to /],
    [{ servers: "8" }, /^--servers is '8', and must be a whole number from 1 to 7$/],
    [{ minutes: "0" }, /^--minutes is '0', and must be a number above 0/],
    [{ minutes: "1h" }, /^--minutes is '1h'/],
    [{ faults: "dorp" }, /^--faults has 'dorp', which is no kind of fault\. Families .*network \(drop .*clock \(/],
    [{ faults: "" }, /^--faults is ''/],
    [{ faults: "none,drop" }, /^--faults is 'none,drop'/],
    [{ demo: "partitoin" }, /^--demo is 'partitoin', and must be partition or restart$/],
    [{ pulse: true }, /^--pulse goes with --trace/],
    [{ quorum: "live" }, /^--quorum goes with --demo/],
    [{ demo: "restart", seed: "1" }, /^--seed does not go with --demo/],
    [{ demo: "restart", replay: "f" }, /^--replay does not go with --demo/],
    [{ replay: "f", faults: "drop" }, /^--faults does not go with --replay/],
  ];
  for (const [flags, message] of cases) {
    assert.throws(() => simOptions(flags), { message, exitCode: 128 });
  }
  assert.throws(() => simOptions({ faults: "dorp" }), { hint: "synod sim --faults drop" });
  assert.throws(() => simOptions({ demo: "partitoin" }), { hint: "synod sim --demo partition" });
});

test("flags and their defaults", () => {
  const { seed, seeds, shrink, faults, minutes, servers } = simOptions({});
  assert.deepEqual([seed, seeds, shrink, faults, minutes, servers], [1, 10, "auto", null, null, null]);
  assert.equal(simOptions({ seed: "7" }).seeds, 1, "a seed alone is run alone");
  assert.equal(simOptions({ seed: "7", seeds: "3" }).seeds, 3);
  assert.equal(simOptions({ shrink: true }).shrink, "full");
  assert.equal(simOptions({ shrink: false }).shrink, "off");
  assert.deepEqual(simOptions({ faults: "clock, kill,jump" }).faults, ["kill", "rate", "jump", "suspend"]);
  assert.deepEqual(simOptions({ faults: "none" }).faults, []);
});

test("clean seeds: status 0, what was seen, and the trace on request", async () => {
  const { code, stdout } = await sim(["--seeds", "2", "--minutes", "0.1", "--servers", "3", "--trace", "run.txt"]);
  assert.equal(code, 0);
  assert.match(stdout, /^2 seeds, no violation\n.* of virtual time in .*\n\d+ slots decided, /);
  assert.match(stdout, /What was seen:\n(.*\n)+.*Coverage is not judged: --faults and --servers leave cases out on purpose\.\n$/);
  const trace = readFileSync(join(folder, "run.txt"), "utf8");
  assert.match(trace, /^== seed 1: .*, 3 servers\n/);
  assert.match(trace, /\n== seed 2: /);
});

test("JSON: a line for each seed, and one for all; the same seed gives the same trace hash", async () => {
  const { code, stdout } = await sim(["--seed", "3", "--seeds", "2", "--minutes", "0.1", "--json"]);
  assert.equal(code, 0);
  const lines = stdout.trimEnd().split("\n");
  assert.equal(lines.length, 3);
  const [third, fourth, all] = lines.map((line) => JSON.parse(line) as Line);
  assert.deepEqual([third?.seed, third?.violation, fourth?.seed], [3, null, 4]);
  assert.deepEqual([all?.summary, all?.seeds, all?.isWhole, all?.violations], [true, 2, true, 0]);
  const again = await sim(["--seed", "4", "--minutes", "0.1", "--json"]);
  assert.equal(again.stdout.split("\n")[0], lines[1]);
});

test("a violation: status 1, a report a person can read, and a file that replays it", async () => {
  const { code, stdout, stderr } = await sim(["--mutant", "2", "--seed", "4", "--minutes", "0.25", "--servers", "5"]);
  assert.equal(code, 1);
  assert.match(stderr, /Making seed 4 smaller/);
  assert.match(stdout, /\nViolation of invariant 14, seed 4, (commit [0-9a-f]{12}|version )/);
  assert.match(stdout, /\nShrunk from \d+ faults to 0 faults in \d+ runs: \d servers?, 1 client, /);
  assert.match(stdout, /\nTranscript.*:\n +0\.\d\d\d {2}-- n1 is started, life 1\n/);
  assert.match(stdout, /\nTo replay the whole run: {3}synod sim --seed 4 --mutant 2 --minutes 0\.25 --servers 5\n/);
  const file = /To replay the shrunk run: {2}synod sim --replay (\S+)\n/.exec(stdout)?.[1] ?? "";
  assert.ok(file.endsWith("synod-sim-4.json"), file);
  const replayed = await sim(["--replay", file, "--trace", "replay.txt"]);
  assert.equal(replayed.code, 1);
  assert.match(replayed.stdout, /\nViolation of invariant 14, seed 4, /);
  assert.match(readFileSync(join(folder, "replay.txt"), "utf8"), /n1 is started/);
  const text = readFileSync(file, "utf8");
  writeFileSync(join(folder, "well.json"), text.replace('"mutant": "2"', '"mutant": null'));
  const well = await sim(["--replay", "well.json"]);
  assert.deepEqual([well.code, /^No violation: .* It broke invariant 14 once\.\n$/.test(well.stdout)], [0, true]);
  writeFileSync(join(folder, "bad.json"), text.replace('"servers": ', '"servers": "many", "x": '));
  const bad = await sim(["--replay", "bad.json"]);
  assert.equal(bad.code, 3);
  assert.match(bad.stderr, /^Error: --replay bad\.json is no scenario: scenario\.servers .*\ntry: the file that a failing synod sim wrote/);
  assert.equal((await sim(["--replay", "nowhere.json"])).code, 6);
});

test("an interrupt ends with the summary, status 5", async () => {
  let isKilled = false;
  const { code, stdout } = await sim(["--seeds", "100000", "--minutes", "0.1", "--faults", "none", "--json"], (text, kill) => {
    if (!isKilled && text.includes("\n")) {
      isKilled = true;
      kill();
    }
  });
  assert.equal(code, 5);
  const last = JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "") as Line;
  assert.deepEqual([last.summary, last.isWhole], [true, false]);
});

test("a demonstration prints what is recorded", async () => {
  const { code, stdout } = await sim(["--demo", "restart"]);
  assert.equal(code, 0);
  const recorded = (rule: string): string => readFileSync(join(ROOT, `src/sim/demos/testdata/restart-${rule}.txt`), "utf8");
  assert.equal(stdout, `${recorded("live")}\n\n${recorded("majority")}`);
});

test("progress: a bar on a terminal, few lines elsewhere", () => {
  const draw = (isTTY: boolean): readonly string[] => {
    const written: string[] = [];
    let now = 0;
    const screen = { isTTY, columns: 60, write: (text: string) => written.push(text) };
    const progress = makeProgress(screen, 200, () => now);
    const totals = newTotals();
    for (let i = 0; i < 100; i++) {
      now += 70;
      totals.seeds++;
      totals.virtualMicros += 60_000_000;
      progress.update(totals);
    }
    progress.clear();
    return written;
  };
  const bar = draw(true);
  assert.equal(bar.length, 51, "every other seed is too soon, and the bar goes away in the end");
  assert.match(bar[49] ?? "", /^\r.\[K\[#{12}\.{12}\] 100\/200 seeds, 14\.3 seeds/);
  assert.ok(bar.every((text) => text.length <= 60 + 4));
  const lines = draw(false);
  assert.equal(lines.length, 1);
  assert.match(
    lines[0] ?? "",
    /^72\/200 seeds, 14\.3 seeds\/s, 1 h 12 m of virtual time in 5 s \(857x\), violations 0, .*faults: network 0 disk 0 process 0 clock 0 members 0\n$/,
  );
});

test("a batch that never saw a case fails, where it is large enough to be judged", () => {
  const totals = newTotals();
  const run = { elapsedMs: 1000, isWhole: true, broken: new Map() };
  assert.deepEqual(summarize(totals, simOptions({}), run).missing, []);
  totals.seeds = RARE_SEEDS_MIN;
  assert.deepEqual(summarize(totals, simOptions({}), run).missing, COVERAGE_GATES);
  totals.seeds = COVERAGE_SEEDS_MIN;
  const common = summarize(totals, simOptions({}), run).missing;
  const rare = COVERAGE_GATES.filter((name) => !common.includes(name));
  assert.ok(rare.includes("stale entry") && rare.length < COVERAGE_GATES.length / 10, `demanded from ${RARE_SEEDS_MIN} seeds on: ${rare}`);
  assert.deepEqual(summarize(totals, simOptions({ servers: "3" }), run).missing, []);
  assert.deepEqual(summarize(totals, simOptions({}), { ...run, isWhole: false }).missing, []);
  for (const name of COVERAGE_GATES.slice(1)) {
    totals.tally.add(name);
  }
  const broken = new Map([["liveness", Array.from({ length: 22 }, (_, i) => i)]]);
  const { text, missing } = summarize(totals, simOptions({}), { ...run, broken });
  assert.match(text, /\n {2}liveness: seeds 0 1 .* 19 and 2 more\n/);
  assert.deepEqual(missing, COVERAGE_GATES.slice(0, 1));
  assert.match(text, new RegExp(`Coverage: these cases were never seen: ${COVERAGE_GATES[0]}\n$`));
});

test("a report without shrinking lists the whole schedule, up to a bound", () => {
  const scenario = drawScenario(1);
  const faults = Array.from({ length: 50 }, (_, i) => ({ kind: "kill", at: i, forMs: 10, server: 0 }) as const);
  const text = renderReport({
    scenario: { ...scenario, faults, held: [], left: [1] },
    violation: { invariant: "liveness", message: "nothing\nmoves", at: 2_500_000 },
    revision: "version 1.2.3",
    command: "synod sim --seed 1",
    shrunk: null,
    transcript: ["a", "b"],
    lines: 9,
  });
  assert.match(text, /^\nViolation of liveness, seed 1, version 1\.2\.3\n {2}nothing\n {2}moves\n {2}at 2\.500 s of virtual time, /);
  assert.match(
    text,
    /\nSchedule \(50 faults\):\n {2}at 0\.000 s for 10 ms: n1 is to be killed\n(.*\n){39} {2}and 10 more\n {2}in the healing n2 stay away; /,
  );
  assert.match(
    text,
    /\nTranscript, its last 2 lines \(all 9 of them: synod sim --seed 1 --trace FILE\):\na\nb\n\nTo replay the whole run: {3}synod sim --seed 1\n$/,
  );
});

test("files are checked before they are believed", () => {
  const path = join(folder, "other.json");
  writeFileSync(path, "{");
  assert.throws(() => readReplay(path), { exitCode: 3, message: /cannot be read/ });
  writeFileSync(path, JSON.stringify({ format: 2, invariant: null, mutant: null, scenario: {} }));
  assert.throws(() => readReplay(path), { exitCode: 3, message: /is no scenario: format/ });
});
