/**
 * The campaign itself: a short one comes to its end and finds nothing wrong, one that is interrupted leaves nothing behind, and a history
 * that is wrong, or a key that changed after its window, is told. Where the system has no network namespaces the short one runs on the
 * loopback interface, and says so.
 */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { seedPrng } from "../../src/base/prng.js";
import type { Operation } from "../../src/sim/workload/operation.js";
import { withCluster } from "../support/cluster.js";
import { whyNoNamespaces } from "../support/cut-network.js";
import { ending, startProgram } from "../support/processes.js";
import { until } from "../support/wait.js";
import { Nemesis } from "./nemesis.js";
import { type Abilities, type Fault, type FaultKind, Plan, type Round } from "./plan.js";
import { Windows } from "./windows.js";

const MAIN = fileURLToPath(new URL("main.js", import.meta.url));
const INTERRUPTED_MS = 30_000;

/** Starts a campaign whose folder is made in `scratch`. */
function start(scratch: string, ...flags: readonly string[]) {
  const child = startProgram("env", [`TMPDIR=${scratch}`, process.execPath, MAIN, ...flags]);
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  }
  return { child, output: () => output };
}

function scratchFolder(t: TestContext): string {
  const scratch = mkdtempSync(join(tmpdir(), "synod-test-"));
  t.after(() => rmSync(scratch, { recursive: true, force: true }));
  return scratch;
}

test("a short campaign comes to its end, loses nothing, and leaves nothing behind", { timeout: 240_000 }, async (t) => {
  const obstacle = whyNoNamespaces();
  if (obstacle !== null) {
    t.diagnostic(`SKIPPED: faults of the network and of full disks, for want of network namespaces: ${obstacle}`);
  }
  const scratch = scratchFolder(t);
  const { child, output } = start(scratch, "--minutes", "0.2", "--servers", "3", "--seed", "1");
  const { status } = await ending(child);
  assert.equal(status, 0, output());
  assert.match(output(), /^linearizable: yes: [1-9]/m);
  assert.match(output(), /^lost writes: 0$/m);
  assert.match(output(), /^writes of keys of their own: [1-9]\d* acknowledged/m);
  assert.match(output(), /^faults: [1-9]/m, "a campaign in which nothing happened shows nothing");
  assert.deepEqual(readdirSync(scratch), []);
  t.diagnostic(output());
});

test("an interrupted campaign removes what it made", { timeout: 60_000 }, async (t) => {
  const scratch = scratchFolder(t);
  const { child, output } = start(scratch, "--minutes", "10", "--servers", "3", "--seed", "1");
  await until("the campaign to do something", () => {
    const [folder] = readdirSync(scratch);
    return folder !== undefined && existsSync(join(scratch, folder, "deeds.log")) ? true : null;
  });
  child.kill("SIGINT");
  const timer = setTimeout(() => child.kill("SIGKILL"), INTERRUPTED_MS);
  const { status } = await ending(child);
  clearTimeout(timer);
  assert.equal(status, 1, output());
  assert.match(output(), /interrupted/);
  assert.deepEqual(readdirSync(scratch), []);
});

test("wrong flags are told with what is allowed", async (t) => {
  const scratch = scratchFolder(t);
  for (const [flags, expected] of [
    [["--servers", "99"], /--servers 99: give a whole number from 1 to 9/],
    [["--minutes", "soon"], /--minutes soon: give a number from 0\.1 to 1440/],
    [["--hours", "1"], /Unknown option '--hours'[\s\S]*try: npm run campaign/],
  ] as const) {
    const { child, output } = start(scratch, ...flags);
    const { status } = await ending(child);
    assert.equal(status, 128, output());
    assert.match(output(), expected);
  }
});

