/**
 * A campaign: real servers under load, rounds of faults as the seed draws them, and at the end everything healed and compared: what
 * clients were told with what the store holds, and the servers with each other. What is found wrong is a value, not an exception, so
 * that a campaign that fails still says what it saw.
 */
import assert from "node:assert/strict";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { seedPrng } from "../../src/base/prng.js";
import { Cluster } from "../support/cluster.js";
import { CutNetwork, type Means } from "../support/cut-network.js";
import type { Load } from "../support/load.js";
import { pause, until } from "../support/wait.js";
import { SmallDisk } from "./disks.js";
import { Nemesis } from "./nemesis.js";
import { Plan } from "./plan.js";
import { Recorders } from "./recorders.js";
import { isWhole, Watch } from "./watch.js";
import { Windows } from "./windows.js";

export type CampaignOptions = {
  readonly minutes: number;
  readonly servers: number;
  readonly seed: number;
  /** Clients whose history is recorded, and what they ask in a second, all together. */
  readonly clients: number;
  readonly rate: number;
  /** Where the whole history is written, or null. */
  readonly out: string | null;
  /** Why there are no network namespaces, or null: then this process runs below `unshare`. */
  readonly obstacle: string | null;
  /** Whether the files stay even where nothing is wrong. */
  readonly keeps: boolean;
};

/** Everything a report needs, and fit for JSON. */
export type Outcome = {
  readonly seed: number;
  readonly servers: number;
  readonly seconds: number;
  /** How cables are made bad; null where all servers share the loopback interface. */
  readonly network: Means | null;
  readonly rounds: number;
  /** Of the recorded history, by kind and outcome. */
  readonly operations: Readonly<Record<string, number>>;
  /** Writes of keys that are written once. */
  readonly ownWrites: { readonly acknowledged: number; readonly unknown: number; readonly refused: number };
  readonly faults: Readonly<Record<string, number>>;
  readonly leftOut: Readonly<Record<string, number>>;
  readonly elections: number;
  readonly coordinatorChanges: number;
  readonly configurationChanges: number;
  /** How often a change left so many voters. */
  readonly voterCounts: Readonly<Record<string, number>>;
  readonly unknown: number;
  readonly lostWrites: number;
  readonly windows: number;
  readonly undecidedWindows: number;
  readonly linearizable: "yes" | "no" | "undecided";
  readonly longestWithoutWriteMs: number;
  /** When that ended, seconds since the beginning. */
  readonly longestUntil: number;
  /** After a round, from everything healed to the next write. */
  readonly longestRecoveryMs: number;
  readonly violations: readonly string[];
};

const KEYS = 6;
/** Writers of keys that nobody else writes, and how long each rests: about 20 writes a second. */
const WRITERS = 2;
const WRITER_REST_MS = 100;
const WRITER_TIMEOUT_MS = 4000;
const WINDOW_MS = 30_000;
/** After everything is healed, a write must succeed within this. */
const RECOVERY_MS = 60_000;
/** And all servers must vote again: flapping ones wait longer, up to five minutes each. */
const WHOLE_MS = 400_000;
const MS_A_MINUTE = 60_000;
/** Small segments and few slots, so that snapshots and trimming happen all the time; voters are removed within seconds. */
const SETTINGS = {
  snapshot_every_slots: 400,
  keep_slots: 150,
  segment_bytes: 4 * 1024 * 1024,
  history_max_bytes: 4 * 1024 * 1024,
  remove_after_ms: 3000,
  stable_ms: 500,
};

type Parts = {
  readonly cluster: Cluster;
  readonly network: CutNetwork | null;
  readonly disks: ReadonlyMap<number, SmallDisk>;
};

/** Where words go: `log` each deed, `say` what whoever waits wants to see. */
export type Teller = { readonly log: (text: string) => void; readonly say: (text: string) => void };

