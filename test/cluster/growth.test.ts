/**
 * A cluster of one server grows to three, five and six by servers that join, one of them is wiped and comes back under a new id, and it
 * shrinks to three again, the founder gone: all while clients write. No write fails or is in doubt, and each is there once.
 */
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { test } from "node:test";
import { type Cluster, withCluster } from "../support/cluster.js";

const FOUNDER = 0;
const SETTINGS = { remove_after_ms: 1500, stable_ms: 500 };
const WRITERS = 8;
const PACE_MS = 10;
const WRITES_A_STEP = 40;
/** Of one write; far longer than any take-over. */
const PATIENCE_MS = 30_000;

test("a cluster grows 1 → 3 → 5 → 6, loses a disk, and shrinks to 3, under load", { timeout: 180_000 }, async () => {
  await withCluster({ size: 6, founders: 1, settings: SETTINGS }, async (cluster) => {
    const before = (await cluster.awaitEqual()).revision;
    const load = cluster.load({ writers: WRITERS, name: "growth", paceMs: PACE_MS, timeoutMs: PATIENCE_MS });
    await load.awaitAcknowledged(WRITES_A_STEP);
    const members = [FOUNDER];
    for (const joiners of [[1, 2], [3, 4], [5]]) {
      cluster.start(...joiners);
      members.push(...joiners);
      await cluster.awaitVoters(members);
      await load.awaitAcknowledged(WRITES_A_STEP);
    }
    await loseDisk(cluster, 1, members);
    await load.awaitAcknowledged(WRITES_A_STEP);
    const leavers = [5, FOUNDER, 3];
    const goodbyes = leavers.map((leaver) => cluster.server(leaver).ended(PATIENCE_MS));
    for (const leaver of leavers) {
      members.splice(members.indexOf(leaver), 1);
      await remove(cluster, leaver, members);
      await load.awaitAcknowledged(WRITES_A_STEP);
    }
    await Promise.all(goodbyes);
    await load.stop();
    const { revision } = await cluster.awaitEqual();
    await load.verify(cluster.clientOf(1), revision - before);
    assert.deepEqual([...load.refused.values(), ...load.unknown.keys()].map(String), [], "writes that failed or are in doubt");
  });
});

/** Server `index` loses its disk: the empty one joins by itself, under a new id, and votes in place of the lost one. */
async function loseDisk(cluster: Cluster, index: number, members: readonly number[]): Promise<void> {
  const server = cluster.server(index);
  const lost = await cluster.statusOf(index);
  await server.kill();
  rmSync(server.dataDir, { recursive: true });
  server.start();
  await cluster.awaitStatus(index, "a voter under a new id", ({ role, replicaId }) => role === "replica" && replicaId > lost.replicaId);
  const { voters } = await cluster.awaitVoters(members);
  assert.ok(!voters.some(({ replicaId }) => replicaId === lost.replicaId), "the lost id votes no more");
}

/** Through another server, as an operator does whose machine is to be switched off. */
async function remove(cluster: Cluster, index: number, left: readonly number[]): Promise<void> {
  const { replicaId } = await cluster.statusOf(index);
  const [asked = -1] = left;
  await cluster.clientOf(asked).changeMembers({ kind: "remove", replica: Number(replicaId) });
  await cluster.awaitVoters(left);
}