test("the plan is the seed's, deals every kind that the machine can do, and never wipes a majority", () => {
  const abilities: Abilities = { servers: 5, hasNetwork: true, canLose: true, smallDisks: [1, 3] };
  const rounds = (given: Abilities) => {
    const plan = new Plan(seedPrng(3), given);
    return Array.from({ length: 60 }, () => plan.nextRound());
  };
  const kindsOf = (given: Abilities): ReadonlySet<FaultKind> =>
    new Set(rounds(given).flatMap(({ faults }) => faults.map(({ fault }) => fault.kind)));
  assert.deepEqual(rounds(abilities), rounds(abilities));
  assert.equal(kindsOf(abilities).size, 16);
  const poor = kindsOf({ servers: 2, hasNetwork: false, canLose: false, smallDisks: [] });
  assert.deepEqual([...poor].sort(), ["kill", "kill-all", "pause", "pause-majority", "rolling-restart"]);
  for (const { faults, needsWhole } of rounds({ ...abilities, servers: 3 })) {
    const losses = faults.filter(({ fault }) => fault.kind === "wipe" || fault.kind === "remove");
    assert.ok(losses.length <= 1 && needsWhole === losses.length > 0);
  }
});

test("members that lost their disk or were removed are back under new ids when a round is over", { timeout: 120_000 }, async (t) => {
  await withCluster({ size: 3, settings: { remove_after_ms: 3000, stable_ms: 500 } }, async (cluster) => {
    const nemesis = new Nemesis({ cluster, network: null, disks: new Map(), tell: (text) => t.diagnostic(text) });
    const round = (fault: Fault): Round => ({ needsWhole: true, faults: [{ afterMs: 0, fault }], calmMs: 0 });
    await nemesis.rage(round({ kind: "remove", target: "coordinator", ms: 100, promotes: true }));
    await nemesis.rage(round({ kind: "remove", target: 1, ms: 100, promotes: false }));
    await nemesis.rage(round({ kind: "wipe", target: 2, ms: 100 }));
    await nemesis.rage(round({ kind: "handover", heir: null }));
    await nemesis.rage(round({ kind: "move-tie-break", to: 0 }));
    assert.deepEqual(
      [...nemesis.done],
      [
        ["remove", 2],
        ["wipe", 1],
        ["handover", 1],
        ["move-tie-break", 1],
      ],
    );
    const ids = await Promise.all(cluster.servers.map(async ({ index }) => Number((await cluster.statusOf(index)).replicaId)));
    assert.equal(Math.max(...ids), 6, `three of ${ids} are new`);
    const client = cluster.client();
    await client.put("after", "all that");
    assert.equal(await client.get("after"), "all that");
  });
});

test("a bad window is told and kept, and so is a key that changed afterwards", { timeout: 60_000 }, async (t) => {
  const scratch = scratchFolder(t);
  const times = { client: 0, server: 0, outcome: "ok", output: { revision: null } } as const;
  const good: Operation = { ...times, key: "w1-k0", input: { op: "put", value: "c0.1" }, start: 1, end: 2 };
  const late: Operation = { ...good, input: { op: "put", value: "c0.2" }, start: 3, end: null, outcome: "unknown", output: null };
  const stale: Operation = { ...times, key: "w2-k0", input: { op: "get" }, output: { value: "c9.9", revision: null }, start: 1, end: 2 };
  await withCluster({ size: 1 }, async (cluster) => {
    const out = join(scratch, "all.jsonl");
    const windows = new Windows(scratch, out);
    const client = cluster.client();
    await windows.check({ number: 1, operations: [good, late], last: new Map([["w1-k0", "c0.1"]]) });
    assert.deepEqual([windows.violations, readdirSync(scratch)], [[], ["all.jsonl"]]);
    for (const [value, problems] of [
      ["c0.1", 0],
      ["c0.2", 0],
      ["c7.7", 1],
    ] as const) {
      await client.put("w1-k0", value);
      assert.equal((await windows.look(client)).length, problems, value);
    }
    await windows.check({ number: 2, operations: [stale], last: new Map([["w2-k0", null]]) });
    assert.match(windows.violations.join(), /not linearizable: key w2-k0/);
    assert.ok(existsSync(join(scratch, "history-2.jsonl")));
  });
});
