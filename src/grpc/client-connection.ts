/**
 * The streams of one connection at the client: opening calls, their deadlines, and the server's goodbye. Must never throw on what a server
 * sent, and must never retry: whether a call may be made again is its owner's to know.
 */
import { assert } from "../base/assert.js";
import type { CallOptions, ClientStream, ClientStreamEvents, UnaryReply } from "./channel.js";
import { ClientCall, type ClientCallHost, localEnd } from "./client-call.js";
import { Deadlines, TIMEOUT_MS_MAX } from "./deadlines.js";
import { ERROR, PREFACE, SETTING, STREAM_ID_MAX, WINDOW_MAX } from "./frames.js";
import type { HeaderFields } from "./hpack-decoder.js";
import { appendMetadata } from "./metadata.js";
import { RecentStreams } from "./recent-streams.js";
import { Session, type SessionPort, type SessionRole } from "./session.js";
import { GRPC_STATUS } from "./status.js";
import { formatTimeout } from "./timeout.js";

/** Response headers of one call (name + value + 32 each). */
export const RESPONSE_HEADER_LIST_BYTES_MAX = 16 * 1024;

/** Who is told what becomes of a connection; from inside its methods too. */
export interface ClientOwner {
  /** The server's first SETTINGS came. */
  connected(): void;
  /** The connection is over; called once. */
  over(reason: string): void;
}

export interface ClientConnectionOptions {
  /** `host:port`, as the requests name it. */
  readonly authority: string;
  readonly messageBytesMax: number;
  readonly streamQueueBytesMax: number;
}

export class ClientConnection implements SessionRole, ClientCallHost {
  readonly session: Session;
  readonly messageBytesMax: number;
  readonly streamQueueBytesMax: number;
  private readonly port: SessionPort;
  private readonly owner: ClientOwner;
  private readonly authority: string;
  private readonly calls = new Map<number, ClientCall>();
  private readonly recent = new RecentStreams();
  private readonly deadlines: Deadlines;
  private nextStream = 1;
  private connected = false;
  /** The server's goodbye, for people; undefined before it. */
  private goodbye: string | undefined;

  constructor(options: ClientConnectionOptions, port: SessionPort, owner: ClientOwner) {
    this.port = port;
    this.owner = owner;
    this.authority = options.authority;
    this.messageBytesMax = options.messageBytesMax;
    this.streamQueueBytesMax = options.streamQueueBytesMax;
    this.deadlines = new Deadlines((at) => port.wakeAt(at));
    this.session = new Session(this, port, RESPONSE_HEADER_LIST_BYTES_MAX);
    this.session.output.append(PREFACE);
    this.session.start([
      [SETTING.ENABLE_PUSH, 0],
      [SETTING.MAX_HEADER_LIST_SIZE, RESPONSE_HEADER_LIST_BYTES_MAX],
    ]);
  }

  get usable(): boolean {
    return this.session.reading && this.goodbye === undefined;
  }

  get openCalls(): number {
    return this.calls.size;
  }

  /** `message` must not change until the call ends. */
  unary(path: string, message: Uint8Array, options: CallOptions): Promise<UnaryReply> {
    return new Promise((resolve) => {
      let reply: Uint8Array | undefined;
      let replies = 0;
      const events: ClientStreamEvents = {
        onMessage: (received) => {
          reply = received;
          replies++;
        },
        onEnd: (end) => {
          const wrong = end.status === GRPC_STATUS.OK && replies !== 1;
          const last = wrong ? localEnd(GRPC_STATUS.INTERNAL, `${replies} messages answer a unary call`) : end;
          resolve({ ...last, message: last.status === GRPC_STATUS.OK ? reply : undefined });
        },
      };
      this.begin(path, events, options)?.sendLast(message);
    });
  }

  open(path: string, events: ClientStreamEvents, options: CallOptions): ClientStream {
    return this.begin(path, events, options) ?? CLOSED_STREAM;
  }

  /** Ends all calls with CANCELLED, says goodbye and ends the connection. */
  close(): void {
    for (const call of [...this.calls.values()]) {
      call.cancel();
    }
    this.session.close(ERROR.NO_ERROR, "");
  }

  /** A deadline may have come. */
  onTimer(): void {
    for (const stream of this.deadlines.expire(this.port.now())) {
      const end = localEnd(GRPC_STATUS.DEADLINE_EXCEEDED, "the call's deadline has passed");
      this.calls.get(stream)?.giveUp(end, ERROR.CANCEL, false);
    }
  }

  takeAhead(): number {
    return 0;
  }

  onHeaders(stream: number, fields: HeaderFields | undefined, endStream: boolean): void {
    const call = this.calls.get(stream);
    if (call !== undefined) {
      this.session.controlGuard.earn();
      call.onHeaders(fields, endStream);
    } else if (!this.recent.has(stream)) {
      this.session.close(ERROR.PROTOCOL_ERROR, `HEADERS on stream ${stream}, which is not open`);
    }
  }

