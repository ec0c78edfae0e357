/**
 * The clients of a run: the workload, the writes that show that a healed server serves, and the last reads, which show that nothing was
 * lost. Every operation is told to the observers and kept in the history.
 */
import { nextChance, nextInt, type Prng, splitPrng } from "../../base/prng.js";
import { errorText } from "../../kv/error.js";
import type { Tally } from "../engine/tally.js";
import { type Observer, Violation } from "../observer.js";
import type { Workload } from "../scenario/scenario.js";
import type { Servers } from "./attempt.js";
import { Client, type Key, type Surroundings } from "./client.js";
import { describeOperation, History } from "./history.js";
import type { Operation } from "./operation.js";
import { textBytes } from "./texts.js";

/** What clients need of a simulated cluster. */
export interface World extends Servers {
  readonly tally: Tally;
  readonly watchers: { tell(tell: (observer: Observer) => void): void; fail(error: unknown): void };
  run(endMicros: number, isDone?: () => boolean): Promise<void>;
}

export type ClientsOptions = {
  readonly cluster: World;
  readonly workload: Workload;
  readonly prng: Prng;
  /** Clients of the same run that ask no more: these write the same keys, under names and with values of their own. */
  readonly after?: Clients;
};

/** One key in so many is long, up to so many bytes. */
const LONG_KEY_CHANCE = 0.06;
const LONG_KEY_BYTES_MAX = 3000;
/**
 * How long one write of `insist` may take, and one last read; the pause before the next try. The write waits for its turn behind all that was
 * asked before it: one that gave up early and asked anew would only make the queue of a slow cluster longer.
 */
const INSIST_MS = 30_000;
const READ_MS = 2000;
const AGAIN_MICROS = 20_000;
/** The last reads are over by then. */
const READ_ALL_MS = 60_000;
const MICROS_A_MILLI = 1000;

export class Clients {
  private readonly cluster: World;
  private readonly around: Surroundings;
  private readonly log: History;
  private nextId: number;
  private readonly clients: readonly Client[];
  /** One for each server, for what is asked of that server alone. */
  private readonly visitors: readonly Client[];
  /** One that writes through any of them, beside the visitors. */
  private readonly writer: Client;
  /** What the last reads were told: every key through every server that was named. */
  readonly finalReads: Operation[] = [];

  constructor({ cluster, workload, prng, after }: ClientsOptions) {
    this.cluster = cluster;
    this.nextId = after?.nextId ?? 0;
    const { engine, watchers } = cluster;
    this.log = new History(cluster.tally);
    this.around = {
      servers: cluster,
      workload,
      keys: after?.around.keys ?? drawKeys(splitPrng(prng), workload.keys),
      asked: (client, server, key, input) => watchers.tell((observer) => observer.asked?.(engine.now, client, server, key, input)),
      answered: (operation) => {
        this.log.add(operation);
        watchers.tell((observer) => observer.answered?.(engine.now, operation));
      },
      odd: (operation, what) =>
        watchers.fail(new Violation("20", `a client is told "${errorText(what)}": ${describeOperation(operation)}`)),
    };
    this.clients = Array.from({ length: workload.clients }, () => new Client(this.nextId++, this.around, splitPrng(prng)));
    this.visitors = cluster.machines.map(() => new Client(this.nextId++, this.around, splitPrng(prng)));
    this.writer = new Client(this.nextId++, this.around, splitPrng(prng));
  }

  /** All operations that are over, in the order in which they were. */
  get history(): readonly Operation[] {
    return this.log.operations;
  }

  /** The names of the keys that are written. */
  get keys(): readonly string[] {
    return this.around.keys.map(({ name }) => name);
  }

  /** Writes that may still be on their way to be decided. */
  get unknownWrites(): number {
    return this.history.filter(({ input, outcome }) => outcome === "unknown" && input.op !== "get").length;
  }

  start(): void {
    for (const client of this.clients) {
      client.start();
    }
  }

  /** Nothing new is asked; what is under way comes to its end. */
  stop(): void {
    for (const client of this.clients) {
      client.stop();
    }
  }

  /** Writes through `server`, again and again until it says that the write is decided: applied, or refused for want of space. */
  insist(server: number, written: () => void): void {
    this.insistAs(this.visitors[server] as Client, server, written);
  }

  /** The same beside whatever else is asked of that server; one at a time. */
  write(server: number, written: () => void): void {
    this.insistAs(this.writer, server, written);
  }

  /** The key that is written through a server that is asked by itself. */
  private keyFor(server: number): Key {
    const { keys } = this.around;
    return keys[server % keys.length] as Key;
  }

  private insistAs(visitor: Client, server: number, written: () => void): void {
    const { cluster } = this;
    const key = this.keyFor(server);
    const again = (): void => {
      if (cluster.server(server) === null) {
        cluster.engine.after(AGAIN_MICROS, again);
        return;
      }
      visitor.once({ server, key, kind: "put", timeoutMs: INSIST_MS }, (answer) => {
        if (answer.kind === "ok" || (answer.kind === "refused" && answer.final)) {
          written();
        } else {
          cluster.engine.after(AGAIN_MICROS, again);
        }
      });
    };
    again();
  }

  /** Writes through `server` once, and waits for the answer no longer than a little more than `timeoutMs`. The server runs. */
  ask(server: number, timeoutMs: number, written: () => void): void {
    const key = this.keyFor(server);
    (this.visitors[server] as Client).once({ server, key, kind: "put", timeoutMs }, ({ kind }) => {
      if (kind === "ok") {
        written();
      }
    });
  }

  /** Reads every key through each of `servers` and waits for it; that it takes longer than READ_ALL_MS is a violation. */
  async readAll(servers: readonly number[]): Promise<void> {
    const { cluster, clients } = this;
    let left = servers.length;
    for (const server of servers) {
      this.readFrom(server, 0, () => left--);
    }
    const isDone = (): boolean => left === 0 && clients.every((client) => client.idle);
    await cluster.run(cluster.engine.now + READ_ALL_MS * MICROS_A_MILLI, isDone);
    if (!isDone()) {
      cluster.watchers.fail(new Violation("liveness", `${left} of ${servers.length} servers do not answer reads within ${READ_ALL_MS} ms`));
    }
  }

  /** Reads the keys from number `at` on, one after the other, then calls `done`. */
  private readFrom(server: number, at: number, done: () => void): void {
    const { around, visitors, cluster } = this;
    const key = around.keys[at];
    if (key === undefined) {
      done();
      return;
    }
    if (cluster.server(server) === null) {
      cluster.engine.after(AGAIN_MICROS, () => this.readFrom(server, at, done));
      return;
    }
    const visitor = visitors[server] as Client;
    visitor.once({ server, key, kind: "get", timeoutMs: READ_MS }, ({ kind }, operation) => {
      if (kind === "ok") {
        this.finalReads.push(operation);
      }
      cluster.engine.after(kind === "ok" ? 1 : AGAIN_MICROS, () => this.readFrom(server, kind === "ok" ? at + 1 : at, done));
    });
  }
}

function drawKeys(prng: Prng, count: number): readonly Key[] {
  return Array.from({ length: count }, (_, index) => {
    const name = `k${index}`;
    const length = nextChance(prng, LONG_KEY_CHANCE) ? nextInt(prng, 100, LONG_KEY_BYTES_MAX) : 0;
    return { name, bytes: textBytes(name, length) };
  });
}
