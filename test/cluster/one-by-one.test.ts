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
  const [killed, ...others] = cluster.others(coordinator.index);
  assert.ok(killed !== undefined, "followers were killed");
  cluster.start(killed.index, ...others.map(({ index }) => index));
  await allVoteAgain(cluster, load, killed);
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
  const [killed] = dead;
  assert.ok(killed !== undefined, "coordinators were killed");
  await lastOfTwo(cluster, [...alive], dead);
  await allVoteAgain(cluster, load, killed);
}

/** Of the last two the coordinator, which breaks ties, is killed: nobody else can stand in for it, in whatever numbers. */
async function lastOfTwo(cluster: Cluster, alive: readonly number[], dead: readonly ServerProcess[]): Promise<void> {
  const needed = cluster.serverAt((await cluster.awaitVoters(alive)).paxosAddress);
  const [last = -1] = alive.filter((index) => index !== needed.index);
  const survivor = cluster.server(last);
  await needed.kill();
  const namesNeeded = (text: string): boolean => text.includes(`start ${needed.paxosAddress}.`);
  const { blocked } = await cluster.awaitStatus(last, "blocked", (status) => status.blocked !== "");
  assert.ok(namesNeeded(blocked), blocked);
  await assertRefused(cluster, last, namesNeeded);
  await until("the survivor's log to name it", () => (namesNeeded(survivor.log) ? true : null));

  // The power fails, and three of the five return, each with the configuration of when it was killed, by which they would be a quorum.
  await survivor.kill();
  cluster.start(...dead.map(({ index }) => index));
  const [first, second, third] = dead;
  assert.ok(first !== undefined && second !== undefined && third !== undefined, "three were killed before");
  for (const { index } of [first, second]) {
    await cluster.awaitStatus(index, "an observer, as the third knows", ({ role }) => role === "observer");
  }
  const isWaited = (text: string): boolean => text.includes(needed.paxosAddress) && text.includes(survivor.paxosAddress);
  await assertRefused(cluster, first.index, isWaited);
  await assertRefused(cluster, third.index, isWaited);

  // The survivor of the last two knows better still: now all four wait for the one.
  survivor.start();
  for (const { index } of [survivor, ...dead]) {
    await cluster.awaitStatus(index, "names whom to start", (status) => namesNeeded(status.blocked));
  }
  await assertRefused(cluster, third.index, namesNeeded);
  needed.start();
  await cluster.awaitCoordinator([survivor, needed]);
  await cluster.clientOf(last).put("two again", "written");
}

/** A write through this server alone fails, and says why. */
async function assertRefused(cluster: Cluster, index: number, saysWhy: (text: string) => boolean): Promise<void> {
  await assert.rejects(cluster.clientOf(index).put("refused", "never written", { timeoutMs: 2000 }), (error) => {
    assert.ok(error instanceof StoreError && saysWhy(error.message), String(error));
    return true;
  });
}

/** All that were killed run again: they catch up, vote, and hold the same, and one that was killed answers for what was written meanwhile. */
async function allVoteAgain(cluster: Cluster, load: Load, killed: ServerProcess): Promise<void> {
  await cluster.awaitVoters(ALL);
  await cluster.awaitEqual();
  await load.verifyContents(cluster.clientOf(killed.index));
}

function loadOf(cluster: Cluster, name: string): Load {
  return cluster.load({ writers: WRITERS, name, paceMs: PACE_MS, timeoutMs: PATIENCE_MS });
}

/** Every write found its way, through another server where its own was killed. */
function assertNoneFailed(load: Load): void {
  assert.deepEqual([...load.refused.values(), ...load.unknown.keys()].map(String), [], "writes that failed or are in doubt");
}
