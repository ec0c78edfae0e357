/**
 * One machine of a simulated cluster: a disk and clocks that outlive processes, and at most one process, which is the production
 * server on the production storage. It starts, kills and restarts that process; what goes wrong in it is judged here, never hidden.
 */
import { nextU32, type Prng, splitPrng } from "../../base/prng.js";
import type { KvStore } from "../../kv/kv-store.js";
import type { SessionLimits } from "../../kv/session-table.js";
import { Store } from "../../kv/store.js";
import type { Address } from "../../paxos/ids.js";
import type { Message } from "../../paxos/message.js";
import type { Durable } from "../../paxos/record.js";
import type { PeerEvents } from "../../ports/peer-network.js";
import type { ServerConfig } from "../../server/config.js";
import { EXIT_STATUS } from "../../server/exit-status.js";
import { loadStore } from "../../server/load-store.js";
import type { Logger } from "../../server/logger.js";
import { Server } from "../../server/server.js";
import { openStorage, type Storage } from "../../storage/storage.js";
import { StorageFailure } from "../../storage/storage-failure.js";
import type { DiskPast } from "../checkers/recovered.js";
import type { SimDisk } from "../disk/sim-disk.js";
import type { Engine } from "../engine/engine.js";
import { Host } from "../engine/host.js";
import type { Tally } from "../engine/tally.js";
import type { SimNetwork } from "../network/sim-network.js";
import { Violation } from "../observer.js";
import { MachineClock } from "./machine-clock.js";
import type { Watchers } from "./watchers.js";

/** Where a server keeps its data. */
export const DIRECTORY = "/data";
const CARRIES_VALUES: ReadonlySet<Message["kind"]> = new Set(["propose", "catchUpReply", "snapshotChunk"]);
/** How a planned crash is told. */
export const CRASHED = "crashes at a boundary";

export type MachineOptions = {
  readonly index: number;
  readonly address: Address;
  readonly config: ServerConfig;
  /** Whether the log says that the id on this disk is never given again: its server ends then. */
  readonly isRemoved: () => boolean;
  /** Limits of the state machine. */
  readonly sessions: SessionLimits;
  readonly engine: Engine;
  readonly network: SimNetwork;
  readonly disk: SimDisk;
  readonly prng: Prng;
  readonly tally: Tally;
  readonly watchers: Watchers;
  /** A life is about to take its first step: checkers may look at its replica from now on. */
  readonly onServer: (server: Server, life: { readonly durable: Durable; readonly past: DiskPast }) => void;
};

export class Machine {
  readonly index: number;
  readonly disk: SimDisk;
  readonly clock: MachineClock;
  private readonly options: MachineOptions;
  private readonly prng: Prng;
  private readonly sink: Logger;
  private life = 0;
  private current: Host | null = null;
  private running: Server | null = null;
  /** Why it cannot be started again; null while it can. */
  unusable: string | null = null;
  /** The members that its server asks to let it join; empty where it is one of those that found the cluster. */
  private join: readonly Address[] = [];
  /** From its next start on its acceptor refuses everything: `fail_rate` 1. */
  isFailing = false;
  /** Its disk does nothing any more. */
  isHung = false;
  /** No message that carries values reaches it from now on, as on a path that lets small packets through alone. */
  isStarved = false;
  /** What to do when the process has died by a planned crash or by itself. */
  onDeath: (how: string) => void = () => {};

  constructor(options: MachineOptions) {
    this.options = options;
    this.index = options.index;
    this.disk = options.disk;
    this.prng = splitPrng(options.prng);
    this.clock = new MachineClock(options.engine, { mono: nextU32(this.prng), wall: 1_000_000 * nextU32(this.prng) });
    this.sink = {
      log: (level, _code, text) => {
        options.watchers.tell((observer) => observer.logged?.(options.engine.now, this.index, level, text));
        if (level === "fatal") {
          this.lastWords = text;
        }
      },
    };
  }

  private lastWords = "";

