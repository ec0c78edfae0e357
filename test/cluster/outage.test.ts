/**
 * Servers that die together. kill -9 of all five at once under load loses nothing; two of five down change nothing; three down
 * stop every write with an error that names the missing servers, and one of them coming back is enough.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { StoreError } from "../../src/client/index.js";
import { type Cluster, withCluster } from "../support/cluster.js";
import { RawChannel } from "../support/grpc-call.js";
import { synod } from "../support/processes.js";
import { until } from "../support/wait.js";

const WRITERS = 64;

test("five servers: all killed at once, two down, three down", { timeout: 180_000 }, async (t) => {
  await withCluster({ size: 5 }, async (cluster) => {
    await cluster.step(t, "kill -9 of all five at once under load: every acknowledged write is there after the restart", allAtOnce);
    await cluster.step(t, "two of five down: work goes on", twoDown);
    await cluster.step(t, "three of five down: writes say what is missing, and resume when one returns", threeDown);
  });
});

async function allAtOnce(cluster: Cluster): Promise<void> {
  const before = (await cluster.awaitEqual()).revision;
  const load = cluster.load({ writers: WRITERS, name: "all", timeoutMs: 2000 });
  await load.awaitAcknowledged(600);
  await Promise.all(cluster.servers.map((server) => server.kill()));
  await load.stop();
  assert.ok(load.unknown.size <= WRITERS, `${load.unknown.size} writes have an unknown outcome`);
  cluster.start();
  await cluster.awaitCoordinator();
  const { revision } = await cluster.awaitEqual();
  await load.verify(cluster.client(), revision - before);
}

async function twoDown(cluster: Cluster): Promise<void> {
  const coordinator = await cluster.awaitCoordinator();
  const [other = 0] = cluster.others(coordinator).map((server) => server.index);
  await Promise.all([cluster.server(coordinator).kill(), cluster.server(other).kill()]);
  const left = cluster.others(coordinator, other);
  await cluster.awaitCoordinator(left);
  for (const server of left) {
    const client = cluster.clientOf(server.index);
    await client.put(`two-down-${server.index}`, "stored");
    assert.equal(await client.get(`two-down-${server.index}`), "stored");
  }
  const status = await synod(["status", "--endpoints", cluster.endpoints.join(",")]);
  for (const address of cluster.endpoints) {
    assert.ok(status.stdout.includes(address), `a row for ${address}, whether or not it answers:\n${status.stdout}${status.stderr}`);
  }
  // The command line goes on to a server that answers, wherever the first of the list is dead.
  const endpoints = [cluster.server(coordinator), cluster.server(other), ...left].map((server) => server.clientAddress).join(",");
  assert.equal((await synod(["put", "by-command", "stored", "--endpoints", endpoints])).stdout, "OK\n");
  assert.equal((await synod(["get", "by-command", "--print-value-only", "--endpoints", endpoints])).stdout, "stored\n");
  assert.equal((await synod(["del", "by-command", "--endpoints", endpoints])).status, 0);
  cluster.start(coordinator, other);
  await cluster.awaitCoordinator();
  await cluster.awaitEqual();
}

async function threeDown(cluster: Cluster): Promise<void> {
  const coordinator = await cluster.awaitCoordinator();
  const down = [coordinator, ...cluster.others(coordinator).map((server) => server.index)].slice(0, 3);
  const up = cluster.others(...down);
  await cluster.clientOf(up[0]?.index ?? 0).put("three-down", "before");
  await Promise.all(down.map((index) => cluster.server(index).kill()));
  for (const server of up) {
    const blocked = await cluster.awaitStatus(server.index, "blocked", (status) => status.blocked !== "");
    const channel = new RawChannel(server.clientAddress);
    for (const answer of await Promise.all([channel.put("three-down", "during", 3000), channel.get("three-down", 3000)])) {
      assert.equal(answer.code, "UNAVAILABLE", answer.details);
      for (const index of down) {
        const missing = cluster.server(index).paxosAddress;
        assert.ok(answer.details.includes(missing), `the error names ${missing}: ${answer.details}`);
        assert.ok(blocked.blocked.includes(missing), `the status names ${missing}: ${blocked.blocked}`);
      }
    }
    channel.close();
  }
  // A request whose deadline allows it waits, and is served by the quorum that forms meanwhile.
  const patient = cluster.clientOf(up[0]?.index ?? 0, { timeoutMs: 25_000 });
  const waiting = putUntilStored(patient, "patient");
  cluster.start(down[1] ?? 0);
  await cluster.awaitCoordinator();
  await waiting;
  assert.equal(await patient.get("patient"), "stored");
  const value = await patient.get("three-down");
  assert.ok(value === "before" || value === "during", `three-down holds ${value}: refused writes may have an unknown outcome only`);
  cluster.start(down[0] ?? 0, down[2] ?? 0);
  await cluster.awaitCoordinator();
  await cluster.awaitEqual();
}

/** Repeats a put that is the same whenever it happens, until it is stored. */
function putUntilStored(client: ReturnType<Cluster["client"]>, key: string): Promise<true> {
  return until(`${key} to be stored`, async () => {
    try {
      await client.put(key, "stored");
      return true;
    } catch (error) {
      assert.ok(error instanceof StoreError, String(error));
      return null;
    }
  });
}
