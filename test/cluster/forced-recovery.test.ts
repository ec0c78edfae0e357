/**
 * The last resort with real processes: of five servers three lose their disks at once. `synod recover` makes one directory of the two
 * that are left; its server goes on alone with everything they held, wiped servers join it, and one with its old disk is turned away.
 */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { withCluster } from "../support/cluster.js";
import { type RunResult, synod } from "../support/processes.js";

const REVISIONS_SKIPPED = 1_000_000_000n;

test("a majority is lost for good: recover, start, join, and turn the old lineage away", { timeout: 180_000 }, async (t) => {
  // Small enough that there are a snapshot, and a log above it, to recover from.
  await withCluster({ size: 5, settings: { snapshot_every_slots: 100, keep_slots: 20 } }, async (cluster) => {
    const [left, other] = [cluster.server(0), cluster.server(1)];
    const target = join(cluster.folder, "recovered");
    const recover = (...more: readonly string[]): Promise<RunResult> =>
      synod(["recover", "--from", left.dataDir, other.dataDir, "--to", target, "--address", left.paxosAddress, ...more]);
    const known = cluster.load({ writers: 8, name: "known" });
    await known.awaitAcknowledged(400);
    await known.stop();
    const before = await cluster.awaitEqual();

    await cluster.step(t, "running servers are left alone", async () => {
      const refused = await recover("--yes");
      assert.notEqual(refused.status, 0);
      assert.match(refused.stderr, /in use by process \d+/);
      assert.match(refused.stderr, /Stop the server/);
      assert.equal(existsSync(target), false);
    });

    await cluster.step(t, "it asks before it makes anything, and changes nothing of what it reads", async () => {
      const late = cluster.load({ writers: 8, name: "late", timeoutMs: 1000 });
      await late.awaitAcknowledged(100);
      for (const server of cluster.servers) {
        server.signal("SIGKILL");
      }
      await Promise.all(cluster.servers.map((server) => server.ended()));
      await late.stop();
      for (const server of cluster.servers.slice(2)) {
        rmSync(server.dataDir, { recursive: true });
      }
      const outer = join(cluster.folder, "outer");
      mkdirSync(outer);
      symlinkSync(left.dataDir, join(outer, "data"));
      const above = await synod(["recover", "--from", outer, "--to", target, "--address", left.paxosAddress, "--yes"]);
      assert.match(above.stderr, /Name .*outer\/data\./, "the folder above is not taken for it");
      const asked = await recover();
      assert.equal(asked.status, 1);
      assert.match(asked.stderr, /nothing was made/);
      assert.equal(existsSync(target), false);
      const files = [left, other].map(({ dataDir }) => contentOf(dataDir));
      const made = await recover("--yes");
      assert.equal(made.status, 0, made.stderr);
      assert.match(made.stdout, /Missing: replica 3 .*, replica 4 .*, replica 5 /);
      assert.ok(
        readdirSync(target).some((name) => name.endsWith(".snap")),
        "the state begins with a snapshot",
      );
      assert.match(made.stdout, /MAY BE LOST: every write that was acknowledged behind slot \d+/);
      assert.deepEqual(
        [left, other].map(({ dataDir }) => contentOf(dataDir)),
        files,
      );
    });

    await cluster.step(t, "one server goes on with all that the two held, its revisions far ahead", async () => {
      const elsewhere = await synod(["server", other.argument({ data_dir: target })]);
      assert.notEqual(elsewhere.status, 0);
      assert.ok(elsewhere.stderr.includes(`belongs to the server ${left.paxosAddress}, not to ${other.paxosAddress}`), elsewhere.stderr);
      left.start({ data_dir: target });
      const status = await cluster.awaitStatus(0, "coordinates alone", ({ role, blocked }) => role === "coordinator" && blocked === "");
      assert.deepEqual(
        status.voters.map(({ replicaId, paxosAddress }) => ({ replicaId, paxosAddress })),
        [{ replicaId: 6n, paxosAddress: left.paxosAddress }],
      );
      assert.equal(status.clusterId, before.clusterId);
      assert.ok(status.revision >= before.revision + REVISIONS_SKIPPED, `revision ${status.revision}, it was ${before.revision}`);
      assert.ok(status.compactedRevision >= before.revision + REVISIONS_SKIPPED, `compacted up to ${status.compactedRevision}`);
      await known.verifyContents(cluster.clientOf(0));
    });

    await cluster.step(
      t,
      "wiped servers find the cluster, join it and vote; the one with its old disk hears that it must be wiped",
      async () => {
        cluster.start(1, 2, 3);
        const old = await cluster.awaitStatus(1, "turned away", ({ blocked }) => /from before a forced recovery/.test(blocked));
        assert.match(old.blocked, /start it again with an empty one/);
        const joined = await cluster.awaitStatus(0, "three voters", ({ voters }) => voters.length === 3, 60_000);
        assert.ok(joined.voters.every(({ paxosAddress }) => paxosAddress !== other.paxosAddress));
        const told = await cluster.awaitStatus(0, "tells of the old disk", ({ warnings }) =>
          warnings.some((text) => text.includes(other.paxosAddress) && /from before a forced recovery/.test(text)),
        );
        assert.equal(told.blocked, "");
        assert.match(other.log, /from before a forced recovery/);
        await other.kill();
        rmSync(other.dataDir, { recursive: true });
        other.start();
        await cluster.awaitStatus(0, "four voters", ({ voters }) => voters.length === 4, 60_000);
        const after = cluster.load({ writers: 4, name: "after" });
        await after.awaitAcknowledged(50);
        await after.stop();
        await cluster.awaitEqual();
        await known.verifyContents(cluster.clientOf(1));
        await after.verifyContents(cluster.clientOf(2));
      },
    );
  });
});

