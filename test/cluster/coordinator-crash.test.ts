/**
 * kill -9 of the coordinator under load from 64 concurrent clients: nothing acknowledged is lost, nothing is applied twice (the
 * store's revision counts), and the killed server comes back and catches up, from the log and, where that was trimmed, by snapshot.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Cluster, withCluster } from "../support/cluster.js";

const WRITERS = 64;
const WRITES_BEFORE = 600;
const WRITES_AFTER = 600;

/** Kills the coordinator between two loads' worth of writes; returns its index. The load goes on meanwhile and stops at the end. */
async function crashUnderLoad(cluster: Cluster, name: string): Promise<number> {
  const coordinator = await cluster.awaitCoordinator();
  const before = (await cluster.awaitEqual()).revision;
  const load = cluster.load({ writers: WRITERS, name });
  await load.awaitAcknowledged(WRITES_BEFORE);
  await cluster.server(coordinator).kill();
  await load.awaitAcknowledged(WRITES_AFTER);
  await load.stop();
  const heir = await cluster.awaitCoordinator(cluster.others(coordinator));
  assert.notEqual(heir, coordinator, "another coordinates");
  const { revision } = await cluster.awaitEqual(cluster.others(coordinator));
  await load.verify(cluster.clientOf(heir), revision - before);
  // Only a client whose own connection broke may be in doubt, about its one write in flight: what others had forwarded is asked again.
  const connected = Math.ceil(WRITERS / cluster.servers.length);
  assert.ok(
    load.unknown.size <= connected,
    `${load.unknown.size} writes have an unknown outcome; ${connected} clients were connected to the killed server`,
  );
  return coordinator;
}

test("kill -9 of the coordinator under load: nothing lost, nothing twice, back by the log", { timeout: 120_000 }, async () => {
  await withCluster({ size: 5 }, async (cluster) => {
    const killed = await crashUnderLoad(cluster, "log");
    const { boot } = await restartAndServe(cluster, killed);
    assert.ok(boot >= 2n, "the killed server knows that it was started again");
    assert.doesNotMatch(cluster.server(killed).log, /snapshot-loaded/, "the log was enough");
    const again = await crashUnderLoad(cluster, "again");
    await restartAndServe(cluster, again);
  });
});

test("the log was trimmed meanwhile: the killed server comes back by snapshot", { timeout: 120_000 }, async () => {
  const settings = { snapshot_every_slots: 40, keep_slots: 0, keep_bytes: 0, segment_bytes: "4MiB" };
  await withCluster({ size: 3, settings }, async (cluster) => {
    const killed = await crashUnderLoad(cluster, "trimmed");
    const others = cluster.others(killed);
    const { decidedSlot } = await cluster.awaitEqual(others);
    const client = cluster.client({ endpoints: others.map((server) => server.clientAddress) });
    // Sequential writes take a slot each: the log passes the next snapshots wherever the killed server stopped.
    for (let n = 0; n < 200; n++) {
      await client.put(`more-${n}`, `${n}`);
    }
    for (const { index } of others) {
      await cluster.awaitStatus(index, "a snapshot newer than the crash", (status) => status.snapshotSlot > decidedSlot);
    }
    await restartAndServe(cluster, killed);
    assert.match(cluster.server(killed).log, /snapshot-loaded/, "the state came from another server");
  });
});

/** Starts the killed server; it must catch up, hold the same state as the others, and answer. */
async function restartAndServe(cluster: Cluster, killed: number) {
  const own = cluster.clientOf(killed);
  cluster.server(killed).start();
  await cluster.awaitCoordinator();
  await cluster.awaitEqual();
  await own.put(`after-${killed}`, "back");
  assert.equal(await own.get(`after-${killed}`), "back");
  await cluster.awaitEqual();
  return cluster.statusOf(killed);
}
