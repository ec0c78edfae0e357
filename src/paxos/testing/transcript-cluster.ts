/**
 * The cluster of a transcript: nothing happens by itself. Messages arrive at once and in order, disks sync at once, clocks
 * stand still, until a command holds, cuts or moves them. Writes down what a reader must see, and leaves the noise out.
 */
import { assert, present } from "../../base/assert.js";
import { chainHash } from "../../base/hash64.js";
import { describeEffect, describeEvent, describeMessage, describePledge, type Naming } from "../describe.js";
import type { Effect, Event } from "../effect.js";
import { diskId } from "../ids.js";
import { checkRead, createHistory, readFloor } from "../invariants.js";
import type { Header, Message } from "../message.js";
import { headerOf } from "../replica.js";
import { type SimHooks, SimServer } from "./sim-server.js";
import { addressOf, type Limits, nameOf, optionsOf } from "./transcript-servers.js";
import { createTimers } from "./transcript-timers.js";

/** A message on its way. */
export type Flight = { readonly from: string; readonly to: string; readonly header: Header; readonly message: Message };
/** Which messages a rule speaks of; undefined: any. */
export type Filter = {
  readonly kind?: string | undefined;
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  /** Of a Promise in parts, from 1 on. */
  readonly part?: number | undefined;
  /** Of the snapshot that is offered. */
  readonly index?: number | undefined;
};

const ABOUT_MESSAGE = / (sends|receives) | is (lost|held)/;
/** What is due within it happens without being asked for. */
const MOMENT_MICROS = 1000;
/** Ticks come in this rhythm while time passes. */
const TICK_MICROS = 10_000;
/** More deliveries than this for one command: the dialogue does not end. */
const DELIVERIES_MAX = 10_000;

/** Messages that a reader need not see, by what shows them. */
const NOISE: ReadonlyMap<string, readonly string[]> = new Map([
  ["pings", ["ping", "pong"]],
  ["hellos", ["hello"]],
]);

export function matches(filter: Filter, { from, to, message }: Flight): boolean {
  return (
    (filter.kind === undefined || filter.kind === message.kind) &&
    (filter.from === undefined || filter.from === from) &&
    (filter.to === undefined || filter.to === to) &&
    (filter.part === undefined || (message.kind === "promise" && message.part + 1 === filter.part)) &&
    (filter.index === undefined || (message.kind === "snapshotOffer" && message.meta.index === filter.index))
  );
}

export class TranscriptCluster {
  readonly servers = new Map<string, SimServer>();
  readonly lines: string[] = [];
  readonly held: Flight[] = [];
  readonly holds: Filter[] = [];
  readonly losses: Filter[] = [];
  /** Messages that arrived, the newest last: `replay` finds them here. */
  readonly arrived: Flight[] = [];
  readonly heldDisks = new Set<string>();
  /** How long each sync takes where it takes time at all, µs. */
  readonly slowDisks = new Map<string, number>();
  /** How long loading a received snapshot takes where it takes time at all, µs. */
  readonly slowLoads = new Map<string, number>();
  /** Disks that take no snapshot chunk. */
  readonly fullDisks = new Set<string>();
  /** Messages that need so long to arrive, µs. */
  readonly delays: Array<{ readonly filter: Filter; readonly micros: number }> = [];
  /** Catch-up replies that arrive with another chain than their entries have: the log of whoever sent them is damaged. */
  readonly forged: Filter[] = [];
  readonly history = createHistory();
  /** Requests of these kinds are answered Nack(failing), so many times each. */
  readonly failing = new Map<string, number>();
  private readonly hidden = new Set([...NOISE.values()].flat());
  now = 0;
  private readonly cuts = new Set<string>();
  private readonly queue: Flight[] = [];
  private readonly timers = createTimers();
  private readonly syncing = new Set<SimServer>();
  private readonly local: Array<{ readonly server: SimServer; readonly life: number; readonly make: (now: number) => Event }> = [];
  private readonly floors = new Map<string, number>();
  private readonly wakes = new Map<string, number>();
  private asleep: ReadonlySet<string> = new Set();
  private readonly naming: Naming = { address: (named) => nameOf(named), replica: (replica) => `n${replica}` };
  /** How many reads each server was asked for in its present life: their ids begin at 1 again in the next. */
  private readonly reads = new Map<string, number>();
  private quiet = false;

