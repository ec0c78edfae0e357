/**
 * Writes that other servers forwarded to this one as coordinator: decoded, queued for the next batch, and answered with the
 * state machine's replies when they are applied here. What is asked again while it waits here is never proposed twice for that:
 * the later this server is, the more it would have to do. A coordinator that steps down refuses what it never proposed and
 * forgets the rest: the other server asks the next one, under the same numbers.
 */
import { ByteReader, ByteWriter, MalformedBytes } from "../base/bytes.js";
import { type BatchBuilder, BatchCursor } from "../kv/batch.js";
import { decodeCommand } from "../kv/command.js";
import { NO_SESSION, type SessionId, sessionId } from "../kv/model.js";
import { decodeReply, encodeReply, type Reply } from "../kv/reply.js";
import type { Address } from "../paxos/ids.js";
import type { ForwardReply } from "../paxos/message.js";
import { type BatchCaps, fits } from "./writes.js";

/** The most forwarded commands that wait to be proposed, in number and bytes; a Forward beyond it is refused whole. */
export const FORWARDED_WAITING_MAX = 65_536;
export const FORWARDED_WAITING_BYTES_MAX = 64 * 1024 * 1024;
/** Replies are sent in parts of about this size. */
const REPLY_PART_BYTES = 1024 * 1024;

/** A larger reply is not sent: the other server has it when it applies the command itself. */
export const REPLY_BYTES_MAX = 2 * 1024 * 1024;

type Wait = { readonly from: Address; readonly id: number; remaining: number; replies: ByteWriter };
type Queued = {
  readonly session: SessionId;
  readonly seq: number;
  readonly firstUnacked: number;
  readonly command: Uint8Array;
  /** Who gets the reply: the Forward that asked last. */
  wait: Wait;
  proposed: boolean;
};

export type ForwardedOptions = {
  readonly reply: (to: Address, message: ForwardReply) => void;
  /** The coordinator this server knows, for refusals. */
  readonly coordinator: () => Address | null;
};

export class ForwardedWrites {
  private readonly options: ForwardedOptions;
  private queue: Queued[] = [];
  private queueFrom = 0;
  private queuedBytes = 0;
  /** Commands without a reply, the newest under each number. */
  private readonly open = new Map<SessionId, Map<number, Queued>>();

  constructor(options: ForwardedOptions) {
    this.options = options;
  }

  get hasWork(): boolean {
    return this.queueFrom < this.queue.length;
  }

  /** Takes a Forward that arrived while this server coordinates. Throws MalformedBytes, having taken nothing. */
  add(from: Address, id: number, payload: Uint8Array): void {
    const wait: Wait = { from, id, remaining: 0, replies: new ByteWriter(payload.length > 4096 ? 4096 : 256) };
    const fresh: Queued[] = [];
    const again: Queued[] = [];
    let freshBytes = 0;
    const cursor = new BatchCursor(payload);
    while (cursor.nextGroup()) {
      const session = sessionId(cursor.session);
      const ofSession = this.open.get(session);
      while (cursor.nextCommand()) {
        const command = payload.subarray(cursor.commandFrom, cursor.commandEnd);
        decodeCommand(command); // once decided, what cannot be read would stop every server, at every start
        const { seq, firstUnacked } = cursor;
        const asked = ofSession?.get(seq);
        if (asked !== undefined && !asked.proposed) {
          again.push(asked);
        } else {
          const kept = again.length > 0 ? command.slice() : command; // not all of a message that is queued already, for a part of it
          fresh.push({ session, seq, firstUnacked, command: kept, wait, proposed: false });
          freshBytes += command.length;
        }
      }
    }
    const tooMany = this.queue.length - this.queueFrom + fresh.length > FORWARDED_WAITING_MAX;
    if (tooMany || this.queuedBytes + freshBytes > FORWARDED_WAITING_BYTES_MAX) {
      this.refuse(from, id);
      return;
    }
    for (const item of again) {
      this.answerInstead(item, wait);
    }
    this.queuedBytes += freshBytes;
    for (const item of fresh) {
      this.queue.push(item);
      if (item.session !== NO_SESSION) {
        this.expect(item);
      }
    }
  }