  /** The server, once it listens; null while the machine is down or starting. */
  get server(): Server | null {
    return this.running;
  }

  /** The process, starting or running; null while there is none. */
  get host(): Host | null {
    return this.current;
  }

  /** Begins a process, unless there is one. */
  start(): void {
    if (this.current !== null || this.unusable !== null) {
      return;
    }
    const { engine, tally, watchers } = this.options;
    this.life++;
    // Later in the same instant: the server's own code is still on the stack.
    const host: Host = new Host(engine, { index: this.index, life: this.life }, () => engine.after(0, () => this.died(host, CRASHED)));
    this.current = host;
    tally.add(this.life === 1 ? "start" : "restart");
    watchers.tell((observer) => observer.started?.(engine.now, this.index, this.life));
    this.boot(host).catch((error: unknown) => {
      if (host.alive) {
        this.refuse(error);
      }
    });
    engine.stir();
  }

  /** From its next start on its server is told to join the cluster of `members`. */
  joinThrough(members: readonly Address[]): void {
    this.join = members;
  }

  /** The members it is told to ask, or with whom it was told to found the cluster. */
  get contacts(): readonly string[] {
    return this.join.length > 0 ? this.join : this.options.config.replicas;
  }

  /** An operator sets its data aside: the server ends, and the next one begins on an empty disk. */
  empty(): void {
    this.kill();
    this.disk.wipe();
    this.unusable = null;
  }

  /** kill -9: the system's cache survives. */
  kill(): void {
    this.end("is killed");
  }

  /** The power fails: of what was not synced any part may be lost. */
  losePower(): void {
    this.end("loses power");
    this.disk.losePower();
  }

  /** SIGTERM: hands over, drains, syncs, ends. Kills what has not come to its end of starting. */
  stop(): void {
    const { current: host, running } = this;
    if (host === null || running === null) {
      this.kill();
      return;
    }
    const stopped = running.stop();
    this.options.engine.stir();
    stopped.then(() => {
      if (host.alive) {
        this.end("stops");
      }
    });
  }

  private async boot(host: Host): Promise<void> {
    const { config, engine } = this.options;
    const clock = this.clock.portOf(host);
    const storage = await openStorage({
      fileSystem: this.disk.fileSystemOf(host),
      clock,
      random: { bytes: (count) => this.bytes(count) },
      directory: DIRECTORY,
      segmentBytes: config.segmentBytes,
      reserveBytes: 1024,
      onFailure: (failure) => host.alive && this.fail(host, failure),
    });
    if (storage.warnings.length > 0) {
      this.options.tally.add("recovery with warnings", storage.warnings.length);
    }
    const { sessions } = this.options;
    const { snapshot } = storage.durable;
    const store = snapshot === null ? Store.empty(sessions) : await loadStore(storage.snapshots, snapshot, Store.restore(sessions));
    if (!host.alive) {
      return;
    }
    engine.stir();
    await this.serve(host, storage, store);
  }

  private async serve(host: Host, storage: Storage, store: KvStore): Promise<void> {
    const { network, watchers, address, index } = this.options;
    const { join } = this;
    const told = this.isFailing ? { ...this.options.config, failRate: 1 } : this.options.config;
    const config = join.length === 0 ? told : { ...told, replicas: [address], join };
    const port = network.portOf(host, address);
    const server = new Server({
      config,
      clock: this.clock.portOf(host),
      random: { bytes: (count) => this.bytes(count) },
      network: {
        dial: (peer) => port.dial(peer),
        forget: (peer) => port.forget(peer),
        start: (peers, events) => port.start(peers, this.starving(events)),
        stop: () => port.stop(),
        send: (to, header, message) => {
          if (host.alive) {
            watchers.sent(index, to, header, message);
            port.send(to, header, message);
          }
        },
      },
      storage: {
        ...storage,
        wal: {
          diskBytes: () => storage.wal.diskBytes(),
          commit: (records, done) =>
            storage.wal.commit(records, () => {
              watchers.synced(index, records);
              done();
            }),
        },
      },
      log: this.sink,
      trace: {
        step: (event, effects) => watchers.stepped(index, event, effects),
      },
      durable: storage.durable,
      store,
      restore: () => Store.restore(this.options.sessions),
      onLeaving: () => {},
      onStuck: () => this.ended(host, "is ended by force, because its disk lets nothing be closed", null),
      onFatal: (status) => this.ended(host, `ends with exit status ${status}`, status),
    });
    this.fail = (failing, failure) => failing === host && server.fatal(failure);
    this.running = server;
    this.options.onServer(server, { durable: storage.durable, past: { ...this.disk.past, forgetful: this.disk.forgetful } });
    await server.start();
  }

