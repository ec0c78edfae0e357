/**
 * Client sessions: what makes a write that is asked twice happen once. A session keeps the replies of its requests from
 * `prunedTo` on (what the client has not acknowledged), most of them as a row of numbers. All of it is replicated state:
 * which session expires and which reply is kept depends on the log alone.
 */
import { assert } from "../base/assert.js";
import type { SessionId } from "./model.js";
import { HASH_SEED, type ItemHasher } from "./state-hash.js";

/** How the reply to one request is kept. */
export const REPLY_STATE = {
  /** Not executed. */
  none: 0,
  /** A put that took revision `revision`. */
  put: 1,
  /** A delete range, `revision` and `detail` keys deleted. */
  deleteRange: 2,
  /** A refusal: error number `detail`, no sizes. */
  error: 3,
  /** Any other reply, as bytes. */
  bytes: 4,
  /** Executed; the reply was too large to keep. */
  dropped: 5,
} as const;

/** One kept reply. `bytes` is there exactly for REPLY_STATE.bytes. */
export type KeptReply = { state: number; revision: number; detail: number; bytes: Uint8Array | undefined };

const RING_MIN = 8;
/** A ring above this is given up once it is empty. */
const RING_KEPT_MAX = 64;

export class Session {
  readonly id: SessionId;
  /** The slot that used the session last. */
  lastSlot = 0;
  /** Requests below it were acknowledged and are never executed. */
  prunedTo = 0;
  /** One above the highest request executed, at least `prunedTo`; follows from what is kept. */
  executedEnd = 0;
  /** Kept replies. */
  kept = 0;
  /** It was taken out of the table; a group of requests that is under way must not run on. */
  isExpired = false;
  /** Neighbours in the order of last use. */
  before: Session | undefined;
  after: Session | undefined;
  /** Request `seq` is at `seq % states.length`, a power of two. */
  private states = new Uint8Array(RING_MIN);
  private revisions = new Float64Array(RING_MIN);
  private details = new Float64Array(RING_MIN);
  private bytes: (Uint8Array | undefined)[] | undefined;

  constructor(id: SessionId) {
    this.id = id;
  }

  /** REPLY_STATE of a request at or above `prunedTo`. */
  stateOf(seq: number): number {
    return seq >= this.executedEnd ? REPLY_STATE.none : (this.states[this.at(seq)] as number);
  }

  /** Bytes of the reply to `seq` where it is kept as bytes, else 0. */
  bytesKeptFor(seq: number): number {
    return this.bytes?.[this.at(seq)]?.length ?? 0;
  }

  replyOf(seq: number): KeptReply {
    const at = this.at(seq);
    const state = this.states[at] as number;
    return {
      state,
      revision: this.revisions[at] as number,
      detail: this.details[at] as number,
      bytes: state === REPLY_STATE.bytes ? this.bytes?.[at] : undefined,
    };
  }

  keep(seq: number, reply: KeptReply): void {
    assert(seq >= this.prunedTo && this.stateOf(seq) === REPLY_STATE.none, "a request executes at most once");
    while (seq - this.prunedTo >= this.states.length) {
      this.grow();
    }
    const at = this.at(seq);
    this.states[at] = reply.state;
    this.revisions[at] = reply.revision;
    this.details[at] = reply.detail;
    if (reply.bytes !== undefined) {
      this.bytes ??= [];
      this.bytes[at] = reply.bytes;
    }
    this.executedEnd = Math.max(this.executedEnd, seq + 1);
    this.kept++;
  }

  /** Forgets the reply of the request at `prunedTo` and moves past it. */
  pruneFirst(): void {
    const at = this.at(this.prunedTo);
    if (this.prunedTo < this.executedEnd && this.states[at] !== REPLY_STATE.none) {
      this.states[at] = REPLY_STATE.none;
      if (this.bytes !== undefined) {
        this.bytes[at] = undefined;
      }
      this.kept--;
    }
    this.prunedTo++;
    this.executedEnd = Math.max(this.executedEnd, this.prunedTo);
  }

  /** Moves to `seq`, or stays where it is beyond that, where nothing is kept; gives up a large ring. */
  jumpTo(seq: number): void {
    assert(this.kept === 0, "no reply is forgotten unseen");
    this.prunedTo = Math.max(this.prunedTo, seq);
    this.executedEnd = Math.max(this.executedEnd, this.prunedTo);
    if (this.states.length > RING_KEPT_MAX) {
      this.states = new Uint8Array(RING_MIN);
      this.revisions = new Float64Array(RING_MIN);
      this.details = new Float64Array(RING_MIN);
      this.bytes = undefined;
    }
  }

  /** A copy that further requests do not change. */
  clone(): Session {
    const copy = new Session(this.id);
    copy.lastSlot = this.lastSlot;
    copy.prunedTo = this.prunedTo;
    copy.executedEnd = this.executedEnd;
    copy.kept = this.kept;
    copy.states = this.states.slice();
    copy.revisions = this.revisions.slice();
    copy.details = this.details.slice();
    copy.bytes = this.bytes?.slice();
    return copy;
  }

  /** Leaves the hash of everything but the kept replies in `hasher`. */
  hashHead(hasher: ItemHasher): void {
    hasher.begin(HASH_SEED.session).number(this.id).number(this.lastSlot).number(this.prunedTo).end();
  }

  /** Leaves the hash of one kept reply in `hasher`. */
  hashReply(hasher: ItemHasher, seq: number): void {
    const at = this.at(seq);
    const state = this.states[at] as number;
    hasher.begin(HASH_SEED.reply).number(this.id).number(seq).word(state);
    hasher.number(this.revisions[at] as number).number(this.details[at] as number);
    if (state === REPLY_STATE.bytes) {
      hasher.bytes(this.bytes?.[at] as Uint8Array);
    }
    hasher.end();
  }

  private at(seq: number): number {
    return seq % this.states.length;
  }

  private grow(): void {
    const length = this.states.length * 2;
    const states = new Uint8Array(length);
    const revisions = new Float64Array(length);
    const details = new Float64Array(length);
    const bytes: (Uint8Array | undefined)[] = [];
    for (let seq = this.prunedTo; seq < this.executedEnd; seq++) {
      const from = this.at(seq);
      const to = seq % length;
      states[to] = this.states[from] as number;
      revisions[to] = this.revisions[from] as number;
      details[to] = this.details[from] as number;
      if (this.bytes?.[from] !== undefined) {
        bytes[to] = this.bytes[from];
      }
    }
    this.states = states;
    this.revisions = revisions;
    this.details = details;
    this.bytes = this.bytes === undefined ? undefined : bytes;
  }
}
