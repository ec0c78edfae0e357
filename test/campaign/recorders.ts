/**
 * Clients that read, write, swap and delete a few keys through all servers and record what each was told, for `synod check-history`. Every
 * value is written once, so that a read tells whose write it saw. The history comes in windows with keys of their own: each is a whole
 * history by itself, in which every key is absent at the beginning, and no write of an older one, however late, can be seen in it.
 * It must leave out nothing that may have happened.
 */
import assert from "node:assert/strict";
import { nextInt, type Prng, seedPrng } from "../../src/base/prng.js";
import { StoreError, type SynodClient } from "../../src/client/index.js";
import type { Input, Operation, Output } from "../../src/sim/workload/operation.js";
import type { Cluster } from "../support/cluster.js";
import { eachOf, pause, until } from "../support/wait.js";

const TIMEOUT_MS = 3000;
const NANOS_PER_MICRO = 1000;
const MICROS_A_SECOND = 1_000_000;
const READ_BACK_MS = 60_000;
const READ_BACK_WIDTH = 4;

export type RecordersOptions = {
  readonly clients: number;
  readonly keys: number;
  readonly seed: number;
  /** A client rests up to this long after each answer. */
  readonly restMsMax: number;
};

/** A piece of the history. `last`: what each of its keys held at the end, null for nothing. */
export type Window = {
  readonly number: number;
  readonly operations: readonly Operation[];
  readonly last: ReadonlyMap<string, string | null>;
};

/** They begin at once. */
export class Recorders {
  /** How often each operation ended in each way, as "put ok". */
  readonly outcomes = new Map<string, number>();
  longestWithoutWriteMs = 0;
  /** When that ended, seconds since the recorders began. */
  longestUntil = 0;
  private readonly options: RecordersOptions;
  private readonly cluster: Cluster;
  /** One for each server. */
  private readonly readers: readonly SynodClient[];
  private readonly began = process.hrtime.bigint();
  private readonly work: Promise<unknown>;
  /** In the order in which they ended; times are microseconds of this process's monotonic clock since the recorders began. */
  private operations: Operation[] = [];
  private window = 1;
  /** Requests of the present window under way, and of the one before while it is being ended. */
  private open = new Set<Promise<void>>();
  private wroteAt = performance.now();
  private stopping = false;

  constructor(cluster: Cluster, options: RecordersOptions) {
    this.options = options;
    this.cluster = cluster;
    this.readers = cluster.servers.map(({ index }) => cluster.clientOf(index, { timeoutMs: TIMEOUT_MS }));
    this.work = Promise.all(Array.from({ length: options.clients }, (_, client) => this.record(client)));
  }

  /** Lets every client end its last request. */
  async stop(): Promise<void> {
    this.stopping = true;
    await this.work;
    this.noteGap();
  }

  /** Ends the present window and begins the next: all its requests are answered or given up, and every server has read every key. */
  async turn(): Promise<Window> {
    const { window: number, operations, open } = this;
    this.window++;
    this.operations = [];
    this.open = new Set();
    await Promise.all(open);
    const keys = Array.from({ length: this.options.keys }, (_, key) => keyOf(number, key));
    const last = new Map<string, string | null>();
    for (const { index } of this.cluster.servers) {
      const client = this.readers[index];
      assert.ok(client !== undefined);
      await eachOf(keys, READ_BACK_WIDTH, async (key) => {
        const read = await until(`server ${index} to read ${key}`, () => this.readBack(client, index, key, operations), READ_BACK_MS);
        last.set(key, read.output?.value ?? null);
      });
    }
    return { number, operations, last };
  }

  private async readBack(client: SynodClient, server: number, key: string, operations: Operation[]): Promise<Operation | null> {
    const operation = await this.ask(client, { client: this.options.clients + server, key, input: { op: "get" } });
    operations.push(operation);
    return operation.outcome === "ok" ? operation : null;
  }

