/**
 * Shrinking with made-up failures: whatever the failure needs stays, everything else goes, nothing is returned that was not seen to
 * fail, and the budget holds. `fails` looks at the scenario only; no run takes place.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Fault } from "../scenario/faults.js";
import type { Scenario } from "../scenario/scenario.js";
import { minimize } from "./minimize.js";
import { PLAIN_SETTINGS, PLAIN_SPEEDS } from "./plainer.js";
import { shrink } from "./shrink.js";

const kill = (at: number, server: number): Fault => ({ kind: "kill", at, forMs: 800, server });
const cut = (at: number, from: number, to: number): Fault => ({ kind: "cut", at, forMs: 2000, links: { from: [from], to: [to] } });

const FAULTS: readonly Fault[] = [
  kill(1000, 0),
  cut(1500, 0, 1),
  { kind: "drop", at: 2000, forMs: 9000, links: { from: [0, 1, 2, 3, 4], to: [0, 1, 2, 3, 4] }, chance: 0.1 },
  kill(3000, 1),
  {
    kind: "split",
    at: 4000,
    forMs: 1000,
    groups: [
      [0, 1],
      [2, 3, 4],
    ],
  },
  cut(5000, 1, 0),
  { kind: "rate", at: 6000, forMs: 1000, server: 2, ppm: 5000 },
  kill(7000, 4),
  { kind: "stall", at: 8000, forMs: 100, server: 3 },
];

const SCENARIO: Scenario = {
  name: "swarm",
  seed: 7,
  servers: 5,
  spares: 0,
  durationMs: 60_000,
  settings: { ...PLAIN_SETTINGS, keepSlots: 1, windowSlots: 2 },
  speeds: { ...PLAIN_SPEEDS, diskMax: 9999 },
  workload: {
    clients: 8,
    pauseMs: 10,
    keys: 20,
    valueBytes: 300,
    timeoutMs: 1000,
    retries: 3,
    weights: { get: 3, put: 3, delete: 1, cas: 1 },
    loyalty: 0.5,
    abandon: 0.05,
    sessions: false,
  },
  faults: FAULTS,
  held: [],
  core: [0, 1, 2, 3, 4],
  left: [],
};

const has = (scenario: Scenario, kind: Fault["kind"], at: number): boolean =>
  scenario.faults.some((fault) => fault.kind === kind && fault.at === at);

test("two faults that are needed together stay, and the rest becomes plain", async () => {
  const seen: Scenario[] = [];
  const { scenario, at, runs } = await shrink(SCENARIO, 9_000_000, {
    fails: async (candidate) => {
      const failing = has(candidate, "kill", 3000) && has(candidate, "cut", 5000);
      if (failing) {
        seen.push(candidate);
      }
      return failing ? { at: 5_500_000 } : null;
    },
  });
  assert.deepEqual(
    scenario.faults.map((fault) => [fault.kind, fault.at]),
    [
      ["kill", 3000],
      ["cut", 5000],
    ],
  );
  assert.equal(at, 5_500_000);
  assert.ok(scenario.durationMs <= 5501, `${scenario.durationMs}`);
  assert.equal(scenario.workload.clients, 1);
  assert.equal(scenario.workload.keys, 1);
  assert.deepEqual(scenario.settings, PLAIN_SETTINGS);
  assert.deepEqual(scenario.speeds, PLAIN_SPEEDS);
  assert.ok(scenario.servers < 5);
  assert.ok(scenario.faults.every((fault) => fault.forMs <= 100));
  assert.ok(seen.includes(scenario), "what is returned was seen to fail");
  assert.ok(runs < 200, `${runs} runs`);
});

test("what the failure needs of settings and clients stays", async () => {
  const { scenario } = await shrink(SCENARIO, 60_000_000, {
    fails: async ({ workload, settings, servers }) =>
      workload.clients >= 3 && settings.keepSlots === 1 && servers === 5 ? { at: 65_000_000 } : null,
  });
  assert.deepEqual(scenario.faults, []);
  assert.equal(scenario.workload.clients, 3);
  assert.deepEqual(scenario.settings, { ...PLAIN_SETTINGS, keepSlots: 1 });
  assert.ok(scenario.durationMs < 2000, "a failure after the faults is looked for in shorter runs");
});

test("one that fails no more is returned as it was, and budgets end the search", async () => {
  const never = await shrink(SCENARIO, 1, { fails: async () => null, runsMax: 10 });
  assert.equal(never.scenario, SCENARIO);
  assert.equal(never.runs, 10);
  let runs = 0;
  const stopped = await shrink(SCENARIO, 1, {
    fails: async () => {
      runs++;
      return { at: 1 };
    },
    keepGoing: () => runs < 3,
  });
  assert.equal(stopped.runs, 3);
});

test("fewer servers: faults lose those that are gone, and a quorum stays whole", async () => {
  const wiped: Fault = { kind: "wipe", at: 10, forMs: 0, server: 0 };
  const split: Fault = {
    kind: "split",
    at: 20,
    forMs: 1000,
    groups: [
      [0, 4],
      [1, 2, 3],
    ],
  };
  const { scenario } = await shrink({ ...SCENARIO, faults: [wiped, split] }, 1000, {
    fails: async ({ faults }) =>
      faults.some(({ kind }) => kind === "wipe") && faults.some(({ kind }) => kind === "split") ? { at: 1 } : null,
  });
  assert.equal(scenario.servers, 3, "one wiped disk of two would be no minority");
  assert.deepEqual(scenario.core, [0, 1, 2]);
  assert.deepEqual(scenario.faults[1], { ...split, forMs: 63, groups: [[0], [1, 2]] });
});

test("minimize leaves a sublist that no single item can leave", async () => {
  const items = Array.from({ length: 40 }, (_, i) => i);
  for (const needed of [[], [0], [39], [3, 17], [0, 1, 2, 38, 39], items]) {
    const left = await minimize(items, async (part) => needed.every((item) => part.includes(item)));
    assert.deepEqual(left, needed);
  }
});
