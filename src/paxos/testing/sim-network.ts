/**
 * The network of the explorer: every message takes its own time and may be lost, doubled, or arrive seconds late; links fail
 * in one direction or both. Streams exist only so far as the core sees them: a Hello never overtakes a later one of the same
 * server, and a stream that lost its Hello is opened again.
 */
import { nextChance, nextInt, type Prng } from "../../base/prng.js";
import type { Header, Message } from "../message.js";
import { LATE_MS_MAX, type Swarm } from "./swarm.js";

/** Servers are named by their index here. */
export type Delivery = { readonly from: number; readonly to: number; readonly header: Header; readonly message: Message };

export type NetworkHooks = {
  /** Calls back after so many microseconds of true time. */
  readonly after: (micros: number, run: () => void) => void;
  /** Hands a message over; false where the receiver is down. */
  readonly deliver: (delivery: Delivery) => boolean;
  /** The stream lost its first message, so it must be opened again. */
  readonly broken: (from: number, to: number) => void;
};

/** How many messages may be delivered once more, much later; Pings would push the others out. */
const PAST_MAX = 256;

export class SimNetwork {
  /** While calm nothing is lost, doubled or late, and all links work. */
  calm = false;
  private readonly blocked: boolean[][];
  private readonly helloSent: number[][];
  private readonly helloSeen: number[][];
  private readonly past: Delivery[] = [];
  private sent = 0;
  private readonly prng: Prng;
  private readonly swarm: Swarm;
  private readonly hooks: NetworkHooks;

  private readonly count: number;

  constructor(prng: Prng, swarm: Swarm, hooks: NetworkHooks) {
    this.prng = prng;
    this.swarm = swarm;
    this.hooks = hooks;
    this.count = swarm.servers + swarm.spares;
    const matrix = <T>(value: T): T[][] => Array.from({ length: this.count }, () => Array.from({ length: this.count }, () => value));
    this.blocked = matrix(false);
    this.helloSent = matrix(0);
    this.helloSeen = matrix(0);
  }

  isBlocked(from: number, to: number): boolean {
    return this.blocked[from]?.[to] === true;
  }

  heal(): void {
    for (const row of this.blocked) {
      row.fill(false);
    }
  }

  /** Cuts all links but those of `center`, both ways. */
  cutToStar(center: number): void {
    for (let a = 0; a < this.count; a++) {
      for (let b = 0; b < this.count; b++) {
        this.set(a, b, a !== b && a !== center && b !== center);
      }
    }
  }

  /** Cuts the links between two servers both ways: one of them may still hear of everything from the others. */
  cutPair(a: number, b: number): void {
    this.set(a, b, a !== b);
    this.set(b, a, a !== b);
  }

  /** Cuts links at random: a split, one server off in one or both directions, a star around one server, single links in one or both directions. */
  cut(): void {
    const { prng, count } = this;
    const one = nextInt(prng, 0, count);
    const kind = nextInt(prng, 0, 6);
    const side = Array.from({ length: count }, () => nextChance(prng, 0.5));
    for (let a = 0; a < count; a++) {
      for (let b = 0; b < count; b++) {
        const isCut =
          (kind === 0 && side[a] !== side[b]) ||
          (kind === 1 && (a === one || b === one)) ||
          (kind === 2 && (nextChance(prng, 0.5) ? a === one : false)) ||
          (kind === 3 && a !== one && b !== one) ||
          (kind === 4 && nextChance(prng, 0.2));
        if (isCut && a !== b) {
          this.set(a, b, true);
        }
        if (kind === 5 && a < b && nextChance(prng, 0.4)) {
          this.cutPair(a, b);
        }
      }
    }
  }

  /** Some message of the past, delivered or lost then, arrives (again). */
  replay(): void {
    if (this.past.length > 0) {
      const delivery = this.past[nextInt(this.prng, 0, this.past.length)];
      if (delivery !== undefined) {
        this.arrive(delivery);
      }
    }
  }

  send(delivery: Delivery): void {
    const { from, to, message } = delivery;
    const { prng, swarm } = this;
    const isHello = message.kind === "hello";
    const isCommon = message.kind === "ping" || message.kind === "pong";
    if (!isHello && (!isCommon || nextChance(prng, 0.02))) {
      this.past[this.sent++ % PAST_MAX] = delivery;
    }
    if (this.isBlocked(from, to) || (!this.calm && nextChance(prng, swarm.loss))) {
      if (isHello) {
        this.hooks.broken(from, to);
      }
      return;
    }
    if (isHello) {
      const number = (this.helloSent[from]?.[to] ?? 0) + 1;
      this.write(this.helloSent, delivery, number);
      this.hooks.after(this.delay(false), () => this.arriveHello(delivery, number));
      return;
    }
    const copies = !this.calm && nextChance(prng, swarm.duplication) ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      this.hooks.after(this.delay(true), () => this.arrive(delivery));
    }
  }

  private arriveHello(delivery: Delivery, number: number): void {
    const { from, to } = delivery;
    if (number < (this.helloSeen[from]?.[to] ?? 0)) {
      return;
    }
    this.write(this.helloSeen, delivery, number);
    if (this.isBlocked(from, to) || !this.hooks.deliver(delivery)) {
      this.hooks.broken(from, to);
    }
  }

  private arrive(delivery: Delivery): void {
    if (!this.isBlocked(delivery.from, delivery.to)) {
      this.hooks.deliver(this.damaged(delivery));
    }
  }

  /** A chunk with a wrong byte, now and then: its checksum must tell. */
  private damaged(delivery: Delivery): Delivery {
    const { message } = delivery;
    if (message.kind !== "snapshotChunk" || this.calm || !nextChance(this.prng, this.swarm.corruptChunk)) {
      return delivery;
    }
    const bytes = message.bytes.slice();
    bytes[0] = (bytes[0] ?? 0) ^ 0xff;
    return { ...delivery, message: { ...message, bytes } };
  }

  private delay(mayBeLate: boolean): number {
    const { prng, swarm } = this;
    const usual = nextInt(prng, 10, Math.ceil((this.calm ? 0.5 : swarm.latencyMs) * 2000));
    const isLate = mayBeLate && !this.calm && nextChance(prng, swarm.late);
    return isLate ? usual + nextInt(prng, 0, LATE_MS_MAX * 1000) : usual;
  }

  private set(from: number, to: number, value: boolean): void {
    const row = this.blocked[from];
    if (row !== undefined) {
      row[to] = value;
    }
  }

  private write(matrix: number[][], { from, to }: Delivery, value: number): void {
    const row = matrix[from];
    if (row !== undefined) {
      row[to] = value;
    }
  }
}
