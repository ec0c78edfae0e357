/**
 * The streams of one client's connection at the server. A unary call whose request is one DATA frame has no object
 * of its own: its place in `awaited`, then `calls`, is a number and the shared meaning of its header block. Everything else is a `ServerCall`.
 * Must never throw on what a client sent, nor let one call's end touch another's.
 */
import { assert } from "../base/assert.js";
import { Deadlines, TIMEOUT_MS_MAX } from "./deadlines.js";
import { frameFlags, frameStream, frameType } from "./frame-reader.js";
import { ERROR, FLAG, FRAME, FRAME_HEADER_BYTES, readU24, readU32, SETTING, STREAM_ID_MAX, WINDOW_MAX } from "./frames.js";
import type { HeaderFields } from "./hpack-decoder.js";
import type { GrpcLimits } from "./limits.js";
import { EMPTY_METADATA, type Metadata } from "./metadata.js";
import { RecentStreams } from "./recent-streams.js";
import { checkTrailers, type RequestHead, readRequest, requestMetadata } from "./request.js";
import { RequestCache } from "./request-cache.js";
import type { End } from "./response-fields.js";
import { MESSAGE_PREFIX_BYTES } from "./sender.js";
import { type CallHost, ServerCall } from "./server-call.js";
import type { CancelReason, GrpcServices, Responder, Unhandled } from "./service.js";
import { HEADER_BLOCK_BYTES_MAX, Session, type SessionPort, type SessionRole } from "./session.js";
import { GRPC_STATUS, type GrpcStatus } from "./status.js";
import { UnaryReplies } from "./unary-replies.js";

/** HEADERS flags of the fast path: nothing but the priority that some clients send. */
const PRIORITY_HEADERS = FLAG.END_HEADERS | FLAG.PRIORITY;
const PRIORITY_BYTES = 5;

export class ServerConnection implements Responder, SessionRole, CallHost {
  readonly session: Session;
  readonly remote: string;
  readonly messageBytesMax: number;
  readonly streamQueueBytesMax: number;
  readonly unhandled: Unhandled | undefined;
  private readonly services: GrpcServices;
  private readonly limits: GrpcLimits;
  private readonly port: SessionPort;
  private readonly cache: RequestCache;
  private readonly replies: UnaryReplies;
  private readonly deadlines: Deadlines;
  /** Unary calls of which nothing but the headers has come. */
  private readonly awaited = new Map<number, RequestHead>();
  /** Unary calls with their whole request that wait for an answer. */
  private readonly calls = new Map<number, RequestHead>();
  private readonly cancels = new Map<number, (reason: CancelReason) => void>();
  private readonly streams = new Map<number, ServerCall>();
  /** Ended by us before the client had sent all. */
  private readonly recent = new RecentStreams();
  private heldBytes = 0;
  /** "announced": the client knows that no new calls will be taken, but some may be under way to us. */
  private leaving: "no" | "announced" | "now" = "no";

  constructor(services: GrpcServices, limits: GrpcLimits, port: SessionPort, remote: string) {
    this.services = services;
    this.unhandled = services.unhandled;
    this.limits = limits;
    this.port = port;
    this.remote = remote;
    this.messageBytesMax = limits.messageBytesMax;
    this.streamQueueBytesMax = limits.streamQueueBytesMax;
    this.session = new Session(this, port, limits.headerListBytesMax);
    this.cache = new RequestCache(this.session.decoder);
    this.replies = new UnaryReplies(this.session, limits.repliesHeldBytesMax, () => this.leaveIfIdle());
    this.deadlines = new Deadlines((at) => port.wakeAt(at));
    this.session.start([
      [SETTING.MAX_CONCURRENT_STREAMS, limits.concurrentStreamsMax],
      [SETTING.MAX_HEADER_LIST_SIZE, limits.headerListBytesMax],
    ]);
  }

  get closed(): boolean {
    return !this.session.reading;
  }

  /** Calls that are not over. */
  get openCalls(): number {
    return this.awaited.size + this.calls.size + this.streams.size + this.replies.size;
  }

  // --- what handlers do -------------------------------------------------------------------------------------------

  reply(stream: number, message: Uint8Array): void {
    if (this.calls.delete(stream)) {
      this.forgetSides(stream);
      this.replies.reply(stream, message);
      this.leaveIfIdle();
    }
  }

