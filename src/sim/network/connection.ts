/** One connection from a server to a peer, from its dial to its end, as both ends and the link between them see it. Plain state. */
import type { Address } from "../../paxos/ids.js";
import type { PeerStream } from "./peer-stream.js";
import type { SimPort } from "./port.js";

export class Connection {
  /** Whose it is: the stream that dialled it. */
  readonly stream: PeerStream;
  /** The life that took it; null before. */
  receiver: SimPort | null = null;
  /** Whether a Hello was written: the first message of a stream is never lost alone, since a stream without it is worth nothing. */
  hasSpoken = false;
  /** The address that its Hello named, once that arrived. */
  name: Address | null = null;
  /** The receiver's own stream to that address. */
  back: PeerStream | null = null;
  /** Written and not yet taken by the receiver. */
  bytes = 0;
  /** What is written from now on goes nowhere. */
  isBroken = false;
  /** The one that dialled will learn, or has learnt, that it is broken. */
  isReported = false;
  /** The one that dialled does not want it any more. */
  isGivenUp = false;

  constructor(stream: PeerStream) {
    this.stream = stream;
  }
}
