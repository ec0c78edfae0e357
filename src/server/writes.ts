/**
 * The writes of this server's own clients, from their arrival to their answer. They run under one session of the server, so
 * that asking again (after a coordinator died, a stream broke, a snapshot was installed) applies nothing twice. A write is
 * answered when this server applies it, or when the coordinator tells the result. It must never be answered twice, and never be
 * called "not applied" once it was sent anywhere.
 */
import type { BatchBuilder } from "../kv/batch.js";
import { SESSION_OUTSTANDING_MAX } from "../kv/limits.js";
import { NO_SESSION, type SessionId } from "../kv/model.js";
import type { Reply } from "../kv/reply.js";
import type { Micros } from "../paxos/ids.js";
import { GoneLook } from "./gone-look.js";
import { StoreError } from "./store-error.js";

/** One client's write. Exactly one of the two methods is called, once. */
export interface WriteWaiter {
  /** On the server's own clock: at or after this the request fails. */
  readonly deadline: Micros;
  /** Whether nobody hears the answer any more; left out where that is not known. Asked seldom. */
  isGone?(): boolean;
  /** `reply` may be a refusal of the state machine. `isDoubtful`: one for its session's sake does not prove that nothing was applied. */
  done(reply: Reply, isDoubtful?: boolean): void;
  fail(error: StoreError): void;
}

/** The most writes that wait in one server, in number and in bytes of commands; further ones are refused. */
export const WRITES_WAITING_MAX = 65_536;
export const WRITES_WAITING_BYTES_MAX = 64 * 1024 * 1024;

/** A batch is full at either. */
export type BatchCaps = { readonly bytes: number; readonly commands: number };

/** Whether the next command, of `bytes`, goes into this batch; the first one always does. */
export function fits(builder: BatchBuilder, bytes: number, caps: BatchCaps): boolean {
  return builder.count === 0 || (builder.count < caps.commands && builder.byteLength + bytes <= caps.bytes);
}

/** A write on its way. `queued`: waits to be sent (again); `out`: in the replica's hands or the coordinator's; `settled`: answered. */
export type PendingWrite = {
  readonly command: Uint8Array;
  readonly waiter: WriteWaiter;
  state: "queued" | "out" | "settled";
  /** Its number in the session; 0 until it is sent for the first time. */
  seq: number;
  /** It was sent before part of the log was skipped by a snapshot: whether it was applied there is not known. */
  doubtful: boolean;
};

export class Writes {
  /** Never sent; from `freshFrom` on. */
  private fresh: PendingWrite[] = [];
  private freshFrom = 0;
  /** Sent before, to be sent again; from `againFrom` on. They go first. */
  private again: PendingWrite[] = [];
  private againFrom = 0;
  /** Unanswered writes that have a number, by seq modulo its length. */
  private readonly window: (PendingWrite | undefined)[] = new Array<PendingWrite | undefined>(SESSION_OUTSTANDING_MAX).fill(undefined);
  private firstUnacked = 1;
  private nextSeq = 1;
  private sessionId: SessionId = NO_SESSION;
  private waiting = 0;
  private waitingBytes = 0;
  private readonly goneLook = new GoneLook();
  private earliest = Number.POSITIVE_INFINITY;

  /** Unanswered writes. */
  get count(): number {
    return this.waiting;
  }

  /** NO_SESSION until one is registered. */
  get session(): SessionId {
    return this.sessionId;
  }

  /** Whether `fill` would find something. */
  get hasWork(): boolean {
    return (
      this.sessionId !== NO_SESSION &&
      (this.againFrom < this.again.length ||
        (this.freshFrom < this.fresh.length && this.nextSeq - this.firstUnacked < SESSION_OUTSTANDING_MAX))
    );
  }

  /** Queues a write; `command` is from the state machine's encoder and is kept. */
  add(command: Uint8Array, waiter: WriteWaiter): void {
    if (this.waiting >= WRITES_WAITING_MAX || this.waitingBytes + command.length > WRITES_WAITING_BYTES_MAX) {
      const limit = `${WRITES_WAITING_MAX} writes or ${WRITES_WAITING_BYTES_MAX} bytes of them`;
      waiter.fail(new StoreError("overloaded", "not-applied", `At most ${limit} may wait, and ${this.waiting} do. Nothing was written.`));
      return;
    }
    this.waiting++;
    this.waitingBytes += command.length;
    if (waiter.deadline < this.earliest) {
      this.earliest = waiter.deadline;
    }
    this.fresh.push({ command, waiter, state: "queued", seq: 0, doubtful: false });
  }

  /** Moves queued writes into `builder` until the batch is full; those already answered are dropped on the way. Returns what moved. */
  fill(builder: BatchBuilder, caps: BatchCaps): readonly PendingWrite[] {
    const moved: PendingWrite[] = [];
    if (this.sessionId === NO_SESSION) {
      return moved;
    }
    for (let write = this.peek(); write !== undefined && fits(builder, write.command.length, caps); write = this.peek()) {
      if (write.seq === 0) {
        write.seq = this.nextSeq++;
        this.window[write.seq % SESSION_OUTSTANDING_MAX] = write;
        this.freshFrom++;
      } else {
        this.againFrom++;
      }
      write.state = "out";
      builder.add(this.sessionId, write.seq, this.firstUnacked, write.command);
      moved.push(write);
    }
    this.compactQueues();
    return moved;
  }

  /** These were sent to someone who will not answer: they are sent again. */
  requeue(writes: Iterable<PendingWrite>): void {
    for (const write of writes) {
      if (write.state === "out") {
        write.state = "queued";
        this.again.push(write);
      }
    }
  }

