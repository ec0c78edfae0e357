/**
 * From queued commands to slots. Where this server coordinates, the queue becomes one batch when the turn of the event loop
 * ends and no commit of the log is in flight, else when that commit ends; what exceeds the caps becomes further batches of the
 * same commit. Where another coordinates, the commands of a turn go there as one Forward. When that changes, everything
 * unanswered is asked again under the same numbers: nothing waits longer than the take-over, nothing is applied twice.
 */
import { BatchBuilder, BatchCursor } from "../kv/batch.js";
import { type Command, encodeCommand } from "../kv/command.js";
import { NO_SESSION, type SessionId, sessionId } from "../kv/model.js";
import type { Reply, ReplySink } from "../kv/reply.js";
import { type Batch, commandsBatch } from "../paxos/batch.js";
import type { Address, Micros } from "../paxos/ids.js";
import type { Forward, ForwardReply } from "../paxos/message.js";
import { type ClientWrite, ClientWrites, type WriteNumber } from "./client-writes.js";
import { ForwardedWrites, readForwardedReplies } from "./forwarded.js";
import { type BatchCaps, fits, type PendingWrite, Writes, type WriteWaiter } from "./writes.js";

/** A Forward (or the registration of our session) that nobody answered for so long is sent again. */
export const FORWARD_RETRY_MS = 1000;
/** After a refusal nothing is forwarded for so long, unless another coordinator is named meanwhile. */
export const REFUSED_PAUSE_MS = 20;

const MICROS_A_MILLI = 1000;
/** Forward ids begin within so many bits; the bits above leave room to count for longer than a server lives. */
const FORWARD_ID_BITS = 48;

export type ProposalsOptions = {
  readonly caps: BatchCaps;
  readonly now: () => Micros;
  /** Whether the replica takes a batch now: it coordinates, and its window has room. */
  readonly canPropose: () => boolean;
  readonly propose: (batch: Batch) => void;
  readonly send: (to: Address, message: Forward | ForwardReply) => void;
  /** Something was queued: the turn must end by calling `cut`. */
  readonly wantTurn: () => void;
  /** 64 unpredictable bits. */
  readonly nonce: () => bigint;
  /** A Forward that cannot be read. */
  readonly onMalformed: (from: Address, error: unknown) => void;
};

type Sent = { readonly writes: readonly PendingWrite[]; readonly ofClients: readonly ClientWrite[]; readonly at: Micros };

export class Proposals implements ReplySink {
  /** Writes under the session of this server. */
  readonly writes = new Writes();
  /** Writes under sessions of clients. */
  readonly clientWrites = new ClientWrites();
  private readonly options: ProposalsOptions;
  private readonly forwarded: ForwardedWrites;
  private readonly builder = new BatchBuilder();
  /** Commands of the server itself: they run under no session and do no harm when they run twice. */
  private own: Uint8Array[] = [];
  private coordinator: Address | null = null;
  private active = false;
  private pauseUntil: Micros = 0;
  private readonly forwards = new Map<number, Sent>();
  /**
   * Begins at a random number: a reply to a former life of this server, whose disk may have been lost since, names none of
   * this one's Forwards.
   */
  private nextForward: number;
  private readonly sessionNonce: bigint;
  private registrationAskedAt: Micros | null = null;

  constructor(options: ProposalsOptions) {
    this.options = options;
    this.sessionNonce = options.nonce();
    this.nextForward = Number(BigInt.asUintN(FORWARD_ID_BITS, options.nonce()));
    this.forwarded = new ForwardedWrites({ reply: options.send, coordinator: () => this.coordinator });
  }

  /** Whether this server coordinates, as far as the replica said. */
  get coordinates(): boolean {
    return this.active;
  }

  /** Calls that wait for a write to be answered. */
  get waiting(): number {
    return this.writes.count + this.clientWrites.count;
  }

  /** Queues a client's write, under the number that the client gave it, or one of this server's. */
  write(command: Uint8Array, waiter: WriteWaiter, number?: WriteNumber): void {
    if (number === undefined) {
      this.writes.add(command, waiter);
    } else {
      this.clientWrites.add(number, command, waiter);
    }
    this.options.wantTurn();
  }

  /** Fails what is past its deadline; `reason` says what is missing. */
  expire(now: Micros, reason: () => string): void {
    this.writes.expire(now, reason);
    this.clientWrites.expire(now, reason);
  }

  /** Fails everything: the server stops. */
  failAll(why: string): void {
    this.writes.failAll(why);
    this.clientWrites.failAll(why);
  }

  /** Queues a command of the coordinator's own: compaction, quota, expiry. Lost without harm when it steps down. */
  proposeOwn(command: Command): void {
    this.own.push(encodeCommand(command));
    this.options.wantTurn();
  }

  /** The end of a turn, or of a commit. `diskIdle`: no commit of the log is in flight. */
  cut(diskIdle: boolean): void {
    if (this.active) {
      if (diskIdle) {
        this.cutBatches();
      }
    } else if (this.coordinator !== null && this.options.now() >= this.pauseUntil) {
      this.forwardAll(this.coordinator);
    }
  }

  /** Who coordinates has changed: what is out is asked again, of the new one. */
  onCoordination(coordinator: Address | null, active: boolean): void {
    if (this.active) {
      this.forwarded.stepDown();
      this.own = [];
    }
    this.coordinator = coordinator;
    this.active = active;
    this.pauseUntil = 0;
    this.registrationAskedAt = null;
    if (coordinator !== null || active) {
      this.forwards.clear();
      this.writes.requeueAll();
      this.clientWrites.requeueAll();
      this.options.wantTurn();
    }
  }

