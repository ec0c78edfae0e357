/**
 * Writers that never stop: many clients, each storing one new key after another through all servers with failover. It remembers
 * of every write whether it was acknowledged, may have happened, or did not; afterwards the store must agree.
 */
import assert from "node:assert/strict";
import { StoreError, SynodClient } from "../../src/client/index.js";
import { eachOf, pause, until } from "./wait.js";

/** Between a failed write and the next: nobody needs a client that spins. */
const FAILED_PAUSE_MS = 20;
const READERS = 32;

export type LoadOptions = {
  /** Clients, each with one write in flight. */
  readonly writers: number;
  /** Begins every key, so that loads of one cluster do not meet. */
  readonly name: string;
  /** Between two writes of one client, ms: leaves the processor to the servers where what happens meanwhile matters more than how much. */
  readonly paceMs?: number;
  /** Patience of one write. */
  readonly timeoutMs?: number;
  /** How long a writer rests after each answer; it does not by default. */
  readonly restMs?: number;
};

/** Where the store disagrees with what writers were told, and how many of their writes it holds. */
export type Discrepancies = {
  /** Keys whose acknowledged value is not there. */
  readonly lost: readonly string[];
  /** Sentences about anything else. */
  readonly others: readonly string[];
  readonly present: number;
};

export class Load {
  /** Value by key. */
  readonly acknowledged = new Map<string, string>();
  /** Writes that may have happened. */
  readonly unknown = new Map<string, string>();
  /** Writes that did not happen, with the error of each. */
  readonly refused = new Map<string, StoreError>();
  private readonly options: LoadOptions;
  private readonly clients: SynodClient[] = [];
  private stopping = false;
  private work: Promise<unknown> = Promise.resolve();

  /** Begins at once, and never ends by itself: `Cluster.load` makes one that ends with its cluster. */
  constructor(endpoints: readonly string[], options: LoadOptions) {
    this.options = options;
    const { writers } = options;
    this.work = Promise.all(
      Array.from({ length: writers }, (_, writer) => {
        const first = writer % endpoints.length;
        const client = new SynodClient({ endpoints: [...endpoints.slice(first), ...endpoints.slice(0, first)] });
        this.clients.push(client);
        return this.write(client, writer);
      }),
    );
  }

  /** Waits until `more` writes were acknowledged from now on. */
  async awaitAcknowledged(more: number): Promise<void> {
    const goal = this.acknowledged.size + more;
    await until(`${more} more acknowledged writes of load ${this.options.name}`, () => (this.acknowledged.size >= goal ? true : null));
  }

  /** Lets every writer end its last write. A second call only waits. */
  async stop(): Promise<void> {
    this.stopping = true;
    await this.work;
    for (const client of this.clients) {
      client.close();
    }
  }

  /** `verifyContents`, and the store's revision rose by `applied`, which counts each write that is there exactly once. */
  async verify(client: SynodClient, applied: bigint): Promise<void> {
    const present = await this.verifyContents(client);
    assert.equal(
      applied,
      BigInt(present),
      `load ${this.options.name}: the revision rose by ${applied}, and ${present} writes are there (${this.acknowledged.size} were acknowledged, ${this.unknown.size} are in doubt)`,
    );
  }

  /**
   * Every acknowledged write is in the store, every refused one is not, and the others are there whole or not at all. Returns how many
   * are there; each has a key of its own, so each took one revision.
   */
  async verifyContents(client: SynodClient): Promise<number> {
    const { lost, others, present } = await this.compareContents(client);
    assert.deepEqual(lost, [], `load ${this.options.name}: acknowledged writes are lost`);
    assert.deepEqual(others, [], `load ${this.options.name}`);
    return present;
  }

  /** What `verifyContents` asserts, as a value. */
  async compareContents(client: SynodClient): Promise<Discrepancies> {
    const lost: string[] = [];
    const others: string[] = [];
    let present = this.acknowledged.size;
    await eachOf(this.acknowledged, READERS, async ([key, value]) => {
      if ((await client.get(key)) !== value) {
        lost.push(key);
      }
    });
    await eachOf(this.unknown, READERS, async ([key, value]) => {
      const found = await client.get(key);
      if (found !== undefined && found !== value) {
        others.push(`${key} holds ${found}, which nobody wrote`);
      }
      present += found === undefined ? 0 : 1;
    });
    await eachOf(this.refused, READERS, async ([key, error]) => {
      if ((await client.get(key)) !== undefined) {
        others.push(`${key} was refused as not applied (${error.message}) and is there`);
      }
    });
    return { lost, others, present };
  }

  private async write(client: SynodClient, writer: number): Promise<void> {
    for (let n = 0; !this.stopping; n++) {
      const key = `${this.options.name}-${writer}-${n}`;
      const value = `value of ${key}`;
      try {
        await client.put(key, value, { timeoutMs: this.options.timeoutMs ?? 15_000 });
        this.acknowledged.set(key, value);
        if (this.options.paceMs !== undefined) {
          await pause(this.options.paceMs);
        }
        if (this.options.restMs !== undefined) {
          await pause(this.options.restMs);
        }
      } catch (error) {
        if (!(error instanceof StoreError)) {
          throw error;
        }
        if (error.outcome === "unknown") {
          this.unknown.set(key, value);
        } else {
          this.refused.set(key, error);
        }
        await pause(FAILED_PAUSE_MS);
      }
    }
  }
}