  fail(stream: number, status: GrpcStatus, message: string, trailers: Metadata = EMPTY_METADATA): void {
    assert(status !== GRPC_STATUS.OK, "a call fails with a status other than OK");
    if (this.calls.delete(stream)) {
      this.forgetSides(stream);
      this.replies.fail(stream, { status, message, trailers });
      this.leaveIfIdle();
    }
  }

  metadata(stream: number): Metadata {
    const head = this.calls.get(stream);
    return head === undefined ? EMPTY_METADATA : requestMetadata(head);
  }

  deadlineMs(stream: number): number | undefined {
    const at = this.deadlines.get(stream);
    return at === undefined ? undefined : Math.max(0, at - this.port.now());
  }

  isOpen(stream: number): boolean {
    return this.calls.has(stream);
  }

  onCancel(stream: number, callback: (reason: CancelReason) => void): void {
    if (this.calls.has(stream)) {
      this.cancels.set(stream, callback);
    }
  }

  // --- what the owner does ----------------------------------------------------------------------------------------

  /** A deadline may have come. */
  onTimer(): void {
    for (const stream of this.deadlines.expire(this.port.now())) {
      const end: End = { status: GRPC_STATUS.DEADLINE_EXCEEDED, message: "the call's deadline has passed", trailers: EMPTY_METADATA };
      this.endCall(stream, end, "deadline");
    }
  }

  /** Takes no new calls, finishes those that are open, then leaves. */
  drain(): void {
    if (this.leaving === "no" && !this.closed) {
      this.leaving = "announced";
      // Calls already under way to us arrive before the answer to the PING does (RFC 9113 §6.8).
      this.session.writer.goaway(ERROR.NO_ERROR, "draining", STREAM_ID_MAX);
      this.session.writer.ping();
    }
  }

  /** Ends every open call with UNAVAILABLE, and the connection. */
  shutDown(): void {
    const end: End = { status: GRPC_STATUS.UNAVAILABLE, message: "the server is shutting down", trailers: EMPTY_METADATA };
    for (const stream of [...this.awaited.keys(), ...this.calls.keys(), ...this.streams.keys()]) {
      this.endCall(stream, end, "cancelled");
    }
    this.session.close(ERROR.NO_ERROR, "shutting down");
  }

  // --- what the session reports -----------------------------------------------------------------------------------

  takeAhead(bytes: Buffer, at: number): number {
    return frameType(bytes, at) === FRAME.HEADERS ? this.takeHeaders(bytes, at) : this.takeWholeMessage(bytes, at);
  }

  onHeaders(stream: number, fields: HeaderFields | undefined, endStream: boolean): void {
    const call = this.callOf(stream);
    if (call !== undefined) {
      this.onTrailers(call, fields, endStream);
    } else if (this.recent.has(stream)) {
      return;
    } else if (stream % 2 === 0 || stream <= this.session.lastProcessed) {
      const code = stream % 2 === 0 ? ERROR.PROTOCOL_ERROR : ERROR.STREAM_CLOSED;
      this.session.close(code, `HEADERS on stream ${stream}, which cannot be opened`);
    } else if (this.admits(stream)) {
      this.open(stream, readRequest(fields, this.services, this.limits.headerListBytesMax), endStream);
    } else {
      this.session.lastProcessed = stream;
      this.refuse(stream);
    }
  }

  onData(stream: number, data: Buffer, flowBytes: number, endStream: boolean): void {
    const call = this.callOf(stream);
    if (call !== undefined) {
      call.onData(data, flowBytes, endStream);
    } else if (!this.recent.has(stream)) {
      this.onClosedStream(stream);
    }
  }

  onReset(stream: number, _code: number): void {
    const call = this.callOf(stream);
    const open = call !== undefined || this.calls.has(stream) || this.replies.has(stream);
    if (!open) {
      if (!this.session.controlGuard.spend(1)) {
        this.session.close(ERROR.ENHANCE_YOUR_CALM, "too many RST_STREAM frames");
      }
      return;
    }
    this.cancelCall(stream, call, "cancelled");
    if (!this.session.resetGuard.spend(1)) {
      this.session.close(ERROR.ENHANCE_YOUR_CALM, "too many calls taken back");
    }
    this.leaveIfIdle();
  }

  onStreamCredit(stream: number, increment: number): void {
    const call = this.callOf(stream);
    if (call === undefined && !this.calls.has(stream) && !this.replies.has(stream)) {
      return; // over: an update may cross our last frame
    }
    const allowed =
      increment > 0 && (call === undefined ? this.replies.credit(stream, increment) : this.session.sender.credit(call.queue, increment));
    if (!allowed) {
      this.violate(stream, increment > 0 ? ERROR.FLOW_CONTROL_ERROR : ERROR.PROTOCOL_ERROR);
    }
  }

