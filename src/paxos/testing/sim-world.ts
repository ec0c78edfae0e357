/**
 * The world of the explorer: servers, their clocks, processes, disks and streams, and the faults that happen by themselves.
 * Same seed, same world. It asks nothing of anybody: the explorer says what is proposed, read and broken.
 */
import { assert, present } from "../../base/assert.js";
import { EventHeap } from "../../base/event-heap.js";
import { nextChance, nextInt, type Prng, seedPrng, splitPrng } from "../../base/prng.js";
import type { Batch } from "../batch.js";
import { describeEffect, describeEvent, describeMessage, type Naming } from "../describe.js";
import type { Effect, Event } from "../effect.js";
import { type Address, address, diskId } from "../ids.js";
import { checkRead, createHistory, type History } from "../invariants.js";
import { headerOf, isActiveCoordinator, type ReplicaOptions } from "../replica.js";
import { sightingsOf } from "../sightings.js";
import { chooseCore, foundQuickly, halted } from "./sim-members.js";
import { type Delivery, SimNetwork } from "./sim-network.js";
import { type SimHooks, SimServer } from "./sim-server.js";
import { drawSwarm, type Swarm } from "./swarm.js";

/** Steps of one seed, far above what any needs. */
const STEPS_MAX = 500_000;
/** A process that stops is found gone after so long at most, ms. */
const DETECT_MS_MAX = 20;

/** One server and what the world knows of it. */
export type Host = {
  readonly index: number;
  /** Another one once its disk is lost. */
  server: SimServer;
  /** Disks that it lost. */
  disks: number;
  /** Micros of its clock per micro of true time, and its reading at true time 0. */
  readonly rate: number;
  offset: number;
  syncing: boolean;
  spaceLow: boolean;
  /** It never comes back. */
  isDead: boolean;
  nextRead: number;
  nextChange: number;
  /** By read id of this life: the slot it must see. */
  readonly reads: Map<number, number>;
  /** Streams of this server that are being opened, by peer. */
  readonly dialling: Set<number>;
  readonly proposals: Set<Batch>;
};

export class SimWorld {
  readonly swarm: Swarm;
  readonly history: History = createHistory();
  readonly heap = new EventHeap();
  readonly hosts: Host[];
  readonly network: SimNetwork;
  readonly faults: Prng;
  readonly work: Prng;
  private readonly disks: Prng;
  /** Replicas of which somebody asked that they be removed. */
  readonly removals = new Set<number>();
  readonly coverage = new Map<string, number>();
  private readonly line: ((text: string) => void) | null;
  private readonly naming: Naming = { address: (named) => named.slice(0, 2), replica: (replica) => `n${replica}` };
  time = 0;
  steps = 0;
  trace = 0;
  calm = false;
  /** Servers that must work in the end, and the one that alone reaches the others, if there is such a one. */
  core: readonly Host[];
  center: Host | null = null;

  constructor(seed: number, line: ((text: string) => void) | null) {
    const root = seedPrng(seed);
    this.line = line;
    this.swarm = drawSwarm(splitPrng(root));
    this.faults = splitPrng(root);
    this.work = splitPrng(root);
    this.disks = splitPrng(root);
    this.network = new SimNetwork(splitPrng(root), this.swarm, {
      after: (micros, run) => this.heap.push(this.time + micros, run),
      deliver: (delivery) => this.arrive(delivery),
      broken: (from, to) => this.dial(from, to, nextInt(this.faults, 10_000, 60_000)),
    });
    this.hosts = this.createHosts();
    this.core = this.hosts;
  }

  /** Starts all servers, each at a time of its own. */
  begin(): void {
    for (const host of this.hosts) {
      this.later(host.index, nextInt(this.faults, 0, 30_000), () => this.start(host));
    }
  }

  /**
   * Ends all faults but those that a cluster must live with: sometimes a minority stays down, sometimes only one server
   * reaches the others. Sometimes the power of all servers fails once more before.
   */
  calmDown(): void {
    if (nextChance(this.faults, 0.3)) {
      for (const host of this.hosts) {
        this.crash(host);
      }
    }
    this.calm = true;
    this.network.calm = true;
    this.network.heal();
    chooseCore(this);
    this.say(() => `--- healed: ${this.core.map((host) => `n${host.index + 1}`).join(" ")} ---`);
    for (const host of this.core) {
      this.start(host);
      if (host.spaceLow) {
        this.setSpace(host, false);
      }
      for (const peer of this.hosts) {
        this.dial(host.index, peer.index, nextInt(this.faults, 0, 100_000));
      }
    }
  }

