/**
 * Who is a member, changed as an operator does it: by commands, against real processes. A server is added by one command on its machine,
 * observers are promoted, servers replaced and removed, the coordinator and the server that is asked among them, and every value written
 * on the way is there at the end.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { SynodClient } from "../../src/client/index.js";
import { type Cluster, withCluster } from "../support/cluster.js";
import { freePorts, type RunResult, startSynod, synod } from "../support/processes.js";
import { until } from "../support/wait.js";

type Listed = { readonly replicaId: number; readonly paxosAddress: string; readonly kind: string };

/** A server on its own ports and folder that joins through `cluster`; it ends with the test process or by itself. */
class Joiner {
  readonly clientAddress: string;
  readonly paxosAddress: string;
  private readonly cluster: Cluster;
  private readonly name: string;

  constructor(cluster: Cluster, name: string, ports: readonly number[]) {
    this.cluster = cluster;
    this.name = name;
    this.clientAddress = `127.0.0.1:${ports[0]}`;
    this.paxosAddress = `127.0.0.1:${ports[1]}`;
  }

  start(...more: readonly string[]) {
    const { folder } = this.cluster;
    const args = ["--my-addr", this.clientAddress, "--my-paxos", this.paxosAddress, "--data-dir", join(folder, this.name)];
    const join_ = this.cluster.servers.map(({ paxosAddress }) => paxosAddress).join(",");
    return startSynod(["server", "--join", join_, ...args, ...more], join(folder, `${this.name}.log`));
  }
}

async function run(endpoint: string, ...args: readonly string[]): Promise<RunResult> {
  return synod([...args, "--endpoints", endpoint], { withinMs: 60_000 });
}

async function succeed(endpoint: string, ...args: readonly string[]): Promise<RunResult> {
  const result = await run(endpoint, ...args);
  assert.equal(result.status, 0, `synod ${args.join(" ")}: ${result.stdout}${result.stderr}`);
  return result;
}

async function members(endpoint: string): Promise<readonly Listed[]> {
  return JSON.parse((await run(endpoint, "member", "list", "-w", "json")).stdout).members;
}

const kinds = (list: readonly Listed[]): readonly string[] => list.map(({ replicaId, kind }) => `${replicaId} ${kind}`);

