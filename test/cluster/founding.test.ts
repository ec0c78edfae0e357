/**
 * How a cluster comes to be from the servers' lists of replicas: whatever their order and spelling, if they name the same
 * servers; never while one is awaited, which status and log name; never from lists that differ, and the differing addresses are named.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Cluster, withCluster } from "../support/cluster.js";
import { RawChannel } from "../support/grpc-call.js";
import { until } from "../support/wait.js";

test("lists in different orders and spellings are one list", { timeout: 60_000 }, async () => {
  const spellings = ["127.0.0.1", "localhost", "0.0.0.0"];
  const replicasOf = (index: number, replicas: readonly string[]): readonly string[] => {
    const turned = [...replicas.slice(index), ...replicas.slice(0, index)];
    return (index % 2 === 0 ? turned : turned.reverse()).map((one) => one.replace("127.0.0.1", spellings[index % 3] ?? ""));
  };
  await withCluster({ size: 5, replicasOf }, async (cluster) => {
    const statuses = await Promise.all(cluster.servers.map((server) => cluster.statusOf(server.index)));
    const clusterIds = new Set(statuses.map((status) => status.clusterId));
    assert.equal(clusterIds.size, 1);
    assert.match([...clusterIds].join(), /^[0-9a-f]{16}$/);
    const expected = cluster.servers.map((server) => server.paxosAddress).sort();
    for (const status of statuses) {
      assert.deepEqual(status.voters.map((voter) => voter.paxosAddress).sort(), expected);
      assert.deepEqual(status.members.map((member) => member.clientAddress).sort(), [...cluster.endpoints].sort());
    }
    await cluster.clientOf(4).put("a", "1");
    assert.equal(await cluster.clientOf(1).get("a"), "1");
  });
});

test("while one server is awaited, status and log name it, and nothing is decided", { timeout: 60_000 }, async () => {
  await withCluster({ size: 3, starts: false }, async (cluster) => {
    cluster.start(0, 1);
    const awaited = cluster.server(2).paxosAddress;
    for (const index of [0, 1]) {
      const status = await cluster.awaitStatus(index, "waiting for the third server alone", ({ blocked }) => blocked.includes("2 of 3"));
      assert.equal(status.role, "founding");
      assert.equal(status.clusterId, "");
      assert.equal(status.blocked, `The cluster is being founded: 2 of 3 servers have said hello; waiting for ${awaited}.`);
      await until("the log to name who is awaited", () => (cluster.server(index).log.includes(`waiting for ${awaited}`) ? true : null));
    }
    const channel = new RawChannel(cluster.server(0).clientAddress);
    const early = await channel.put("early", "1", 700);
    assert.ok(early.code === "UNAVAILABLE" || early.code === "DEADLINE_EXCEEDED", `${early.code} ${early.details}`);
    const slow = channel.put("early", "2", 20_000);
    cluster.start(2);
    await cluster.awaitCoordinator();
    assert.notEqual((await slow).code, "DEADLINE_EXCEEDED");
    channel.close();
    await cluster.client().put("late", "1");
  });
});

test("lists that differ: nothing is founded, and the differing address is named", { timeout: 60_000 }, async () => {
  const stranger = "127.0.0.1:10999";
  const replicasOf = (index: number, replicas: readonly string[]): readonly string[] => (index === 2 ? [...replicas, stranger] : replicas);
  await withCluster({ size: 3, replicasOf, starts: false }, async (cluster) => {
    cluster.start();
    await until("the difference in a log", () => (cluster.server(0).log.includes(stranger) ? true : null));
    await until("the difference in the other log", () => (cluster.server(2).log.includes(stranger) ? true : null));
    assert.match(cluster.server(0).log, /list of replicas of 127\.0\.0\.1:\d+ differs from this server's: it adds 127\.0\.0\.1:10999/);
    assert.match(cluster.server(2).log, /differs from this server's: it lacks 127\.0\.0\.1:10999/);
    for (const { index } of cluster.servers) {
      const status = await cluster.awaitStatus(index, "blocked by the difference", ({ blocked }) => blocked !== "");
      assert.equal(status.role, "founding");
      assert.equal(status.clusterId, "");
    }
    const status = await cluster.awaitStatus(
      0,
      "names the differing address",
      ({ blocked, warnings }) => blocked.includes(stranger) || warnings.join().includes(stranger),
      5000,
    );
    assert.ok(status.blocked.includes(cluster.server(2).paxosAddress), status.blocked);
  });
});

test("a lone server founds a cluster of one and serves", { timeout: 60_000 }, async () => {
  await withCluster({ size: 1 }, async (cluster) => {
    await cluster.client().put("a", "1");
    await cluster.server(0).kill();
    cluster.start();
    await cluster.awaitCoordinator();
    assert.equal(await cluster.client().get("a"), "1");
  });
});

test("an existing cluster tells a server that it does not list", { timeout: 60_000 }, async () => {
  await withCluster({ size: 1 }, async (cluster) => {
    const member = cluster.server(0);
    const outsider = await Cluster.create({ size: 1, replicasOf: (_, own) => [...own, member.paxosAddress] });
    try {
      outsider.start();
      const { blocked } = await outsider.awaitStatus(0, "told or waiting", (status) => status.blocked !== "");
      assert.ok(blocked.includes(member.paxosAddress) || blocked.includes(outsider.server(0).paxosAddress), blocked);
      assert.equal((await outsider.statusOf(0)).clusterId, "");
    } finally {
      await outsider.close();
    }
    await cluster.client().put("a", "1");
  });
});
