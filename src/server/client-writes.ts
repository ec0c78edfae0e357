/**
 * Writes that clients ask under sessions of their own, from their arrival to their answer. The client gave the numbers, and may ask
 * under them of any server, of several at once and again: the state machine executes each number once, whoever proposes it. So this
 * server, too, simply asks again whenever an answer may have been missed. It must never make up a number, and never call a write
 * "not applied" once it was sent anywhere, except where the state machine itself turned it away.
 */
import type { BatchBuilder } from "../kv/batch.js";
import type { SessionId } from "../kv/model.js";
import type { Reply } from "../kv/reply.js";
import type { Micros } from "../paxos/ids.js";
import { GoneLook } from "./gone-look.js";
import { StoreError } from "./store-error.js";
import { type BatchCaps, fits, WRITES_WAITING_BYTES_MAX, WRITES_WAITING_MAX, type WriteWaiter } from "./writes.js";

/** What a client calls a write of its session: every copy of one write has the same `session` and `seq`. */
export type WriteNumber = {
  readonly session: SessionId;
  readonly seq: number;
  /** The client never asks again for anything below. At most `seq`. */
  readonly firstUnacked: number;
};

/** A write on its way. `queued`: waits to be sent (again); `out`: in the replica's hands or the coordinator's; `settled`: answered. */
export type ClientWrite = {
  readonly number: WriteNumber;
  readonly command: Uint8Array;
  /** Who waits for it: a client that lost its connection may ask again while the first call still stands. */
  readonly waiters: WriteWaiter[];
  state: "queued" | "out" | "settled";
  /** It was sent at least once. */
  wasSent: boolean;
  /** It was sent before part of the log was skipped by a snapshot: whether it was applied there is not known. */
  isDoubtful: boolean;
};

export class ClientWrites {
  /** To be sent, from `queueFrom` on, in the order of asking. */
  private queue: ClientWrite[] = [];
  private queueFrom = 0;
  private readonly bySession = new Map<SessionId, Map<number, ClientWrite>>();
  private waiting = 0;
  private waitingBytes = 0;
  private readonly goneLook = new GoneLook();
  private earliest = Number.POSITIVE_INFINITY;

  /** Calls that wait for an answer. */
  get count(): number {
    return this.waiting;
  }

  /** Whether `fill` would find something. */
  get hasWork(): boolean {
    return this.queueFrom < this.queue.length;
  }

  /** Queues a write, or joins it where it is on its way already; `command` is from the state machine's encoder and is kept. */
  add(number: WriteNumber, command: Uint8Array, waiter: WriteWaiter): void {
    if (this.waiting >= WRITES_WAITING_MAX || this.waitingBytes + command.length > WRITES_WAITING_BYTES_MAX) {
      const limit = `${WRITES_WAITING_MAX} writes or ${WRITES_WAITING_BYTES_MAX} bytes of them`;
      waiter.fail(new StoreError("overloaded", "not-applied", `At most ${limit} may wait, and ${this.waiting} do. Nothing was written.`));
      return;
    }
    this.waiting++;
    this.earliest = Math.min(this.earliest, waiter.deadline);
    const known = this.find(number.session, number.seq);
    if (known !== undefined) {
      known.waiters.push(waiter);
      return;
    }
    const write: ClientWrite = { number, command, waiters: [waiter], state: "queued", wasSent: false, isDoubtful: false };
    this.waitingBytes += command.length;
    let ofSession = this.bySession.get(number.session);
    if (ofSession === undefined) {
      ofSession = new Map();
      this.bySession.set(number.session, ofSession);
    }
    ofSession.set(number.seq, write);
    this.queue.push(write);
  }

  /** Moves queued writes into `builder` until the batch is full; those already answered are dropped on the way. Returns what moved. */
  fill(builder: BatchBuilder, caps: BatchCaps): readonly ClientWrite[] {
    const moved: ClientWrite[] = [];
    for (let write = this.queue[this.queueFrom]; write !== undefined; write = this.queue[this.queueFrom]) {
      if (write.state === "queued") {
        if (!fits(builder, write.command.length, caps)) {
          break;
        }
        const { session, seq, firstUnacked } = write.number;
        builder.add(session, seq, firstUnacked, write.command);
        write.state = "out";
        write.wasSent = true;
        moved.push(write);
      }
      this.queueFrom++;
    }
    if (this.queueFrom * 2 >= this.queue.length) {
      this.queue = this.queue.slice(this.queueFrom); // also where it is never empty: what was sent must not stay
      this.queueFrom = 0;
    }
    return moved;
  }