  /** Moves queued commands into `builder` until the batch is full. */
  fill(builder: BatchBuilder, caps: BatchCaps): void {
    for (let item = this.queue[this.queueFrom]; item !== undefined; item = this.queue[this.queueFrom]) {
      if (!fits(builder, item.command.length, caps)) {
        break;
      }
      builder.add(item.session, item.seq, item.firstUnacked, item.command);
      item.proposed = true;
      this.queuedBytes -= item.command.length;
      this.queueFrom++;
    }
    if (this.queueFrom * 2 >= this.queue.length) {
      this.queue = this.queue.slice(this.queueFrom); // also where it is never empty: what was proposed must not stay
      this.queueFrom = 0;
    }
  }

  /** A command of another server's session was applied here. */
  onApplied(session: SessionId, seq: number, reply: Reply): void {
    const ofSession = this.open.get(session);
    const asked = ofSession?.get(seq);
    if (ofSession === undefined || asked === undefined) {
      return;
    }
    const { wait } = asked;
    ofSession.delete(seq);
    if (ofSession.size === 0) {
      this.open.delete(session);
    }
    const encoded = encodeReply(reply);
    if (encoded.length <= REPLY_BYTES_MAX) {
      wait.replies.varint(session).varint(seq).bytes(encoded);
    }
    this.countDown(wait);
  }

  /** One reply less to wait for; sends what is there once there is enough or no more. */
  private countDown(wait: Wait): void {
    wait.remaining--;
    if (wait.replies.length >= REPLY_PART_BYTES || wait.remaining === 0) {
      const payload = wait.replies.finish();
      wait.replies = new ByteWriter();
      this.options.reply(wait.from, { kind: "forwardReply", id: wait.id, refused: false, coordinator: null, payload });
    }
  }

  /** Refuses what was not proposed, forgets what was. */
  stepDown(): void {
    const unproposed = new Set(this.queue.slice(this.queueFrom).map(({ wait }) => wait));
    this.queue = [];
    this.queueFrom = 0;
    this.queuedBytes = 0;
    this.open.clear();
    for (const { from, id } of unproposed) {
      this.refuse(from, id);
    }
  }

  /** Tells `from` to ask the coordinator that this server knows. */
  refuse(from: Address, id: number): void {
    this.options.reply(from, {
      kind: "forwardReply",
      id,
      refused: true,
      coordinator: this.options.coordinator(),
      payload: new Uint8Array(0),
    });
  }

  private expect(item: Queued): void {
    let ofSession = this.open.get(item.session);
    if (ofSession === undefined) {
      ofSession = new Map();
      this.open.set(item.session, ofSession);
    }
    const asked = ofSession.get(item.seq);
    ofSession.set(item.seq, item);
    item.wait.remaining++;
    if (asked !== undefined) {
      this.countDown(asked.wait); // asked again in another Forward, which gets the reply; the first must not wait for it
    }
  }

  /** A command that is still queued was asked again by another Forward, which gets the reply; the one before must not wait for it. */
  private answerInstead(item: Queued, wait: Wait): void {
    const before = item.wait;
    item.wait = wait;
    wait.remaining++;
    this.countDown(before);
  }
}

/** What the coordinator replied to the command `seq` of `session`. */
export type ForwardedReply = { readonly session: SessionId; readonly seq: number; readonly reply: Reply };

/** The replies in a ForwardReply; throws MalformedBytes. */
export function readForwardedReplies(payload: Uint8Array): readonly ForwardedReply[] {
  const reader = new ByteReader(payload);
  const replies: ForwardedReply[] = [];
  while (reader.remaining > 0) {
    const session = sessionId(reader.varint());
    const seq = reader.varint();
    replies.push({ session, seq, reply: decodeReply(reader.bytes()) });
    if (replies.length > FORWARDED_WAITING_MAX) {
      throw new MalformedBytes(`more than ${FORWARDED_WAITING_MAX} replies`);
    }
  }
  return replies;
}