  /**
   * Some clients keep to one server, whatever becomes of it, and so see what one that is cut off says; their writes are asked once. The
   * others go on to the next server, and ask the same write there in the same session.
   */
  private clientNumber(number: number): SynodClient {
    const { endpoints } = this.cluster;
    const first = number % endpoints.length;
    const isFaithful = Math.floor(number / endpoints.length) % 2 === 1;
    const others = isFaithful ? [] : endpoints.slice(0, first);
    return this.cluster.client({
      endpoints: [...endpoints.slice(first, isFaithful ? first + 1 : endpoints.length), ...others],
      timeoutMs: TIMEOUT_MS,
      exactlyOnce: !isFaithful,
    });
  }

  private async record(number: number): Promise<void> {
    const client = this.clientNumber(number);
    const prng = seedPrng(this.options.seed * 1000 + number);
    // What this client saw last of each key of the window: what a swap expects.
    let seen = new Map<string, string | null>();
    for (let n = 0, window = this.window; !this.stopping; n++) {
      if (window !== this.window) {
        window = this.window;
        seen = new Map();
      }
      const { operations, open } = this;
      const key = keyOf(window, nextInt(prng, 0, this.options.keys));
      const input = drawInput(prng, `c${number}.${n}`, seen.get(key) ?? null);
      const asking = this.ask(client, { client: number, key, input }).then((operation) => {
        operations.push(operation);
        if (operation.outcome === "ok") {
          seen.set(key, valueAfter(operation));
        }
      });
      open.add(asking);
      await asking;
      open.delete(asking);
      await pause(nextInt(prng, 0, this.options.restMsMax));
    }
  }

  private async ask(client: SynodClient, asked: Pick<Operation, "client" | "key" | "input">): Promise<Operation> {
    const start = this.now();
    const [outcome, output] = await perform(client, asked.key, asked.input);
    const kind = `${asked.input.op} ${outcome}${output?.swapped === false ? ", another value" : ""}`;
    this.outcomes.set(kind, (this.outcomes.get(kind) ?? 0) + 1);
    if (outcome === "ok" && asked.input.op !== "get" && output?.swapped !== false) {
      this.noteGap();
    }
    const server = Math.max(0, this.cluster.endpoints.indexOf(client.endpoint));
    return { ...asked, server, start, end: outcome === "unknown" ? null : this.now(), outcome, output };
  }

  private noteGap(): void {
    const now = performance.now();
    if (now - this.wroteAt > this.longestWithoutWriteMs) {
      this.longestWithoutWriteMs = now - this.wroteAt;
      this.longestUntil = Math.round(this.now() / MICROS_A_SECOND);
    }
    this.wroteAt = now;
  }

  private now(): number {
    return Number(process.hrtime.bigint() - this.began) / NANOS_PER_MICRO;
  }
}

function keyOf(window: number, key: number): string {
  return `w${window}-k${key}`;
}

function drawInput(prng: Prng, value: string, expected: string | null): Input {
  const drawn = nextInt(prng, 0, 100);
  if (drawn < 45) {
    return { op: "get" };
  }
  if (drawn < 70) {
    return { op: "put", value };
  }
  return drawn < 90 ? { op: "cas", expected, value } : { op: "delete" };
}

/** What the key held after it, as far as its client was told; where a swap met another value, that is not recorded. */
function valueAfter({ input, output }: Operation): string | null {
  return input.op === "put" || (input.op === "cas" && output?.swapped === true) ? input.value : (output?.value ?? null);
}

async function perform(client: SynodClient, key: string, input: Input): Promise<readonly [Operation["outcome"], Output | null]> {
  try {
    switch (input.op) {
      case "get":
        return ["ok", { value: (await client.get(key)) ?? null, revision: null }];
      case "put":
        await client.put(key, input.value);
        return ["ok", { revision: null }];
      case "delete":
        await client.delete(key);
        return ["ok", { revision: null }];
      case "cas":
        return ["ok", { swapped: (await client.compareAndSet(key, input.expected ?? undefined, input.value)).swapped, revision: null }];
    }
  } catch (error) {
    if (!(error instanceof StoreError)) {
      throw error;
    }
    return [error.outcome === "not-applied" ? "fail" : "unknown", null];
  }
}
