/**
 * One call that needs state of its own on the server: every streaming call, and a unary one until its request is complete. Owns the stream's
 * receive window, its reader and its send queue. Must never call a handler back after the call has ended.
 */
import { ERROR } from "./frames.js";
import { MessageReader } from "./message-reader.js";
import { EMPTY_METADATA, type Metadata } from "./metadata.js";
import { type RequestHead, requestMetadata } from "./request.js";
import { type End, headerFields, trailerFields, trailersOnlyFields } from "./response-fields.js";
import { SendQueue } from "./sender.js";
import type { CancelReason, ServerStream, Unhandled } from "./service.js";
import { RECEIVE_STREAM_WINDOW, type Session } from "./session.js";
import { GRPC_STATUS, type GrpcStatus } from "./status.js";

/** A held message costs this besides its bytes, so that empty ones are bounded too. */
const HELD_MESSAGE_OVERHEAD = 64;
const ONE_MESSAGE = "a unary call takes exactly one message";

/** What a call needs of its connection. */
export interface CallHost {
  readonly session: Session;
  readonly remote: string;
  readonly messageBytesMax: number;
  readonly streamQueueBytesMax: number;
  readonly unhandled: Unhandled | undefined;
  deadlineMs(stream: number): number | undefined;
  /** Runs `callback` soon, in a turn of the event loop of its own. */
  defer(callback: () => void): void;
  /** Counts memory held for this connection's requests; false where that is too much. */
  hold(difference: number): boolean;
  /** A unary call has its whole request; the call object is done. */
  unaryComplete(call: ServerCall, message: Uint8Array): void;
  /** The call is over and forgotten; `unread` where the peer may still be sending. */
  callOver(call: ServerCall, unread: boolean): void;
}

export class ServerCall implements ServerStream {
  readonly stream: number;
  readonly head: RequestHead;
  readonly queue: SendQueue;
  private readonly host: CallHost;
  private readonly reader: MessageReader;
  private receiveWindow = RECEIVE_STREAM_WINDOW;
  private receivedBytes = 0;
  private headersSent = false;
  /** END_STREAM has been seen, though what came before it may still be in delivery. */
  private allReceived = false;
  private halfClosed = false;
  /** Ended by our side or gone: the handler has no more part in it. */
  private ended = false;
  private paused = false;
  private held: Uint8Array[] = [];
  private heldBytes = 0;
  private countedBytes = 0;
  private messageCallback: ((message: Uint8Array) => void) | undefined;
  private halfCloseCallback: (() => void) | undefined;
  private cancelCallback: ((reason: CancelReason) => void) | undefined;

  constructor(stream: number, head: RequestHead, host: CallHost) {
    this.stream = stream;
    this.head = head;
    this.host = host;
    this.queue = new SendQueue(stream, host.session.sender.streamWindow);
    this.queue.drainBelow = host.streamQueueBytesMax / 2;
    const tooLarge = head.streaming === undefined ? host.unhandled?.tooLarge : undefined;
    this.reader = new MessageReader(host.messageBytesMax, (message) => this.onWholeMessage(message), tooLarge);
    // A unary request is kept until the client has said that it was all.
    this.paused = head.unary !== undefined;
  }

  get metadata(): Metadata {
    return requestMetadata(this.head);
  }

  get remote(): string {
    return this.host.remote;
  }

  get closed(): boolean {
    return this.ended;
  }

  get writable(): boolean {
    return !this.ended && this.queue.bytes <= this.host.streamQueueBytesMax;
  }

  deadlineMs(): number | undefined {
    return this.host.deadlineMs(this.stream);
  }

  sendHeaders(metadata: Metadata = EMPTY_METADATA): void {
    if (!this.ended && !this.headersSent) {
      this.headersSent = true;
      this.host.session.writer.headers(this.stream, headerFields(metadata), false);
    }
  }

  send(message: Uint8Array): boolean {
    if (!this.writable) {
      this.queue.drainArmed = !this.ended;
      return false;
    }
    this.sendHeaders();
    this.host.session.sender.send(this.queue, message);
    return true;
  }

  onMessage(callback: (message: Uint8Array) => void): void {
    this.messageCallback = callback;
  }

  onHalfClose(callback: () => void): void {
    this.halfCloseCallback = callback;
  }

  onCancel(callback: (reason: CancelReason) => void): void {
    this.cancelCallback = callback;
  }

  onDrain(callback: () => void): void {
    this.queue.onDrain = () =>
      this.host.defer(() => {
        if (!this.ended) {
          callback();
        }
      });
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
    while (this.held.length > 0 && !this.paused && !this.ended) {
      const batch = this.held;
      this.held = [];
      this.heldBytes = 0;
      this.deliverHeld(batch);
    }
    if (!this.paused && !this.ended) {
      this.count();
      this.returnCredit();
      this.announceHalfClose();
    }
  }

  end(status: GrpcStatus = GRPC_STATUS.OK, message = "", trailers: Metadata = EMPTY_METADATA): void {
    if (!this.ended) {
      this.ended = true;
      this.drop();
      this.host.session.sender.afterLast(this.queue, () => this.writeEnd({ status, message, trailers }, "200"));
    }
  }

  /** Ends the call now, whatever is queued; the handler of a streaming call is told `reason`, if one is given. */
  abort(end: End, reason?: CancelReason, httpStatus = "200"): void {
    const callback = this.ended ? undefined : this.cancelCallback;
    this.ended = true;
    this.drop();
    this.host.session.sender.forget(this.queue);
    // The handler of a unary call gets nothing before its request is complete, and then this object is done: it has seen nothing yet.
    const trailers = this.head.streaming === undefined ? this.host.unhandled?.trailers : undefined;
    this.writeEnd(trailers === undefined ? end : { ...end, trailers }, httpStatus);
    if (reason !== undefined) {
      callback?.(reason);
    }
  }