  setSpace(host: Host, low: boolean): void {
    host.spaceLow = low;
    this.deliver(host, { kind: "space", low, now: this.now(host) });
  }

  private createHosts(): Host[] {
    const { servers, spares } = this.swarm;
    const named = Array.from({ length: servers + spares }, (_, i) => address(`n${i + 1}:1`));
    const list = named.slice(0, servers);
    const hooks: SimHooks = {
      send: (from, to, header, message) => {
        for (const peer of to) {
          for (const what of sightingsOf(message)) {
            this.count(what);
          }
          this.network.send({ from: this.indexOf(from.address), to: this.indexOf(peer), header, message });
        }
      },
      later: (server, make) => {
        const host = this.hostOf(server);
        const { life } = server;
        this.heap.push(this.time + this.diskDelay(), () => {
          if (host.server === server && server.life === life && server.state !== null) {
            this.deliver(host, make(this.now(host)));
          }
        });
      },
      takesChunk: () => this.calm || !nextChance(this.disks, this.swarm.refusedChunk),
      activated: (_server, adopted) => this.count(adopted > 0 ? "adopted" : "nothingToAdopt"),
      ran: (server, effect) => this.ran(this.hostOf(server), effect),
    };
    const hosts = named.map((own, index) => this.createHost(index, this.optionsOf(own, list), hooks));
    if (!this.swarm.virgin) {
      foundQuickly(this.history, hosts.slice(0, servers));
    }
    return hosts;
  }

  private createHost(index: number, options: ReplicaOptions, hooks: SimHooks): Host {
    const disk = diskId((index + 1).toString(16).padStart(32, "0"));
    const skew = this.swarm.clockSkew;
    return {
      index,
      server: new SimServer({ options, disk, hooks, history: this.history }),
      rate: 1 - skew + (2 * skew * nextInt(this.faults, 0, 1001)) / 1000,
      offset: nextInt(this.faults, 0, 1_000_000_000),
      syncing: false,
      spaceLow: false,
      isDead: false,
      nextRead: 1,
      nextChange: 1,
      disks: 0,
      reads: new Map(),
      dialling: new Set(),
      proposals: new Set(),
    };
  }

  private optionsOf(own: Address, list: readonly Address[]): ReplicaOptions {
    const { pingMs, grantMs, windowSlots, keepSlots, removeAfterMs, stableMs, minVoters } = this.swarm;
    const isSpare = !list.includes(own);
    return {
      address: own,
      clientAddress: `client-of-${own}`,
      list: isSpare ? [own] : list,
      join: isSpare ? list.slice(0, 2) : [],
      electable: !isSpare || nextChance(this.faults, 0.7),
      removeAfterMs,
      stableMs,
      minVoters,
      seed: nextInt(this.faults, 0, 1_000_000),
      pingMs,
      grantMs,
      suspectMs: grantMs,
      windowSlots,
      windowBytes: 8 * 1024 * 1024,
      keepSlots,
      keepBytes: 64 * 1024 * 1024,
    };
  }

  now(host: Host): number {
    return Math.floor(this.time * host.rate) + host.offset;
  }

  runUntil(end: number, done: () => boolean = () => false): void {
    for (let next = this.heap.pop(); next !== undefined; next = this.heap.pop()) {
      this.time = next.at;
      next.run();
      assert(this.steps < STEPS_MAX, "a seed ends: this one goes round in circles");
      if (this.time >= end || done()) {
        return;
      }
    }
  }

  /** Something in the present life of a server, or in its absence. */
  later(index: number, micros: number, run: () => void): void {
    const host = this.host(index);
    const { server } = host;
    const { life } = server;
    this.heap.push(this.time + micros, () => {
      if (host.server === server && server.life === life) {
        run();
      }
    });
  }

  start(host: Host): void {
    if (host.server.state !== null || host.isDead) {
      return;
    }
    this.count(host.server.life > 0 ? "restart" : "start");
    host.offset = nextInt(this.faults, 0, 1_000_000_000);
    host.syncing = false;
    host.spaceLow = false;
    host.nextRead = 1;
    host.nextChange = 1;
    host.reads.clear();
    host.dialling.clear();
    host.proposals.clear();
    this.say(() => `n${host.index + 1} starts life ${host.server.life + 1}`);
    this.runEffects(host, host.server.start(this.now(host)));
    this.tick(host);
    for (const peer of this.hosts) {
      this.dial(host.index, peer.index, nextInt(this.faults, 0, 10_000));
    }
  }

