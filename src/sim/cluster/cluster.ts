/**
 * A whole simulated cluster: machines with their disks and clocks, the network between them, and who watches. It has no faults and
 * no clients of its own. Everything that is random draws from a stream of its own, in a fixed order, so that a change of one thing moves no other.
 */
import { present } from "../../base/assert.js";
import { nextInt, type Prng, splitPrng } from "../../base/prng.js";
import { SESSION_LIMITS } from "../../kv/session-table.js";
import type { Address } from "../../paxos/ids.js";
import type { History } from "../../paxos/invariants.js";
import { isActiveCoordinator } from "../../paxos/replica.js";
import { LIMITS, type ServerConfig } from "../../server/config.js";
import type { Server } from "../../server/server.js";
import { OfOneLineage } from "../checkers/of-one-lineage.js";
import { ProtocolChecker } from "../checkers/protocol.js";
import { SimDisk } from "../disk/sim-disk.js";
import type { Engine } from "../engine/engine.js";
import type { Tally } from "../engine/tally.js";
import { SimNetwork } from "../network/sim-network.js";
import type { Observer } from "../observer.js";
import { serverAddresses } from "../scenario/addresses.js";
import type { Scenario } from "../scenario/scenario.js";
import { Census, NOT_THERE } from "./census.js";
import { Machine } from "./machine.js";
import { Watchers } from "./watchers.js";

/** What a log keeps for those that lag, as segments: each start copies it anew, and the slowest disks take half a second for a segment. */
export const SEGMENTS_KEPT = 8;

export type ClusterOptions = {
  /** Everyone who watches: checkers that know one log must leave out whom `isOutsider` names. */
  readonly observers: readonly Observer[];
  /** The time that the cluster lives in: its own, or that of a former one. */
  readonly world: { readonly engine: Engine; readonly tally: Tally };
  /** What a forced recovery kept, as its log; left out where the servers found a cluster. */
  readonly history?: History;
  /** Whether a server runs on a disk of another lineage: what it does is right by another log. Nobody does where it is left out. */
  readonly isOutsider?: (server: number) => boolean;
};

export class Cluster {
  readonly engine: Engine;
  readonly tally: Tally;
  readonly watchers: Watchers;
  readonly network: SimNetwork;
  readonly machines: readonly Machine[];
  readonly protocol: ProtocolChecker;
  readonly addresses: readonly Address[];
  readonly census: Census;
  /** The first so many machines found the cluster; the others are spares. */
  readonly founders: number;

  constructor(scenario: Scenario, prng: Prng, { world, observers, history, isOutsider }: ClusterOptions) {
    this.engine = world.engine;
    this.tally = world.tally;
    this.addresses = serverAddresses(scenario.servers + scenario.spares);
    this.founders = scenario.servers;
    this.protocol = new ProtocolChecker(this.addresses, this.tally, history);
    const protocol = isOutsider === undefined ? this.protocol : new OfOneLineage(this.protocol, (server) => !isOutsider(server));
    this.watchers = new Watchers(this.engine, [protocol, ...observers]);
    const { engine, tally, watchers, addresses } = this;
    const { speeds } = scenario;
    this.network = new SimNetwork({
      engine,
      prng: splitPrng(prng),
      addresses,
      speeds,
      tally,
      suspectMs: scenario.settings.suspectMs,
      // Nobody listens in most runs, and a message would be read anew for each that is lost.
      ...(watchers.watchLosses && {
        onLost: (from, to, message) => watchers.tell((observer) => observer.lost?.(engine.now, from, to, message)),
      }),
    });
    this.machines = addresses.map(
      (own, index) =>
        new Machine({
          index,
          address: own,
          config: configOf(scenario, addresses, index),
          isRemoved: () => this.census.isRemoved(index),
          sessions: { ...SESSION_LIMITS, sessions: scenario.settings.sessionsMax },
          engine,
          network: this.network,
          disk: new SimDisk({
            engine,
            prng: splitPrng(prng),
            speeds,
            tally,
            bearsLoss: () => this.census.bearsLossOf(index),
            onWiped: () => this.onWiped(index),
          }),
          prng: splitPrng(prng),
          tally,
          watchers,
          onServer: (server, life) => {
            if (isOutsider?.(index) === true) {
              return;
            }
            try {
              this.protocol.begin(index, server.replicaState, life);
            } catch (error) {
              watchers.fail(error);
            }
          },
        }),
    );
    this.census = new Census(this.machines, this.addresses, this.protocol);
    for (const spare of this.machines.slice(scenario.servers)) {
      spare.unusable = NOT_THERE;
    }
  }

