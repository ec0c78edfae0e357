/**
 * How a server ends: SIGTERM hands over, drains, syncs and exits 0 while clients write, and no acknowledged write is lost; a second
 * signal ends it at once. A stopped server stays a voter, and comes back as the one it was.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Cluster, withCluster } from "../support/cluster.js";
import { RawChannel } from "../support/grpc-call.js";
import { until } from "../support/wait.js";

test("SIGTERM and a second signal", { timeout: 120_000 }, async (t) => {
  await withCluster({ size: 3, settings: { drain_ms: 60_000, request_timeout_ms: 60_000 } }, async (cluster) => {
    await cluster.step(t, "SIGTERM of the coordinator under load hands over and exits 0", gracefulStop);
    await cluster.step(t, "all three stop by SIGTERM and start again with what they held", stopAll);
    await cluster.step(t, "a second signal ends a server that still drains", secondSignal);
  });
});

async function gracefulStop(cluster: Cluster): Promise<void> {
  const coordinator = await cluster.awaitCoordinator();
  const before = (await cluster.awaitEqual()).revision;
  const load = cluster.load({ writers: 32, name: "stop" });
  await load.awaitAcknowledged(200);
  const ending = await cluster.server(coordinator).stop();
  assert.deepEqual(ending, { status: 0, signal: null });
  const heir = await cluster.awaitCoordinator();
  await load.awaitAcknowledged(200);
  await load.stop();
  const { revision } = await cluster.awaitEqual();
  await load.verify(cluster.clientOf(heir), revision - before);
  assert.equal(load.unknown.size, 0, "a graceful stop leaves no write in doubt");
  assert.match(cluster.server(heir).log, /The coordinator is this server/);
  const { voters } = await cluster.statusOf(heir);
  assert.equal(voters.length, 3, "a stop is not a leave");
  cluster.start(coordinator);
  await cluster.awaitCoordinator();
  assert.equal((await cluster.awaitEqual()).revision, revision);
}

async function stopAll(cluster: Cluster): Promise<void> {
  await cluster.client().put("kept", "over the night");
  const endings = await Promise.all(cluster.servers.map((server) => server.stop()));
  assert.deepEqual(
    endings.map((ending) => ending.status),
    [0, 0, 0],
  );
  cluster.start();
  await cluster.awaitCoordinator();
  assert.equal(await cluster.client().get("kept"), "over the night");
}

async function secondSignal(cluster: Cluster): Promise<void> {
  const [one, two, left] = cluster.servers;
  assert.ok(one !== undefined && two !== undefined && left !== undefined);
  await Promise.all([one.kill(), two.kill()]);
  await cluster.awaitStatus(left.index, "blocked", (status) => status.blocked !== "");
  const channel = new RawChannel(left.clientAddress);
  const waiting = channel.put("waits", "for a quorum", 60_000);
  await until("the server to hold the request", async () =>
    (await channel.call("/synod.Admin/Status", new Uint8Array())).code === "OK" ? true : null,
  );
  left.signal("SIGTERM");
  // While it drains it answers; a call that is refused tells that the first signal was taken.
  await until("the server to stop taking connections", async () => {
    const late = new RawChannel(left.clientAddress);
    const answer = await late.call("/synod.Admin/Status", new Uint8Array(), 1000);
    late.close();
    return answer.code === "OK" ? null : true;
  });
  assert.ok(left.running, "it still waits for the request");
  left.signal("SIGTERM");
  const ending = await left.ended(5000);
  assert.notEqual(ending.status, 0, "an end at once is not a graceful one");
  // A connection that ends under a call: grpc-js says INTERNAL where it read a reset first, UNAVAILABLE else.
  assert.match((await waiting).code, /^(UNAVAILABLE|INTERNAL)$/);
  channel.close();
  cluster.start();
  await cluster.awaitCoordinator();
}