  /** Its process ends; it comes back after a while. */
  crash(host: Host): void {
    if (this.stop(host)) {
      const downMicros = nextChance(this.faults, 0.5) ? nextInt(this.faults, 0, 50_000) : nextInt(this.faults, 0, 1_500_000);
      this.heap.push(this.time + downMicros, () => this.start(host));
    }
  }

  /** Its process ends; false where it had ended before. */
  stop(host: Host): boolean {
    if (host.server.state === null) {
      return false;
    }
    const written = host.server.disk.queue.length;
    const kept = nextChance(this.disks, this.swarm.losesAll) ? 0 : nextInt(this.disks, 0, written + 1);
    this.count("crash");
    this.count(kept < written ? "lostUnsynced" : "lostNothing");
    this.say(() => `n${host.index + 1} crashes, ${kept} of ${written} unsynced persists survive`);
    host.server.crash(kept);
    const isSilent = nextChance(this.faults, this.swarm.silentCrash);
    for (const peer of this.hosts) {
      this.dial(peer.index, host.index, nextInt(this.faults, 0, isSilent ? 1_000_000 : DETECT_MS_MAX * 1000));
    }
    return true;
  }

  /** A stream is opened `micros` from now, or tried again while nothing answers. */
  dial(from: number, to: number, micros: number): void {
    const host = this.host(from);
    if (from === to || host.dialling.has(to) || host.server.state === null) {
      return;
    }
    host.dialling.add(to);
    this.later(from, micros, () => {
      host.dialling.delete(to);
      if (host.server.state === null) {
        return;
      }
      const peer = this.host(to);
      if (this.network.isBlocked(from, to) || this.network.isBlocked(to, from)) {
        this.dial(from, to, 50_000);
      } else if (peer.server.state === null) {
        this.count("gone");
        this.deliver(host, { kind: "peerGone", address: peer.server.address, now: this.now(host) });
        this.dial(from, to, nextInt(this.faults, 20_000, 100_000));
      } else {
        this.deliver(host, { kind: "connected", address: peer.server.address, now: this.now(host) });
      }
    });
  }

  private tick(host: Host): void {
    const { pingMs } = this.swarm;
    this.later(host.index, nextInt(this.faults, 150 * pingMs, 350 * pingMs), () => {
      this.deliver(host, { kind: "tick", now: this.now(host) });
      this.tick(host);
    });
  }

  deliver(host: Host, event: Event): void {
    const { server } = host;
    if (server.state === null) {
      return;
    }
    this.steps++;
    this.trace = (Math.imul(this.trace, 31) + this.time + event.kind.length + host.index) | 0;
    this.say(() => `n${host.index + 1} ${describeEvent(event, this.naming)}`);
    this.runEffects(host, server.deliver(event));
  }

  /** Runs them one by one; false where the server crashed in between. */
  private runEffects(host: Host, effects: readonly Effect[]): boolean {
    const { server } = host;
    const { life } = server;
    const isAlive = (): boolean => host.server === server && server.life === life && server.state !== null;
    for (const effect of effects) {
      if (!isAlive() || this.crashesNow(host)) {
        return false;
      }
      server.run(effect);
    }
    return isAlive();
  }

  private crashesNow(host: Host): boolean {
    if (this.calm || !nextChance(this.faults, this.swarm.crash)) {
      return false;
    }
    this.count("crashBetweenEffects");
    this.crash(host);
    return true;
  }