test("two recoveries made apart have one number, and never mix", { timeout: 120_000 }, async () => {
  await withCluster({ size: 3 }, async (cluster) => {
    await cluster.client().put("before", "both");
    await cluster.awaitEqual();
    for (const server of cluster.servers) {
      await server.kill();
    }
    for (const server of cluster.servers.slice(0, 2)) {
      const to = `${server.dataDir}-recovered`;
      const made = await synod(["recover", "--from", server.dataDir, "--to", to, "--address", server.paxosAddress, "--yes"]);
      assert.equal(made.status, 0, made.stderr);
      assert.match(made.stdout, /the only voter of lineage 2\./);
      server.start({ data_dir: to });
    }
    for (const server of cluster.servers.slice(0, 2)) {
      const status = await cluster.awaitStatus(server.index, "goes on alone, and knows of the other", ({ role, warnings }) => {
        return role === "coordinator" && warnings.some((text) => /another forced recovery .* never mix/.test(text));
      });
      assert.equal(status.voters.length, 1);
      const client = cluster.clientOf(server.index);
      assert.equal(await client.get("before"), "both");
      await client.put("after", `written by ${server.index}`);
    }
    for (const server of cluster.servers.slice(0, 2)) {
      assert.equal(await cluster.clientOf(server.index).get("after"), `written by ${server.index}`);
    }
  });
});

test("the directories that are read stay apart, whatever they are called: given once, and nothing is made in them", async () => {
  const folder = mkdtempSync(join(tmpdir(), "synod-recover-"));
  try {
    const [directory, link] = [join(folder, "d"), join(folder, "link")];
    mkdirSync(directory);
    symlinkSync(directory, link);
    const recover = (from: readonly string[], to: string): Promise<RunResult> =>
      synod(["recover", "--from", ...from, "--to", to, "--address", "127.0.0.1:9000", "--yes"]);
    for (const to of [join(directory, "new"), join(link, "new", "er")]) {
      const refused = await recover([directory], to);
      assert.equal(refused.status, 128);
      assert.match(refused.stderr, /--to .* lies in one of the directories to recover from, which are never written to/);
    }
    const twice = await recover([directory, link], join(folder, "new"));
    assert.equal(twice.status, 128);
    assert.match(twice.stderr, /--from names .* twice/);
    assert.deepEqual(readdirSync(directory), []);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

/** Every file of a directory. */
function contentOf(directory: string): ReadonlyMap<string, Buffer> {
  const names = readdirSync(directory).filter((name) => !name.startsWith("lock."));
  return new Map(names.map((name) => [name, readFileSync(join(directory, name))]));
}