  create(names: readonly string[], limits: Limits, list: readonly string[] = names): void {
    const hooks: SimHooks = {
      send: (from, to, header, message) => {
        for (const peer of to) {
          this.send({ from: nameOf(from.address), to: nameOf(peer), header, message });
        }
      },
      later: (server, make) => this.later(server, make),
      takesChunk: (server) => this.takesChunk(nameOf(server.address)),
      activated: () => undefined,
      ran: (server, effect) => this.ran(nameOf(server.address), effect),
    };
    for (const name of names) {
      const disk = diskId(Number(name.slice(1)).toString(16).padStart(32, "0"));
      this.servers.set(name, new SimServer({ options: optionsOf(name, list, limits), disk, hooks, history: this.history }));
    }
  }

  show(what: string): void {
    for (const kind of present(NOISE.get(what), "only noise is hidden")) {
      this.hidden.delete(kind);
    }
  }

  server(name: string): SimServer {
    return present(this.servers.get(name), `${name} is a server of this transcript`);
  }

  write(line: string): void {
    if (!this.quiet) {
      this.lines.push(line);
    }
  }

  /** Does something without writing it down. */
  quietly(action: () => void): void {
    const before = this.quiet;
    this.quiet = true;
    action();
    this.quiet = before;
  }

  // ---- links ------------------------------------------------------------------------------------------------------

  cut(from: string, to: string): void {
    this.cuts.add(`${from}>${to}`);
  }

  heal(): void {
    this.cuts.clear();
  }

  isCut(from: string, to: string): boolean {
    return this.cuts.has(`${from}>${to}`);
  }

  /** Opens the stream of one server to another, which begins with a Hello. */
  connect(from: string, to: string): void {
    this.step(from, { kind: "connected", address: addressOf(to), now: this.now });
  }

  private send(flight: Flight): void {
    const what = `${describeMessage(flight.message, this.naming)} from ${flight.from} to ${flight.to}`;
    const receiver = this.servers.get(flight.to);
    if (this.isCut(flight.from, flight.to)) {
      this.note(flight, `${what} is lost: the link is cut`);
    } else if (receiver === undefined || receiver.state === null) {
      this.note(flight, `${what} is lost: ${flight.to} is down`);
    } else if (this.losses.some((filter) => matches(filter, flight))) {
      this.note(flight, `${what} is lost`);
    } else if (this.holds.some((filter) => matches(filter, flight))) {
      this.note(flight, `${what} is held`);
      this.held.push(flight);
    } else {
      this.forward(flight);
    }
  }

  /** At once, or as late as a rule says. */
  private forward(flight: Flight): void {
    const delay = this.delays.findLast(({ filter }) => matches(filter, flight))?.micros ?? 0;
    if (delay === 0) {
      this.queue.push(flight);
    } else {
      this.timers.add(this.now + delay, () => this.queue.push(flight));
    }
  }

  private note(flight: Flight, line: string): void {
    if (this.isShown(flight.message)) {
      this.write(line);
    }
  }

  private isShown(message: Message): boolean {
    return !this.hidden.has(message.kind);
  }

  /** Puts a message on its way whatever rules hold. */
  release(flight: Flight): void {
    this.queue.push(flight);
  }

  // ---- steps ------------------------------------------------------------------------------------------------------

  start(name: string): void {
    const server = this.server(name);
    this.wakes.delete(name);
    this.reads.delete(name);
    this.runAll(name, server.start(this.now));
    for (const other of this.servers.keys()) {
      if (other !== name && this.server(other).state !== null && !this.isCut(name, other) && !this.isCut(other, name)) {
        this.connect(name, other);
        this.connect(other, name);
      }
    }
  }

