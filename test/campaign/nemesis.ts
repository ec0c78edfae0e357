/**
 * Does to the servers what the plan says, and undoes it. A fault that meets a server with which another is busy is left out and counted
 * as such. It must leave every server running and every way open when a round is over, whatever became of the faults.
 */
import assert from "node:assert/strict";
import type { Cluster } from "../support/cluster.js";
import type { CutNetwork } from "../support/cut-network.js";
import type { ServerProcess } from "../support/server-process.js";
import { pause, until } from "../support/wait.js";
import { type SmallDisk, wipe } from "./disks.js";
import { Operators } from "./operators.js";
import type { Fault, Round, Target } from "./plan.js";
import { isWhole } from "./watch.js";

/** How long a server that was started may take before the next one is restarted. */
const ANSWERS_MS = 30_000;
/** How long a round that wipes disks waits for all servers to vote; else it wipes none. */
const WHOLE_MS = 60_000;
/** What is known of the voters must be on every disk: they ask for that within a Ping or two. */
const SETTLED_MS = 1000;

export type NemesisOptions = {
  readonly cluster: Cluster;
  readonly network: CutNetwork | null;
  readonly disks: ReadonlyMap<number, SmallDisk>;
  /** Told each deed as it happens. */
  readonly tell: (text: string) => void;
};

export class Nemesis {
  /** By kind. */
  readonly done = new Map<string, number>();
  /** Faults left out: their server was down or taken already, or a disk was missing. */
  readonly leftOut = new Map<string, number>();
  /** Chance of the present run of each server to fail requests. */
  readonly failRates = new Map<number, number>();
  private readonly options: NemesisOptions;
  private readonly cluster: Cluster;
  private readonly operators: Operators;
  private readonly taken = new Set<number>();

  constructor(options: NemesisOptions) {
    this.options = options;
    this.cluster = options.cluster;
    this.operators = new Operators(options.cluster, options.tell);
  }

  /** The faults of a round, then everything healed. */
  async rage({ needsWhole, faults }: Round): Promise<void> {
    const mayLose = needsWhole && (await this.becomesWhole());
    const ended = await Promise.allSettled(
      faults.map(async ({ afterMs, fault }) => {
        await pause(afterMs);
        const happened = ((fault.kind !== "wipe" && fault.kind !== "remove") || mayLose) && (await this.commit(fault));
        const tally = happened ? this.done : this.leftOut;
        tally.set(fault.kind, (tally.get(fault.kind) ?? 0) + 1);
        if (!happened) {
          this.options.tell(`left out: ${JSON.stringify(fault)}`);
        }
      }),
    );
    this.heal();
    const failed = ended.find((one) => one.status === "rejected");
    if (failed !== undefined) {
      throw failed.reason;
    }
  }

  /** Every server runs, every way is open, every disk has space. */
  heal(): void {
    this.options.network?.healAll();
    for (const disk of this.options.disks.values()) {
      disk.free();
    }
    for (const server of this.cluster.servers) {
      if (server.running) {
        server.signal("SIGCONT");
      } else {
        this.start(server, 0);
      }
    }
  }

  /** Starts again, one after another, those that fail requests on purpose. */
  async calmDown(): Promise<void> {
    for (const server of this.cluster.servers) {
      if ((this.failRates.get(server.index) ?? 0) > 0) {
        await this.restart(server, 0);
      }
    }
  }

  private async becomesWhole(): Promise<boolean> {
    const look = async (): Promise<true | null> => (isWhole(await this.statuses()) ? true : null);
    try {
      await until("all servers to vote", look, WHOLE_MS);
      await pause(SETTLED_MS);
      return (await look()) === true;
    } catch {
      return false;
    }
  }

  private statuses() {
    return Promise.all(this.cluster.servers.map((server) => server.status()));
  }

