/**
 * A server whose data directory was wiped has forgotten its promises: it must not vote as if it were still the old one. It joins
 * again by itself, under a new id, as an observer; the lost id loses its vote, and only then, or by an operator, the new one gets one.
 */
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { test } from "node:test";
import { type Cluster, withCluster } from "../support/cluster.js";
import { RawChannel } from "../support/grpc-call.js";
import type { ServerProcess } from "../support/server-process.js";

/** Ends `server` by kill -9 and starts it again without its data. */
async function wipe(server: ServerProcess): Promise<void> {
  await server.kill();
  rmSync(server.dataDir, { recursive: true });
  server.start();
}

async function twoOthers(cluster: Cluster): Promise<readonly [number, ServerProcess, ServerProcess]> {
  const coordinator = await cluster.awaitCoordinator();
  const [wiped, other] = cluster.others(coordinator);
  assert.ok(wiped !== undefined && other !== undefined, "three servers");
  return [coordinator, wiped, other];
}

test("a wiped server does not vote under its old identity", { timeout: 120_000 }, async () => {
  // The autopilot is off, so the lost id keeps the vote that nobody can cast any more.
  await withCluster({ size: 3, settings: { remove_after_ms: 0 } }, async (cluster) => {
    const [coordinator, wiped, other] = await twoOthers(cluster);
    const client = cluster.client({ endpoints: [cluster.server(coordinator).clientAddress, other.clientAddress] });
    await client.put("kept", "value");
    await wipe(wiped);

    await cluster.awaitStatus(wiped.index, "an observer under a new id", ({ role, replicaId }) => role === "observer" && replicaId === 4n);
    assert.match(wiped.log, /does not vote under the lost identity/);
    assert.match(wiped.log, /Joined the cluster of .* as replica 4/);
    assert.equal(await cluster.clientOf(wiped.index).get("kept"), "value", "it answers reads with what the others have");

    for (const server of [cluster.server(coordinator), other]) {
      const seen = await cluster.awaitStatus(server.index, "the lost id is no live voter", (one) =>
        one.voters.some((voter) => voter.paxosAddress === wiped.paxosAddress && !voter.live),
      );
      assert.equal(seen.blocked, "", "two of three are enough");
    }
    await client.put("kept", "newer");

    // With one real voter left and the wiped one running, a vote of the latter would make a quorum.
    await other.kill();
    const alone = new RawChannel(cluster.server(coordinator).clientAddress);
    const refused = await alone.put("alone", "never decided by one", 3000);
    assert.equal(refused.code, "UNAVAILABLE", refused.details);
    assert.ok(refused.details.includes(other.paxosAddress), refused.details);
    alone.close();
    other.start();
    await cluster.awaitCoordinator([cluster.server(coordinator), other]);
    await client.put("kept", "newest");
    assert.equal(await client.get("kept"), "newest");
  });
});

test("a wiped server votes again by itself, under a new id, and is counted on", { timeout: 120_000 }, async () => {
  await withCluster({ size: 3, settings: { remove_after_ms: 1500, stable_ms: 500 } }, async (cluster) => {
    const [coordinator, wiped, other] = await twoOthers(cluster);
    const client = cluster.client({ endpoints: [cluster.server(coordinator).clientAddress, wiped.clientAddress] });
    await client.put("kept", "value");
    await wipe(wiped);

    await cluster.awaitStatus(coordinator, "the new id votes, the lost one is gone", ({ voters }) => {
      const ids = voters.filter(({ paxosAddress }) => paxosAddress === wiped.paxosAddress).map(({ replicaId }) => replicaId);
      return voters.length === 3 && ids.length === 1 && ids[0] === 4n;
    });
    await cluster.awaitEqual();
    await other.kill();
    await client.put("kept", "by the new voter");
    assert.equal(await cluster.clientOf(wiped.index).get("kept"), "by the new voter");
  });
});
