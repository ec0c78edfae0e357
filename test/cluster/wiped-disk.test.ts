/**
 * A server whose data directory was wiped has forgotten its promises: it must not vote as if it were still the old one. It says
 * so in its status and log, with what to do; the others go on, and without another real voter nothing is decided.
 */
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { test } from "node:test";
import { withCluster } from "../support/cluster.js";
import { RawChannel } from "../support/grpc-call.js";

test("a wiped server does not vote under its old identity, and says what to do", { timeout: 120_000 }, async () => {
  await withCluster({ size: 3 }, async (cluster) => {
    const coordinator = await cluster.awaitCoordinator();
    const [wiped, other] = cluster.others(coordinator);
    assert.ok(wiped !== undefined && other !== undefined);
    const client = cluster.client({ endpoints: [cluster.server(coordinator).clientAddress, other.clientAddress] });
    await client.put("kept", "value");
    await wiped.kill();
    rmSync(wiped.dataDir, { recursive: true });
    wiped.start();

    const status = await cluster.awaitStatus(wiped.index, "told that it is not the server it was", ({ blocked }) =>
      /does not vote/.test(blocked),
    );
    assert.equal(status.replicaId, 0n, "it has no identity");
    assert.match(status.blocked, /disk is empty/);
    assert.match(status.blocked, /put its old data directory back/);
    assert.ok(status.blocked.includes(wiped.paxosAddress), status.blocked);
    assert.match(wiped.log, /does not vote under the lost identity/);
    assert.match(wiped.log, /empty/i, "a server that starts with an empty directory says so");

    for (const server of [cluster.server(coordinator), other]) {
      const seen = await cluster.awaitStatus(server.index, "the wiped server is no live voter", (one) =>
        one.voters.some((voter) => voter.paxosAddress === wiped.paxosAddress && !voter.live),
      );
      assert.equal(seen.blocked, "", "two of three are enough");
    }
    await client.put("kept", "newer");
    assert.equal(await client.get("kept"), "newer");

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