  onData(stream: number, data: Buffer, flowBytes: number, endStream: boolean): void {
    const call = this.calls.get(stream);
    if (call !== undefined) {
      call.onData(data, flowBytes, endStream);
    } else if (!this.recent.has(stream)) {
      this.session.close(ERROR.STREAM_CLOSED, `DATA on stream ${stream}, which is over`);
    }
  }

  onReset(stream: number, code: number): void {
    this.calls.get(stream)?.onReset(code);
    if (!this.session.controlGuard.spend(1)) {
      this.session.close(ERROR.ENHANCE_YOUR_CALM, "too many RST_STREAM frames");
    }
  }

  onStreamCredit(stream: number, increment: number): void {
    const call = this.calls.get(stream);
    if (call === undefined) {
      return; // over: an update may cross our last frame
    }
    if (increment === 0 || !this.session.sender.credit(call.queue, increment)) {
      const code = increment === 0 ? ERROR.PROTOCOL_ERROR : ERROR.FLOW_CONTROL_ERROR;
      call.giveUp(localEnd(GRPC_STATUS.INTERNAL, "the server sent a wrong WINDOW_UPDATE"), code, false);
    }
  }

  onStreamWindowChange(difference: number): void {
    for (const call of [...this.calls.values()]) {
      if (!this.session.sender.credit(call.queue, difference)) {
        return this.session.close(ERROR.FLOW_CONTROL_ERROR, `a stream's window would exceed ${WINDOW_MAX}`);
      }
    }
  }

  onSettings(): void {
    if (!this.connected) {
      this.connected = true;
      this.owner.connected();
    }
  }

  onPingAnswer(): void {}

  onGoaway(lastStream: number, _code: number, text: string): void {
    this.goodbye ??= `the server said goodbye${text === "" ? "" : `: ${text}`}`;
    for (const call of [...this.calls.values()]) {
      if (call.stream > lastStream) {
        call.lost("the server takes no more calls");
      }
    }
    this.leaveIfIdle();
  }

  isIdle(stream: number): boolean {
    return stream % 2 === 0 || stream >= this.nextStream;
  }

  onOver(reason: string): void {
    this.deadlines.clear();
    for (const call of [...this.calls.values()]) {
      call.lost(reason);
    }
    this.owner.over(reason);
  }

  callOver(call: ClientCall, unread: boolean): void {
    this.calls.delete(call.stream);
    this.deadlines.delete(call.stream);
    if (unread) {
      this.recent.add(call.stream);
    }
    this.leaveIfIdle();
  }

  defer(callback: () => void): void {
    this.port.defer(callback);
  }

  /** Opens a stream and sends its headers. Undefined, and `onEnd` soon, where no call can be made. */
  private begin(path: string, events: ClientStreamEvents, options: CallOptions): ClientCall | undefined {
    assert(/^\/[\x21-\x7e]+\/[\x21-\x7e]+$/.test(path), "a path is /package.Service/Method");
    const refusal = this.refusal();
    if (refusal !== undefined) {
      this.port.defer(() => events.onEnd(localEnd(GRPC_STATUS.UNAVAILABLE, refusal)));
      return undefined;
    }
    const call = new ClientCall(this.nextStream, this, events, options);
    this.nextStream += 2;
    this.calls.set(call.stream, call);
    const fields = [":method", "POST", ":scheme", "http", ":path", path, ":authority", this.authority];
    fields.push("te", "trailers", "content-type", "application/grpc", "user-agent", "synod");
    if (options.timeoutMs !== undefined && options.timeoutMs <= TIMEOUT_MS_MAX) {
      fields.push("grpc-timeout", formatTimeout(options.timeoutMs));
      this.deadlines.set(call.stream, this.port.now() + options.timeoutMs);
    }
    appendMetadata(fields, options.metadata ?? []);
    this.session.writer.headers(call.stream, fields, false);
    return call;
  }

  private refusal(): string | undefined {
    if (!this.session.reading) {
      return "the connection is closed";
    }
    if (this.goodbye !== undefined || this.nextStream > STREAM_ID_MAX) {
      return "the server takes no more calls on this connection";
    }
    return this.calls.size >= this.session.peerStreamsMax ? `${this.calls.size} calls are open, the server's limit` : undefined;
  }

  private leaveIfIdle(): void {
    if (this.goodbye !== undefined && this.calls.size === 0) {
      this.session.leave(this.goodbye);
    }
  }
}

/** A stream that was never opened. */
const CLOSED_STREAM: ClientStream = {
  closed: true,
  queuedBytes: 0,
  send: () => false,
  halfClose: () => {},
  cancel: () => {},
};
