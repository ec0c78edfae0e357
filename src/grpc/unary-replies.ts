/**
 * Writes the answers of unary calls: at once into the connection's output where the peer's windows allow, which is nearly always, else
 * through a queue. Must never hold more for a slow reader than the limit says.
 */
import { FLAG, FRAME, FRAME_HEADER_BYTES, WINDOW_MAX, writeFrameHeader, writeU32 } from "./frames.js";
import { RepeatedBlock } from "./hpack-encoder.js";
import { EMPTY_METADATA } from "./metadata.js";
import { type End, OK_HEADERS, OK_TRAILERS, trailersOnlyFields } from "./response-fields.js";
import { MESSAGE_PREFIX_BYTES, SendQueue } from "./sender.js";
import type { Session } from "./session.js";
import { GRPC_STATUS } from "./status.js";

interface WaitingReply {
  readonly queue: SendQueue;
  readonly bytes: number;
}

export class UnaryReplies {
  private readonly session: Session;
  private readonly heldBytesMax: number;
  private readonly onDone: () => void;
  private readonly okHeaders = new RepeatedBlock(OK_HEADERS);
  private readonly okTrailers = new RepeatedBlock(OK_TRAILERS);
  /** Replies that wait for a window, and the bytes they were counted with. */
  private readonly waiting = new Map<number, WaitingReply>();
  private heldBytes = 0;
  /** What the peer added to the windows of calls that are not answered yet: rare, so not kept per call. */
  private readonly extraCredit = new Map<number, number>();

  /** `onDone` is called when a waiting reply has left or was dropped. */
  constructor(session: Session, heldBytesMax: number, onDone: () => void) {
    this.session = session;
    this.heldBytesMax = heldBytesMax;
    this.onDone = onDone;
  }

  /** Replies that wait. */
  get size(): number {
    return this.waiting.size;
  }

  has(stream: number): boolean {
    return this.waiting.has(stream);
  }

  /** Answers with OK. The call's request is complete. */
  reply(stream: number, message: Uint8Array): void {
    const extra = this.takeCredit(stream);
    const bytes = MESSAGE_PREFIX_BYTES + message.length;
    const sender = this.session.sender;
    if (!sender.fits(bytes, sender.streamWindow + extra)) {
      return this.replyLater(stream, message, sender.streamWindow + extra);
    }
    sender.window -= bytes;
    this.session.controlGuard.earn();
    this.writeWhole(stream, message);
  }

  /** Ends a call without a message. */
  fail(stream: number, end: End, httpStatus?: string): void {
    this.takeCredit(stream);
    this.session.writer.headers(stream, trailersOnlyFields(end, httpStatus), true);
  }

  /** The client took back a call: its reply, if it waits, goes nowhere. */
  forget(stream: number): void {
    this.takeCredit(stream);
    const reply = this.waiting.get(stream);
    if (reply !== undefined) {
      this.session.sender.forget(reply.queue);
      this.done(stream, reply);
    }
  }

  /** Adds to the window of a call that waits for its answer, or whose answer waits. False: beyond the limit. */
  credit(stream: number, increment: number): boolean {
    const reply = this.waiting.get(stream);
    if (reply !== undefined) {
      return this.session.sender.credit(reply.queue, increment);
    }
    const extra = (this.extraCredit.get(stream) ?? 0) + increment;
    if (this.session.sender.streamWindow + extra > WINDOW_MAX) {
      return false;
    }
    this.extraCredit.set(stream, extra);
    return true;
  }

  /** The peer changed all windows. False: one would exceed the limit. */
  changeWindows(difference: number): boolean {
    for (const { queue } of [...this.waiting.values()]) {
      if (!this.session.sender.credit(queue, difference)) {
        return false;
      }
    }
    return true;
  }

  clear(): void {
    for (const { queue } of this.waiting.values()) {
      this.session.sender.forget(queue);
    }
    this.waiting.clear();
    this.extraCredit.clear();
    this.heldBytes = 0;
  }

  private takeCredit(stream: number): number {
    if (this.extraCredit.size === 0) {
      return 0;
    }
    const extra = this.extraCredit.get(stream) ?? 0;
    this.extraCredit.delete(stream);
    return extra;
  }

  /** HEADERS, DATA and trailers in one piece of the output. */
  private writeWhole(stream: number, message: Uint8Array): void {
    const { output, writer } = this.session;
    const headers = this.okHeaders.encodeBy(writer.encoder);
    const trailers = this.okTrailers.encodeBy(writer.encoder);
    const length = MESSAGE_PREFIX_BYTES + message.length;
    let at = output.reserve(3 * FRAME_HEADER_BYTES + headers.length + length + trailers.length);
    const bytes = output.bytes;
    writeFrameHeader(bytes, at, { length: headers.length, type: FRAME.HEADERS, flags: FLAG.END_HEADERS, stream });
    at = copySmall(bytes, at + FRAME_HEADER_BYTES, headers);
    writeFrameHeader(bytes, at, { length, type: FRAME.DATA, flags: 0, stream });
    at += FRAME_HEADER_BYTES;
    bytes[at] = 0;
    writeU32(bytes, at + 1, message.length);
    at = copySmall(bytes, at + MESSAGE_PREFIX_BYTES, message);
    const flags = FLAG.END_HEADERS | FLAG.END_STREAM;
    writeFrameHeader(bytes, at, { length: trailers.length, type: FRAME.HEADERS, flags, stream });
    copySmall(bytes, at + FRAME_HEADER_BYTES, trailers);
  }

  private replyLater(stream: number, message: Uint8Array, window: number): void {
    if (this.heldBytes + message.length > this.heldBytesMax) {
      const text = `replies of over ${this.heldBytesMax} bytes wait for this connection to be read`;
      return this.fail(stream, { status: GRPC_STATUS.RESOURCE_EXHAUSTED, message: text, trailers: EMPTY_METADATA });
    }
    const { sender, writer } = this.session;
    const queue = new SendQueue(stream, window);
    const reply = { queue, bytes: message.length };
    this.waiting.set(stream, reply);
    this.heldBytes += reply.bytes;
    writer.headers(stream, OK_HEADERS, false);
    queue.afterLast = () => {
      writer.headers(stream, OK_TRAILERS, true);
      this.done(stream, reply);
    };
    sender.send(queue, new Uint8Array(message));
  }

  private done(stream: number, reply: WaitingReply): void {
    this.heldBytes -= reply.bytes;
    this.waiting.delete(stream);
    this.onDone();
  }
}

/** `set` costs more than its copy for a few bytes. */
const SMALL_BYTES_MAX = 24;

function copySmall(target: Uint8Array, at: number, source: Uint8Array): number {
  const length = source.length;
  if (length > SMALL_BYTES_MAX) {
    target.set(source, at);
  } else {
    for (let i = 0; i < length; i++) {
      target[at + i] = source[i] as number;
    }
  }
  return at + length;
}