  /** Everything that is out is sent again: another coordinates. */
  requeueAll(): void {
    this.requeue(this.numbered());
  }

  requeueSeq(seq: number): void {
    const write = this.window[seq % SESSION_OUTSTANDING_MAX];
    if (write !== undefined && write.seq === seq) {
      this.requeue([write]);
    }
  }

  /** This server's session is registered. */
  onRegistered(session: SessionId): void {
    this.sessionId = session;
  }

  /** The coordinator's word, which may come before our own log is as far: only a definite answer settles a write. */
  onForwarded(seq: number, reply: Reply): void {
    if (reply.kind !== "error" || (reply.error.kind !== "session-expired" && reply.error.kind !== "stale-sequence")) {
      this.settle(seq, reply);
    }
  }

  /** A command of our session was applied here. */
  onApplied(seq: number, reply: Reply): void {
    if (reply.kind === "error" && reply.error.kind === "session-expired") {
      this.onExpired();
    } else {
      this.settle(seq, reply);
    }
  }

  /** Slots were skipped by a snapshot: what was out then may have been applied unseen, and is asked again. */
  onGap(): void {
    for (const write of this.numbered()) {
      write.doubtful = true;
    }
    this.requeueAll();
  }

  /**
   * Fails what is past its deadline, and now and then what was never sent and nobody waits for. `reason` says what is missing.
   * Costs nothing until one of the two is due.
   */
  expire(now: Micros, reason: () => string): void {
    const looks = this.goneLook.due(now, this.waiting);
    if (now < this.earliest && !looks) {
      return;
    }
    const why = reason();
    this.earliest = Number.POSITIVE_INFINITY;
    for (const write of this.unanswered()) {
      const isUnwanted = looks && write.seq === 0 && write.waiter.isGone?.() === true;
      if (write.waiter.deadline <= now || isUnwanted) {
        this.fail(write, why);
      } else {
        this.earliest = Math.min(this.earliest, write.waiter.deadline);
      }
    }
    this.dropSettled();
  }

  /** Fails everything: the server stops. */
  failAll(why: string): void {
    for (const write of this.unanswered()) {
      this.fail(write, why);
    }
    this.dropSettled();
  }

  private fail(write: PendingWrite, why: string): void {
    const outcome = write.seq === 0 ? "not-applied" : "unknown";
    this.release(write);
    const consequence = outcome === "unknown" ? "The write may still be applied." : "Nothing was written.";
    write.waiter.fail(new StoreError("unavailable", outcome, `${why} ${consequence}`));
  }

  private settle(seq: number, reply: Reply): void {
    const write = this.window[seq % SESSION_OUTSTANDING_MAX];
    if (write !== undefined && write.seq === seq) {
      this.release(write);
      write.waiter.done(reply);
    }
  }

  private release(write: PendingWrite): void {
    write.state = "settled";
    this.waiting--;
    this.waitingBytes -= write.command.length;
    if (write.seq !== 0) {
      this.window[write.seq % SESSION_OUTSTANDING_MAX] = undefined;
      while (this.firstUnacked < this.nextSeq && this.window[this.firstUnacked % SESSION_OUTSTANDING_MAX] === undefined) {
        this.firstUnacked++;
      }
    }
  }

  /**
   * Our session is gone. Commands of it that were applied before this slot have been answered, and none after it ever runs: so
   * what is unanswered was not applied, and goes again under a new session. Except where a snapshot skipped slots.
   */
  private onExpired(): void {
    const lost = [...this.numbered()];
    this.window.fill(undefined);
    this.sessionId = NO_SESSION;
    this.firstUnacked = 1;
    this.nextSeq = 1;
    this.again = [];
    this.againFrom = 0;
    for (const write of lost.filter(({ doubtful }) => doubtful)) {
      write.seq = 0;
      this.release(write);
      write.waiter.fail(
        new StoreError("unavailable", "unknown", "This server's session expired while it was away. The write may have been applied."),
      );
    }
    const safe = lost.filter(({ doubtful }) => !doubtful);
    for (const write of safe) {
      write.seq = 0;
      write.state = "queued";
    }
    this.fresh = [...safe, ...this.fresh.slice(this.freshFrom)];
    this.freshFrom = 0;
  }

  /** The next write to send, or undefined; skips what was answered while it waited. */
  private peek(): PendingWrite | undefined {
    for (; this.againFrom < this.again.length; this.againFrom++) {
      const write = this.again[this.againFrom];
      if (write?.state === "queued") {
        return write;
      }
    }
    return this.nextSeq - this.firstUnacked < SESSION_OUTSTANDING_MAX ? this.fresh[this.freshFrom] : undefined;
  }

  /** What was sent leaves the queues, also where they are never empty; no write is moved more often than once on average. */
  private compactQueues(): void {
    if (this.againFrom * 2 >= this.again.length) {
      this.again = this.again.slice(this.againFrom);
      this.againFrom = 0;
    }
    if (this.freshFrom * 2 >= this.fresh.length) {
      this.fresh = this.fresh.slice(this.freshFrom);
      this.freshFrom = 0;
    }
  }

  private dropSettled(): void {
    this.fresh = this.fresh.slice(this.freshFrom).filter(({ state }) => state !== "settled");
    this.freshFrom = 0;
  }

  private *numbered(): Generator<PendingWrite> {
    for (let seq = this.firstUnacked; seq < this.nextSeq; seq++) {
      const write = this.window[seq % SESSION_OUTSTANDING_MAX];
      if (write !== undefined) {
        yield write;
      }
    }
  }

  private unanswered(): readonly PendingWrite[] {
    return [...this.numbered(), ...this.fresh.slice(this.freshFrom)];
  }
}
