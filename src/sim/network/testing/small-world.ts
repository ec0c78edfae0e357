/**
 * A simulated network with servers that only say Hello and note what they hear, for tests of the network: real engine, real hosts, real
 * messages. It knows nothing of the protocol.
 */
import { present } from "../../../base/assert.js";
import { seedPrng, splitPrng } from "../../../base/prng.js";
import { type Address, address, clusterId, diskId, replicaId, slot } from "../../../paxos/ids.js";
import { type Header, type Hello, type Message, PEER_VERSION, type Ping } from "../../../paxos/message.js";
import type { PeerNetwork } from "../../../ports/peer-network.js";
import { Engine } from "../../engine/engine.js";
import { type CrashPlan, Host } from "../../engine/host.js";
import { Tally } from "../../engine/tally.js";
import type { NetworkFault } from "../../scenario/faults.js";
import { SimNetwork, type SimNetworkOptions } from "../sim-network.js";

export const HEADER: Header = { clusterId: clusterId(7n), lineage: { number: 1, random: 9n }, from: replicaId(1), epoch: 1 };
const FIRST_PORT = 9001;

/** A small message that can be told from others by its number. */
export function ping(seq: number): Ping {
  return {
    kind: "ping",
    seq,
    coordinator: null,
    preVote: false,
    decided: slot(0),
    checkpoint: null,
    hears: [replicaId(1), replicaId(2)],
  };
}

/** A message of about `bytes` that is told from others by its number as a Ping is. */
export function bulk(id: number, bytes: number): Message {
  return { kind: "forward", id, payload: new Uint8Array(bytes) };
}

export function hello(own: Address): Hello {
  const disk = diskId("0".repeat(32));
  return {
    kind: "hello",
    peerVersion: PEER_VERSION,
    diskId: disk,
    boot: 1,
    address: own,
    clientAddress: "c:1",
    list: [own],
    decided: slot(0),
    highestRound: 0,
  };
}

export class SmallWorld {
  readonly engine = new Engine(() => new Promise((resolve) => setImmediate(resolve)));
  readonly tally = new Tally();
  readonly network: SimNetwork;
  /** "<micros> <server> <what>", in order. */
  readonly log: string[] = [];
  readonly lost: string[] = [];
  /** As they were handed to receivers. */
  readonly messages: Message[] = [];
  readonly addresses: readonly Address[];
  readonly hosts: (Host | null)[];
  private readonly ports: (PeerNetwork | null)[];
  private readonly lives: number[];

  constructor(servers: number, options: Partial<SimNetworkOptions> & { readonly seed?: number } = {}) {
    this.addresses = Array.from({ length: servers }, (_, i) => address(`127.0.0.1:${FIRST_PORT + i}`));
    this.hosts = this.addresses.map(() => null);
    this.ports = this.addresses.map(() => null);
    this.lives = this.addresses.map(() => 0);
    this.network = new SimNetwork({
      engine: this.engine,
      prng: splitPrng(seedPrng(options.seed ?? 1)),
      addresses: this.addresses,
      speeds: { linkMin: 100, linkMax: 500, diskMin: 1, diskMax: 1 },
      tally: this.tally,
      onLost: (from, to, message) => this.lost.push(`${from}>${to} ${this.nameOf(message)}`),
      ...options,
    });
  }

  /** Starts the next life of server `index`. */
  start(index: number): void {
    const own = this.addressOf(index);
    const life = this.next(index);
    const host = new Host(this.engine, { index, life }, () => this.ended(index));
    const port = this.network.portOf(host, own);
    this.hosts[index] = host;
    this.ports[index] = port;
    const note = (what: string): void => {
      this.log.push(`${this.engine.now} ${index} ${what}`);
    };
    const started = port.start(
      this.addresses.filter((peer) => peer !== own),
      {
        onConnected: (peer) => {
          note(`connected ${this.indexOf(peer)}`);
          port.send([peer], HEADER, hello(own));
        },
        onGone: (peer) => note(`gone ${this.indexOf(peer)}`),
        onMessage: (peer, _, message) => {
          this.messages.push(message);
          note(`hears ${this.indexOf(peer)} ${this.nameOf(message)}`);
        },
        onRefused: (_, reason) => note(`refused ${reason}`),
      },
    );
    started.catch(() => {});
  }

  startAll(): void {
    for (let i = 0; i < this.addresses.length; i++) {
      this.start(i);
    }
  }

  /** kill -9. */
  kill(index: number): void {
    this.host(index).kill();
    this.ended(index);
  }

  send(from: number, to: readonly number[], message: Message): void {
    this.port(from).send(
      to.map((peer) => this.addressOf(peer)),
      HEADER,
      message,
    );
  }

  planCrash(index: number, plan: CrashPlan): void {
    this.host(index).planCrash(plan);
  }

  host(index: number): Host {
    return present(this.hosts[index], "the server runs");
  }

  port(index: number): PeerNetwork {
    return present(this.ports[index], "the server runs");
  }

  begin(fault: NetworkFault): () => void {
    return this.network.begin(fault);
  }

  /** Lets `millis` pass. */
  run(millis: number): Promise<void> {
    return this.engine.run(this.engine.now + millis * 1000);
  }

  /** All servers send every other one a Ping each `everyMs`, numbered from 1 at each sender. */
  pingAll(everyMs: number): void {
    let seq = 0;
    const turn = (): void => {
      seq++;
      for (let i = 0; i < this.addresses.length; i++) {
        if (this.hosts[i]?.alive === true && !this.host(i).isPaused) {
          this.send(
            i,
            this.addresses.map((_, peer) => peer).filter((peer) => peer !== i),
            ping(seq),
          );
        }
      }
      this.engine.after(everyMs * 1000, turn);
    };
    turn();
  }

  /** What `index` noted that begins with `words`, without times. */
  of(index: number, words = ""): string[] {
    return this.log
      .map((line) => line.split(" "))
      .filter(([, server]) => server === String(index))
      .map((parts) => parts.slice(2).join(" "))
      .filter((what) => what.startsWith(words));
  }

  /** The numbers of the messages that `to` heard from `from`, in order; Hellos have none. */
  heard(to: number, from: number): number[] {
    return this.of(to, `hears ${from} no`).map((what) => Number(what.split(" ")[3]));
  }

  private ended(index: number): void {
    this.network.left(index);
    this.hosts[index] = null;
    this.ports[index] = null;
  }

  private next(index: number): number {
    const life = (this.lives[index] ?? 0) + 1;
    this.lives[index] = life;
    return life;
  }

  private nameOf(message: Message): string {
    switch (message.kind) {
      case "ping":
        return `no ${message.seq}`;
      case "forward":
        return `no ${message.id}`;
      default:
        return message.kind;
    }
  }

  private addressOf(index: number): Address {
    return present(this.addresses[index], "the server is of this world");
  }

  private indexOf(peer: Address): number {
    return this.addresses.indexOf(peer);
  }
}

/** `count` numbers from `from`. */
export function numbers(from: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => from + i);
}

/** A world of two servers that are connected and have said Hello, its log emptied. */
export async function pair(options: Partial<SimNetworkOptions> & { readonly seed?: number } = {}): Promise<SmallWorld> {
  return connected(2, options);
}

export async function connected(
  servers: number,
  options: Partial<SimNetworkOptions> & { readonly seed?: number } = {},
): Promise<SmallWorld> {
  const world = new SmallWorld(servers, options);
  world.startAll();
  await world.run(100);
  world.log.length = 0;
  return world;
}
