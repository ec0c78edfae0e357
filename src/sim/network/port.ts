/**
 * The network as one life of one server has it: `PeerNetwork` over the simulated links. Everything it tells the server runs in the server's
 * process, so that a dead one hears nothing and a paused one later.
 */
import { assert } from "../../base/assert.js";
import type { Address } from "../../paxos/ids.js";
import type { Header, Message } from "../../paxos/message.js";
import { encodeEnvelope } from "../../paxos/message-codec.js";
import type { PeerEvents, PeerNetwork } from "../../ports/peer-network.js";
import type { Engine } from "../engine/engine.js";
import type { Host } from "../engine/host.js";
import type { Tally } from "../engine/tally.js";
import type { Link } from "./link.js";
import { PeerStream } from "./peer-stream.js";

/** How long `stop` lets queued messages leave, as in production. */
export const FAREWELL_MICROS = 50_000;

export type SimPortOptions = {
  readonly engine: Engine;
  readonly host: Host;
  readonly tally: Tally;
  readonly suspectMs: number;
  /** The link to `peer`. */
  readonly linkTo: (peer: Address) => Link;
  /** From now on the server can be dialled. */
  readonly listen: (port: SimPort) => void;
};

export class SimPort implements PeerNetwork {
  readonly host: Host;
  private readonly options: SimPortOptions;
  private readonly streams = new Map<Address, PeerStream>();
  private events: PeerEvents | null = null;

  constructor(options: SimPortOptions) {
    this.options = options;
    this.host = options.host;
  }

  start(peers: readonly Address[], events: PeerEvents): Promise<void> {
    const { host } = this.options;
    if (!host.alive) {
      return new Promise(() => {});
    }
    assert(this.events === null && this.streams.size === 0, "one life starts its network once");
    this.events = events;
    this.options.listen(this);
    for (const peer of peers) {
      this.dial(peer);
    }
    this.options.engine.stir();
    return Promise.resolve();
  }

  dial(peer: Address): void {
    const { events, host } = this;
    const { tally, suspectMs, linkTo } = this.options;
    if (events === null || this.streams.has(peer) || !host.alive) {
      return;
    }
    const stream = new PeerStream({
      host,
      link: linkTo(peer),
      tally,
      suspectMs,
      onConnected: () => events.onConnected(peer),
      onGone: () => events.onGone(peer),
    });
    this.streams.set(peer, stream);
    stream.dial();
  }

  forget(peer: Address): void {
    this.streams.get(peer)?.stop();
    this.streams.delete(peer);
  }

  send(to: readonly Address[], header: Header, message: Message): void {
    const { host } = this;
    const isHello = message.kind === "hello";
    let bytes: Uint8Array | null = null;
    for (const peer of to) {
      const stream = this.streams.get(peer);
      if (!host.alive) {
        return;
      }
      if (stream?.takes(isHello)) {
        if (!host.crosses("send")) {
          return;
        }
        bytes ??= encodeEnvelope(header, message);
        stream.send(bytes);
        host.crossed("send");
      }
    }
  }

  stop(): Promise<void> {
    if (!this.host.alive) {
      return new Promise(() => {});
    }
    for (const stream of this.streams.values()) {
      stream.stop();
    }
    this.events = null;
    this.options.engine.stir();
    return new Promise((resolve) => {
      this.host.after(FAREWELL_MICROS, () => {
        resolve();
        this.options.engine.stir();
      });
    });
  }

  /** Our own stream to `peer`; null for one that we were not started with. */
  streamTo(peer: Address): PeerStream | null {
    return this.streams.get(peer) ?? null;
  }

  /** A message came on the stream of `peer`. */
  deliver(peer: Address, header: Header, message: Message): void {
    this.events?.onMessage(peer, header, message);
  }
}