  /** These were sent to someone who will not answer: they are sent again. */
  requeue(writes: Iterable<ClientWrite>): void {
    for (const write of writes) {
      if (write.state === "out") {
        write.state = "queued";
        this.queue.push(write);
      }
    }
  }

  /** Everything that is out is sent again: another coordinates. */
  requeueAll(): void {
    this.requeue(this.unanswered());
  }

  requeueNumber(session: SessionId, seq: number): void {
    const write = this.find(session, seq);
    if (write !== undefined) {
      this.requeue([write]);
    }
  }

  /** The coordinator's word, which may come before our own log is as far: only a definite answer settles a write. */
  onForwarded(session: SessionId, seq: number, reply: Reply): void {
    if (reply.kind !== "error" || (reply.error.kind !== "session-expired" && reply.error.kind !== "stale-sequence")) {
      this.onApplied(session, seq, reply);
    }
  }

  /**
   * A command of a client's session was applied here. The first reply to a number since it was asked here is that of its execution,
   * where it was executed since: so an expired session proves that nothing this server sent was applied, unless slots were skipped.
   */
  onApplied(session: SessionId, seq: number, reply: Reply): void {
    const write = this.find(session, seq);
    if (write !== undefined) {
      this.release(write);
      for (const waiter of write.waiters) {
        waiter.done(reply, write.isDoubtful);
      }
    }
  }

  /** Slots were skipped by a snapshot: what was out then may have been applied unseen, and is asked again under its number. */
  onGap(): void {
    for (const write of this.unanswered()) {
      write.isDoubtful = write.wasSent;
    }
    this.requeueAll();
  }

  /** As `Writes.expire`, for each call: a write goes on as long as anybody waits for it. */
  expire(now: Micros, reason: () => string): void {
    const looks = this.goneLook.due(now, this.waiting);
    if (now < this.earliest && !looks) {
      return;
    }
    const why = reason();
    this.earliest = Number.POSITIVE_INFINITY;
    for (const write of [...this.unanswered()]) {
      const isOver = (waiter: WriteWaiter): boolean => waiter.deadline <= now || (looks && !write.wasSent && waiter.isGone?.() === true);
      this.failSome(write, write.waiters.filter(isOver), why);
      for (const { deadline } of write.waiters) {
        this.earliest = Math.min(this.earliest, deadline);
      }
    }
  }

  /** Fails everything: the server stops. */
  failAll(why: string): void {
    for (const write of [...this.unanswered()]) {
      this.failSome(write, write.waiters, why);
    }
  }

  /** Fails some of those who wait for a write, and forgets it with the last of them. */
  private failSome(write: ClientWrite, over: readonly WriteWaiter[], why: string): void {
    if (over.length === 0) {
      return;
    }
    const left = write.waiters.filter((waiter) => !over.includes(waiter));
    if (left.length === 0) {
      this.release(write);
    } else {
      this.waiting -= over.length;
    }
    const outcome = write.wasSent ? "unknown" : "not-applied";
    const consequence = write.wasSent ? "The write may still be applied." : "Nothing was written.";
    const failed = [...over];
    write.waiters.splice(0, write.waiters.length, ...left);
    for (const waiter of failed) {
      waiter.fail(new StoreError("unavailable", outcome, `${why} ${consequence}`));
    }
  }

  private release(write: ClientWrite): void {
    const { session, seq } = write.number;
    write.state = "settled";
    this.waiting -= write.waiters.length;
    this.waitingBytes -= write.command.length;
    const ofSession = this.bySession.get(session);
    ofSession?.delete(seq);
    if (ofSession?.size === 0) {
      this.bySession.delete(session);
    }
  }

  private find(session: SessionId, seq: number): ClientWrite | undefined {
    return this.bySession.get(session)?.get(seq);
  }

  private *unanswered(): Generator<ClientWrite> {
    for (const ofSession of this.bySession.values()) {
      yield* ofSession.values();
    }
  }
}