  onStreamWindowChange(difference: number): void {
    let allowed = this.replies.changeWindows(difference);
    for (const call of [...this.streams.values()]) {
      allowed = allowed && this.session.sender.credit(call.queue, difference);
    }
    if (!allowed) {
      this.session.close(ERROR.FLOW_CONTROL_ERROR, `a stream's window would exceed ${WINDOW_MAX}`);
    }
  }

  onSettings(): void {}

  onPingAnswer(): void {
    if (this.leaving === "announced") {
      this.leaving = "now";
      this.session.writer.goaway(ERROR.NO_ERROR, "draining", this.session.lastProcessed);
      this.leaveIfIdle();
    }
  }

  onGoaway(): void {
    // The client opens nothing more; what is open goes on.
    this.leaving = "now";
    this.leaveIfIdle();
  }

  isIdle(stream: number): boolean {
    return stream % 2 === 0 || stream > this.session.lastProcessed;
  }

  onOver(_reason: string): void {
    const streams = [...this.streams.values()];
    const cancels = [...this.cancels.values()];
    this.awaited.clear();
    this.calls.clear();
    this.cancels.clear();
    this.deadlines.clear();
    this.replies.clear();
    for (const call of streams) {
      call.cancelled("disconnected");
    }
    for (const callback of cancels) {
      callback("disconnected");
    }
  }

  // --- what calls report ------------------------------------------------------------------------------------------

  defer(callback: () => void): void {
    this.port.defer(callback);
  }

  hold(difference: number): boolean {
    this.heldBytes += difference;
    return difference <= 0 || this.heldBytes <= this.limits.receiveHeldBytesMax;
  }

  unaryComplete(call: ServerCall, message: Uint8Array): void {
    const { stream, head } = call;
    this.streams.delete(stream);
    this.calls.set(stream, head);
    const extra = call.queue.window - this.session.sender.streamWindow;
    if (extra !== 0) {
      this.replies.credit(stream, extra);
    }
    head.unary?.(message, this, stream);
  }

  callOver(call: ServerCall, unread: boolean): void {
    this.streams.delete(call.stream);
    this.deadlines.delete(call.stream);
    if (unread) {
      this.recent.add(call.stream);
    }
    this.leaveIfIdle();
  }

  // --- inside -----------------------------------------------------------------------------------------------------

  /** HEADERS that open a call in the usual form, without an object for a unary one. The position after them, or 0 for the long way. */
  private takeHeaders(bytes: Buffer, at: number): number {
    const flags = frameFlags(bytes, at);
    const stream = frameStream(bytes, at);
    const end = at + FRAME_HEADER_BYTES + readU24(bytes, at);
    const from = at + FRAME_HEADER_BYTES + (flags === PRIORITY_HEADERS ? PRIORITY_BYTES : 0);
    const usual = (flags === FLAG.END_HEADERS || flags === PRIORITY_HEADERS) && from <= end && end - from <= HEADER_BLOCK_BYTES_MAX;
    if (!usual || !this.admits(stream)) {
      return 0;
    }
    const head = this.cache.find(bytes, from, end) ?? this.decodeHead(bytes, from, end);
    if (this.closed) {
      return bytes.length;
    }
    if (head.unary === undefined) {
      this.open(stream, head, false);
    } else {
      this.begin(stream, head);
      this.awaited.set(stream, head);
    }
    return end;
  }

  /** The one DATA frame of a unary call that holds its whole request. The position after it, or 0 for the long way. */
  private takeWholeMessage(bytes: Buffer, at: number): number {
    const stream = frameStream(bytes, at);
    const head = frameFlags(bytes, at) === FLAG.END_STREAM ? this.awaited.get(stream) : undefined;
    const length = readU24(bytes, at);
    const from = at + FRAME_HEADER_BYTES;
    const whole =
      length >= MESSAGE_PREFIX_BYTES &&
      length <= this.messageBytesMax &&
      bytes[from] === 0 &&
      readU32(bytes, from + 1) === length - MESSAGE_PREFIX_BYTES;
    if (head?.unary === undefined || !whole || (head.contentLength ?? length) !== length || !this.session.countData(length)) {
      return 0;
    }
    this.session.controlGuard.earn();
    this.awaited.delete(stream);
    this.calls.set(stream, head);
    head.unary(bytes.subarray(from + MESSAGE_PREFIX_BYTES, from + length), this, stream);
    return from + length;
  }

