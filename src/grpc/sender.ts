/**
 * The sending side of flow control (RFC 9113 §5.2): what each stream wants to send, what the peer's windows and our output allow, in turns.
 * Must never send a byte beyond a window, and must never let one stream that cannot go on keep others waiting.
 */
import { assert, present } from "../base/assert.js";
import { FLAG, FRAME, FRAME_BYTES_DEFAULT, FRAME_HEADER_BYTES, WINDOW_DEFAULT, WINDOW_MAX, writeFrameHeader } from "./frames.js";
import type { Output } from "./output.js";

/** With this much waiting to be written, DATA stays in its stream's queue: beyond it a slow socket would be fed memory. */
export const OUTPUT_BYTES_HIGH = 1024 * 1024;
/** The length prefix of a gRPC message: a flag and four bytes of length. */
export const MESSAGE_PREFIX_BYTES = 5;
/** Consumed parts are removed from a queue in groups. */
const COMPACT_AFTER = 64;

/** The gRPC prefix of a message that is not compressed. */
export function messagePrefix(length: number): Uint8Array {
  const prefix = new Uint8Array(MESSAGE_PREFIX_BYTES);
  new DataView(prefix.buffer).setUint32(1, length);
  return prefix;
}

/** What one stream has to send. Owned by its call; only a `Sender` changes it. */
export class SendQueue {
  readonly stream: number;
  /** What the peer lets us send on this stream; may be negative after it shrank its settings. */
  window: number;
  /** Bytes queued. */
  bytes = 0;
  /** Writes what follows the last byte (trailers); undefined where the stream stays open or END_STREAM rides on DATA. */
  afterLast: (() => void) | undefined;
  /** Set END_STREAM on the DATA frame with the last byte. */
  endStream = false;
  /** Called once the queue is down to `drainBelow`, if armed by a refused send. */
  onDrain: (() => void) | undefined;
  drainBelow = 0;
  drainArmed = false;
  private parts: Uint8Array[] = [];
  private head = 0;
  private headOffset = 0;

  constructor(stream: number, window: number) {
    this.stream = stream;
    this.window = window;
  }

  push(part: Uint8Array): void {
    if (part.length > 0) {
      this.parts.push(part);
      this.bytes += part.length;
    }
  }

  /** Moves the next `count` bytes to `output`. */
  moveTo(output: Output, count: number): void {
    assert(count <= this.bytes, "only queued bytes are sent");
    let left = count;
    while (left > 0) {
      const part = this.parts[this.head] as Uint8Array;
      const piece = part.subarray(this.headOffset, this.headOffset + left);
      output.append(piece);
      left -= piece.length;
      this.headOffset += piece.length;
      if (this.headOffset === part.length) {
        this.head++;
        this.headOffset = 0;
      }
    }
    this.bytes -= count;
    if (this.bytes === 0 || this.head >= COMPACT_AFTER) {
      this.parts = this.parts.slice(this.head);
      this.head = 0;
    }
  }

  clear(): void {
    this.parts = [];
    this.head = 0;
    this.headOffset = 0;
    this.bytes = 0;
    this.afterLast = undefined;
    this.onDrain = undefined;
  }
}

/** The sending side of one connection. */
export class Sender {
  /** What the peer lets us send on the connection. */
  window = WINDOW_DEFAULT;
  /** What the peer's settings give each new stream. */
  streamWindow = WINDOW_DEFAULT;
  /** The largest DATA frame the peer takes. */
  frameBytesMax = FRAME_BYTES_DEFAULT;
  private readonly output: Output;
  private readonly onFrame: () => void;
  /** Streams with bytes and an open window of their own, in the order of their turns. */
  private readonly waiting = new Set<SendQueue>();

  /** `onFrame` is told of each DATA frame. */
  constructor(output: Output, onFrame: () => void) {
    this.output = output;
    this.onFrame = onFrame;
  }

  /** Whether `bytes` can leave now, in one frame, on a stream with `window`. */
  fits(bytes: number, window: number): boolean {
    return bytes <= this.window && bytes <= window && bytes <= this.frameBytesMax && this.output.size < OUTPUT_BYTES_HIGH;
  }

  /** Queues a message and sends what can go. */
  send(queue: SendQueue, message: Uint8Array): void {
    queue.push(messagePrefix(message.length));
    queue.push(message);
    this.flushQueue(queue);
  }

  /** Lets END_STREAM follow the last byte: on the last DATA frame or, where nothing waits, on an empty one. */
  endWithData(queue: SendQueue): void {
    queue.endStream = true;
    if (queue.bytes === 0) {
      this.frameHeader(queue.stream, 0, FLAG.END_STREAM);
    }
  }

  /** Calls `write` once all bytes have left: now, or later. */
  afterLast(queue: SendQueue, write: () => void): void {
    if (queue.bytes === 0) {
      write();
    } else {
      queue.afterLast = write;
    }
  }

  /** Adds to one stream's window. False: beyond the limit (FLOW_CONTROL_ERROR). */
  credit(queue: SendQueue, increment: number): boolean {
    if (queue.window + increment > WINDOW_MAX) {
      return false;
    }
    queue.window += increment;
    this.flushQueue(queue);
    return true;
  }

  /** Adds to the connection's window. False: beyond the limit. */
  creditConnection(increment: number): boolean {
    if (this.window + increment > WINDOW_MAX) {
      return false;
    }
    this.window += increment;
    this.flushAll();
    return true;
  }

  /** Sends what can go, each stream one frame in turn. To be called when the output was written too. */
  flushAll(): void {
    while (this.waiting.size > 0 && this.window > 0 && this.output.size < OUTPUT_BYTES_HIGH) {
      const queue = present(this.waiting.values().next().value, "a set that is not empty has a first element");
      this.waiting.delete(queue);
      this.frame(queue);
      this.settle(queue);
    }
  }

  /** The stream is gone: what it had to send goes nowhere. */
  forget(queue: SendQueue): void {
    this.waiting.delete(queue);
    queue.clear();
  }

  private flushQueue(queue: SendQueue): void {
    // While others wait for the connection, this one takes its turn behind them.
    if (this.waiting.size === 0) {
      while (queue.bytes > 0 && queue.window > 0 && this.window > 0 && this.output.size < OUTPUT_BYTES_HIGH) {
        this.frame(queue);
      }
    }
    this.settle(queue);
  }

  private frame(queue: SendQueue): void {
    const count = Math.min(queue.bytes, queue.window, this.window, this.frameBytesMax);
    const last = queue.endStream && count === queue.bytes;
    this.frameHeader(queue.stream, count, last ? FLAG.END_STREAM : 0);
    queue.moveTo(this.output, count);
    queue.window -= count;
    this.window -= count;
    this.onFrame();
  }

  private frameHeader(stream: number, length: number, flags: number): void {
    const at = this.output.reserve(FRAME_HEADER_BYTES);
    writeFrameHeader(this.output.bytes, at, { length, type: FRAME.DATA, flags, stream });
  }

  /** After sending: wait for another turn, finish, and tell who was refused that there is room. */
  private settle(queue: SendQueue): void {
    if (queue.bytes > 0 && queue.window > 0) {
      this.waiting.add(queue);
    } else {
      this.waiting.delete(queue);
    }
    if (queue.bytes === 0 && queue.afterLast !== undefined) {
      const write = queue.afterLast;
      queue.afterLast = undefined;
      write();
    }
    if (queue.drainArmed && queue.bytes <= queue.drainBelow) {
      queue.drainArmed = false;
      queue.onDrain?.();
    }
  }
}
