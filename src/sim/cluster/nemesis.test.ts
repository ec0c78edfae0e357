/**
 * How long processes stay down: whole runs of a cluster with one or two faults, their starts and deaths as observers hear them. A crash that was
 * planned and did not come leaves nothing behind, and a process that ended by itself is started again, as a supervisor would.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { runScenario } from "../run.js";
import { drawScenario } from "../scenario/draw.js";
import type { Fault } from "../scenario/faults.js";
import { drain } from "../testing/drain.js";

type Told = { readonly ms: number; readonly what: string };

/** Starts and deaths of the first server under `faults`, the first start left out. */
async function livesUnder(faults: readonly Fault[]): Promise<readonly Told[]> {
  const told: Told[] = [];
  const tell = (at: number, server: number, what: string): void => {
    if (server === 0 && at < DURATION_MS * 1000) {
      told.push({ ms: Math.floor(at / 1000), what });
    }
  };
  const base = drawScenario(1, { servers: 3, minutes: 0.25, faults: [] });
  const scenario = { ...base, durationMs: DURATION_MS, faults, core: [0, 1, 2], left: [] };
  const observer = {
    started: (at: number, server: number): void => tell(at, server, "starts"),
    ended: (at: number, server: number, how: string): void => tell(at, server, how),
  };
  const { violation } = await runScenario(scenario, { drain, observers: [observer] });
  equal(violation, null, violation?.message);
  return told.slice(1);
}

const DURATION_MS = 12_000;
const KILL: Fault = { kind: "kill", at: 4000, forMs: 5000, server: 0 };

function crash(count: number, at: number, forMs: number): Fault {
  return { kind: "crashAt", at, forMs, server: 0, plan: { boundary: null, count, after: false }, power: true, downMs: 100 };
}

test("a planned crash comes, and the process is back when it is due", async () => {
  const told = await livesUnder([crash(3, 4000, 5000)]);
  deepEqual(
    told.map(({ what }) => what),
    ["crashes at a boundary", "starts"],
  );
  const [died, back] = told;
  ok(died !== undefined && back !== undefined && died.ms < 5000 && back.ms - died.ms >= 100 && back.ms - died.ms <= 101);
});

test("a planned crash that did not come, or came too late, does not shorten another death", async () => {
  for (const planned of [crash(1_000_000, 3000, 500), crash(1_000_000, 3000, 8000)]) {
    deepEqual(await livesUnder([planned, KILL]), [
      { ms: 4000, what: "is killed" },
      { ms: 9000, what: "starts" },
    ]);
  }
});

test("a process that its disk ended is started again", async () => {
  const told = await livesUnder([{ kind: "failSync", at: 4000, forMs: 6000, server: 0 }]);
  deepEqual(
    told.map(({ what }) => what),
    ["ends with exit status 74", "starts"],
  );
  equal((told[1]?.ms ?? 0) - (told[0]?.ms ?? 0), 1000);
});
