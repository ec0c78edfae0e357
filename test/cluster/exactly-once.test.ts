/**
 * Exactly once, seen from clients: they count up by compare-and-set and store unique values through all servers, while the coordinator
 * and the servers that they ask are killed with kill -9 and started again. No outcome is unknown, each acknowledged swap counted once
 * (a swap that was applied and answered as not swapped would leave its counter too high), and the store's revision is the number of
 * acknowledged writes (a write that ran twice would raise it twice).
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { StoreError, type SynodClient } from "../../src/client/index.js";
import { type Cluster, withCluster } from "../support/cluster.js";
import { PipedPrompt } from "../support/prompt.js";
import { pause, until } from "../support/wait.js";

const CLIENTS = 24;
const COUNTERS = 4;
const ROUNDS = 6;
/** Acknowledged writes before each kill, and before the killed server returns. */
const WRITES_BETWEEN = 200;
/** Far longer than a take-over: an outcome that is unknown then is a fault. */
const PATIENCE_MS = 30_000;
/** How long a PUT lies at a stopped server before that is killed. */
const IN_FLIGHT_MS = 300;

/** Clients that write until they are stopped. Any error at all fails the test. */
class Writers {
  readonly swaps = new Map<string, number>();
  readonly puts = new Map<string, string>();
  private readonly work: Promise<unknown>;
  private readonly clients: readonly SynodClient[];
  private stopping = false;
  private failed = false;

  constructor(cluster: Cluster) {
    this.clients = Array.from({ length: CLIENTS }, (_, at) => {
      const { endpoints } = cluster;
      const first = at % endpoints.length;
      return cluster.client({ endpoints: [...endpoints.slice(first), ...endpoints.slice(0, first)], timeoutMs: PATIENCE_MS });
    });
    this.work = Promise.all(this.clients.map((client, at) => this.write(client, at)));
    this.work.catch(() => {
      this.failed = true;
    });
  }

  get acknowledged(): number {
    let count = this.puts.size;
    for (const swaps of this.swaps.values()) {
      count += swaps;
    }
    return count;
  }

  async awaitMore(more: number): Promise<void> {
    const goal = this.acknowledged + more;
    await until(`${more} more acknowledged writes`, () => (this.acknowledged >= goal || this.failed ? true : null));
  }

  /** The index of a server that many clients ask now. */
  asked(cluster: Cluster, but: number): number {
    const counts = cluster.servers.map((server) => this.clients.filter(({ endpoint }) => endpoint === server.clientAddress).length);
    counts[but] = -1;
    return counts.indexOf(Math.max(...counts));
  }

  async stop(): Promise<void> {
    this.stopping = true;
    await this.work;
  }

  private async write(client: SynodClient, at: number): Promise<void> {
    for (let n = 0; !this.stopping; n++) {
      await client.put(`unique-${at}-${n}`, `${at}.${n}`);
      this.puts.set(`unique-${at}-${n}`, `${at}.${n}`);
      const counter = `counter-${n % COUNTERS}`;
      const before = await client.get(counter);
      const count = Number(before?.split(" ")[0] ?? 0);
      const { swapped } = await client.compareAndSet(counter, before, `${count + 1} by ${at}.${n}`);
      if (swapped) {
        this.swaps.set(counter, (this.swaps.get(counter) ?? 0) + 1);
      }
    }
  }
}

test("clients write through servers that are killed: each acknowledged write is applied once, and none is in doubt", {
  timeout: 180_000,
}, async () => {
  await withCluster({ size: 3, settings: { remove_after_ms: 0 } }, async (cluster) => {
    await cluster.awaitCoordinator();
    const { revision: before } = await cluster.awaitEqual();
    const writers = new Writers(cluster);
    await writers.awaitMore(WRITES_BETWEEN);
    for (let round = 0; round < ROUNDS; round++) {
      const coordinator = await cluster.awaitCoordinator();
      const victim = round % 2 === 0 ? coordinator : writers.asked(cluster, coordinator);
      await cluster.server(victim).kill();
      await writers.awaitMore(WRITES_BETWEEN);
      cluster.server(victim).start();
      await cluster.awaitStatus(victim, "to serve again", ({ blocked, coordinator: known }) => blocked === "" && known !== "");
      await writers.awaitMore(WRITES_BETWEEN);
    }
    await writers.stop();
    const { revision } = await cluster.awaitEqual();
    const client = cluster.client();
    for (let n = 0; n < COUNTERS; n++) {
      const value = await client.get(`counter-${n}`);
      assert.equal(
        Number(value?.split(" ")[0]),
        writers.swaps.get(`counter-${n}`),
        `acknowledged swaps of counter-${n}, which holds ${value}`,
      );
    }
    for (const [key, value] of writers.puts) {
      assert.equal(await client.get(key), value);
    }
    assert.equal(revision - before, BigInt(writers.acknowledged), "each write that was acknowledged, and nothing else, took a revision");
  });
});

test("a server that is killed in the middle of a PUT of the prompt: OK, once", { timeout: 60_000 }, async () => {
  await withCluster({ size: 3 }, async (cluster) => {
    const coordinator = await cluster.awaitCoordinator();
    const others = cluster.others(coordinator).map(({ clientAddress }) => clientAddress);
    const asked = cluster.server(coordinator);
    const prompt = new PipedPrompt(["client", [asked.clientAddress, ...others].join(",")]);
    prompt.say("PUT a 1");
    await prompt.answered("OK\n");
    const before = await cluster.awaitEqual();
    asked.signal("SIGSTOP");
    prompt.say("PUT a 2");
    await pause(IN_FLIGHT_MS);
    await asked.kill();
    await prompt.answered("OK\nOK\n");
    prompt.say("GET a");
    await prompt.answered("OK\nOK\n2\n");
    assert.deepEqual(await prompt.end(), { status: 0, signal: null });
    const after = await cluster.awaitEqual(cluster.others(coordinator));
    assert.equal(after.revision - before.revision, 1n);
    assert.equal(prompt.stderr, "");
  });
});

test("a request above max_request_bytes is refused by the server that is asked first, and nothing is in doubt", {
  timeout: 60_000,
}, async () => {
  await withCluster({ size: 3, settings: { max_request_bytes: 65_536 } }, async (cluster) => {
    await cluster.awaitCoordinator();
    const endpoints = cluster.servers.map(({ clientAddress }) => clientAddress);
    // Below the limit without its envelope; above it; and far more than a connection takes at once.
    for (const bytes of [65_536, 70_000, 4_000_000]) {
      for (const exactlyOnce of [true, false]) {
        const client = cluster.client({ endpoints, exactlyOnce });
        await assert.rejects(client.put("big", "v".repeat(bytes)), (error) => {
          assert.ok(error instanceof StoreError);
          assert.deepEqual([error.code, error.outcome, error.endpoint], ["invalid-argument", "not-applied", endpoints[0]]);
          assert.match(
            error.message,
            /^\S+: The request has \d+ bytes, at most 65536 are allowed \(max_request_bytes\)\. Nothing was written\.$/,
          );
          return true;
        });
        await client.put("small", "v");
        assert.equal(await client.get("big"), undefined);
      }
    }
  });
});