  /** Whether it happened. */
  private async commit(fault: Fault): Promise<boolean> {
    switch (fault.kind) {
      case "kill":
      case "pause":
      case "wipe": {
        const server = this.cluster.server(await this.find(fault.target));
        return this.holding([server], () => this.hurt(server, fault));
      }
      case "kill-all":
        return this.holding(this.cluster.servers, async (servers) => {
          await Promise.all(servers.map((server) => server.kill()));
          this.tell(fault, servers);
          await pause(fault.ms);
          for (const server of servers) {
            this.start(server, 0);
          }
        });
      case "pause-majority": {
        const size = this.cluster.servers.length;
        const count = Math.floor(size / 2) + 1;
        const chosen = Array.from({ length: count }, (_, i) => this.cluster.server((fault.first + i) % size));
        return this.holding(chosen, (servers) => this.halt(servers, fault));
      }
      case "rolling-restart":
        return this.holding(this.cluster.servers, async (servers) => {
          this.tell(fault, servers);
          for (const server of servers) {
            await this.restart(server, fault.failRates[server.index] ?? 0);
          }
        });
      case "full-disk":
        return this.fillDisk(fault);
      case "remove":
        return this.remove(fault);
      case "handover":
      case "move-tie-break":
        this.tell(fault, []);
        return fault.kind === "handover" ? this.operators.handover(fault.heir) : this.operators.moveTieBreak(fault.to);
      default:
        return this.disturb(fault);
    }
  }

  /** Runs `work` on servers with which no other fault is busy; false where one is taken or down. */
  private async holding(servers: readonly ServerProcess[], work: (servers: readonly ServerProcess[]) => Promise<void>): Promise<boolean> {
    if (servers.some((server) => this.taken.has(server.index) || !server.running)) {
      return false;
    }
    for (const { index } of servers) {
      this.taken.add(index);
    }
    try {
      await work(servers);
    } finally {
      for (const { index } of servers) {
        this.taken.delete(index);
      }
    }
    return true;
  }

  private async hurt(server: ServerProcess, fault: Extract<Fault, { readonly kind: "kill" | "pause" | "wipe" }>): Promise<void> {
    if (fault.kind === "pause") {
      return this.halt([server], fault);
    }
    await server.kill();
    this.tell(fault, [server]);
    if (fault.kind === "wipe") {
      assert.ok(wipe(server.dataDir), `server ${server.index} had a disk to wipe`);
    }
    await pause(fault.ms);
    this.start(server, fault.kind === "kill" ? fault.failRate : 0);
  }

  /** Done once it is started again and, where that is wanted, votes. */
  private async remove(fault: Extract<Fault, { readonly kind: "remove" }>): Promise<boolean> {
    const server = this.cluster.server(await this.find(fault.target));
    let isRemoved = false;
    await this.holding([server], async () => {
      this.tell(fault, [server]);
      isRemoved = await this.operators.remove(server);
      if (!isRemoved) {
        return;
      }
      assert.ok(wipe(server.dataDir), `server ${server.index} had a disk to wipe`);
      await pause(fault.ms);
      this.failRates.set(server.index, 0);
      // Who was removed on purpose comes back only when told to join, not because others list its address.
      const members = this.cluster.others(server.index).map(({ paxosAddress }) => paxosAddress);
      server.start({ electable: `${!fault.promotes}` }, members);
      if (fault.promotes) {
        await this.operators.promote(server);
      }
    });
    return isRemoved;
  }

  private async halt(servers: readonly ServerProcess[], fault: Extract<Fault, { readonly ms: number }>): Promise<void> {
    this.tell(fault, servers);
    for (const server of servers) {
      server.signal("SIGSTOP");
    }
    await pause(fault.ms);
    for (const server of servers) {
      server.signal("SIGCONT");
    }
  }

  private async restart(server: ServerProcess, failRate: number): Promise<void> {
    // One that has just been started may not listen to signals yet, and would be ended by this one.
    await until(`server ${server.index} to answer`, () => server.status(), ANSWERS_MS);
    const { status } = await server.stop();
    assert.equal(status, 0, `server ${server.index} stops when asked to`);
    this.start(server, failRate);
    await until(`server ${server.index} to answer`, () => server.status(), ANSWERS_MS);
  }

