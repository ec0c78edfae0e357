/**
 * Servers leave in order, one after another down to one, while writers go on: by `remove`, for good, the coordinator too, and by
 * SIGTERM, each after the change before is settled. No write fails, none is in doubt, and none is lost.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Cluster, withCluster } from "../support/cluster.js";
import type { ServerProcess } from "../support/server-process.js";

const ALL = [0, 1, 2, 3, 4];
const WRITERS = 8;
const PACE_MS = 10;
/** Of one write; far longer than any take-over. */
const PATIENCE_MS = 30_000;
/** Acknowledged between two departures. */
const WRITES_A_STEP = 40;
const SETTINGS = { remove_after_ms: 1500, stable_ms: 500 };
/** A server that was removed for good ends with it. */
const REMOVED_STATUS = 78;

test("five servers stop by SIGTERM, one after another, down to one", { timeout: 120_000 }, async () => {
  await withCluster({ size: 5, settings: SETTINGS }, async (cluster) => {
    const last = await downToOne(cluster, async (leaver) => {
      assert.deepEqual(await leaver.stop(), { status: 0, signal: null });
    });
    cluster.start(...cluster.others(last.index).map((server) => server.index));
    await cluster.awaitVoters(ALL);
    await cluster.awaitEqual();
  });
});

test("five servers are removed by an operator, one after another, down to one", { timeout: 120_000 }, async () => {
  await withCluster({ size: 5, settings: SETTINGS }, async (cluster) => {
    const goodbyes: Promise<void>[] = [];
    const last = await downToOne(cluster, async (leaver) => {
      goodbyes.push(gone(leaver)); // the next one may leave while this one still answers what it was asked
      await remove(leaver, cluster);
    });
    await Promise.all(goodbyes);
    const { members } = await cluster.statusOf(last.index);
    const [own, ...others] = members.filter(({ kind }) => kind !== "other");
    assert.deepEqual([own?.kind, own?.paxosAddress, others], ["voter", last.paxosAddress, []], "nobody else is a member");
    await assert.rejects(
      cluster.clientOf(last.index).changeMembers({ kind: "remove", replica: Number(own?.replicaId) }),
      /is the last voter: without it there is no cluster/,
    );
    const [former] = cluster.others(last.index);
    former?.start();
    assert.equal((await former?.ended())?.status, REMOVED_STATUS, "a removed id never returns");
  });

  async function remove(leaver: ServerProcess, cluster: Cluster): Promise<void> {
    const { replicaId } = await cluster.statusOf(leaver.index);
    // The leaving server itself is asked.
    await cluster.clientOf(leaver.index).changeMembers({ kind: "remove", replica: Number(replicaId) });
  }

  async function gone(leaver: ServerProcess): Promise<void> {
    assert.deepEqual(await leaver.ended(), { status: REMOVED_STATUS, signal: null });
    assert.match(leaver.log, /was removed from the cluster and its id is never given again/);
  }
});

/** Under load, first two followers and then the coordinator each time leave by `leave`; returns the last, which holds all of the load. */
async function downToOne(cluster: Cluster, leave: (leaver: ServerProcess) => Promise<void>): Promise<ServerProcess> {
  const load = cluster.load({ writers: WRITERS, name: "load", paceMs: PACE_MS, timeoutMs: PATIENCE_MS });
  await load.awaitAcknowledged(WRITES_A_STEP);
  const alive = new Set(ALL);
  while (alive.size > 1) {
    const coordinator = cluster.serverAt((await cluster.awaitVoters([...alive])).paxosAddress);
    const follower = [...alive].find((index) => index !== coordinator.index);
    const leaver = alive.size > 3 && follower !== undefined ? cluster.server(follower) : coordinator;
    await leave(leaver);
    alive.delete(leaver.index);
    await cluster.awaitVoters([...alive]);
    await load.awaitAcknowledged(WRITES_A_STEP);
  }
  const [left = -1] = alive;
  await load.stop();
  await load.verifyContents(cluster.clientOf(left));
  assert.deepEqual([...load.refused.values(), ...load.unknown.keys()].map(String), [], "writes that failed or are in doubt");
  return cluster.server(left);
}
