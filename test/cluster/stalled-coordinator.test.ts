/**
 * SIGSTOP of the coordinator for five seconds: another takes over and writes go on; the old one, asked all the while over
 * connections that stayed open, never answers a read with a value older than one acknowledged before the read was asked.
 * Each key is a counter with one writer, so a value's age is its number.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Cluster, withCluster } from "../support/cluster.js";
import { RawChannel, replyValue } from "../support/grpc-call.js";
import { pause, until } from "../support/wait.js";

const STOPPED_MS = 5000;
const COUNTERS = 8;
const READERS = 8;
const READ_MS = 12_000;
/** Between the reads that one reader sends without waiting for answers: they pile up at the stopped server. */
const READ_EVERY_MS = 10;

/** Counters that are raised through some servers; each remembers the last acknowledged and the last attempted number. */
class Counters {
  readonly acknowledged: number[] = Array.from({ length: COUNTERS }, () => 0);
  readonly attempted: number[] = Array.from({ length: COUNTERS }, () => 0);
  private stopping = false;
  private readonly work: Promise<unknown>;

  constructor(clients: ReadonlyArray<ReturnType<Cluster["client"]>>) {
    this.work = Promise.all(
      this.acknowledged.map(async (_, counter) => {
        const client = clients[counter % clients.length];
        for (let n = 1; !this.stopping; n++) {
          this.attempted[counter] = n;
          await client?.put(`counter-${counter}`, `${n}`);
          this.acknowledged[counter] = n;
        }
      }),
    );
    this.work.catch(() => undefined); // `stop` reports it
  }

  get total(): number {
    return this.acknowledged.reduce((sum, n) => sum + n, 0);
  }

  async awaitMore(what: string): Promise<void> {
    const goal = this.total + 50;
    await until(`50 more writes ${what}`, () => (this.total >= goal ? true : null));
  }

  async stop(): Promise<void> {
    this.stopping = true;
    await this.work;
  }
}

/** Reads through one server, many at once, and judges every answer by what was acknowledged when it was asked. */
class Readers {
  answered = 0;
  readonly stale: string[] = [];
  readonly failures = new Set<string>();
  private stopping = false;
  private readonly work: Promise<unknown>;

  constructor(address: string, counters: Counters) {
    this.work = Promise.all(Array.from({ length: READERS }, (_, reader) => this.run(address, counters, reader)));
  }

  async stop(): Promise<void> {
    this.stopping = true;
    await this.work;
  }

  private async run(address: string, counters: Counters, reader: number): Promise<void> {
    const channel = new RawChannel(address);
    const open = new Set<Promise<void>>();
    for (let n = reader; !this.stopping; n++) {
      const reading = this.read(channel, counters, n % COUNTERS);
      open.add(reading);
      reading.finally(() => open.delete(reading));
      await pause(READ_EVERY_MS);
    }
    await Promise.all(open);
    channel.close();
  }

  private async read(channel: RawChannel, counters: Counters, counter: number): Promise<void> {
    const least = counters.acknowledged[counter] ?? 0;
    const answer = await channel.get(`counter-${counter}`, READ_MS);
    if (answer.code !== "OK" && !(answer.code === "NOT_FOUND" && least === 0)) {
      this.failures.add(`${answer.code} ${answer.details}`);
      return;
    }
    this.answered++;
    const found = answer.code === "OK" ? Number(replyValue(answer.bytes)) : 0;
    const most = counters.attempted[counter] ?? 0;
    if (!(found >= least && found <= most)) {
      this.stale.push(`counter-${counter} read as ${found} when ${least} was acknowledged and ${most} attempted`);
    }
  }
}

test("SIGSTOP of the coordinator for 5 s: another takes over, and the old one never reads stale", { timeout: 120_000 }, async () => {
  await withCluster({ size: 3 }, async (cluster) => {
    const old = await cluster.awaitCoordinator();
    const counters = new Counters(cluster.others(old).map((server) => cluster.clientOf(server.index)));
    const readers = new Readers(cluster.server(old).clientAddress, counters);
    try {
      await stopAndContinue(cluster, old, { counters, readers });
    } finally {
      await readers.stop();
      await counters.stop();
    }
    assert.deepEqual(readers.stale, []);
    // Reads that waited out the stop may end in an error; one that names why is no lie.
    for (const failure of readers.failures) {
      assert.match(failure, /^(UNAVAILABLE|DEADLINE_EXCEEDED) ./);
    }
    await cluster.awaitEqual();
  });
});

type Work = { readonly counters: Counters; readonly readers: Readers };

async function stopAndContinue(cluster: Cluster, old: number, { counters, readers }: Work): Promise<void> {
  await counters.awaitMore("before the stop");
  cluster.server(old).signal("SIGSTOP");
  const stopped = pause(STOPPED_MS);
  const heir = await cluster.awaitCoordinator(cluster.others(old));
  assert.notEqual(heir, old);
  await counters.awaitMore("while the old coordinator is stopped");
  await stopped;
  const before = readers.answered;
  cluster.server(old).signal("SIGCONT");
  await until("reads through the old coordinator", () => (readers.answered > before + 100 ? true : null));
  await cluster.awaitCoordinator();
  await counters.awaitMore("with the old coordinator back");
}
