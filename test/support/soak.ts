/**
 * A cluster under load while servers are killed, stopped and brought back at random, for as long as told; then everything that
 * clients were told is compared with what the store holds. Not part of `npm test`:
 *   node dist/test/support/soak.js [--seconds 120] [--seed 1] [--size 5] [--fail-rate 0] [--history FILE]
 * With --history, clients that read, write and delete the same few keys take the place of that comparison: what each was told is
 * written to the file and checked as `synod check-history` does.
 * Exits 1 on the first lie. The seed fixes what the nemesis does, not how the machine schedules it.
 */
import assert from "node:assert/strict";
import { closeSync, openSync, writeSync } from "node:fs";
import { parseArgs } from "node:util";
import { nextU32, type Prng, seedPrng } from "../../src/base/prng.js";
import { StoreError, type SynodClient } from "../../src/client/index.js";
import { checkHistory } from "../../src/sim/linearizability/check.js";
import { explain } from "../../src/sim/linearizability/explain.js";
import { formatOperation } from "../../src/sim/linearizability/history-format.js";
import { type Cluster, withCluster } from "./cluster.js";
import { Recorders } from "./recorders.js";
import { pause } from "./wait.js";

const WRITERS = 16;
const COUNTERS = 8;
const RECORDERS = 12;
const RECORDED_KEYS = 6;
const CALM_MS_MAX = 1500;
const STOPPED_MS_MAX = 2500;

type Plan = { readonly seconds: number; readonly seed: number; readonly size: number; readonly failRate: number };

/** A key with one writer, which stores ascending numbers. */
type Register = { readonly key: string; acknowledged: number; attempted: number };

/**
 * Reads must lie between what was acknowledged before they were asked and what was attempted when they were answered. A write with an
 * unknown outcome may happen at any later time, also after newer ones; so its register is given up for a fresh one.
 */
class Registers {
  readonly lies: string[] = [];
  raised = 0;
  /** Given up, each with its last write in doubt. */
  readonly doubtful: Register[] = [];
  reads = 0;
  private readonly registers: Register[];
  private stopping = false;
  private readonly work: Promise<unknown>;

  constructor(cluster: Cluster) {
    this.registers = Array.from({ length: COUNTERS }, (_, i) => ({ key: `register-${i}-0`, acknowledged: 0, attempted: 0 }));
    const lanes = this.registers.map((_, i) => [
      this.raise(cluster.clientOf(i % cluster.servers.length, { timeoutMs: 3000 }), i),
      this.read(cluster.clientOf((i + 1) % cluster.servers.length, { timeoutMs: 3000 }), i),
    ]);
    this.work = Promise.all(lanes.flat());
  }

  async stop(): Promise<void> {
    this.stopping = true;
    await this.work;
  }

  /** How many writes are in the store. */
  async applied(client: SynodClient): Promise<number> {
    let doubtfulApplied = 0;
    for (const { key, attempted } of this.doubtful) {
      doubtfulApplied += (await client.get(key)) === `${attempted}` ? 1 : 0;
    }
    return this.raised + doubtfulApplied;
  }

  private async raise(client: SynodClient, index: number): Promise<void> {
    for (let epoch = 1; !this.stopping; ) {
      const register = this.registers[index];
      assert.ok(register !== undefined);
      register.attempted = register.acknowledged + 1;
      const outcome = await put(client, register.key, `${register.attempted}`);
      if (outcome === "stored") {
        register.acknowledged = register.attempted;
        this.raised++;
      } else if (outcome === "unknown") {
        this.registers[index] = { key: `register-${index}-${epoch++}`, acknowledged: 0, attempted: 0 };
        this.doubtful.push(register);
      } else {
        await pause(20);
      }
    }
  }

  private async read(client: SynodClient, index: number): Promise<void> {
    while (!this.stopping) {
      const register = this.registers[index];
      assert.ok(register !== undefined);
      const least = register.acknowledged;
      try {
        const found = Number((await client.get(register.key)) ?? 0);
        this.reads++;
        if (!(found >= least && found <= register.attempted)) {
          this.lies.push(`${register.key} read as ${found}: ${least} was acknowledged before, ${register.attempted} attempted by then`);
        }
      } catch (error) {
        assert.ok(error instanceof StoreError, String(error));
        await pause(20);
      }
    }
  }
}

async function put(client: SynodClient, key: string, value: string): Promise<"stored" | "unknown" | "not-applied"> {
  try {
    await client.put(key, value);
    return "stored";
  } catch (error) {
    assert.ok(error instanceof StoreError, String(error));
    return error.outcome;
  }
}

/** What happens to the servers; ends with all of them running. */
class Nemesis {
  readonly deeds = new Map<string, number>();
  private readonly cluster: Cluster;
  private readonly prng: Prng;

  constructor(cluster: Cluster, seed: number) {
    this.cluster = cluster;
    this.prng = seedPrng(seed);
  }

  async rage(seconds: number): Promise<void> {
    const endsAt = performance.now() + seconds * 1000;
    while (performance.now() < endsAt) {
      await pause(this.below(CALM_MS_MAX));
      this.cluster.assertNoCrash();
      await this.deed();
    }
    this.reviveAll();
  }