  private ran(host: Host, effect: Effect): void {
    this.say(() => `    n${host.index + 1} ${describeEffect(effect, this.naming)}`);
    switch (effect.kind) {
      case "persist":
        this.commit(host);
        return;
      case "wake":
        this.later(host.index, Math.max(0, Math.ceil((effect.at - this.now(host)) / host.rate)), () =>
          this.deliver(host, { kind: "tick", now: this.now(host) }),
        );
        return;
      case "readReady":
        for (const id of effect.ids) {
          this.count(isActiveCoordinator(present(host.server.state, "a server that runs effects is up")) ? "readHere" : "readElsewhere");
          checkRead(present(host.reads.get(id), `read ${id} was asked for in this life`), effect.index, id);
          host.reads.delete(id);
        }
        return;
      case "apply":
        if (effect.batch.kind === "configuration") {
          const isInEffect = this.history.configurations.some(({ from }) => from === effect.slot + 1);
          this.count(isInEffect ? "configuration" : "staleEntry");
        }
        if (host.proposals.delete(effect.batch)) {
          this.count("acknowledged");
        }
        return;
      case "coordination":
        this.count(effect.active ? "elected" : "followed");
        return;
      case "handoverDone":
        this.count(effect.heir === null ? "handoverFailed" : "handover");
        return;
      case "notice":
        this.count(effect.code);
        assert(
          (effect.code !== "peer" || this.hasChanges()) && effect.code !== "old-disk" && effect.code !== "chain-differs",
          `no healthy cluster notices ${effect.code}: ${effect.text}`,
        );
        return;
      case "changeDone":
        this.count(effect.refusal === null ? "changed" : "changeRefused");
        return;
      case "dial":
        this.dial(host.index, this.indexOf(effect.address), nextInt(this.faults, 0, 10_000));
        return;
      case "refused":
      case "loadSnapshot":
      case "trim":
        this.count(effect.kind);
        return;
      case "halt":
        assert(effect.text.includes("was removed from the cluster"), `no healthy server halts: ${effect.text}`);
        halted(this, host);
        return;
      default:
        return;
    }
  }

  /** Whether members come and go in this seed. */
  hasChanges(): boolean {
    return (
      this.swarm.weights.wipe + this.swarm.weights.change + this.swarm.weights.removeCoordinator + this.swarm.spares > 0 ||
      this.swarm.removeAfterMs > 0
    );
  }

  /** One commit is in flight per server; it takes what was written when it ends. */
  private commit(host: Host): void {
    if (host.syncing) {
      return;
    }
    host.syncing = true;
    this.later(host.index, this.diskDelay(), () => this.endCommit(host));
  }

  private endCommit(host: Host): void {
    const { server } = host;
    if (server.state === null || server.disk.queue.length === 0) {
      return;
    }
    const written = server.disk.queue.length;
    const { lsn, sends } = server.sync(nextChance(this.disks, 0.7) ? written : nextInt(this.disks, 1, written + 1));
    for (const pledge of sends) {
      if (this.crashesNow(host)) {
        return;
      }
      this.say(() => `    n${host.index + 1} has synced and sends ${describeMessage(pledge.message, this.naming)}`);
      server.sendPledge(pledge);
    }
    host.syncing = false;
    if (server.disk.queue.length > 0) {
      this.commit(host);
    }
    this.deliver(host, { kind: "persisted", lsn, now: this.now(host) });
  }

  diskDelay(): number {
    const { disks, swarm } = this;
    if (!this.calm && nextChance(disks, swarm.diskStall)) {
      return nextInt(disks, 200_000, 2_600_000);
    }
    return nextInt(disks, 10, Math.ceil((this.calm ? 0.3 : swarm.syncMs) * 2000));
  }

  private arrive({ from, to, header, message }: Delivery): boolean {
    const host = this.host(to);
    const { state } = host.server;
    if (state === null) {
      return false;
    }
    const isAsked = message.kind === "prepare" || message.kind === "propose";
    if (isAsked && !this.calm && nextChance(this.faults, this.swarm.failRate)) {
      if (nextChance(this.faults, 0.5)) {
        this.count("nack failing");
        const slot = message.kind === "propose" ? message.slot : message.from;
        const { promised } = state.durable;
        const nack = { kind: "nack", ballot: message.ballot, reason: "failing", promised, decided: state.decided, slot } as const;
        this.network.send({ from: to, to: from, header: headerOf(state), message: nack });
      }
      return true;
    }
    this.deliver(host, { kind: "receive", address: this.host(from).server.address, header, message, now: this.now(host) });
    return true;
  }

  host(index: number): Host {
    return present(this.hosts[index], "servers are named by index");
  }

  private indexOf(named: Address): number {
    return Number(named.slice(1, named.indexOf(":"))) - 1;
  }

  private hostOf(server: SimServer): Host {
    return this.host(this.indexOf(server.address));
  }

  count(what: string): void {
    this.coverage.set(what, (this.coverage.get(what) ?? 0) + 1);
  }

  say(text: () => string): void {
    if (this.line !== null) {
      this.line(`${(this.time / 1000).toFixed(2)} ${text()}`);
    }
  }
}