/** Runs to its end whatever happens and leaves no process; its files stay where something is wrong. */
export async function runCampaign(options: CampaignOptions, teller: Teller): Promise<Outcome> {
  const parts = await prepare(options);
  const { cluster, disks } = parts;
  let isGood = false;
  try {
    cluster.start();
    await cluster.awaitCoordinator();
    const outcome = await new Campaign(options, parts, teller).fight();
    isGood = outcome.violations.length === 0;
    return outcome;
  } finally {
    if (!isGood) {
      cluster.showLogs();
    }
    await cluster.close(!isGood || options.keeps);
    for (const [host, disk] of isGood ? [] : disks) {
      disk.saveTo(join(cluster.folder, `server-${host}`));
    }
  }
}

/** Small disks for fewer than half of the servers: the others keep the cluster going, and sync to a real one. */
async function prepare({ servers, obstacle }: CampaignOptions): Promise<Parts> {
  const disks = new Map<number, SmallDisk>();
  for (let host = 1; obstacle === null && host < servers; host += 2) {
    disks.set(host, new SmallDisk(tmpdir(), host));
  }
  const network = obstacle === null ? new CutNetwork(servers) : null;
  const cluster = await Cluster.create({
    size: servers,
    settings: SETTINGS,
    dataDirOf: (index) => disks.get(index)?.dataDir,
    ...(network === null ? {} : { machines: network }),
  });
  return { cluster, network, disks };
}

class Campaign {
  private readonly options: CampaignOptions;
  private readonly cluster: Cluster;
  private readonly network: CutNetwork | null;
  private readonly plan: Plan;
  private readonly nemesis: Nemesis;
  private readonly windows: Windows;
  private readonly watch: Watch;
  private readonly load: Load;
  private readonly recorders: Recorders;
  private readonly say: (text: string) => void;
  private readonly log: (text: string) => void;
  private readonly violations: string[] = [];
  private readonly began = performance.now();
  private rounds = 0;
  private lost = 0;
  private longestRecoveryMs = 0;

  constructor(options: CampaignOptions, { cluster, network, disks }: Parts, teller: Teller) {
    const { servers, clients, rate, seed } = options;
    this.options = options;
    this.cluster = cluster;
    this.network = network;
    const timed = (text: string): string => `${((performance.now() - this.began) / 1000).toFixed(1)} s: ${text}`;
    this.say = (text) => teller.say(timed(text));
    this.log = (text) => teller.log(timed(text));
    this.plan = new Plan(seedPrng(seed), {
      servers,
      hasNetwork: network !== null,
      canLose: network !== null && network.means.loss !== null,
      smallDisks: [...disks.keys()],
    });
    this.nemesis = new Nemesis({ cluster, network, disks, tell: this.log });
    this.windows = new Windows(cluster.folder, options.out);
    this.watch = new Watch(cluster);
    this.load = cluster.load({ writers: WRITERS, name: "own", timeoutMs: WRITER_TIMEOUT_MS, restMs: WRITER_REST_MS });
    this.recorders = new Recorders(cluster, { clients, keys: KEYS, seed, restMsMax: Math.ceil((2 * clients * 1000) / rate) });
  }

  async fight(): Promise<Outcome> {
    try {
      await this.rage();
      await this.comeToRest();
    } catch (error) {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      this.say(text);
      this.violations.push(text);
    }
    const seconds = Math.round((performance.now() - this.began) / 1000);
    await Promise.all([this.recorders.stop(), this.load.stop(), this.watch.stop()]);
    return this.outcome(seconds);
  }

  /** Rounds until the time is over, the history cut into windows on the way. */
  private async rage(): Promise<void> {
    const endsAt = this.began + this.options.minutes * MS_A_MINUTE;
    let windowBegan = this.began;
    while (performance.now() < endsAt) {
      this.rounds++;
      const round = this.plan.nextRound();
      await this.nemesis.rage(round);
      await this.awaitWrite();
      this.assertNoCrash();
      await pause(round.calmMs);
      if (performance.now() - windowBegan >= WINDOW_MS) {
        await this.turn();
        windowBegan = performance.now();
      }
    }
  }

