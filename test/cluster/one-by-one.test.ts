/**
 * Five servers fail one after another by kill -9, each after the change before is settled, and writers go on meanwhile. Followers may
 * fail down to one. The coordinator may fail each time down to two: of those the one that breaks ties is needed, and everybody says so.
 * No write fails, none is lost, and all that come back vote again.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { StoreError } from "../../src/client/index.js";
import { type Cluster, withCluster } from "../support/cluster.js";
import type { Load } from "../support/load.js";
import type { ServerProcess } from "../support/server-process.js";
import { until } from "../support/wait.js";

const ALL = [0, 1, 2, 3, 4];
const WRITERS = 8;
const PACE_MS = 10;
/** Of one write; far longer than any take-over. */
const PATIENCE_MS = 30_000;
/** Acknowledged between two faults. */
const WRITES_A_STEP = 40;
const SETTINGS = { remove_after_ms: 1500, stable_ms: 500 };

test("five servers are killed one by one, and come back", { timeout: 180_000 }, async (t) => {
  await withCluster({ size: 5, settings: SETTINGS }, async (cluster) => {
    await cluster.step(t, "followers are killed down to one, and writes go on", followersDownToOne);
    await cluster.step(t, "the coordinator is killed each time down to two, and the block names whom to start", coordinatorsDownToTwo);
  });
});

async function followersDownToOne(cluster: Cluster): Promise<void> {
  const coordinator = cluster.serverAt((await cluster.awaitVoters(ALL)).paxosAddress);
  const load = loadOf(cluster, "followers");
  await load.awaitAcknowledged(WRITES_A_STEP);
  const alive = new Set(ALL);
  for (const victim of cluster.others(coordinator.index)) {
    alive.delete(victim.index);
    await victim.kill();
    const { paxosAddress } = await cluster.awaitVoters([...alive]);
    assert.equal(paxosAddress, coordinator.paxosAddress, "the death of a follower changes no coordinator");
    await load.awaitAcknowledged(WRITES_A_STEP);
  }
  const { warnings, voters } = await cluster.statusOf(coordinator.index);
  assert.deepEqual(
    voters.map((voter) => voter.paxosAddress),
    [coordinator.paxosAddress],
  );
  assert.ok(
    warnings.some((text) => text.startsWith(`One voter is left, ${coordinator.paxosAddress}`)),
    warnings.join(" "),
  );
  await until("the log to warn of it", () => (coordinator.log.includes("One voter is left") ? true : null));
  await load.stop();
  await load.verifyContents(cluster.clientOf(coordinator.index));
  assertNoneFailed(load);
  await allReturn(cluster, load);
}

async function coordinatorsDownToTwo(cluster: Cluster): Promise<void> {
  const load = loadOf(cluster, "coordinators");
  await load.awaitAcknowledged(WRITES_A_STEP);
  const alive = new Set(ALL);
  const dead: ServerProcess[] = [];
  while (alive.size > 2) {
    const victim = cluster.serverAt((await cluster.awaitVoters([...alive])).paxosAddress);
    alive.delete(victim.index);
    dead.push(victim);
    await victim.kill();
    await cluster.awaitVoters([...alive]);
    await load.awaitAcknowledged(WRITES_A_STEP);
  }
  await load.stop();
  assertNoneFailed(load);
  await lastOfTwo(cluster, [...alive], dead);
  await allReturn(cluster, load);
}

/** Of the last two the coordinator, which breaks ties, is killed. */
async function lastOfTwo(cluster: Cluster, alive: readonly number[], dead: readonly ServerProcess[]): Promise<void> {
  const needed = cluster.serverAt((await cluster.awaitVoters(alive)).paxosAddress);
  const [survivor = -1] = alive.filter((index) => index !== needed.index);
  await needed.kill();
  const namesNeeded = (text: string): boolean => text.includes(`start ${needed.paxosAddress}.`);
  const { blocked } = await cluster.awaitStatus(survivor, "blocked", (status) => status.blocked !== "");
  assert.ok(namesNeeded(blocked), blocked);
  await assert.rejects(cluster.clientOf(survivor).put("one of two", "refused", { timeoutMs: 2000 }), (error) => {
    assert.ok(error instanceof StoreError && namesNeeded(error.message), String(error));
    return true;
  });
  await until("the survivor's log to name it", () => (namesNeeded(cluster.server(survivor).log) ? true : null));

  // One that is a voter no more does not help, though it voted once: it learns so, and names the same server.
  const [former] = dead;
  assert.ok(former !== undefined, "others were killed before");
  former.start();
  const seen = await cluster.awaitStatus(former.index, "an observer", ({ role }) => role === "observer");
  assert.ok(namesNeeded(seen.blocked), seen.blocked);
  await cluster.awaitStatus(survivor, "hears it", ({ live }) => live.includes(former.paxosAddress));
  const still = await cluster.statusOf(survivor);
  assert.ok(namesNeeded(still.blocked), still.blocked);

  needed.start();
  await cluster.awaitCoordinator([cluster.server(survivor), needed]);
  await cluster.clientOf(survivor).put("two again", "written");
}

/** All that were killed start, catch up, vote, and hold the same. */
async function allReturn(cluster: Cluster, load: Load): Promise<void> {
  const [first = -1, ...others] = cluster.servers.filter((server) => !server.running).map((server) => server.index);
  cluster.start(first, ...others);
  await cluster.awaitVoters(ALL);
  await cluster.awaitEqual();
  await load.verifyContents(cluster.clientOf(first));
}

function loadOf(cluster: Cluster, name: string): Load {
  return cluster.load({ writers: WRITERS, name, paceMs: PACE_MS, timeoutMs: PATIENCE_MS });
}

/** Every write found its way, through another server where its own was killed. */
function assertNoneFailed(load: Load): void {
  assert.deepEqual([...load.refused.values(), ...load.unknown.keys()].map(String), [], "writes that failed or are in doubt");
}
