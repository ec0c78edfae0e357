/**
 * Every bound of the HTTP/2 and gRPC layer, by name. Nothing here may grow without one of these: what a peer can make us hold
 * or do is bounded per connection, and the number of connections is bounded too.
 */

/** The bounds that a server's owner may set. Bytes unless the name says otherwise. */
export interface GrpcLimits {
  /** Largest message received; a larger one ends its call with RESOURCE_EXHAUSTED, naming limit and size. Default 2 MiB: requests of 1.5 MiB and their envelope. */
  readonly messageBytesMax: number;
  /** Sum of name + value + 32 over the headers of one request (RFC 9113 §6.5.2); more ends the call with HTTP 431. Default 16 KiB. */
  readonly headerListBytesMax: number;
  /** Calls open at once on a connection; more are answered with REFUSED_STREAM, which clients may repeat safely. Default 4096. */
  readonly concurrentStreamsMax: number;
  /** Connections of a server; more are closed on arrival. Default 16,384. */
  readonly connectionsMax: number;
  /** Milliseconds within which a new connection must have said what it speaks; else it is closed. Default 10,000. */
  readonly firstBytesMsMax: number;
  /** Bytes of incomplete or paused messages held for one connection; the call that exceeds it ends with RESOURCE_EXHAUSTED. Default 64 MiB. */
  readonly receiveHeldBytesMax: number;
  /** Bytes of unary replies that wait for a slow reader's window; the reply that exceeds it becomes RESOURCE_EXHAUSTED. Default 64 MiB. */
  readonly repliesHeldBytesMax: number;
  /** Bytes queued on one streaming call above which `send` refuses the next message. Default 4 MiB. */
  readonly streamQueueBytesMax: number;
}

export const DEFAULT_LIMITS: GrpcLimits = {
  messageBytesMax: 2 * 1024 * 1024,
  headerListBytesMax: 16 * 1024,
  concurrentStreamsMax: 4096,
  connectionsMax: 16_384,
  firstBytesMsMax: 10_000,
  receiveHeldBytesMax: 64 * 1024 * 1024,
  repliesHeldBytesMax: 64 * 1024 * 1024,
  streamQueueBytesMax: 4 * 1024 * 1024,
};
