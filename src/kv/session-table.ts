/**
 * All sessions: registration, the order of last use, expiry, and the hash of the whole table. Bounded in sessions and in kept
 * replies; who goes is decided by the log alone. A view of the table as of now stays readable while it changes, by copying a
 * session before its first change.
 */
import { assert } from "../base/assert.js";
import { CACHED_REPLIES_MAX, CACHED_REPLY_BYTES_MAX, SESSION_OUTSTANDING_MAX, SESSIONS_MAX } from "./limits.js";
import { type SessionId, sessionId } from "./model.js";
import { type KeptReply, REPLY_STATE, Session } from "./session.js";
import { HashSum, ItemHasher } from "./state-hash.js";

/** What is to be done with a request. */
export type Admission = "execute" | "repeat" | "stale" | "too-many" | "expired";

/** The sessions as they were, in the order of last use. */
export type SessionImage = { readonly ids: readonly SessionId[]; readonly saved: Map<SessionId, Session> };

/** The limits, smaller in tests. */
export type SessionLimits = { readonly sessions: number; readonly replies: number; readonly replyBytes: number };
export const SESSION_LIMITS: SessionLimits = { sessions: SESSIONS_MAX, replies: CACHED_REPLIES_MAX, replyBytes: CACHED_REPLY_BYTES_MAX };

export class SessionTable {
  /** The id that the next registration gets. */
  nextId = 1;
  /** Sum over all sessions and kept replies; its `bytes` are those of replies kept as bytes. */
  readonly sum = new HashSum();
  private readonly limits: SessionLimits;
  private readonly sessions = new Map<SessionId, Session>();
  private readonly images = new Set<SessionImage>();
  private readonly hasher = new ItemHasher();
  private oldest: Session | undefined;
  private newest: Session | undefined;
  private replies = 0;

  constructor(limits: SessionLimits) {
    this.limits = limits;
  }

  get size(): number {
    return this.sessions.size;
  }

  /** Kept replies of all sessions. */
  get keptReplies(): number {
    return this.replies;
  }

  /** A new session, used at `slot`; where there are too many, the one used least recently expires. */
  register(slot: number): SessionId {
    const session = new Session(sessionId(this.nextId++));
    session.lastSlot = slot;
    this.insert(session);
    if (this.sessions.size > this.limits.sessions) {
      this.expire(this.oldest as Session);
    }
    return session.id;
  }

  /** The session of a group of requests, its acknowledged replies forgotten; undefined when unknown. */
  use(id: SessionId, firstUnacked: number, slot: number): Session | undefined {
    const session = this.sessions.get(id);
    if (session === undefined) {
      return undefined;
    }
    this.save(session);
    this.addHead(session, -1);
    session.lastSlot = slot;
    this.prune(session, firstUnacked);
    this.addHead(session, 1);
    if (session !== this.newest) {
      this.unlink(session);
      this.append(session);
    }
    return session;
  }

  /** Whether the session is (still) in the table. */
  has(id: SessionId): boolean {
    return this.sessions.has(id);
  }

  holds(session: Session): boolean {
    return this.sessions.get(session.id) === session;
  }

  admit(session: Session, seq: number): Admission {
    if (session.isExpired) {
      return "expired";
    }
    if (seq < session.prunedTo) {
      return "stale";
    }
    if (seq - session.prunedTo >= SESSION_OUTSTANDING_MAX) {
      return "too-many";
    }
    return session.stateOf(seq) === REPLY_STATE.none ? "execute" : "repeat";
  }

  /** Keeps the reply of a request that `admit` let execute. Sessions used least recently go when there are too many replies in all. */
  keep(session: Session, seq: number, reply: KeptReply): void {
    const room = this.limits.replyBytes - this.sum.bytes;
    const kept =
      reply.bytes !== undefined && reply.bytes.length > room ? { ...reply, state: REPLY_STATE.dropped, bytes: undefined } : reply;
    session.keep(seq, kept);
    this.addReply(session, seq, 1);
    while (this.replies > this.limits.replies && this.oldest !== session) {
      this.expire(this.oldest as Session);
    }
  }