  /** Ends the call for what is wrong with its messages. */
  private refuse(status: GrpcStatus, message: string, reason?: CancelReason): void {
    this.abort({ status, message, trailers: EMPTY_METADATA }, reason);
  }

  /** Ends the stream with an error code of HTTP/2: the peer broke its rules. */
  violate(code: number): void {
    const callback = this.ended ? undefined : this.cancelCallback;
    this.host.session.writer.reset(this.stream, code);
    this.forget();
    this.host.callOver(this, true);
    callback?.("cancelled");
  }

  /** The stream is gone at the peer's side. */
  cancelled(reason: CancelReason): void {
    const callback = this.ended ? undefined : this.cancelCallback;
    this.forget();
    this.host.callOver(this, false);
    callback?.(reason);
  }

  /** DATA, whose flow bytes the connection has counted already. */
  onData(data: Buffer, flowBytes: number, endStream: boolean): void {
    if (this.halfClosed) {
      return this.violate(ERROR.STREAM_CLOSED);
    }
    if (flowBytes > this.receiveWindow) {
      return this.violate(ERROR.FLOW_CONTROL_ERROR);
    }
    this.receiveWindow -= flowBytes;
    this.receivedBytes += data.length;
    this.allReceived = endStream;
    if (this.ended) {
      // What we have to say is queued; what still comes is dropped, and the window lets the peer finish.
      this.halfClosed = endStream;
      return this.returnCredit();
    }
    const fault = this.reader.push(data);
    if (fault !== undefined) {
      return this.refuse(fault.status, fault.message, "cancelled");
    }
    if (this.ended) {
      return;
    }
    if (this.head.unary !== undefined && this.held.length > 1) {
      return this.refuse(GRPC_STATUS.INTERNAL, ONE_MESSAGE);
    }
    if (!this.count()) {
      const message = "too many bytes of incomplete or waiting requests on this connection";
      return this.refuse(GRPC_STATUS.RESOURCE_EXHAUSTED, message, "cancelled");
    }
    if (endStream) {
      this.onEndStream();
    } else {
      this.returnCredit();
    }
  }

  /** The client has sent all. */
  onEndStream(): void {
    if (this.halfClosed) {
      return this.violate(ERROR.STREAM_CLOSED);
    }
    if (this.head.contentLength !== undefined && this.head.contentLength !== this.receivedBytes) {
      return this.violate(ERROR.PROTOCOL_ERROR);
    }
    this.allReceived = true;
    this.halfClosed = true;
    if (this.ended) {
      return;
    }
    if (this.reader.midway) {
      return this.refuse(GRPC_STATUS.INTERNAL, "the last message is cut short", "cancelled");
    }
    if (this.head.unary === undefined) {
      this.announceHalfClose();
      return;
    }
    const message = this.held[0];
    if (message === undefined) {
      return this.refuse(GRPC_STATUS.INTERNAL, ONE_MESSAGE);
    }
    this.drop();
    this.host.unaryComplete(this, message);
  }

  private onWholeMessage(message: Uint8Array): boolean {
    if (this.paused || this.held.length > 0) {
      this.held.push(message);
      this.heldBytes += message.length + HELD_MESSAGE_OVERHEAD;
    } else {
      this.messageCallback?.(message);
    }
    return !this.ended;
  }

  private deliverHeld(batch: readonly Uint8Array[]): void {
    for (const [i, message] of batch.entries()) {
      if (this.ended) {
        return;
      }
      if (this.paused) {
        this.held = [...batch.slice(i), ...this.held];
        this.heldBytes = this.held.reduce((sum, each) => sum + each.length + HELD_MESSAGE_OVERHEAD, 0);
        return;
      }
      this.messageCallback?.(message);
    }
  }

  private announceHalfClose(): void {
    if (this.halfClosed && this.held.length === 0 && !this.paused) {
      const callback = this.halfCloseCallback;
      this.halfCloseCallback = undefined;
      callback?.();
    }
  }

  private writeEnd(end: End, httpStatus: string): void {
    const writer = this.host.session.writer;
    writer.headers(this.stream, this.headersSent ? trailerFields(end) : trailersOnlyFields(end, httpStatus), true);
    if (!this.allReceived) {
      // The response is complete without the rest of the request (RFC 9113 §8.1).
      writer.reset(this.stream, ERROR.NO_ERROR);
    }
    this.host.callOver(this, !this.allReceived);
  }

  /** Grants back what was consumed, in bulk. A unary request must be able to come in whole; a paused stream stays closed. */
  private returnCredit(): void {
    const keepsShut = this.paused && this.head.unary === undefined && !this.ended;
    if (!keepsShut && !this.halfClosed && this.receiveWindow < RECEIVE_STREAM_WINDOW / 2) {
      this.host.session.writer.grant(this.stream, RECEIVE_STREAM_WINDOW - this.receiveWindow);
      this.receiveWindow = RECEIVE_STREAM_WINDOW;
    }
  }

  private count(): boolean {
    const holding = this.reader.held + this.heldBytes;
    const difference = holding - this.countedBytes;
    this.countedBytes = holding;
    return difference === 0 || this.host.hold(difference);
  }

  /** Lets go of what was received. */
  private drop(): void {
    this.reader.discard();
    this.held = [];
    this.heldBytes = 0;
    this.host.hold(-this.countedBytes);
    this.countedBytes = 0;
  }

  private forget(): void {
    this.ended = true;
    this.drop();
    this.host.session.sender.forget(this.queue);
  }
}
