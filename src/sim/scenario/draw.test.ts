/**
 * What seeds draw, over many of them: the same seed draws the same scenario; who must be well after the healing can be, and who must not
 * decide cannot; disks are damaged only where others hold a quorum; and what is meant to be drawn now and then is.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { drawScenario } from "./draw.js";
import { isDiskFault } from "./faults.js";
import { range } from "./random.js";
import { SCHEDULE_NAMES } from "./schedules.js";

const SEEDS = 1500;
const DAMAGE: readonly string[] = ["wipe", "misdirect", "rot", "restoreOld"];

/** As PROTOCOL §1.2 weighs voters: the first has the tie-break. */
function isQuorum(servers: readonly number[], of: number): boolean {
  const weight = servers.reduce((sum, server) => sum + (server === 0 ? 3 : 2), 0);
  return 2 * weight > 2 * of + 1;
}

test("the same seed draws the same scenario, plain enough for JSON", () => {
  for (const seed of [1, 2, 5, 7, 10, 33]) {
    deepEqual(drawScenario(seed), drawScenario(seed));
    deepEqual(JSON.parse(JSON.stringify(drawScenario(seed))), drawScenario(seed));
  }
});

test("a core is a quorum of undamaged disks, or there is none and what is left is no quorum", () => {
  let halves = 0;
  let blockedHalves = 0;
  let crowds = 0;
  const schedules = new Set<string>();
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { name, servers, core, left, faults, durationMs, workload } = drawScenario(seed);
    const times = faults.map(({ at }) => at);
    deepEqual(
      times,
      [...times].sort((a, b) => a - b),
    );
    if (name !== "swarm") {
      schedules.add(name);
      continue;
    }
    deepEqual(
      [...core, ...left].sort((a, b) => a - b).filter((server) => core.length > 0 || left.includes(server)),
      core.length > 0 ? range(servers) : [...left],
      `seed ${seed}`,
    );
    const rest = range(servers).filter((server) => !left.includes(server));
    equal(isQuorum(rest, servers), core.length > 0, `seed ${seed}: core ${core} of ${servers}`);
    ok(
      faults.every((fault) => !isDiskFault(fault) || !DAMAGE.includes(fault.kind) || !core.includes(fault.server)),
      `seed ${seed}`,
    );
    ok(times.every((at) => at < durationMs));
    halves += 2 * core.length === servers ? 1 : 0;
    blockedHalves += core.length === 0 && 2 * left.length === servers ? 1 : 0;
    crowds += workload.clients > 8 ? 1 : 0;
  }
  ok(halves > 30 && blockedHalves > 0 && crowds > 30, `${halves} halves, ${blockedHalves} blocked ones, ${crowds} crowds`);
  deepEqual([...schedules].sort(), [...SCHEDULE_NAMES].sort());
});
