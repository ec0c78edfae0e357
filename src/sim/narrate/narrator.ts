/**
 * Tells a run as a dialogue, in the protocol's words, one line for each thing that happens: processes, faults, messages, what is on
 * disk, what is decided, what clients ask and hear. The pulse (Pings, Pongs, Hellos, ticks) is left out unless asked for. It only
 * watches: it must change nothing, and never decide whether a run is right.
 */
import { describeEffect, describeEvent, describeMessage, describeRecord, type Naming } from "../../paxos/describe.js";
import type { Effect, Event } from "../../paxos/effect.js";
import type { Address } from "../../paxos/ids.js";
import type { Header, Message } from "../../paxos/message.js";
import type { WalRecord } from "../../paxos/record.js";
import type { Observer } from "../observer.js";
import type { Fault } from "../scenario/faults.js";
import type { Input, Operation } from "../workload/operation.js";
import { Lines, type LinesOptions } from "./lines.js";
import { describePayload } from "./payload.js";
import { describeAnswer, describeFault, describeFaultEnd, describeInput, nameServer, nameServers } from "./words.js";

export type NarratorOptions = LinesOptions & {
  /** The servers' Paxos addresses, in the order of their numbers. */
  readonly addresses: readonly Address[];
  /** Tells everything: the pulse, ticks, and what is written before it is synced. */
  readonly everything?: boolean;
};

/** Messages of every few milliseconds that say nothing new. */
const PULSE: ReadonlySet<Message["kind"]> = new Set(["ping", "pong", "hello"]);

/** What a step begins with that a reader wants to see; for the others the effects say enough. */
const TOLD_EVENTS: ReadonlySet<Event["kind"]> = new Set([
  "start",
  "peerGone",
  "space",
  "clockGap",
  "handover",
  "nominate",
  "snapshotTaken",
  "snapshotLoaded",
]);

/** Effects that no other call of an observer tells: messages come with `sent`, records with `synced`, notices with `logged`. */
const TOLD_EFFECTS: ReadonlySet<Effect["kind"]> = new Set([
  "apply",
  "readReady",
  "refused",
  "coordination",
  "handoverDone",
  "receiveSnapshot",
  "loadSnapshot",
  "trim",
  "leaving",
  "halt",
]);

export class Narrator implements Observer {
  private readonly lines: Lines;
  private readonly naming: Naming;
  private readonly everything: boolean;
  /** Clients whose last operation was not answered. */
  private readonly unanswered = new Set<number>();
  private readonly names: ReadonlyMap<string, string>;

  constructor(options: NarratorOptions) {
    this.lines = new Lines(options);
    this.everything = options.everything === true;
    this.names = new Map(options.addresses.map((address, index) => [address as string, nameServer(index)]));
    this.naming = {
      address: (address) => this.names.get(address) ?? address,
      replica: (replica) => nameServer(replica - 1),
      payload: describePayload,
    };
  }

  /** Lines that were told in all; the last of them are kept. */
  get total(): number {
    return this.lines.total;
  }

  /** The last lines, oldest first. */
  last(): readonly string[] {
    return this.lines.last();
  }

  started(at: number, server: number, life: number): void {
    this.lines.add(at, `-- ${nameServer(server)} is started, life ${life}`);
  }

  ended(at: number, server: number, how: string): void {
    this.lines.add(at, `-- ${nameServer(server)} ${how}`);
  }

  fault(at: number, fault: Fault, phase: "begins" | "ends"): void {
    this.lines.add(at, `-- ${phase === "begins" ? describeFault(fault) : describeFaultEnd(fault)}`);
  }

  operated(at: number, text: string): void {
    this.lines.add(at, `-- ${text}`);
  }

  healing(at: number, core: readonly number[]): void {
    this.lines.add(at, `-- the faults are over: ${nameServers(core)} are whole and connected from now on`);
  }

  stepped(at: number, server: number, event: Event, effects: readonly Effect[]): void {
    const name = nameServer(server);
    if (this.tellsEvent(event)) {
      this.lines.fold(at, `${name} ${describeEvent(event, this.naming)}`);
    }
    for (const effect of effects) {
      if (TOLD_EFFECTS.has(effect.kind)) {
        this.lines.add(at, `${name} ${describeEffect(effect, this.naming)}`);
      } else if (this.everything && effect.kind === "persist" && effect.records.length > 0) {
        this.lines.add(at, `${name} writes ${this.records(effect.records)}`);
      }
    }
  }

  sent(at: number, server: number, to: readonly Address[], _header: Header, message: Message): void {
    if (this.tellsMessage(message)) {
      const receivers = to.map(this.naming.address).join(" ");
      this.lines.fold(at, `${nameServer(server)} sends ${describeMessage(message, this.naming)} to ${receivers}`);
    }
  }

  lost(at: number, from: number, to: number, message: Message): void {
    if (this.tellsMessage(message)) {
      this.lines.fold(at, `${describeMessage(message, this.naming)} from ${nameServer(from)} to ${nameServer(to)} is lost`);
    }
  }

  synced(at: number, server: number, records: readonly WalRecord[]): void {
    if (records.length > 0) {
      this.lines.add(at, `${nameServer(server)} has on disk ${this.records(records)}`);
    }
  }

  asked(at: number, client: number, server: number, key: string, input: Input): void {
    const text = `c${client} asks ${nameServer(server)}: ${describeInput(key, input)}`;
    // An answered question is told whenever it is asked: that a read began after a write had ended is what a stale one is judged by.
    if (this.unanswered.has(client)) {
      this.lines.fold(at, text);
    } else {
      this.lines.add(at, text);
    }
  }

  answered(at: number, operation: Operation): void {
    const text = `c${operation.client} ${describeAnswer(operation)}`;
    if (operation.outcome === "ok") {
      this.unanswered.delete(operation.client);
      this.lines.add(at, text);
    } else {
      this.unanswered.add(operation.client);
      this.lines.fold(at, text);
    }
  }

  logged(at: number, server: number, level: string, text: string): void {
    if (level !== "info" || this.everything) {
      this.lines.fold(at, `${nameServer(server)} logs (${level}) ${this.rename(text)}`);
    }
  }

  private tellsMessage(message: Message): boolean {
    return this.everything || !PULSE.has(message.kind);
  }

  private tellsEvent(event: Event): boolean {
    return event.kind === "receive" ? this.tellsMessage(event.message) : this.everything || TOLD_EVENTS.has(event.kind);
  }

  private records(records: readonly WalRecord[]): string {
    return records.map((record) => describeRecord(record, this.naming)).join(" and ");
  }

  /** Servers' addresses in a sentence become their names, line ends become spaces. */
  private rename(text: string): string {
    return text.replace(/\s+/g, " ").replace(/[0-9.]+:[0-9]+/g, (address) => this.names.get(address) ?? address);
  }
}