  /** The addresses of the members, of the newest decided configuration; of the founders before there is one. */
  get members(): readonly Address[] {
    return this.census.configuration?.roster.map(({ address }) => address) ?? this.addresses.slice(0, this.founders);
  }

  /**
   * A founder that lost its disk comes back with its old list of servers, as long as another one on it is a member and knows the cluster. Else
   * the list would found a second one, and the manual says to start it by joining (PROTOCOL §4.8).
   */
  private onWiped(index: number): void {
    this.protocol.emptied(index);
    const { census } = this;
    const isKnown = this.machines.some(
      (machine) => machine.index !== index && machine.index < this.founders && census.isMember(machine.index),
    );
    if (census.configuration !== undefined && this.protocol.decided > 0 && !isKnown) {
      this.machine(index).joinThrough(this.members.filter((member) => member !== this.addresses[index]));
    }
  }

  /** A new server on a spare machine; nothing where it has one. */
  add(index: number): void {
    if (this.machine(index).unusable === NOT_THERE) {
      this.startJoining(index);
      this.tally.add("server added");
    }
  }

  /** A server on this machine, whose disk is empty, that is told the members to ask. */
  startJoining(index: number): void {
    const machine = this.machine(index);
    machine.joinThrough(this.members.filter((member) => member !== this.addresses[index]));
    machine.unusable = null;
    machine.start();
  }

  machine(index: number): Machine {
    return present(this.machines[index], "the server is of the cluster");
  }

  server(index: number): Server | null {
    return this.machine(index).server;
  }

  /** Starts all machines, each within `withinMs`. */
  startAll(prng: Prng, withinMs: number): void {
    for (const machine of this.machines.slice(0, this.founders)) {
      this.engine.after(nextInt(prng, 0, withinMs * 1000 + 1), () => machine.start());
    }
  }

  /** The server that may propose, of the highest ballot where several think so. */
  coordinator(): number | null {
    let best: number | null = null;
    let round = -1;
    for (const { server, index } of this.machines) {
      const state = server?.replicaState;
      if (state !== undefined && isActiveCoordinator(state) && (state.coordinator?.ballot.round ?? 0) > round) {
        best = index;
        round = state.coordinator?.ballot.round ?? 0;
      }
    }
    return best;
  }

  /** Runs until `endMicros`, or until `isDone`, or until a promise is broken. */
  run(endMicros: number, isDone: () => boolean = () => false): Promise<void> {
    return this.engine.run(endMicros, () => this.watchers.failure !== null || isDone());
  }
}

function configOf({ settings, servers }: Scenario, addresses: readonly Address[], index: number): ServerConfig {
  const listen = { host: "127.0.0.1", port: 1 };
  const defaults = Object.fromEntries(Object.entries(LIMITS).map(([name, limit]) => [name, limit.default])) as {
    -readonly [K in keyof typeof LIMITS]: number;
  };
  return {
    ...defaults,
    ...settings,
    keepBytes: SEGMENTS_KEPT * settings.segmentBytes,
    join: [],
    electable: true,
    version: "simulated",
    clientListen: listen,
    clientAddress: `127.0.0.1:${8000 + index}`,
    paxosListen: listen,
    paxosAddress: present(addresses[index], "the server is of the cluster"),
    replicas: index < servers ? addresses.slice(0, servers) : addresses.slice(index, index + 1),
    warnings: [],
    dataDir: "/data",
    logLevel: "info",
    logFormat: "json",
  };
}