  private async deed(): Promise<void> {
    const { servers } = this.cluster;
    const down = servers.filter((server) => !server.running);
    const drawn = this.below(100);
    if (down.length > 0 && drawn < 50) {
      this.count("start");
      down[this.below(down.length)]?.start();
    } else if (drawn < 55) {
      this.count("kill -9 of all");
      await Promise.all(servers.map((server) => server.kill()));
      this.reviveAll();
    } else if (drawn < 75) {
      this.count("kill -9 of the coordinator");
      await servers[await this.coordinator()]?.kill();
    } else if (drawn < 85) {
      this.count("kill -9 of any");
      await servers[this.below(servers.length)]?.kill();
    } else if (drawn < 97) {
      this.count("SIGSTOP");
      await this.halt([drawn < 94 ? await this.coordinator() : this.below(servers.length)]);
    } else {
      this.count("SIGSTOP of a majority");
      await this.halt(
        servers
          .slice(this.below(2))
          .map((server) => server.index)
          .slice(0, Math.ceil((servers.length + 1) / 2)),
      );
    }
  }

  private async halt(indices: readonly number[]): Promise<void> {
    const halted = indices.map((index) => this.cluster.server(index)).filter((server) => server.running);
    for (const server of halted) {
      server.signal("SIGSTOP");
    }
    await pause(this.below(STOPPED_MS_MAX));
    for (const server of halted) {
      server.signal("SIGCONT");
    }
  }

  private reviveAll(): void {
    for (const server of this.cluster.servers) {
      if (!server.running) {
        server.start();
      }
    }
  }

  /** The coordinator as one of the servers sees it now; any server if there is none. */
  private async coordinator(): Promise<number> {
    const statuses = await Promise.all(this.cluster.servers.map((server) => server.status()));
    const found = statuses.findIndex((status) => status?.role === "coordinator");
    return found >= 0 ? found : this.below(statuses.length);
  }

  private below(bound: number): number {
    return nextU32(this.prng) % bound;
  }

  private count(deed: string): void {
    this.deeds.set(deed, (this.deeds.get(deed) ?? 0) + 1);
  }
}

async function soak(cluster: Cluster, plan: Plan): Promise<void> {
  const before = (await cluster.awaitEqual()).revision;
  const load = cluster.load({ writers: WRITERS, name: "soak", timeoutMs: 4000 });
  const registers = new Registers(cluster);
  const nemesis = new Nemesis(cluster, plan.seed);
  await nemesis.rage(plan.seconds);
  await cluster.awaitCoordinator();
  await load.awaitAcknowledged(50);
  await load.stop();
  await registers.stop();
  const last = await cluster.awaitEqual();
  console.log(
    `${load.acknowledged.size} writes acknowledged, ${load.unknown.size} unknown, ${load.refused.size} refused; ` +
      `registers: ${registers.raised} writes acknowledged, ${registers.doubtful.length} unknown, ${registers.reads} reads; revision ${last.revision}, slot ${last.appliedSlot}, ballot ${last.ballot}; ` +
      [...nemesis.deeds].map(([deed, count]) => `${count} x ${deed}`).join(", "),
  );
  assert.deepEqual(registers.lies, []);
  const applied = last.revision - before;
  const present = (await load.verifyContents(cluster.client())) + (await registers.applied(cluster.client()));
  assert.equal(applied, BigInt(present), "each write that is there was applied once");
  assert.ok(nemesis.deeds.size > 0, "a soak in which nothing happened shows nothing");
}

/** The same cruelty, seen by recording clients alone. The history is written before it is judged. */
async function soakRecorded(cluster: Cluster, plan: Plan, file: string): Promise<void> {
  const recorders = new Recorders(cluster, { clients: RECORDERS, keys: RECORDED_KEYS, seed: plan.seed });
  const nemesis = new Nemesis(cluster, plan.seed);
  await nemesis.rage(plan.seconds);
  await cluster.awaitCoordinator();
  await recorders.stop();
  await cluster.awaitEqual();
  const { operations } = recorders;
  const out = openSync(file, "w");
  for (const operation of operations) {
    writeSync(out, `${formatOperation(operation)}\n`);
  }
  closeSync(out);
  const count = (outcome: string): number => operations.filter((operation) => operation.outcome === outcome).length;
  console.log(
    `${file}: ${operations.length} operations, ${count("unknown")} unknown, ${count("fail")} failed; ` +
      [...nemesis.deeds].map(([deed, times]) => `${times} x ${deed}`).join(", "),
  );
  const result = checkHistory(operations);
  assert.equal(
    result.kind,
    "linearizable",
    result.kind === "not-linearizable" ? explain(result.contradiction, operations) : JSON.stringify(result),
  );
  assert.ok(nemesis.deeds.size > 0 && count("ok") > 0, "a soak in which nothing happened shows nothing");
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seconds: { type: "string", default: "120" },
      seed: { type: "string", default: "1" },
      size: { type: "string", default: "5" },
      "fail-rate": { type: "string", default: "0" },
      history: { type: "string" },
    },
  });
  const plan = {
    seconds: Number(values.seconds),
    seed: Number(values.seed),
    size: Number(values.size),
    failRate: Number(values["fail-rate"]),
  };
  console.log(`soak of ${plan.size} servers for ${plan.seconds} s, seed ${plan.seed}, fail_rate ${plan.failRate}`);
  const settings = { snapshot_every_slots: 60, keep_slots: 20, fail_rate: plan.failRate };
  await withCluster({ size: plan.size, settings }, (cluster) =>
    values.history === undefined ? soak(cluster, plan) : soakRecorded(cluster, plan, values.history),
  );
}

await main();
