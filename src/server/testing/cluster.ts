/** Several whole servers of the server layer in one process and in virtual time: real replicas and state machines, network and disks in memory. */
import { present } from "../../base/assert.js";
import { utf8Decode, utf8Encode } from "../../base/utf8.js";
import { newFound } from "../../kv/model.js";
import type { Reply } from "../../kv/reply.js";
import { Store } from "../../kv/store.js";
import { type Address, address } from "../../paxos/ids.js";
import { LIMITS, type ServerConfig } from "../config.js";
import { SILENT_LOGGER } from "../logger.js";
import { Server } from "../server.js";
import type { StoreError } from "../store-error.js";
import { MemoryDisk } from "./memory-disk.js";
import { MemoryHub } from "./memory-network.js";
import { VirtualClock } from "./virtual-clock.js";

type Running = { readonly server: Server; readonly disk: MemoryDisk };

/** How a request ended: its value or "ok", or an error's code, outcome and text. */
export type Outcome = { readonly text: string; readonly error: StoreError | null };

export class TestCluster {
  readonly clock = new VirtualClock();
  readonly hub = new MemoryHub(this.clock);
  readonly addresses: readonly Address[];
  private readonly disks: readonly MemoryDisk[];
  private readonly running = new Map<number, Running>();
  private readonly overrides: Partial<ServerConfig>;
  private draws = 1;
  /** Exit statuses of servers that ended by themselves, null for one that could not end. */
  readonly exits: (number | null)[] = [];

  constructor(size: number, overrides: Partial<ServerConfig> = {}) {
    this.addresses = Array.from({ length: size }, (_, i) => address(`127.0.0.1:${9000 + i}`));
    this.disks = this.addresses.map((_, i) => new MemoryDisk(this.clock, i + 1));
    this.overrides = overrides;
  }

  /** Starts all servers and lets them found the cluster and elect. */
  static async started(size: number, overrides: Partial<ServerConfig> = {}): Promise<TestCluster> {
    const cluster = new TestCluster(size, overrides);
    for (let i = 0; i < size; i++) {
      await cluster.start(i);
    }
    await cluster.until(() => cluster.coordinator() !== undefined);
    return cluster;
  }

  disk(i: number): MemoryDisk {
    return present(this.disks[i], "the server is of the cluster");
  }

  server(i: number): Server {
    return present(this.running.get(i), `server ${i} runs`).server;
  }

  /** Index of the server that says it coordinates and that most follow. */
  coordinator(): number | undefined {
    return [...this.running.keys()].find((i) => this.server(i).replicaStatus().role === "coordinator");
  }

  async start(i: number): Promise<void> {
    const disk = this.disk(i);
    const { durable, storage } = disk.open();
    const restore = (): ReturnType<typeof Store.restore> => Store.restore();
    let store = Store.empty() as ReturnType<ReturnType<typeof Store.restore>["finish"]>;
    if (durable.snapshot !== null) {
      const filling = restore();
      for (const chunk of disk.chunksOf(durable.snapshot)) {
        filling.write(chunk);
        while (!filling.step(1_000_000)) {
          // to the end of the chunk
        }
      }
      store = filling.finish();
    }
    const server = new Server({
      config: this.configOf(i),
      clock: this.clock,
      random: { bytes: (count) => Uint8Array.from({ length: count }, () => this.draw()) },
      network: this.hub.networkOf(present(this.addresses[i], "the server is of the cluster")),
      storage,
      log: SILENT_LOGGER,
      trace: null,
      durable,
      store,
      restore,
      onLeaving: () => {},
      onStuck: () => this.exits.push(null),
      onFatal: (status) => this.exits.push(status),
    });
    this.running.set(i, { server, disk });
    await server.start();
  }

  /** The power of server `i` is cut. */
  kill(i: number): void {
    this.hub.leave(present(this.addresses[i], "the server is of the cluster"));
    this.disk(i).kill();
    void this.server(i).end("killed");
    this.running.delete(i);
  }

  /** Lets `millis` of virtual time pass, promises included. */
  async run(millis: number): Promise<void> {
    for (let i = 0; i < millis; i++) {
      this.clock.advance(1);
      for (let k = 0; k < 10; k++) {
        await Promise.resolve();
      }
    }
  }

  /** Runs until `reached`; fails after a minute of virtual time. */
  async until(reached: () => boolean, withinMs = 60_000): Promise<void> {
    for (let i = 0; i < withinMs && !reached(); i++) {
      await this.run(1);
    }
    if (!reached()) {
      throw new Error(`not reached within ${withinMs} ms`);
    }
  }

  /** Begins a put at server `i`; the result appears in the returned box. */
  put(i: number, key: string, value: string, timeoutMs = 5000): { outcome: Outcome | null } {
    const box: { outcome: Outcome | null } = { outcome: null };
    const server = this.server(i);
    server.put(utf8Encode(key), utf8Encode(value), {
      deadline: server.nowMicros() + timeoutMs * 1000,
      done: (reply: Reply) => this.settle(box, { text: reply.kind === "error" ? reply.error.kind : "ok", error: null }),
      fail: (error) => this.settle(box, { text: error.message, error }),
    });
    return box;
  }

  get(i: number, key: string, timeoutMs = 5000): { outcome: Outcome | null } {
    const box: { outcome: Outcome | null } = { outcome: null };
    const server = this.server(i);
    server.read({
      deadline: server.nowMicros() + timeoutMs * 1000,
      answer: () => {
        const found = newFound();
        const there = server.store.find(utf8Encode(key), found);
        const text = there ? (utf8Decode(found.bytes.subarray(found.valueFrom, found.valueEnd)) ?? "?") : "absent";
        this.settle(box, { text, error: null });
      },
      fail: (error) => this.settle(box, { text: error.message, error }),
    });
    return box;
  }

  /** The outcome of a request, after as much time as it takes. */
  async outcomeOf(box: { readonly outcome: Outcome | null }): Promise<string> {
    await this.until(() => box.outcome !== null);
    return box.outcome?.text ?? "";
  }

  /** Minimal standard generator: the same bytes in every run. */
  private draw(): number {
    this.draws = (this.draws * 48_271) % 2_147_483_647;
    return this.draws & 0xff;
  }

  private settle(box: { outcome: Outcome | null }, outcome: Outcome): void {
    if (box.outcome !== null) {
      throw new Error("a request was answered twice");
    }
    box.outcome = outcome;
  }

  private configOf(i: number): ServerConfig {
    const paxosAddress = present(this.addresses[i], "the server is of the cluster");
    const listen = { host: "127.0.0.1", port: 1 };
    const numbers = Object.fromEntries(Object.entries(LIMITS).map(([name, limit]) => [name, limit.default])) as {
      -readonly [K in keyof typeof LIMITS]: number;
    };
    return {
      ...numbers,
      removeAfterMs: 0,
      join: [],
      electable: true,
      version: "test",
      clientListen: listen,
      clientAddress: `127.0.0.1:${8000 + i}`,
      paxosListen: listen,
      paxosAddress,
      replicas: this.addresses,
      warnings: [],
      dataDir: "/memory",
      logLevel: "info",
      logFormat: "json",
      ...this.overrides,
    };
  }
}