  private async awaitWrite(): Promise<void> {
    const before = this.load.acknowledged.size;
    const healedAt = performance.now();
    await until("a write after everything was healed", () => (this.load.acknowledged.size > before ? true : null), RECOVERY_MS);
    const took = Math.round(performance.now() - healedAt);
    this.log(`the first write after healing took ${took} ms`);
    this.longestRecoveryMs = Math.max(this.longestRecoveryMs, took);
  }

  private async turn(): Promise<void> {
    await this.windows.check(await this.recorders.turn());
    const { checked, operations, violations } = this.windows;
    const writes = this.load.acknowledged.size;
    this.say(
      `round ${this.rounds}: ${checked} windows of ${operations} operations checked, ${violations.length} bad; ${writes} own writes acknowledged; ` +
        `${this.watch.elections} elections, ${this.watch.configurationChanges} configuration changes`,
    );
    assert.deepEqual(violations, [], "the history is linearizable");
  }

  private assertNoCrash(): void {
    assert.equal(this.watch.crash, null);
    this.cluster.assertNoCrash();
  }

  /** All faults are over: everybody votes again, says the same, and has what was acknowledged. */
  private async comeToRest(): Promise<void> {
    const { cluster } = this;
    await this.nemesis.calmDown();
    const statuses = () => Promise.all(cluster.servers.map((server) => server.status()));
    await until("all servers to vote again", async () => (isWhole(await statuses()) ? true : null), WHOLE_MS);
    await cluster.awaitCoordinator();
    await Promise.all([this.recorders.stop(), this.load.stop()]);
    await this.turn();
    for (const { index } of cluster.servers) {
      const client = cluster.clientOf(index);
      await client.put(`through ${index}`, "written");
      assert.equal(await client.get(`through ${index}`), "written", `a read through server ${index}`);
    }
    await cluster.awaitEqual();
    for (const { index } of cluster.servers) {
      const client = cluster.clientOf(index);
      const { lost, others } = await this.load.compareContents(client);
      const wrong = await this.windows.look(client);
      this.lost = Math.max(this.lost, lost.length + wrong.length);
      this.violations.push(...[...lost.map((key) => `${key} is lost`), ...others, ...wrong].map((text) => `server ${index}: ${text}`));
    }
    this.assertNoCrash();
  }

  private outcome(seconds: number): Outcome {
    const { nemesis, recorders, load, watch, windows } = this;
    const outcomes = sorted(recorders.outcomes);
    const { elections, coordinatorChanges, configurationChanges } = watch;
    return {
      seed: this.options.seed,
      servers: this.options.servers,
      seconds,
      network: this.network?.means ?? null,
      rounds: this.rounds,
      operations: outcomes,
      ownWrites: { acknowledged: load.acknowledged.size, unknown: load.unknown.size, refused: load.refused.size },
      faults: sorted(nemesis.done),
      leftOut: sorted(nemesis.leftOut),
      elections,
      coordinatorChanges,
      configurationChanges,
      voterCounts: sorted(new Map([...watch.voterCounts].map(([voters, times]) => [`${voters}`, times]))),
      unknown: load.unknown.size + sum(Object.entries(outcomes).filter(([kind]) => kind.endsWith(" unknown"))),
      lostWrites: this.lost,
      windows: windows.checked,
      undecidedWindows: windows.undecided,
      linearizable: windows.violations.length > 0 ? "no" : windows.undecided > 0 || windows.checked === 0 ? "undecided" : "yes",
      longestWithoutWriteMs: Math.round(recorders.longestWithoutWriteMs),
      longestUntil: recorders.longestUntil,
      longestRecoveryMs: this.longestRecoveryMs,
      violations: this.violations,
    };
  }
}

function sorted(counts: ReadonlyMap<string, number>): Readonly<Record<string, number>> {
  return Object.fromEntries([...counts].sort(([a], [b]) => (a < b ? -1 : 1)));
}

function sum(counts: readonly (readonly [string, number])[]): number {
  return counts.reduce((total, [, count]) => total + count, 0);
}
