/**
 * Acceptors that refuse or ignore three of ten Prepares and Proposes must not fail a single client write: five servers at
 * fail_rate 0.3, driven by the scripted tour of `synod client ADDRESS true` and by 1,000 puts through all servers in turn.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { withCluster } from "../support/cluster.js";
import { synod } from "../support/processes.js";
import { eachOf } from "../support/wait.js";

const WRITES = 1000;
const WIDTH = 16;

test("five servers at fail_rate 0.3: no write fails, and every server reads every one", { timeout: 120_000 }, async () => {
  await withCluster({ size: 5, settings: { fail_rate: 0.3 } }, async (cluster) => {
    for (const server of cluster.servers) {
      assert.equal((await cluster.statusOf(server.index)).failRate, 0.3);
    }

    const tour = await synod(["client", cluster.server(2).clientAddress.replace("127.0.0.1", "localhost"), "true"]);
    assert.equal(tour.status, 0, `the tour ends well:\n${tour.stdout}${tour.stderr}`);
    assert.doesNotMatch(tour.stdout + tour.stderr, /error|fail(ed|ure)|unavailable/i);
    for (const command of ["DELETE", "GET", "PUT"]) {
      assert.match(tour.stdout, new RegExp(command, "i"), "the tour shows what it does");
    }

    const before = (await cluster.awaitEqual()).revision;
    const clients = cluster.servers.map((server) => cluster.clientOf(server.index));
    const numbers = Array.from({ length: WRITES }, (_, n) => n);
    await eachOf(numbers, WIDTH, async (n) => {
      await clients[n % clients.length]?.put(`key-${n}`, `value-${n}`);
    });
    await Promise.all(
      clients.map((client, index) =>
        eachOf(numbers, WIDTH / 2, async (n) => {
          assert.equal(await client.get(`key-${n}`), `value-${n}`, `key-${n} through server ${index}`);
        }),
      ),
    );
    const after = await cluster.awaitEqual();
    assert.equal(after.revision - before, BigInt(WRITES), "each write was applied once");
  });
});