  /** Our stream to `peer` was opened anew: what was under way on the old one may be lost. */
  onConnected(peer: Address): void {
    if (peer === this.coordinator && !this.active) {
      this.onCoordination(peer, false);
    }
  }

  /** The replica did not take this batch: its commands go the way of the unanswered. */
  onRefused(batch: Batch): void {
    if (batch.kind !== "commands") {
      return;
    }
    const cursor = new BatchCursor(batch.payload);
    while (cursor.nextGroup()) {
      while (cursor.nextCommand()) {
        if (cursor.session === this.writes.session) {
          this.writes.requeueSeq(cursor.seq);
        } else {
          this.clientWrites.requeueNumber(sessionId(cursor.session), cursor.seq);
        }
      }
    }
    this.forwarded.stepDown();
    this.registrationAskedAt = null;
    this.options.wantTurn();
  }

  /** Another server asks for its clients' writes. */
  onForward(from: Address, message: Forward): void {
    if (!this.active) {
      this.forwarded.refuse(from, message.id);
      return;
    }
    try {
      this.forwarded.add(from, message.id, message.payload);
      this.options.wantTurn();
    } catch (error) {
      this.options.onMalformed(from, error);
    }
  }

  /**
   * The coordinator's answer to one of our Forwards, or a part of it. It may be as late as it likes: each reply names its
   * session, which is given once, so none to a former life or an expired session settles a write of the present one. A
   * refusal names a Forward, and counts while that one waits.
   */
  onForwardReply(from: Address, message: ForwardReply): void {
    const sent = this.forwards.get(message.id);
    if (message.refused) {
      if (sent !== undefined) {
        this.forwards.delete(message.id);
        this.requeue(sent);
        this.registrationAskedAt = null;
        this.pauseUntil = this.options.now() + REFUSED_PAUSE_MS * MICROS_A_MILLI;
      }
      return;
    }
    try {
      for (const { session, seq, reply } of readForwardedReplies(message.payload)) {
        if (session === this.writes.session) {
          this.writes.onForwarded(seq, reply);
        } else {
          this.clientWrites.onForwarded(session, seq, reply);
        }
      }
    } catch (error) {
      this.options.onMalformed(from, error);
    }
    if (sent !== undefined && [...sent.writes, ...sent.ofClients].every(({ state }) => state === "settled")) {
      this.forwards.delete(message.id);
    }
  }

  /** A command was applied here, whoever asked for it. The hot one of this class. */
  onReply(session: SessionId, seq: number, reply: Reply): void {
    if (session === NO_SESSION) {
      if (reply.kind === "registered" && reply.nonce === this.sessionNonce && this.writes.session === NO_SESSION) {
        this.writes.onRegistered(reply.session);
        this.options.wantTurn();
      }
      return;
    }
    if (session === this.writes.session) {
      this.writes.onApplied(seq, reply);
    } else {
      this.clientWrites.onApplied(session, seq, reply);
      this.forwarded.onApplied(session, seq, reply);
    }
  }

  /** A snapshot replaces the state: replies between are missed. Before any reply from behind the gap. */
  onGap(): void {
    this.forwards.clear();
    this.writes.onGap();
    this.clientWrites.onGap();
    this.options.wantTurn();
  }

  /** What was forwarded and not answered for too long goes again; a pause that is over ends. A few times a second. */
  tick(now: Micros): void {
    const overdue = now - FORWARD_RETRY_MS * MICROS_A_MILLI;
    for (const [id, sent] of this.forwards) {
      if (sent.at > overdue) {
        break; // they are in the order of sending
      }
      this.forwards.delete(id);
      this.requeue(sent);
    }
    if (this.registrationAskedAt !== null && this.registrationAskedAt <= overdue) {
      this.registrationAskedAt = null;
    }
    const { writes, clientWrites, forwarded } = this;
    if (writes.hasWork || clientWrites.hasWork || forwarded.hasWork || this.own.length > 0 || this.wantsRegistration) {
      this.options.wantTurn();
    }
  }

  private requeue(sent: Sent): void {
    this.writes.requeue(sent.writes);
    this.clientWrites.requeue(sent.ofClients);
  }

  private get wantsRegistration(): boolean {
    return this.writes.session === NO_SESSION && this.registrationAskedAt === null;
  }

  private cutBatches(): void {
    const { options, builder } = this;
    while (options.canPropose()) {
      this.addOwn(builder);
      this.writes.fill(builder, options.caps);
      this.clientWrites.fill(builder, options.caps);
      this.forwarded.fill(builder, options.caps);
      if (builder.count === 0) {
        return;
      }
      options.propose(commandsBatch(builder.finish()));
    }
  }

  private addOwn(builder: BatchBuilder): void {
    this.addRegistration(builder);
    let number = builder.count;
    while (this.own[0] !== undefined && fits(builder, this.own[0].length, this.options.caps)) {
      builder.add(NO_SESSION, number++, 0, this.own[0]);
      this.own.shift();
    }
  }

  private addRegistration(builder: BatchBuilder): void {
    if (this.wantsRegistration) {
      builder.add(NO_SESSION, 0, 0, encodeCommand({ kind: "registerSession", nonce: this.sessionNonce }));
      this.registrationAskedAt = this.options.now();
    }
  }

  private forwardAll(coordinator: Address): void {
    const { options, builder } = this;
    this.addRegistration(builder);
    for (;;) {
      const writes = this.writes.fill(builder, options.caps);
      const ofClients = this.clientWrites.fill(builder, options.caps);
      if (builder.count === 0) {
        return;
      }
      const id = this.nextForward++;
      this.forwards.set(id, { writes, ofClients, at: options.now() });
      options.send(coordinator, { kind: "forward", id, payload: builder.finish() });
    }
  }
}
