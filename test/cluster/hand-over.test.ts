/**
 * Who coordinates, asked and told over MultiPaxos on my_paxos by a foreign gRPC stack: Ping, GetCoordinator, ElectCoordinator at a
 * follower while clients write, and the forwarded client calls.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { withCluster } from "../support/cluster.js";
import { getMessage, putMessage, RawChannel, replyValue } from "../support/grpc-call.js";
import { until } from "../support/wait.js";

test("GetCoordinator, ElectCoordinator and Ping on my_paxos", { timeout: 90_000 }, async () => {
  await withCluster({ size: 3 }, async (cluster) => {
    const channels = cluster.servers.map((server) => new RawChannel(server.paxosAddress));
    const first = await cluster.awaitCoordinator();
    const before = (await cluster.awaitEqual()).revision;
    for (const channel of channels) {
      assert.equal((await channel.call("/keyvaluestore.MultiPaxos/Ping", new Uint8Array())).code, "OK");
      assert.equal(await channel.coordinator(), cluster.server(first).paxosAddress);
    }

    // Each server in turn is made coordinator by a word to itself, while writes go on.
    const load = cluster.load({ writers: 8, name: "turns" });
    for (const { index } of [...cluster.others(first), cluster.server(first)]) {
      const { paxosAddress } = cluster.server(index);
      await load.awaitAcknowledged(30);
      const answer = await channels[index]?.elect(index === first ? "" : paxosAddress);
      assert.equal(answer?.code, "OK", answer?.details);
      await until(`server ${index} to coordinate`, async () => ((await channels[index]?.coordinator()) === paxosAddress ? true : null));
      assert.equal(await cluster.awaitCoordinator(), index);
      await load.awaitAcknowledged(30);
    }
    await load.stop();
    const { revision } = await cluster.awaitEqual();
    await load.verify(cluster.client(), revision - before);
    assert.equal(load.unknown.size, 0, "a hand-over leaves no write in doubt");
    assert.equal(load.refused.size, 0, "a hand-over refuses no write");

    const stranger = await channels[0]?.elect("127.0.0.1:1");
    assert.equal(stranger?.code, "INVALID_ARGUMENT", "only a server of the cluster can coordinate");
    assert.match(stranger?.details ?? "", /127\.0\.0\.1:1/);

    // The client calls once more, as one server forwards them to another.
    for (const channel of channels) {
      assert.equal((await channel.call("/keyvaluestore.MultiPaxos/PutPair", putMessage("forwarded", "yes"))).code, "OK");
      assert.equal(replyValue((await channel.call("/keyvaluestore.MultiPaxos/GetValue", getMessage("forwarded"))).bytes), "yes");
      assert.equal((await channel.call("/keyvaluestore.MultiPaxos/DeletePair", getMessage("forwarded"))).code, "OK");
      assert.equal((await channel.call("/keyvaluestore.MultiPaxos/GetValue", getMessage("forwarded"))).code, "NOT_FOUND");
      channel.close();
    }
  });
});

test("GetCoordinator is UNAVAILABLE while there is none", { timeout: 60_000 }, async () => {
  await withCluster({ size: 3, starts: false }, async (cluster) => {
    cluster.start(0);
    await cluster.awaitStatus(0, "founding", (status) => status.role === "founding");
    const channel = new RawChannel(cluster.server(0).paxosAddress);
    assert.match(await channel.coordinator(), /^UNAVAILABLE ./);
    channel.close();
  });
});
