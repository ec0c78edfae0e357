/**
 * The network of all servers of a run. Each server opens one stream to every peer that it is started with and speaks on its own only; a
 * calm network behaves as production's does over TCP: in order, nothing lost while a stream lasts, a dead process noticed by refusal. It
 * lives as long as the run, the ports as long as the processes. It knows nothing of the protocol beyond its codec.
 */
import { assert, present } from "../../base/assert.js";
import { type Prng, splitPrng } from "../../base/prng.js";
import type { Address } from "../../paxos/ids.js";
import type { Message } from "../../paxos/message.js";
import type { PeerNetwork } from "../../ports/peer-network.js";
import type { Engine } from "../engine/engine.js";
import type { Host } from "../engine/host.js";
import type { Tally } from "../engine/tally.js";
import type { NetworkFault } from "../scenario/faults.js";
import type { Speeds } from "../scenario/scenario.js";
import { type Fabric, Link } from "./link.js";
import { beginNetworkFault } from "./network-faults.js";
import { SimPort } from "./port.js";

/** Bytes under way on one stream above which messages are dropped, as in production. */
export const PEER_QUEUE_BYTES_MAX = 32 * 1024 * 1024;

export type SimNetworkOptions = {
  readonly engine: Engine;
  readonly prng: Prng;
  /** Of the servers, by their number. */
  readonly addresses: readonly Address[];
  readonly speeds: Speeds;
  readonly tally: Tally;
  /** A message was lost; servers by their number. */
  readonly onLost?: (from: number, to: number, message: Message) => void;
  /** How long a server may be silent before the protocol suspects it, for the watch on silent streams. Milliseconds; 600 by default. */
  readonly suspectMs?: number;
  /** PEER_QUEUE_BYTES_MAX by default. */
  readonly queueBytesMax?: number;
};

const SUSPECT_MS_DEFAULT = 600;

export class SimNetwork implements Fabric {
  readonly engine: Engine;
  readonly speeds: Speeds;
  readonly tally: Tally;
  readonly queueBytesMax: number;
  readonly onLost: ((from: number, to: number, message: Message) => void) | null;
  private readonly indexes: ReadonlyMap<Address, number>;
  private readonly suspectMs: number;
  /** By sender, then by receiver. */
  private readonly links: readonly (readonly Link[])[];
  private readonly listeners: (SimPort | null)[];

  constructor(options: SimNetworkOptions) {
    const { addresses } = options;
    this.engine = options.engine;
    this.speeds = options.speeds;
    this.tally = options.tally;
    this.onLost = options.onLost ?? null;
    this.suspectMs = options.suspectMs ?? SUSPECT_MS_DEFAULT;
    this.queueBytesMax = options.queueBytesMax ?? PEER_QUEUE_BYTES_MAX;
    this.indexes = new Map(addresses.map((address, index) => [address, index]));
    this.listeners = addresses.map(() => null);
    this.links = addresses.map((_, from) => addresses.map((_, to) => new Link(this, splitPrng(options.prng), { from, to })));
  }

  /** The network of one life of a server. It can be dialled once its `start` was called. */
  portOf(host: Host, self: Address): PeerNetwork {
    assert(this.indexes.get(self) === host.index, "a server has its own address");
    return new SimPort({
      engine: this.engine,
      host,
      tally: this.tally,
      suspectMs: this.suspectMs,
      linkTo: (peer) => this.link(host.index, present(this.indexes.get(peer), "a peer is of this run")),
      listen: (port) => {
        assert(this.listeners[host.index] === null, "the former life of a server has left before the next one starts");
        this.listeners[host.index] = port;
      },
    });
  }

  /** The process of server `index` has ended, in whatever way: its streams close and nobody listens there. */
  left(index: number): void {
    this.listeners[index] = null;
    for (let other = 0; other < this.links.length; other++) {
      if (other !== index) {
        this.link(index, other).senderLeft();
        this.link(other, index).receiverLeft();
      }
    }
  }

  /** Begins a fault, at the present instant; the result ends it. */
  begin(fault: NetworkFault): () => void {
    return beginNetworkFault(this, fault);
  }

  /** Whether messages get through at present: no fault blocks this direction or keeps its streams closed. */
  reaches(from: number, to: number): boolean {
    const { trouble } = this.link(from, to);
    return !trouble.isBlocked && !trouble.isRefused;
  }

  /** Messages that were handed to a stream, and that a receiver took, copies included. */
  get traffic(): { readonly sent: number; readonly delivered: number } {
    let sent = 0;
    let delivered = 0;
    for (const link of this.links.flat()) {
      sent += link.sent;
      delivered += link.delivered;
    }
    return { sent, delivered };
  }

  listener(index: number): SimPort | null {
    return this.listeners[index] ?? null;
  }

  link(from: number, to: number): Link {
    return present(this.links[from]?.[to], "both servers are of this run");
  }
}
