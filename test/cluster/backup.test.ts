/**
 * A backup taken through each server while writes go on: every write acknowledged before it began is in it, in what is restored from it,
 * and in the servers that join that. The state is larger than what a stream may queue, so that its flow is held back.
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { SynodClient } from "../../src/client/index.js";
import { withCluster } from "../support/cluster.js";
import { ending, freePorts, startSynod, synod } from "../support/processes.js";
import { until } from "../support/wait.js";

const LARGE_KEYS = 24;
const LARGE_BYTES = 600_000;

test("backup under load, verify, restore, join", { timeout: 180_000 }, async (t) => {
  await withCluster({ size: 3, settings: { max_request_bytes: 2_000_000 } }, async (cluster) => {
    const client = cluster.client();
    for (let i = 0; i < LARGE_KEYS; i++) {
      await client.put(`large ${i}`, String.fromCharCode(97 + i).repeat(LARGE_BYTES));
    }
    const file = (index: number): string => join(cluster.folder, `backup-${index}`);
    const before = cluster.load({ writers: 8, name: "before" });
    await before.awaitAcknowledged(300);
    await before.stop();
    const { revision } = await cluster.awaitEqual();

    await cluster.step(t, "through every server, while writes go on", async () => {
      const meanwhile = cluster.load({ writers: 8, name: "meanwhile" });
      for (const server of cluster.servers) {
        await meanwhile.awaitAcknowledged(20);
        const made = await synod(["backup", file(server.index), "--endpoints", server.clientAddress]);
        assert.equal(made.status, 0, made.stderr);
        assert.match(made.stdout, /read back and whole/);
      }
      await meanwhile.awaitAcknowledged(20);
      await meanwhile.stop();
      assert.equal(meanwhile.refused.size + meanwhile.unknown.size, 0, "no write failed for it");
      const verified = await synod(["backup", "--verify", file(2)]);
      assert.equal(verified.status, 0, verified.stderr);
      const [, held] = /revision (\d+),/.exec(verified.stdout) ?? [];
      assert.ok(BigInt(held ?? 0) >= revision + 60n, `the third backup is of revision ${held}, the first writes ended at ${revision}`);
    });

    await cluster.step(t, "a cluster that is blocked gives none, and says why", async () => {
      const [first, second] = cluster.others(0);
      await first?.kill();
      await second?.kill();
      const refused = await synod(["backup", file(9), "--endpoints", cluster.server(0).clientAddress, "--command-timeout", "3s"]);
      assert.notEqual(refused.status, 0);
      assert.match(refused.stderr, /Only 1 of 3 voters answers, which is no quorum/);
      assert.equal(existsSync(file(9)), false);
      assert.equal(existsSync(`${file(9)}.tmp`), false);
      await cluster.server(0).kill();
    });

    await cluster.step(t, "restored, it is another cluster with all of it, which others join", async () => {
      const [client1, paxos1, client2, paxos2] = (await freePorts(4)).map((port) => `127.0.0.1:${port}`) as [
        string,
        string,
        string,
        string,
      ];
      const to = join(cluster.folder, "restored");
      const made = await synod(["restore", file(0), "--to", to, "--address", paxos1]);
      assert.equal(made.status, 0, made.stderr);
      const [, command = "none was printed"] = /^ +synod server "(.*)"$/m.exec(made.stdout) ?? [];
      const list = ["--max-request-bytes", "2000000"];
      const servers = [
        startSynod(["server", command, "--my-addr", client1, ...list], `${to}.log`),
        startSynod(
          ["server", "--my-addr", client2, "--my-paxos", paxos2, "--data-dir", `${to}-2`, "--join", paxos1, ...list],
          `${to}-2.log`,
        ),
      ];
      const restored = new SynodClient({ endpoints: [client2], timeoutMs: 15_000 });
      try {
        const status = await until(
          "the second server votes",
          async () => {
            const one = await restored.status({ timeoutMs: 1000 }).catch(() => null);
            return one?.voters.length === 2 && one.blocked === "" ? one : null;
          },
          60_000,
        );
        assert.ok(status.revision >= revision + 1_000_000_000n, `revision ${status.revision}, it was ${revision}`);
        assert.match(made.stdout, new RegExp(status.clusterId));
        await before.verifyContents(restored);
        for (let i = 0; i < LARGE_KEYS; i++) {
          assert.equal((await restored.get(`large ${i}`))?.length, LARGE_BYTES);
        }
        await restored.put("after", "written");
        assert.equal(await restored.get("after"), "written");
      } finally {
        restored.close();
        for (const server of servers) {
          server.kill("SIGKILL");
          await ending(server);
        }
      }
    });
  });
});
