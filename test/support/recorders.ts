/**
 * Clients that read, write and delete a few keys through all servers and record what each was told, for `synod check-history`. Every
 * value is written once, so that a read tells whose write it saw. It must leave out nothing that may have happened.
 */
import { nextChance, nextInt, type Prng, seedPrng } from "../../src/base/prng.js";
import { StoreError, type SynodClient } from "../../src/client/index.js";
import type { Input, Operation, Output } from "../../src/sim/workload/operation.js";
import type { Cluster } from "./cluster.js";
import { pause } from "./wait.js";

const TIMEOUT_MS = 3000;
/** A client rests up to this long after each answer, so that an hour's history can still be read. */
const REST_MS_MAX = 15;
const NANOS_PER_MICRO = 1000;

export type RecordersOptions = { readonly clients: number; readonly keys: number; readonly seed: number };

/** They begin at once. */
export class Recorders {
  /** In the order in which they ended; times are microseconds of this process's monotonic clock since the recorders began. */
  readonly operations: Operation[] = [];
  private readonly options: RecordersOptions;
  private readonly endpoints: readonly string[];
  private readonly began = process.hrtime.bigint();
  private readonly work: Promise<unknown>;
  private stopping = false;

  constructor(cluster: Cluster, options: RecordersOptions) {
    this.options = options;
    this.endpoints = cluster.endpoints;
    this.work = Promise.all(
      Array.from({ length: options.clients }, (_, client) => {
        const first = client % this.endpoints.length;
        const endpoints = [...this.endpoints.slice(first), ...this.endpoints.slice(0, first)];
        return this.record(client, cluster.client({ endpoints, timeoutMs: TIMEOUT_MS }));
      }),
    );
  }

  /** Lets every client end its last request. */
  async stop(): Promise<void> {
    this.stopping = true;
    await this.work;
  }

  private async record(number: number, client: SynodClient): Promise<void> {
    const prng = seedPrng(this.options.seed * 1000 + number);
    for (let n = 0; !this.stopping; n++) {
      const key = `k${nextInt(prng, 0, this.options.keys)}`;
      this.operations.push(await this.ask(client, { client: number, key, input: drawInput(prng, `c${number}.${n}`) }));
      await pause(nextInt(prng, 0, REST_MS_MAX));
    }
  }

  private async ask(client: SynodClient, asked: Pick<Operation, "client" | "key" | "input">): Promise<Operation> {
    const start = this.now();
    const [outcome, output] = await perform(client, asked.key, asked.input);
    const server = Math.max(0, this.endpoints.indexOf(client.endpoint));
    return { ...asked, server, start, end: outcome === "unknown" ? null : this.now(), outcome, output };
  }

  private now(): number {
    return Number(process.hrtime.bigint() - this.began) / NANOS_PER_MICRO;
  }
}

function drawInput(prng: Prng, value: string): Input {
  if (nextChance(prng, 0.5)) {
    return { op: "get" };
  }
  return nextChance(prng, 0.85) ? { op: "put", value } : { op: "delete" };
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
        throw new Error("the client has no cas");
    }
  } catch (error) {
    if (!(error instanceof StoreError)) {
      throw error;
    }
    return [error.outcome === "not-applied" ? "fail" : "unknown", null];
  }
}
