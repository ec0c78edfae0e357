/**
 * The streams to the other servers. Each server opens one stream to each peer and speaks only on its own, in order, without
 * duplicates; a closed stream loses what was under way, and nothing here sends again. Failing to send is silent: the core repeats.
 */
import type { Address } from "../paxos/ids.js";
import type { Header, Message } from "../paxos/message.js";

/** What the network tells its user. All calls come from the event loop, never from inside `send`. */
export interface PeerEvents {
  /** Our stream to `peer` is open and nothing was sent on it. */
  onConnected(peer: Address): void;
  /** A closed stream could not be opened again because the peer's machine refused it. Reported once per loss. */
  onGone(peer: Address): void;
  /** `peer` is the address that the stream's Hello named. */
  onMessage(peer: Address, header: Header, message: Message): void;
  /** A peer speaks another version of the protocol, or sent what cannot be read; its stream was closed. */
  onRefused(peer: Address | null, reason: string): void;
}

export interface PeerNetwork {
  /** Listens, dials every peer and keeps dialling. */
  start(peers: readonly Address[], events: PeerEvents): Promise<void>;
  /** Dials one more peer from now on; nothing where it is dialled already. */
  dial(peer: Address): void;
  /** Closes the stream to this peer and dials it no more. */
  forget(peer: Address): void;
  /** Encodes once and queues to each; drops where there is no stream, or where its queue is full. Until a Hello was sent on a stream everything else is dropped. */
  send(to: readonly Address[], header: Header, message: Message): void;
  /** Closes all streams after what is queued was written. */
  stop(): Promise<void>;
}