  /** Expires the session used least recently if that was below `slot`; returns the work done, 0 when there is none such. */
  expireOldest(slot: number): number {
    const { oldest } = this;
    if (oldest === undefined || oldest.lastSlot >= slot) {
      return 0;
    }
    const work = 1 + (oldest.executedEnd - oldest.prunedTo) / 5;
    this.expire(oldest);
    return work;
  }

  /** Expires one session; false where there is none such. */
  close(id: SessionId): boolean {
    const session = this.sessions.get(id);
    if (session !== undefined) {
      this.expire(session);
    }
    return session !== undefined;
  }

  /** The table as it is now; close it. */
  openImage(): SessionImage {
    const ids: SessionId[] = [];
    for (let session = this.oldest; session !== undefined; session = session.after) {
      ids.push(session.id);
    }
    const image: SessionImage = { ids, saved: new Map() };
    this.images.add(image);
    return image;
  }

  /** A session of the image as it was then. */
  imageOf(image: SessionImage, id: SessionId): Session {
    const session = image.saved.get(id) ?? this.sessions.get(id);
    assert(session !== undefined, "a session is saved before it goes");
    return session;
  }

  closeImage(image: SessionImage): void {
    this.images.delete(image);
    image.saved.clear();
  }

  /** Adds a session from a snapshot as the one used most recently. */
  restore(session: Session): void {
    assert(!this.sessions.has(session.id), "a session id is given once");
    this.insert(session);
    for (let seq = session.prunedTo; seq < session.executedEnd; seq++) {
      if (session.stateOf(seq) !== REPLY_STATE.none) {
        this.addReply(session, seq, 1);
      }
    }
  }

  private insert(session: Session): void {
    this.sessions.set(session.id, session);
    this.append(session);
    this.addHead(session, 1);
  }

  private expire(session: Session): void {
    this.save(session);
    this.addHead(session, -1);
    for (let seq = session.prunedTo; seq < session.executedEnd; seq++) {
      if (session.stateOf(seq) !== REPLY_STATE.none) {
        this.addReply(session, seq, -1);
      }
    }
    this.unlink(session);
    this.sessions.delete(session.id);
    session.isExpired = true;
  }

  private prune(session: Session, firstUnacked: number): void {
    while (session.prunedTo < firstUnacked && session.kept > 0) {
      if (session.stateOf(session.prunedTo) !== REPLY_STATE.none) {
        this.addReply(session, session.prunedTo, -1);
      }
      session.pruneFirst();
    }
    if (session.kept === 0) {
      session.jumpTo(firstUnacked);
    }
  }

  /** Copies a session into the images that do not have it yet; before each change. */
  private save(session: Session): void {
    for (const image of this.images) {
      if (!image.saved.has(session.id)) {
        image.saved.set(session.id, session.clone());
      }
    }
  }

  private addHead(session: Session, sign: 1 | -1): void {
    session.hashHead(this.hasher);
    this.addItem(sign, 0);
  }

  private addReply(session: Session, seq: number, sign: 1 | -1): void {
    session.hashReply(this.hasher, seq);
    this.addItem(sign, session.bytesKeptFor(seq));
    this.replies += sign;
  }

  private addItem(sign: 1 | -1, bytes: number): void {
    const { high, low } = this.hasher;
    if (sign === 1) {
      this.sum.add(high, low, bytes);
    } else {
      this.sum.subtract(high, low, bytes);
    }
  }

  private append(session: Session): void {
    session.before = this.newest;
    session.after = undefined;
    if (this.newest === undefined) {
      this.oldest = session;
    } else {
      this.newest.after = session;
    }
    this.newest = session;
  }

  private unlink(session: Session): void {
    const { before, after } = session;
    if (before === undefined) {
      this.oldest = after;
    } else {
      before.after = after;
    }
    if (after === undefined) {
      this.newest = before;
    } else {
      after.before = before;
    }
    session.before = undefined;
    session.after = undefined;
  }
}