  step(name: string, event: Event): void {
    const server = this.server(name);
    if (server.state === null) {
      return;
    }
    const before = this.lines.length;
    this.runAll(name, server.deliver(event));
    if (event.kind === "receive" && this.lines.length === before && this.isShown(event.message)) {
      this.write(`${name} ${describeEvent(event, this.naming)}`);
    }
  }

  read(name: string): void {
    const id = (this.reads.get(name) ?? 0) + 1;
    this.reads.set(name, id);
    this.floors.set(`${name}/${id}`, readFloor(this.history));
    this.step(name, { kind: "read", id, now: this.now });
  }

  private runAll(name: string, effects: readonly Effect[]): void {
    const server = this.server(name);
    for (const effect of effects) {
      if (this.isVisible(effect)) {
        this.write(`${name} ${describeEffect(effect, this.naming)}`);
      }
      if (effect.kind === "sendChunk" && !server.disk.snapshots.has(effect.index)) {
        this.write(`${name} has no file of snapshot ${effect.index} any more`);
      }
      server.run(effect);
    }
    if (!this.heldDisks.has(name)) {
      this.syncInTime(name);
    }
  }

  /** Syncs what is written: at once, or one sync after the other where each takes time. */
  private syncInTime(name: string): void {
    const server = this.server(name);
    const { life } = server;
    const count = server.disk.queue.length;
    const duration = this.slowDisks.get(name) ?? 0;
    if (duration === 0) {
      this.sync(name, count, false);
    } else if (count > 0 && !this.syncing.has(server)) {
      this.syncing.add(server);
      this.timers.add(this.now + duration, () => {
        this.syncing.delete(server);
        if (server.life === life && server.state !== null && !this.heldDisks.has(name)) {
          this.sync(name, count, true);
          this.syncInTime(name);
        }
      });
    }
  }

  /** Syncs the oldest `count` persists and reports it to the core. */
  sync(name: string, count: number, isShown: boolean): void {
    const server = this.server(name);
    if (count === 0 || server.disk.queue.length === 0) {
      return;
    }
    const files = [...server.disk.snapshots];
    const { lsn, sends } = server.sync(count);
    for (const [index, file] of files) {
      server.disk.snapshots.set(index, file); // a file that may still be served stays until `forget-snapshot`
    }
    for (const pledge of sends) {
      if (isShown && this.isShown(pledge.message)) {
        this.write(`${name} has synced: sends ${describePledge(pledge, this.naming)}`);
      }
      server.sendPledge(pledge);
    }
    this.step(name, { kind: "persisted", lsn, now: this.now });
  }

  private isVisible(effect: Effect): boolean {
    switch (effect.kind) {
      case "send":
        return this.isShown(effect.message);
      case "persist":
        return effect.records.length > 0 || effect.thenSend.some(({ message }) => this.isShown(message));
      case "wake":
        return false;
      default:
        return true;
    }
  }

  private ran(name: string, effect: Effect): void {
    if (effect.kind === "wake") {
      this.wakes.set(name, Math.min(effect.at, this.wakes.get(name) ?? effect.at));
    } else if (effect.kind === "dial") {
      const to = nameOf(effect.address);
      const isUp = this.servers.get(to)?.state != null && !this.isCut(name, to) && !this.isCut(to, name);
      if (isUp) {
        this.later(this.server(name), (now) => ({ kind: "connected", address: effect.address, now }));
      }
    } else if (effect.kind === "readReady") {
      for (const id of effect.ids) {
        checkRead(present(this.floors.get(`${name}/${id}`), "the read was asked for"), effect.index, id);
      }
    }
  }

  /** Delivers until nothing is under way any more. */
  settle(): void {
    for (let deliveries = 0; ; deliveries++) {
      assert(deliveries < DELIVERIES_MAX, "a dialogue ends");
      const local = this.local.shift();
      if (local !== undefined) {
        if (local.server.life === local.life && local.server.state !== null) {
          this.step(nameOf(local.server.address), local.make(this.now));
        }
        continue;
      }
      const flight = this.queue.shift();
      const due = flight === undefined ? this.timers.take(this.now) : undefined;
      if (flight !== undefined) {
        this.arrive(flight);
      } else if (due !== undefined) {
        due();
      } else if (!this.wakeSoon()) {
        return;
      }
    }
  }

