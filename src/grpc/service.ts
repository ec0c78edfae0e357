/**
 * What a service is to the gRPC layer: handlers by path, and what they may do with a call. Types only.
 * Nothing here knows HTTP/2 frames; nothing here may know keys or ballots.
 */
import type { GrpcLimits } from "./limits.js";
import type { Metadata } from "./metadata.js";
import type { GrpcStatus } from "./status.js";

/** Why a call ended before its handler did: the client took it back, its deadline passed, or its connection is gone. */
export type CancelReason = "cancelled" | "deadline" | "disconnected";

/**
 * One connection of a client, as a unary handler sees it; `stream` names the call. Answers may come in any order and at any later time
 * (group commit). An answer to a call that is gone, or was answered before, is dropped in silence. Answers of one turn of the event loop
 * leave in one write.
 */
export interface Responder {
  /** Ends the call with OK. `message` is copied: the caller may reuse it at once. */
  reply(stream: number, message: Uint8Array): void;
  /** Ends the call with `status` (not OK); `message` is text for people. */
  fail(stream: number, status: GrpcStatus, message: string, trailers?: Metadata): void;
  /** The request's metadata; empty once the call has ended. */
  metadata(stream: number): Metadata;
  /** Milliseconds that remain of the client's deadline, never negative; undefined where it set none or the call has ended. */
  deadlineMs(stream: number): number | undefined;
  /** Calls back once if the call ends before it is answered; never for a call that is gone already. One callback a call. */
  onCancel(stream: number, callback: (reason: CancelReason) => void): void;
  /** Whether the call waits for its answer: not answered, not taken back, not past its deadline, and its connection there. */
  isOpen(stream: number): boolean;
  /** Whether the connection is gone: no answer can reach the client. */
  readonly closed: boolean;
  /** The client's `address:port`. */
  readonly remote: string;
}

/**
 * Starts one unary call. `message` is a view into the socket's buffer, valid only until this function returns: copy what must stay.
 * May answer before it returns. Must not throw: what it throws is a bug and ends the process.
 */
export type UnaryHandler = (message: Uint8Array, responder: Responder, stream: number) => void;

/**
 * One streaming call (client, server or both ways). Callbacks are set in the handler, before it returns; a second one replaces the first.
 * Once the call has ended nothing is called back, and every method does nothing.
 */
export interface ServerStream {
  readonly metadata: Metadata;
  /** The client's `address:port`. */
  readonly remote: string;
  /** Whether the call has ended, by either side. */
  readonly closed: boolean;
  /** Whether `send` would take a message now. */
  readonly writable: boolean;
  /** Milliseconds that remain of the client's deadline; undefined where it set none. */
  deadlineMs(): number | undefined;
  /** Sends the response headers now, with `metadata`; without it they leave with the first message. At most once, before `send`. */
  sendHeaders(metadata?: Metadata): void;
  /**
   * Queues one message. False: NOT taken, because the queue is above its bound or the call has ended; `onDrain` tells when to try again.
   * Keeps `message` without a copy: the caller must never change it afterwards.
   */
  send(message: Uint8Array): boolean;
  /** Each message as it is complete. It may be kept, at the price of holding the socket chunk it came in (up to 64 KiB). */
  onMessage(callback: (message: Uint8Array) => void): void;
  /** The client has sent its last message. */
  onHalfClose(callback: () => void): void;
  /** The call ended before `end`; nothing is called after it. */
  onCancel(callback: (reason: CancelReason) => void): void;
  /** After a refused `send`, once the queue is half empty. */
  onDrain(callback: () => void): void;
  /** Stops `onMessage` and `onHalfClose`, and in time the client, whose window closes: what arrives is held. */
  pause(): void;
  /** Delivers what was held and goes on. */
  resume(): void;
  /** Ends the call after what is queued was sent. Default OK. */
  end(status?: GrpcStatus, message?: string, trailers?: Metadata): void;
}

/** Starts one streaming call. Must not throw. */
export type StreamHandler = (stream: ServerStream) => void;

/** What a server says of requests that no handler has seen, so that nothing came of them. */
export interface Unhandled {
  /** With every end of a unary call before its request was complete, a deadline and a shutdown included. */
  readonly trailers: Metadata;
  /** Of a unary call's message above `messageBytesMax`: status, not OK, and text for people. */
  tooLarge(bytes: number, bytesMax: number): { readonly status: GrpcStatus; readonly message: string };
}

/** The services of a server by full path (`/package.Service/Method`), and its bounds. */
export interface GrpcServices {
  readonly unary: ReadonlyMap<string, UnaryHandler>;
  readonly streaming: ReadonlyMap<string, StreamHandler>;
  readonly limits?: Partial<GrpcLimits>;
  /** Without it such calls get no trailers, and RESOURCE_EXHAUSTED where they are too large. */
  readonly unhandled?: Unhandled;
  /** What is said, for people, of a call whose path is not among these. Where it is undefined: `no method PATH`. */
  readonly noMethod?: (path: string) => string | undefined;
}