  private starving(events: PeerEvents): PeerEvents {
    return {
      onConnected: (peer) => events.onConnected(peer),
      onGone: (peer) => events.onGone(peer),
      onRefused: (peer, reason) => events.onRefused(peer, reason),
      onMessage: (peer, header, message) => {
        if (!this.isStarved || !CARRIES_VALUES.has(message.kind)) {
          events.onMessage(peer, header, message);
        }
      },
    };
  }

  /** What the storage of this life reports its failure to; before the server exists it refuses the start. */
  private fail: (host: Host, failure: StorageFailure) => void = (_, failure) => this.refuse(failure);

  /** The process ended by itself. A bug is a violation; a failing or damaged disk is one where nobody damaged it. */
  private ended(host: Host, how: string, status: number | null): void {
    if (!host.alive) {
      return;
    }
    host.kill();
    if (status === EXIT_STATUS.bug) {
      this.options.watchers.fail(new Violation("assertion", `n${this.index + 1} stops on a bug: ${this.lastWords}`));
    } else if (status === EXIT_STATUS.halted && this.options.isRemoved()) {
      this.options.tally.add("removed server ended");
      this.unusable = "removed";
    } else if (status === EXIT_STATUS.halted && !this.disk.damaged) {
      this.options.watchers.fail(new Violation("halted", `n${this.index + 1} halts although its disk is whole: ${this.lastWords}`));
    } else if (status === EXIT_STATUS.halted) {
      this.unusable = "halted";
    } else if (status === EXIT_STATUS.storage && !this.disk.faulty) {
      this.options.watchers.fail(new Violation("storage", `n${this.index + 1} blames a disk without faults: ${this.lastWords}`));
    }
    this.died(host, how);
  }

  /** The process could not start. */
  private refuse(error: unknown): void {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    if (!(error instanceof StorageFailure)) {
      this.options.watchers.fail(new Violation("assertion", `n${this.index + 1} cannot start: ${text}`));
    } else if (error.kind === "corrupt" && this.disk.damaged) {
      this.options.tally.add("damage refused at start");
      this.unusable = "damaged";
    } else if (!this.disk.faulty) {
      this.options.watchers.fail(new Violation("storage", `n${this.index + 1} cannot start on a disk without faults: ${text}`));
    }
    this.end(`cannot start: ${error instanceof Error ? error.message : text}`);
  }

  private end(how: string): void {
    if (this.current !== null) {
      this.current.kill();
      this.died(this.current, how);
    }
  }

  private died(host: Host, how: string): void {
    if (this.current !== host) {
      return;
    }
    const { engine, network, watchers, tally } = this.options;
    this.current = null;
    this.running = null;
    this.fail = (_, failure) => this.refuse(failure);
    network.left(this.index);
    this.disk.left();
    tally.add(how.startsWith("ends") ? "death by itself" : `death: ${how.split(":")[0]}`);
    watchers.tell((observer) => observer.ended?.(engine.now, this.index, how));
    this.onDeath(how);
  }

  private bytes(count: number): Uint8Array {
    const bytes = new Uint8Array(count);
    for (let i = 0; i < count; i++) {
      bytes[i] = nextU32(this.prng) & 0xff;
    }
    return bytes;
  }
}