  private start(server: ServerProcess, failRate: number): void {
    this.failRates.set(server.index, failRate);
    server.start({ fail_rate: failRate });
  }

  private async fillDisk(fault: Extract<Fault, { readonly kind: "full-disk" }>): Promise<boolean> {
    const disk = this.options.disks.get(fault.host);
    if (disk === undefined) {
      return false;
    }
    this.tell(fault, []);
    disk.fill();
    try {
      await pause(fault.ms);
    } finally {
      disk.free();
    }
    return true;
  }

  /** What is done to the network. Where two faults cut one way, the first to end opens it. */
  private async disturb(
    fault: Extract<Fault, { readonly kind: "isolate" | "split" | "one-way" | "partial" | "slow" | "lossy" }>,
  ): Promise<boolean> {
    const { network } = this.options;
    if (network === null) {
      return false;
    }
    const all = this.cluster.servers.map(({ index }) => index);
    const fair = { delayMs: 0, lossPercent: 0 };
    switch (fault.kind) {
      case "isolate": {
        const host = await this.find(fault.target);
        return this.during(fault, [host], { begin: () => network.pull(host), end: () => network.plug(host) });
      }
      case "slow": {
        const host = await this.find(fault.target);
        const weather = { ...fair, delayMs: fault.delayMs };
        return this.during(fault, [host], { begin: () => network.setWeather(host, weather), end: () => network.setWeather(host, fair) });
      }
      case "lossy": {
        const host = await this.find(fault.target);
        const weather = { ...fair, lossPercent: fault.percent };
        return this.during(fault, [host], { begin: () => network.setWeather(host, weather), end: () => network.setWeather(host, fair) });
      }
      case "split":
        return this.cut(
          fault,
          bothWays(
            fault.side,
            all.filter((host) => !fault.side.includes(host)),
          ),
        );
      case "one-way": {
        const from = await this.find(fault.from);
        return this.cut(
          fault,
          fault.to.map((to) => [from, to]),
        );
      }
      case "partial":
        return this.cut(fault, bothWays([await this.find(fault.a)], [fault.b]));
    }
  }

  private async cut(fault: Extract<Fault, { readonly ms: number }>, ways: readonly Way[]): Promise<boolean> {
    const { network } = this.options;
    const real = ways.filter(([from, to]) => from !== to);
    if (network === null || real.length === 0) {
      return false;
    }
    const each = (work: (from: number, to: number) => void) => (): void => {
      for (const [from, to] of real) {
        work(from, to);
      }
    };
    return this.during(fault, [...new Set(real.flat())], {
      begin: each((from, to) => network.cutWay(from, to)),
      end: each((from, to) => network.mendWay(from, to)),
    });
  }

  private async during(
    fault: Extract<Fault, { readonly ms: number }>,
    hosts: readonly number[],
    { begin, end }: { readonly begin: () => void; readonly end: () => void },
  ): Promise<boolean> {
    this.tell(
      fault,
      hosts.map((host) => this.cluster.server(host)),
    );
    begin();
    try {
      await pause(fault.ms);
    } finally {
      end();
    }
    return true;
  }

  /** The coordinator as one of the servers sees it now; the first server if there is none. */
  private async find(target: Target): Promise<number> {
    return target === "coordinator"
      ? Math.max(
          0,
          (await this.statuses()).findIndex((status) => status?.role === "coordinator"),
        )
      : target;
  }

  private tell(fault: Fault, servers: readonly ServerProcess[]): void {
    this.options.tell(`${servers.map(({ index }) => `server ${index}`).join(", ")}: ${JSON.stringify(fault)}`);
  }
}

/** From one host to another. */
type Way = readonly [number, number];

function bothWays(some: readonly number[], others: readonly number[]): readonly Way[] {
  return some.flatMap((a) =>
    others.flatMap((b): Way[] => [
      [a, b],
      [b, a],
    ]),
  );
}
