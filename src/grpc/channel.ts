/**
 * What a client of our gRPC layer (one server talking to another) can do with one connection. Types only. A channel is one connection:
 * it never dials again, never retries and never balances; its owner decides that.
 */
import type { Metadata } from "./metadata.js";
import type { GrpcStatus } from "./status.js";

/** How a call ended, as its client sees it. */
export interface CallStatus {
  readonly status: GrpcStatus;
  /** Text for people; empty for OK. */
  readonly statusMessage: string;
  /** The trailing metadata. */
  readonly trailers: Metadata;
}

/** The outcome of a unary call; never thrown. `message` is there exactly when `status` is OK. */
export interface UnaryReply extends CallStatus {
  readonly message: Uint8Array | undefined;
}

export interface CallOptions {
  /** Deadline from now in milliseconds, sent as grpc-timeout and kept on this side too. Default: none. */
  readonly timeoutMs?: number;
  readonly metadata?: Metadata;
}

/** What a streaming call tells its opener. All are called from the event loop, never from inside a method of the stream. */
export interface ClientStreamEvents {
  /** The response's headers came: the server has taken the call. */
  readonly onHeaders?: (metadata: Metadata) => void;
  /** Each message as it is complete. It may be kept, at the price of holding the socket chunk it came in (up to 64 KiB). */
  readonly onMessage: (message: Uint8Array) => void;
  /** After a refused `send`, once the queue is half empty. */
  readonly onDrain?: () => void;
  /** The call's end, once, always the last one called; UNAVAILABLE where the connection was lost. */
  readonly onEnd: (end: CallStatus) => void;
}

export interface ClientStream {
  readonly closed: boolean;
  /** Bytes taken by `send` that the connection has not been given yet. */
  readonly queuedBytes: number;
  /**
   * Queues one message. False: NOT taken, because the queue is above its bound or the call has ended; `onDrain` tells when to try again.
   * Keeps `message` without a copy: the caller must never change it afterwards.
   */
  send(message: Uint8Array): boolean;
  /** No more messages from this side. */
  halfClose(): void;
  /** Takes the call back; `onEnd` follows with CANCELLED. */
  cancel(): void;
}

/**
 * What becomes of a connection: `onConnected` at most once, then exactly one of `onRefused` and `onClosed`, unless the owner closed it.
 * All are called from the event loop, never from inside `connect`.
 */
export interface ChannelEvents {
  /** The server's first SETTINGS came: a live process that speaks HTTP/2, not merely a kernel that accepts. */
  readonly onConnected: () => void;
  /** The machine refused the connection (ECONNREFUSED): nobody listens at that port. */
  readonly onRefused: () => void;
  /** The connection could not be made for another reason, or ended later; `reason` is for people. */
  readonly onClosed: (reason: string) => void;
}

export interface ConnectOptions {
  readonly host: string;
  readonly port: number;
  /** Milliseconds from dialling to the server's SETTINGS. Default 5,000. */
  readonly connectTimeoutMs?: number;
  /** Largest message received. Default 2 MiB + 64 KiB; peers that send batches of 1 MiB fit. */
  readonly messageBytesMax?: number;
  /** Bytes queued on one stream above which `send` refuses the next message. Default 4 MiB. */
  readonly streamQueueBytesMax?: number;
}

/** One HTTP/2 connection without TLS, with prior knowledge. Calls may be made at once; they leave when the connection is there. */
export interface Channel {
  /** Whether calls can still be made: not closed, and the server has not said goodbye. */
  readonly usable: boolean;
  /** `message` must not change until the call ends. Always resolves: errors are a status. */
  unary(path: string, message: Uint8Array, options?: CallOptions): Promise<UnaryReply>;
  /** Opens a streaming call of any kind; its headers leave at once. */
  open(path: string, events: ClientStreamEvents, options?: CallOptions): ClientStream;
  /** Ends open calls with CANCELLED and closes after what is queued was written; none of the channel's events follows. */
  close(): void;
  /** Ends the connection at once, whether the other side is there or not: what was queued is lost. None of the channel's events follows. */
  abort(): void;
}