  /** The call object of a stream whose request is under way; a unary call gets one here, when something unusual happens to it. */
  private callOf(stream: number): ServerCall | undefined {
    const head = this.awaited.get(stream);
    if (head === undefined) {
      return this.streams.get(stream);
    }
    const call = new ServerCall(stream, head, this);
    this.awaited.delete(stream);
    this.streams.set(stream, call);
    return call;
  }

  /** Whether a new call may begin on `stream`. */
  private admits(stream: number): boolean {
    return (
      stream % 2 === 1 && stream > this.session.lastProcessed && this.leaving !== "now" && this.openCalls < this.limits.concurrentStreamsMax
    );
  }

  private decodeHead(bytes: Buffer, from: number, end: number): RequestHead {
    const version = this.session.decoder.table.version;
    const fields = this.session.decode(bytes, from, end);
    const head = readRequest(fields, this.services, this.limits.headerListBytesMax);
    this.cache.remember(bytes.subarray(from, end), head, version);
    return head;
  }

  /** Takes the stream up and sets its deadline. */
  private begin(stream: number, head: RequestHead): void {
    this.session.lastProcessed = stream;
    if (head.timeoutMs !== undefined && head.timeoutMs <= TIMEOUT_MS_MAX) {
      this.deadlines.set(stream, this.port.now() + head.timeoutMs);
    }
  }

  private open(stream: number, head: RequestHead, endStream: boolean): void {
    this.begin(stream, head);
    this.session.controlGuard.earn();
    if (head.malformed !== undefined) {
      this.violate(stream, ERROR.PROTOCOL_ERROR);
      return;
    }
    const call = new ServerCall(stream, head, this);
    this.streams.set(stream, call);
    if (head.streaming !== undefined) {
      head.streaming(call);
    }
    if (endStream && this.streams.get(stream) === call) {
      call.onEndStream();
    }
    if (head.refusal !== undefined && this.streams.get(stream) === call) {
      const { status, message, httpStatus } = head.refusal;
      call.abort({ status, message, trailers: EMPTY_METADATA }, undefined, httpStatus);
    }
  }

  private onTrailers(call: ServerCall, fields: HeaderFields | undefined, endStream: boolean): void {
    if (!endStream || fields === undefined || checkTrailers(fields) !== undefined) {
      call.violate(ERROR.PROTOCOL_ERROR);
    } else {
      call.onEndStream();
    }
  }

  /** DATA on a stream that is over or half closed (RFC 9113 §5.1). */
  private onClosedStream(stream: number): void {
    this.violate(stream, ERROR.STREAM_CLOSED);
    if (!this.session.controlGuard.spend(1)) {
      this.session.close(ERROR.ENHANCE_YOUR_CALM, "too many frames on closed streams");
    }
  }

  private refuse(stream: number): void {
    this.session.writer.reset(stream, ERROR.REFUSED_STREAM);
    this.recent.add(stream);
    if (!this.session.resetGuard.spend(1)) {
      this.session.close(ERROR.ENHANCE_YOUR_CALM, "too many calls above the limit");
    }
  }

  /** Ends a stream, open or not, with an error code. */
  private violate(stream: number, code: number): void {
    const call = this.callOf(stream);
    if (call !== undefined) {
      call.violate(code);
      return;
    }
    this.session.writer.reset(stream, code);
    this.recent.add(stream);
    this.cancelCall(stream, undefined, "cancelled");
  }

  private endCall(stream: number, end: End, reason: CancelReason): void {
    const call = this.callOf(stream);
    if (call !== undefined) {
      call.abort(end, reason);
      return;
    }
    const callback = this.cancels.get(stream);
    this.fail(stream, end.status, end.message);
    callback?.(reason);
  }

  /** The stream is gone without an answer of ours. */
  private cancelCall(stream: number, call: ServerCall | undefined, reason: CancelReason): void {
    if (call !== undefined) {
      call.cancelled(reason);
      return;
    }
    const callback = this.cancels.get(stream);
    this.calls.delete(stream);
    this.forgetSides(stream);
    this.replies.forget(stream);
    callback?.(reason);
  }

  private forgetSides(stream: number): void {
    this.deadlines.delete(stream);
    if (this.cancels.size > 0) {
      this.cancels.delete(stream);
    }
  }

  private leaveIfIdle(): void {
    if (this.leaving === "now" && this.openCalls === 0) {
      this.session.leave("drained");
    }
  }
}
