/**
 * One call of the peer client: its receive window, reader and send queue, and what the response's headers and trailers say.
 * Must never call its owner back after `onEnd`, nor from inside a method the owner called.
 */
import type { CallOptions, CallStatus, ClientStream, ClientStreamEvents } from "./channel.js";
import { ERROR } from "./frames.js";
import type { HeaderFields } from "./hpack-decoder.js";
import { MessageReader } from "./message-reader.js";
import { EMPTY_METADATA, metadataFromFields } from "./metadata.js";
import { SendQueue } from "./sender.js";
import { RECEIVE_STREAM_WINDOW, type Session } from "./session.js";
import { decodeStatusMessage, GRPC_STATUS, type GrpcStatus } from "./status.js";

/** What a call needs of its connection. */
export interface ClientCallHost {
  readonly session: Session;
  readonly messageBytesMax: number;
  readonly streamQueueBytesMax: number;
  /** The call is over; `unread` where the server may still be sending. */
  callOver(call: ClientCall, unread: boolean): void;
  /** Runs `callback` soon, from the event loop. */
  defer(callback: () => void): void;
}

/** The status that HTTP's stands for where a proxy or a foreign server answered without one of gRPC (the specification's table). */
const STATUS_OF_HTTP: ReadonlyMap<string, GrpcStatus> = new Map([
  ["400", GRPC_STATUS.INTERNAL],
  ["401", GRPC_STATUS.UNAUTHENTICATED],
  ["403", GRPC_STATUS.PERMISSION_DENIED],
  ["404", GRPC_STATUS.UNIMPLEMENTED],
  ["429", GRPC_STATUS.UNAVAILABLE],
  ["502", GRPC_STATUS.UNAVAILABLE],
  ["503", GRPC_STATUS.UNAVAILABLE],
  ["504", GRPC_STATUS.UNAVAILABLE],
]);

/** The status that a reset stream stands for (the specification's table). */
function statusOfReset(code: number): GrpcStatus {
  switch (code) {
    case ERROR.REFUSED_STREAM:
      return GRPC_STATUS.UNAVAILABLE;
    case ERROR.CANCEL:
      return GRPC_STATUS.CANCELLED;
    case ERROR.ENHANCE_YOUR_CALM:
      return GRPC_STATUS.RESOURCE_EXHAUSTED;
    case ERROR.INADEQUATE_SECURITY:
      return GRPC_STATUS.PERMISSION_DENIED;
    default:
      return GRPC_STATUS.INTERNAL;
  }
}

/** An end without trailers of the server's. */
export function localEnd(status: GrpcStatus, statusMessage: string): CallStatus {
  return { status, statusMessage, trailers: EMPTY_METADATA };
}

export class ClientCall implements ClientStream {
  readonly stream: number;
  readonly queue: SendQueue;
  readonly options: CallOptions;
  private readonly host: ClientCallHost;
  private readonly events: ClientStreamEvents;
  private readonly reader: MessageReader;
  private receiveWindow = RECEIVE_STREAM_WINDOW;
  private headersSeen = false;
  private halfClosed = false;
  private over = false;

  constructor(stream: number, host: ClientCallHost, events: ClientStreamEvents, options: CallOptions) {
    this.stream = stream;
    this.host = host;
    this.events = events;
    this.options = options;
    this.queue = new SendQueue(stream, host.session.sender.streamWindow);
    this.queue.drainBelow = host.streamQueueBytesMax / 2;
    this.queue.onDrain = () => host.defer(() => this.drained());
    this.reader = new MessageReader(host.messageBytesMax, (message) => this.deliver(message));
  }

  get closed(): boolean {
    return this.over;
  }

  get queuedBytes(): number {
    return this.queue.bytes;
  }

  send(message: Uint8Array): boolean {
    if (this.over || this.halfClosed) {
      return false;
    }
    if (this.queue.bytes > this.host.streamQueueBytesMax) {
      this.queue.drainArmed = true;
      return false;
    }
    this.host.session.sender.send(this.queue, message);
    return true;
  }

  /** Sends the only message of a call whose request is one, with the end on the same frame. */
  sendLast(message: Uint8Array): void {
    this.halfClosed = true;
    this.queue.endStream = true;
    this.host.session.sender.send(this.queue, message);
  }

  halfClose(): void {
    if (!this.over && !this.halfClosed) {
      this.halfClosed = true;
      this.host.session.sender.endWithData(this.queue);
    }
  }

  cancel(): void {
    this.giveUp(localEnd(GRPC_STATUS.CANCELLED, "cancelled by the caller"), ERROR.CANCEL, true);
  }

  /** Ends the call from this side: the server is told by RST_STREAM. `soon`: the owner is in the middle of something. */
  giveUp(end: CallStatus, code: number, soon: boolean): void {
    if (!this.over) {
      this.host.session.writer.reset(this.stream, code);
      this.finish(end, { unread: true, soon });
    }
  }

  /** The call ends with the connection. */
  lost(reason: string): void {
    this.finish(localEnd(GRPC_STATUS.UNAVAILABLE, reason), { unread: false, soon: false });
  }