  /** Lets a moment pass for what is due within it, an Inform by itself above all; false where nothing is. */
  private wakeSoon(): boolean {
    for (const [name, at] of this.wakes) {
      if (at <= this.now + MOMENT_MICROS && !this.asleep.has(name)) {
        this.now = Math.max(this.now, at);
        this.wakes.delete(name);
        this.step(name, { kind: "tick", now: this.now });
        return true;
      }
    }
    return false;
  }

  /** What a server's own disk reports: at once, but a snapshot may take long to load. */
  private later(server: SimServer, make: (now: number) => Event): void {
    const { life } = server;
    const isLoading = server.state?.catchUp.receiving?.loading === true;
    const duration = isLoading ? (this.slowLoads.get(nameOf(server.address)) ?? 0) : 0;
    if (duration === 0) {
      this.local.push({ server, life, make });
    } else {
      this.timers.add(this.now + duration, () => this.local.push({ server, life, make }));
    }
  }

  private takesChunk(name: string): boolean {
    const takes = !this.fullDisks.has(name);
    if (!takes) {
      this.write(`the disk of ${name} refuses the chunk`);
    }
    return takes;
  }

  private arrive(flight: Flight): void {
    const { from, to, header } = flight;
    const message = this.forged.some((filter) => matches(filter, flight)) ? forge(flight.message) : flight.message;
    const { state } = this.server(to);
    if (state === null) {
      return;
    }
    this.arrived.push(flight);
    const left = this.failing.get(to) ?? 0;
    if (left > 0 && (message.kind === "prepare" || message.kind === "propose")) {
      this.failing.set(to, left - 1);
      const slot = message.kind === "propose" ? message.slot : message.from;
      const { decided, durable } = state;
      const nack = { kind: "nack", ballot: message.ballot, reason: "failing", promised: durable.promised, decided, slot } as const;
      this.write(`${to} fails ${describeMessage(message, this.naming)}: sends ${describeMessage(nack, this.naming)} to ${from}`);
      this.send({ from: to, to: from, header: headerOf(state), message: nack });
      return;
    }
    this.step(to, { kind: "receive", address: addressOf(from), header, message, now: this.now });
  }

  // ---- time -------------------------------------------------------------------------------------------------------

  /**
   * Lets time pass: ticks for all, wakes where asked for; writes the time before what happened then. What is sent again and
   * again meanwhile is written once.
   */
  pass(micros: number, asleep: ReadonlySet<string> = new Set()): void {
    const end = this.now + micros;
    const said = new Set<string>();
    this.asleep = asleep;
    while (this.now < end) {
      const wakes = [...this.wakes].filter(([name]) => !asleep.has(name)).map(([, at]) => at);
      const due = Math.max(Math.min(...wakes, this.timers.next()), this.now + 1);
      this.now = Math.min(due, this.now - (this.now % TICK_MICROS) + TICK_MICROS, end);
      const before = this.lines.length;
      for (const name of this.servers.keys()) {
        if (!asleep.has(name)) {
          if ((this.wakes.get(name) ?? Number.POSITIVE_INFINITY) <= this.now) {
            this.wakes.delete(name);
          }
          this.step(name, { kind: "tick", now: this.now });
          this.settle();
        }
      }
      const fresh = this.lines.splice(before).filter((line) => !said.has(line) || !ABOUT_MESSAGE.test(line));
      if (fresh.length > 0) {
        this.lines.push(`-- ${Math.round(this.now / 1000)} ms`, ...fresh);
      }
      for (const line of fresh) {
        said.add(line);
      }
    }
    this.asleep = new Set();
  }
}

/** Entries with the chain of a log that went another way before them. */
function forge(message: Message): Message {
  return message.kind === "catchUpReply" ? { ...message, chain: chainHash(message.chain, message.chain) } : message;
}
