/**
 * The streams to the other servers over gRPC: MultiPaxos.Exchange, one stream from each server to each other, spoken on by
 * the one that opened it. A message for many is encoded once. Nothing here repeats, reorders or judges a message.
 */
import { MalformedBytes } from "../base/bytes.js";
import type { ServerStream, StreamHandler } from "../grpc/service.js";
import { GRPC_STATUS } from "../grpc/status.js";
import type { Address } from "../paxos/ids.js";
import type { Header, Message } from "../paxos/message.js";
import { decodeEnvelope, encodeEnvelope } from "../paxos/message-codec.js";
import type { Clock } from "../ports/clock.js";
import type { PeerEvents, PeerNetwork } from "../ports/peer-network.js";
import { decodePeerFrame, encodePeerFrame } from "./peer-frame.js";
import { type Connect, PeerLink } from "./peer-link.js";

/** How long `stop` lets queued messages leave. */
const FAREWELL_MS = 50;

export type GrpcPeerNetworkOptions = {
  readonly connect: Connect;
  readonly clock: Clock;
  /** How long a server may be silent before the protocol suspects it. Milliseconds. */
  readonly suspectMs: number;
};

export class GrpcPeerNetwork implements PeerNetwork {
  private readonly options: GrpcPeerNetworkOptions;
  private readonly links = new Map<Address, PeerLink>();
  private events: PeerEvents | null = null;

  constructor(options: GrpcPeerNetworkOptions) {
    this.options = options;
  }

  /** Dials every peer. Listening is the composition root's: it serves `onExchange` at EXCHANGE_PATH. */
  async start(peers: readonly Address[], events: PeerEvents): Promise<void> {
    this.events = events;
    for (const peer of peers) {
      this.dial(peer);
    }
  }

  dial(peer: Address): void {
    if (this.events === null || this.links.has(peer)) {
      return;
    }
    const link = new PeerLink({
      ...this.options,
      peer,
      onConnected: () => this.events?.onConnected(peer),
      onGone: () => this.events?.onGone(peer),
      onRefused: (reason) => this.events?.onRefused(peer, reason),
    });
    this.links.set(peer, link);
    link.dial();
  }

  forget(peer: Address): void {
    this.links.get(peer)?.stop();
    this.links.delete(peer);
  }

  send(to: readonly Address[], header: Header, message: Message): void {
    let frame: Uint8Array | null = null;
    for (const peer of to) {
      const link = this.links.get(peer);
      if (link?.connected) {
        frame ??= encodePeerFrame(encodeEnvelope(header, message));
        link.send(frame, message.kind === "hello");
      }
    }
  }

  /** Messages dropped because a peer's queue was full. */
  get dropped(): number {
    let sum = 0;
    for (const link of this.links.values()) {
      sum += link.dropped;
    }
    return sum;
  }

  /** Serves the stream of a peer. Its first message must be a Hello, which names it. */
  readonly onExchange: StreamHandler = (stream) => {
    let peer: Address | null = null;
    let link: PeerLink | undefined;
    stream.onMessage((frame) => {
      try {
        const { header, message } = decodeEnvelope(decodePeerFrame(frame));
        if (message.kind === "hello") {
          const isNewStream = peer === null;
          peer = message.address;
          link = this.links.get(peer);
          link?.greeted(isNewStream);
        }
        link ??= peer === null ? undefined : this.links.get(peer);
        link?.heard();
        if (peer === null) {
          throw new MalformedBytes("a stream between servers begins with a Hello");
        }
        this.events?.onMessage(peer, header, message);
      } catch (error) {
        if (!(error instanceof MalformedBytes)) {
          throw error;
        }
        this.refuse(stream, peer, error.message);
      }
    });
    stream.onHalfClose(() => stream.end());
  };

  async stop(): Promise<void> {
    for (const link of this.links.values()) {
      link.stop();
    }
    this.events = null;
    await new Promise<void>((resolve) => {
      this.options.clock.after(FAREWELL_MS, resolve);
    });
  }

  private refuse(stream: ServerStream, peer: Address | null, reason: string): void {
    stream.end(GRPC_STATUS.FAILED_PRECONDITION, reason);
    this.events?.onRefused(peer, `${reason} (from ${stream.remote})`);
  }
}