test("servers are added, promoted, replaced and removed by commands", { timeout: 180_000 }, async () => {
  await withCluster({ size: 3, settings: { log_level: "info" } }, async (cluster) => {
    const ports = await freePorts(6);
    const fourth = new Joiner(cluster, "fourth", ports.slice(0, 2));
    const fifth = new Joiner(cluster, "fifth", ports.slice(2, 4));
    const spare = new Joiner(cluster, "spare", ports.slice(4, 6));
    const [a, b, c] = cluster.servers;
    assert.ok(a !== undefined && b !== undefined && c !== undefined);
    const first = a.clientAddress;
    const children = [];
    try {
      await succeed(first, "put", "before", "1");

      // The command waits for the server, which is started while it waits.
      const adding = run(first, "member", "add", fourth.paxosAddress);
      children.push(fourth.start());
      const added = await adding;
      assert.equal(added.status, 0, added.stderr);
      assert.match(added.stderr, new RegExp(`run:\n {2}synod server --join .* --my-paxos ${fourth.paxosAddress} `));
      assert.match(added.stdout, /^4 \(.*\) votes\nconfiguration \d+ of slot \d+, settled: voters 1\*? 2\*? 3\*? 4\*? \(/);
      assert.equal((await succeed(fourth.clientAddress, "get", "before", "--print-value-only")).stdout, "1\n");

      // One that is not electable stays an observer until it is promoted.
      children.push(fifth.start("--electable", "false"));
      await succeed(first, "member", "add", fifth.paxosAddress, "--observer");
      assert.deepEqual(kinds(await members(first)).at(-1), "5 observer");
      assert.equal((await run(first, "status")).status, 0, "an observer that is meant to be one is healthy");
      await succeed(first, "member", "promote", "5");
      assert.deepEqual(kinds(await members(first)).at(-1), "5 voter");

      // The new one votes before the old one goes, and the old one's process ends.
      children.push(spare.start());
      await succeed(first, "member", "replace", b.clientAddress, spare.paxosAddress);
      assert.deepEqual(kinds(await members(first)), ["1 voter", "3 voter", "4 voter", "5 voter", "6 voter"]);
      assert.equal((await b.ended()).status, 78);
      assert.match(b.log, /was removed from the cluster and its id is never given again/);

      // The same again has nothing to do, whichever way the old one is named; an id that nobody ever had is a mistake.
      for (const old of ["2", b.paxosAddress, b.clientAddress]) {
        const again = await succeed(first, "member", "replace", old, spare.paxosAddress);
        assert.match(again.stdout, /^6 \(.*\) votes already, and \S+ is no member\nconfiguration/);
      }
      const mistaken = await run(first, "member", "replace", "77", spare.paxosAddress);
      assert.equal(mistaken.status, 4);
      assert.match(mistaken.stderr, /No member has the ReplicaId 77: the members are/);
      assert.equal((await members(first)).length, 5);

      // The coordinator, asked through itself.
      await succeed(first, "handover", first);
      await succeed(first, "member", "remove", "self");
      assert.equal((await a.ended()).status, 78);
      const rest = fourth.clientAddress;
      await succeed(rest, "put", "after", "2");
      assert.equal((await succeed(rest, "get", "before", "--print-value-only")).stdout, "1\n");

      // Again is no error.
      assert.match((await succeed(rest, "member", "remove", "1")).stdout, /is no member/);
      assert.equal((await members(rest)).length, 4);
    } finally {
      for (const child of children) {
        child.kill("SIGKILL");
      }
    }
  });
});

test("a server that joined starts again with the same command, as who it was", { timeout: 120_000 }, async () => {
  await withCluster({ size: 1 }, async (cluster) => {
    const joiner = new Joiner(cluster, "joiner", await freePorts(2));
    const endpoint = cluster.server(0).clientAddress;
    await succeed(endpoint, "put", "kept", "1");
    let child = joiner.start();
    using client = new SynodClient({ endpoints: [joiner.clientAddress] });
    try {
      const id = async (): Promise<number> => Number((await client.status().catch(() => undefined))?.replicaId ?? 0);
      await succeed(endpoint, "member", "add", joiner.paxosAddress);
      assert.equal(await id(), 2);
      child.kill("SIGKILL");
      child = joiner.start();
      await until("the joined server is replica 2 again", async () => ((await id()) === 2 ? true : null));
      await until("both vote", async () => (kinds(await members(endpoint)).join() === "1 voter,2 voter" ? true : null));
      assert.equal((await succeed(joiner.clientAddress, "get", "kept", "--print-value-only")).stdout, "1\n");
    } finally {
      child.kill("SIGKILL");
    }
  });
});

test("what would leave no quorum is refused, with the reason and what to do", { timeout: 120_000 }, async () => {
  await withCluster({ size: 3, settings: { remove_after_ms: 0 } }, async (cluster) => {
    const coordinator = await cluster.awaitCoordinator();
    const [gone, other] = cluster.others(coordinator);
    assert.ok(gone !== undefined && other !== undefined);
    const { clientAddress } = cluster.server(coordinator);
    await gone.kill();
    await until("the dead server is missed", async () =>
      (await run(clientAddress, "status")).stdout.includes("does not answer") ? true : null,
    );

    // Removing the live one of two would leave the coordinator and a dead server: with the tie-break that is half, and enough.
    await succeed(clientAddress, "member", "remove", other.paxosAddress);
    assert.equal((await other.ended()).status, 78);
    const refused = await run(clientAddress, "member", "remove", "self");
    assert.equal(refused.status, 4);
    assert.match(refused.stderr, /The voters would be .* does not answer: no quorum would be left\. Start it, or remove it first\.\ntry: /);
    assert.ok(refused.stderr.includes(gone.paxosAddress), refused.stderr);

    await succeed(clientAddress, "member", "remove", gone.paxosAddress);
    const last = await run(clientAddress, "member", "remove", "self");
    assert.equal(last.status, 4);
    assert.match(last.stderr, /is the last voter: without it there is no cluster\. Promote another first\.\ntry: /);
    await succeed(clientAddress, "put", "still", "written");
    assert.match((await run(clientAddress, "status")).stdout, /ONE VOTER IS LEFT/);
  });
});