  onReset(code: number): void {
    const status = statusOfReset(code);
    this.finish(localEnd(status, `the server ended the stream with HTTP/2 error ${code}`), { unread: false, soon: false });
  }

  onData(data: Buffer, flowBytes: number, endStream: boolean): void {
    if (flowBytes > this.receiveWindow) {
      return this.giveUp(localEnd(GRPC_STATUS.INTERNAL, "the server sent beyond the window"), ERROR.FLOW_CONTROL_ERROR, false);
    }
    if (!this.headersSeen) {
      return this.giveUp(localEnd(GRPC_STATUS.INTERNAL, "the server sent DATA before headers"), ERROR.PROTOCOL_ERROR, false);
    }
    this.receiveWindow -= flowBytes;
    const fault = this.reader.push(data);
    if (fault !== undefined) {
      return this.giveUp(localEnd(fault.status, fault.message), ERROR.CANCEL, false);
    }
    if (this.over) {
      return;
    }
    if (endStream) {
      return this.finish(localEnd(GRPC_STATUS.INTERNAL, "the server ended the stream without a status"), NOTHING_LEFT);
    }
    if (this.receiveWindow < RECEIVE_STREAM_WINDOW / 2) {
      this.host.session.writer.grant(this.stream, RECEIVE_STREAM_WINDOW - this.receiveWindow);
      this.receiveWindow = RECEIVE_STREAM_WINDOW;
    }
  }

  onHeaders(fields: HeaderFields | undefined, endStream: boolean): void {
    if (fields === undefined || hasEmptyName(fields)) {
      const text = `the response's headers are ${fields === undefined ? "above the limit" : "malformed"}`;
      return this.giveUp(localEnd(GRPC_STATUS.INTERNAL, text), ERROR.PROTOCOL_ERROR, false);
    }
    if (endStream) {
      return this.onTrailers(fields);
    }
    if (this.headersSeen) {
      return this.giveUp(localEnd(GRPC_STATUS.INTERNAL, "headers in the middle of the response"), ERROR.PROTOCOL_ERROR, false);
    }
    const httpStatus = fieldOf(fields, ":status");
    if (httpStatus?.startsWith("1") === true) {
      return; // an interim response; the real one follows (RFC 9113 §8.1)
    }
    this.headersSeen = true;
    if (httpStatus !== "200" || fieldOf(fields, "content-type")?.startsWith("application/grpc") !== true) {
      return this.giveUp(notGrpc(httpStatus), ERROR.CANCEL, false);
    }
    this.events.onHeaders?.(metadataFromFields(fields));
  }

  private onTrailers(fields: HeaderFields): void {
    const status = fieldOf(fields, "grpc-status");
    if (status === undefined) {
      return this.finish(notGrpc(fieldOf(fields, ":status")), NOTHING_LEFT);
    }
    const code = /^[0-9]{1,3}$/.test(status) ? Number(status) : GRPC_STATUS.UNKNOWN;
    if (code === GRPC_STATUS.OK && this.reader.midway) {
      return this.finish(localEnd(GRPC_STATUS.INTERNAL, "the last message is cut short"), NOTHING_LEFT);
    }
    const statusMessage = code === GRPC_STATUS.OK ? "" : decodeStatusMessage(fieldOf(fields, "grpc-message") ?? "");
    this.finish({ status: code, statusMessage, trailers: metadataFromFields(fields) }, NOTHING_LEFT);
  }

  private deliver(message: Uint8Array): boolean {
    this.events.onMessage(message);
    return !this.over;
  }

  private drained(): void {
    if (!this.over) {
      this.events.onDrain?.();
    }
  }

  private finish(end: CallStatus, how: { readonly unread: boolean; readonly soon: boolean }): void {
    if (this.over) {
      return;
    }
    const unsent = !this.halfClosed || this.queue.bytes > 0;
    this.over = true;
    this.reader.discard();
    this.host.session.sender.forget(this.queue);
    if (how === NOTHING_LEFT && unsent) {
      // The server has answered without waiting for all of our request: nobody will read the rest.
      this.host.session.writer.reset(this.stream, ERROR.CANCEL);
    }
    this.host.callOver(this, how.unread);
    if (how.soon) {
      this.host.defer(() => this.events.onEnd(end));
    } else {
      this.events.onEnd(end);
    }
  }
}

/** How a call ends with the server's last frame. */
const NOTHING_LEFT = { unread: false, soon: false } as const;

function fieldOf(fields: HeaderFields, name: string): string | undefined {
  for (let i = 0; i < fields.length; i += 2) {
    if (fields[i] === name) {
      return fields[i + 1];
    }
  }
  return undefined;
}

function hasEmptyName(fields: HeaderFields): boolean {
  return fields.some((text, i) => i % 2 === 0 && text === "");
}

function notGrpc(httpStatus: string | undefined): CallStatus {
  const status = STATUS_OF_HTTP.get(httpStatus ?? "") ?? GRPC_STATUS.UNKNOWN;
  return localEnd(status, `the server answered without a gRPC status (HTTP ${httpStatus ?? "status missing"})`);
}
