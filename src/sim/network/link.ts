/**
 * One direction between two servers: what is under way on the streams that `from` opened to `to`, and what becomes of it. It outlives the processes at
 * both ends. Calm, it is in order and loses nothing; all that it does otherwise comes from its `trouble`. It draws from a stream of its
 * own, so that what happens here moves nothing elsewhere. The hot path of a run: no closure per message that nothing is wrong with.
 */
import { present } from "../../base/assert.js";
import { nextChance, nextInt, type Prng } from "../../base/prng.js";
import type { Address } from "../../paxos/ids.js";
import type { Message } from "../../paxos/message.js";
import { decodeEnvelope } from "../../paxos/message-codec.js";
import type { Engine } from "../engine/engine.js";
import type { Tally } from "../engine/tally.js";
import type { Speeds } from "../scenario/scenario.js";
import type { Connection } from "./connection.js";
import { Pipe, type PipeEnd } from "./pipe.js";
import type { SimPort } from "./port.js";
import { Trouble } from "./trouble.js";

/** The machine asks so often for an answer to a dial that was lost. */
const KNOCK_AGAIN_MICROS = 1_000_000;
/** The second copy of a duplicated message is at most so late. */
const COPY_MICROS_MAX = 5000;

/** What all links of a network have in common. */
export interface Fabric {
  readonly engine: Engine;
  readonly speeds: Speeds;
  readonly tally: Tally;
  /** Bytes under way on one stream above which messages are dropped. */
  readonly queueBytesMax: number;
  readonly onLost: ((from: number, to: number, message: Message) => void) | null;
  /** The life of a server that can be dialled now. */
  listener(index: number): SimPort | null;
  link(from: number, to: number): Link;
}

export class Link implements PipeEnd {
  readonly trouble = new Trouble();
  /** Messages handed to the link, and messages that the receiver took. */
  sent = 0;
  delivered = 0;
  private readonly from: number;
  private readonly to: number;
  private readonly fabric: Fabric;
  private readonly prng: Prng;
  /** The open connection, as `from` sees it. */
  private current: Connection | null = null;
  private readonly pipe: Pipe;

  constructor(fabric: Fabric, prng: Prng, ends: { readonly from: number; readonly to: number }) {
    this.fabric = fabric;
    this.prng = prng;
    this.from = ends.from;
    this.to = ends.to;
    this.pipe = new Pipe(fabric.engine, this);
  }

  get isClogged(): boolean {
    return this.trouble.isClogged;
  }

  /** Looks for somebody who takes `connection`; its stream is told unless the way there, or the answer, is lost. */
  dial(connection: Connection): void {
    this.fabric.engine.after(this.travel(), () => this.knock(connection));
  }

  /** Queues `bytes` on `connection`. */
  send(connection: Connection, bytes: Uint8Array): void {
    this.sent++;
    const isFirst = !connection.hasSpoken;
    connection.hasSpoken = true;
    if (connection.isBroken) {
      this.lose(bytes, "net closed");
      this.reportBroken(connection);
      return;
    }
    if (connection.bytes > this.fabric.queueBytesMax) {
      this.lose(bytes, "net full");
      return;
    }
    if (this.trouble.calm) {
      this.enqueue(connection, bytes, this.fabric.engine.now + this.latency());
    } else {
      this.sendInTrouble(connection, bytes, isFirst);
    }
  }

  /** The one that dialled closes it; what is under way arrives. */
  close(connection: Connection): void {
    connection.isBroken = true;
    connection.isGivenUp = true;
    if (this.current === connection) {
      this.current = null;
    }
  }

  /** The one that dialled gives it up; what is under way is lost. */
  abort(connection: Connection): void {
    this.close(connection);
    this.discard(connection, 0);
  }

  /** The process of `from` ended: its machine still delivers what it was given, or the beginning of that. */
  senderLeft(): void {
    if (this.current !== null) {
      const { current } = this;
      this.close(current);
      this.breakOff(current);
    }
  }

  /** The process of `to` ended. */
  receiverLeft(): void {
    const { current } = this;
    if (current !== null) {
      current.isBroken = true;
      this.discard(current, 0);
      this.reportBroken(current);
    }
  }

  /** Ends the connection in the middle of what it was carrying; `from` learns of it. False: there was none. */
  reset(): boolean {
    const { current } = this;
    if (current === null || current.isBroken) {
      return false;
    }
    current.isBroken = true;
    this.breakOff(current);
    this.reportBroken(current);
    return true;
  }

  clog(): void {
    if (!this.trouble.isClogged && this.pipe.length > 0) {
      this.fabric.tally.add("net clog", this.pipe.length);
    }
    this.trouble.clog(1);
  }

  unclog(): void {
    this.trouble.clog(-1);
    this.pipe.resume();
  }

  private sendInTrouble(connection: Connection, bytes: Uint8Array, isFirst: boolean): void {
    const { trouble, prng } = this;
    const { tally, engine } = this.fabric;
    if (trouble.isCut) {
      this.loseToCut(bytes);
      return;
    }
    let due = engine.now + this.latency();
    for (const { chance, byMicros } of trouble.replays) {
      if (nextChance(prng, chance)) {
        engine.schedule(due + nextInt(prng, 0, byMicros + 1), () => this.replay(bytes));
      }
    }
    if (isFirst ? false : this.isUnlucky(bytes)) {
      return;
    }
    for (const byMicros of trouble.delays) {
      due += nextInt(prng, 0, byMicros + 1);
      tally.add("net delay");
    }
    if (isFirst ? false : this.isStray(connection, bytes, due)) {
      return;
    }
    if (trouble.isClogged) {
      tally.add("net clog");
    }
    this.enqueue(connection, bytes, due);
  }

  /** Draws whether a message is lost by itself. */
  private isUnlucky(bytes: Uint8Array): boolean {
    const { trouble, prng } = this;
    if (trouble.large.some((limit) => bytes.length > limit)) {
      this.lose(bytes, "net large");
      return true;
    }
    for (const chance of trouble.drops) {
      if (nextChance(prng, chance)) {
        this.lose(bytes, "net drop");
        return true;
      }
    }
    return false;
  }

  /** Draws a second copy, and whether the first leaves the order of the stream. */
  private isStray(connection: Connection, bytes: Uint8Array, due: number): boolean {
    const { trouble, prng } = this;
    const { tally } = this.fabric;
    for (const chance of trouble.duplicates) {
      if (nextChance(prng, chance)) {
        tally.add("net duplicate");
        this.stray(connection, bytes, due + nextInt(prng, 1, COPY_MICROS_MAX + 1));
      }
    }
    let late = -1;
    for (const { chance, byMicros } of trouble.reorders) {
      if (nextChance(prng, chance)) {
        tally.add("net reorder");
        late = Math.max(late, 0) + nextInt(prng, 0, byMicros + 1);
      }
    }
    if (late < 0) {
      return false;
    }
    this.stray(connection, bytes, due + late);
    return true;
  }

  /** A copy that keeps to no order. */
  private stray(connection: Connection, bytes: Uint8Array, at: number): void {
    connection.bytes += bytes.length;
    this.fabric.engine.schedule(at, () => {
      if (this.trouble.isClogged) {
        connection.bytes -= bytes.length;
        this.enqueue(connection, bytes, this.fabric.engine.now);
      } else {
        this.arrive(connection, bytes);
      }
    });
  }

  /** A copy of long ago comes as if it had been sent on the stream of now; where there is none, nothing comes. */
  private replay(bytes: Uint8Array): void {
    const { current } = this;
    if (current !== null && current.name !== null && !current.isBroken) {
      this.fabric.tally.add("net replay");
      this.stray(current, bytes, this.fabric.engine.now);
    }
  }

  private enqueue(connection: Connection, bytes: Uint8Array, due: number): void {
    connection.bytes += bytes.length;
    this.pipe.push(connection, bytes, due);
  }

  /** A copy is at the other machine. */
  arrive(connection: Connection, bytes: Uint8Array): void {
    if (this.trouble.isCut) {
      connection.bytes -= bytes.length;
      this.loseToCut(bytes);
      return;
    }
    const { receiver } = connection;
    if (receiver === null || !receiver.host.alive || this.fabric.listener(this.to) !== receiver) {
      this.lose(bytes, "net closed");
      connection.isBroken = true;
      this.reportBroken(connection);
      return;
    }
    if (receiver.host.isPaused) {
      receiver.host.enter(() => this.hand(connection, receiver, bytes));
    } else {
      this.hand(connection, receiver, bytes);
    }
  }

  /** The receiver reads `bytes`. They are read anew for each receiver, so that no two share an object. */
  private hand(connection: Connection, receiver: SimPort, bytes: Uint8Array): void {
    connection.bytes -= bytes.length;
    const { header, message } = decodeEnvelope(bytes);
    if (message.kind === "hello") {
      this.name(connection, receiver, message.address);
    }
    if (connection.name === null) {
      // Its Hello was lost to a cut: a stream without one is refused, and opened anew.
      this.lose(bytes, "net unnamed");
      connection.isBroken = true;
      this.reportBroken(connection);
      return;
    }
    connection.back?.heard();
    this.delivered++;
    receiver.deliver(connection.name, header, message);
  }

  private name(connection: Connection, receiver: SimPort, address: Address): void {
    const isNewStream = connection.name === null;
    connection.name = address;
    connection.back = receiver.streamTo(address);
    connection.back?.greeted(isNewStream);
  }

  /** The dial is at the other machine. What was lost is sent again while the one that dialled waits. */
  private knock(connection: Connection): void {
    if (connection.isGivenUp || !connection.stream.host.alive) {
      return;
    }
    const { trouble, fabric } = this;
    const listener = fabric.listener(this.to);
    const isLost = trouble.isBlocked || (listener === null && (trouble.isSilent || this.back.trouble.isBlocked));
    if (isLost) {
      if (!trouble.isBlocked && trouble.isSilent) {
        fabric.tally.add("net unnoticed");
      }
      fabric.engine.after(KNOCK_AGAIN_MICROS, () => this.knock(connection));
    } else if (listener === null || trouble.isRefused) {
      if (listener !== null) {
        fabric.tally.add("net refuse");
      }
      this.answer(connection, () => connection.stream.onRefused(connection));
    } else {
      // The connection counts as open with the first words of the process, which may be paused.
      listener.host.enter(() => {
        connection.receiver = listener;
        this.answer(connection, () => this.opened(connection));
      });
    }
  }

  /** The answer to a dial is back; the world may be another by now. The way back may be cut: links that work one way only are then possible for long, which is harsher than TCP. */
  private opened(connection: Connection): void {
    if (connection.isGivenUp) {
      return;
    }
    if (this.fabric.listener(this.to) !== connection.receiver || this.trouble.isRefused) {
      connection.stream.onClosed(connection);
      return;
    }
    this.current = connection;
    connection.stream.onOpen(connection);
  }

  private answer(connection: Connection, work: () => void): void {
    this.fabric.engine.after(this.latency(), () => connection.stream.host.enter(work));
  }

  /** Lets `from` learn that a connection leads nowhere, once, and unless the ways are blocked or nobody is there to say so. */
  private reportBroken(connection: Connection): void {
    const { trouble, fabric } = this;
    if (connection.isReported || connection.isGivenUp || trouble.isBlocked || this.back.trouble.isBlocked) {
      return;
    }
    if (trouble.isSilent && fabric.listener(this.to) === null) {
      fabric.tally.add("net unnoticed");
      return;
    }
    connection.isReported = true;
    this.answer(connection, () => {
      if (this.current === connection) {
        this.current = null;
      }
      connection.stream.onClosed(connection);
    });
  }

  /** What is under way arrives whole half of the time, else a beginning of it. */
  private breakOff(connection: Connection): void {
    const underWay = this.pipe.countOf(connection);
    this.discard(connection, nextChance(this.prng, 0.5) ? underWay : nextInt(this.prng, 0, underWay + 1));
  }

  /** Loses what is under way on `connection`, the first `kept` apart. */
  private discard(connection: Connection, kept: number): void {
    for (const bytes of this.pipe.discard(connection, kept)) {
      connection.bytes -= bytes.length;
      this.lose(bytes, "net under way");
    }
  }

  private loseToCut(bytes: Uint8Array): void {
    const { cuts } = this.trouble;
    for (let i = 1; i < cuts.length; i++) {
      this.fabric.tally.add(present(cuts[i], "the list has no gaps"));
    }
    this.lose(bytes, cuts[0] ?? "net cut");
  }

  private lose(bytes: Uint8Array, why: string): void {
    const { tally, onLost } = this.fabric;
    tally.add(why);
    if (onLost !== null) {
      onLost(this.from, this.to, decodeEnvelope(bytes).message);
    }
  }

  private get back(): Link {
    return this.fabric.link(this.to, this.from);
  }

  private latency(): number {
    const { linkMin, linkMax } = this.fabric.speeds;
    return nextInt(this.prng, linkMin, linkMax + 1);
  }

  /** The way of a dial, which delays meet as they meet messages. */
  private travel(): number {
    let micros = this.latency();
    for (const byMicros of this.trouble.delays) {
      micros += nextInt(this.prng, 0, byMicros + 1);
    }
    return micros;
  }
}
