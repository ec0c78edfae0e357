/**
 * Clients against servers that are made up: what they ask, how they take each kind of failure, and that they never do what a correct
 * client may not. The servers hold one real state machine; a plan says how each request ends.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { seedPrng } from "../../base/prng.js";
import { BatchBuilder } from "../../kv/batch.js";
import { encodeCommand } from "../../kv/command.js";
import { kvError } from "../../kv/error.js";
import { NO_SESSION } from "../../kv/model.js";
import { Store } from "../../kv/store.js";
import type { WriteNumber } from "../../server/client-writes.js";
import { StoreError } from "../../server/store-error.js";
import type { WriteWaiter } from "../../server/writes.js";
import { Engine } from "../engine/engine.js";
import { Tally } from "../engine/tally.js";
import type { Observer } from "../observer.js";
import type { Workload } from "../scenario/scenario.js";
import type { Target } from "./attempt.js";
import { Clients, type World } from "./clients.js";
import type { Input, Operation } from "./operation.js";

/** How a request ends: done; refused unsent; nobody knows, applied or not; no answer at all. */
type Fate = "stale" | "done" | "not-applied" | "lost" | "applied-unknown" | "silent";
type Asked = { readonly at: number; readonly client: number; readonly server: number; readonly key: string; readonly input: Input };

const SECOND = 1_000_000;
const WORKLOAD: Workload = {
  clients: 2,
  pauseMs: 20,
  keys: 3,
  valueBytes: 40,
  timeoutMs: 500,
  retries: 2,
  weights: { get: 2, put: 3, delete: 1, cas: 2 },
  loyalty: 0.5,
  abandon: 0,
  sessions: false,
};

class Fake implements World {
  readonly engine = new Engine(() => Promise.resolve());
  readonly tally = new Tally();
  readonly asked: Asked[] = [];
  readonly answered: Operation[] = [];
  readonly failures: unknown[] = [];
  /** The numbers of writes under sessions of clients, as they were asked. */
  readonly numbers: WriteNumber[] = [];
  readonly down = new Set<number>();
  readonly machines = [0, 1, 2].map(() => ({ host: { enter: (work: () => void) => work() } }));
  /** The fate of each request, by its number and server. */
  fate: (number: number, server: number) => Fate = () => "done";
  readonly watchers = {
    tell: (tell: (observer: Observer) => void) =>
      tell({
        asked: (at, client, server, key, input) => this.asked.push({ at, client, server, key, input }),
        answered: (_, operation) => this.answered.push(operation),
      }),
    fail: (error: unknown) => this.failures.push(error),
  };
  private readonly store = Store.empty();
  private requests = 0;

  server(index: number): Target | null {
    return this.down.has(index) ? null : this.target(index);
  }

  run(end: number, isDone?: () => boolean): Promise<void> {
    return this.engine.run(end, isDone);
  }

  private target(index: number): Target {
    const write = (command: Uint8Array, waiter: WriteWaiter, number?: WriteNumber): void => {
      if (number !== undefined) {
        this.numbers.push(number);
      }
      const fate = this.fate(this.requests++, index);
      const delay = Math.min(waiter.deadline - this.engine.now, fate === "done" ? 2000 : SECOND);
      this.engine.after(delay, () => {
        if (fate === "not-applied") {
          waiter.fail(new StoreError("unavailable", "not-applied", "never sent"));
        } else if (fate === "lost") {
          waiter.fail(new StoreError("unavailable", "unknown", "lost"));
        } else if (fate === "stale") {
          waiter.done({ kind: "error", revision: this.store.revision, error: kvError("stale-sequence") });
        } else if (fate !== "silent") {
          this.apply(command, waiter, fate, number);
        }
      });
    };
    return {
      store: this.store,
      nowMicros: () => this.engine.now,
      put: (key, value, waiter, number) => write(encodeCommand({ kind: "put", key, value }), waiter, number),
      delete: (key, waiter, number) => write(encodeCommand({ kind: "deleteRange", key }), waiter, number),
      txn: (request, waiter, number) => write(encodeCommand({ kind: "txn", ...request }), waiter, number),
      registerSession: (waiter) => write(encodeCommand({ kind: "registerSession", nonce: 1n }), waiter),
      read: (waiter) => {
        const fate = this.fate(this.requests++, index);
        this.engine.after(fate === "done" ? 1000 : 300_000, () =>
          fate === "done" ? waiter.answer() : waiter.fail(new StoreError("unavailable", "not-applied", "late")),
        );
      },
    };
  }

  private apply(command: Uint8Array, waiter: WriteWaiter, fate: Fate, number?: WriteNumber): void {
    const builder = new BatchBuilder();
    const { session, seq, firstUnacked } = number ?? { session: NO_SESSION, seq: 0, firstUnacked: 0 };
    builder.add(session, seq, firstUnacked, command);
    this.store.applyBatch(this.store.appliedSlot + 1, builder.finish(), {
      onReply: (_session, _seq, reply) =>
        fate === "done" ? waiter.done(reply) : waiter.fail(new StoreError("unavailable", "unknown", "nobody knows")),
    });
  }
}

function clientsOf(world: Fake, workload: Partial<Workload> = {}): Clients {
  return new Clients({ cluster: world, workload: { ...WORKLOAD, ...workload }, prng: seedPrng(7) });
}

async function runFor(world: Fake, clients: Clients, seconds: number): Promise<readonly Operation[]> {
  clients.start();
  await world.run(world.engine.now + seconds * SECOND);
  clients.stop();
  await world.run(world.engine.now + 10 * SECOND);
  return clients.history;
}

const writtenBy = (input: Input): string | null => (input.op === "put" || input.op === "cas" ? input.value : null);

/** Every value is asked to be written by one operation only, and each client does one thing at a time. */
function checkManners(world: Fake): void {
  const values = world.answered.map(({ input }) => writtenBy(input)).filter((value) => value !== null);
  equal(new Set(values).size, values.length, "a value belongs to one operation");
  const free = new Map<number, number>();
  for (const { client, start, end } of world.answered) {
    ok(start >= (free.get(client) ?? 0), "one operation after the other");
    free.set(client, end ?? start);
  }
}

test("without trouble everything is answered, swaps succeed and fail, and reads say what was written", async () => {
  const world = new Fake();
  const history = await runFor(world, clientsOf(world), 20);
  checkManners(world);
  ok(history.length > 400, `${history.length} operations`);
  ok(history.every(({ outcome, output, end }) => outcome === "ok" && output?.revision !== null && end !== null));
  for (const what of ["get", "put", "delete", "cas"] as const) {
    ok(world.tally.of(`${what} ok`) > 20, what);
  }
  const swaps = history.flatMap(({ output }) => (output?.swapped === undefined ? [] : [output.swapped]));
  ok(swaps.includes(true) && swaps.includes(false));
  const written = new Set(history.map(({ input }) => writtenBy(input)));
  ok(history.every(({ input, output }) => input.op !== "get" || output?.value === null || written.has(output?.value ?? "")));
  deepEqual(world.answered, history);
});

test("what surely has not happened is tried again as the same operation, through another server", async () => {
  const world = new Fake();
  world.fate = (_, server) => (server === 0 ? "not-applied" : "done");
  const history = await runFor(world, clientsOf(world), 20);
  checkManners(world);
  ok(history.filter(({ outcome }) => outcome === "ok").length > 0.9 * history.length);
  const again = world.asked.filter(
    ({ client, server, input }, at) =>
      writtenBy(input) !== null &&
      world.asked
        .slice(0, at)
        .some((other) => other.client === client && other.server !== server && writtenBy(other.input) === writtenBy(input)),
  );
  ok(again.length > 10, `${again.length} tries again`);
});

test("a write of unknown outcome is never asked again, only another with its own value", async () => {
  for (const fate of ["lost", "applied-unknown", "silent"] as const) {
    const world = new Fake();
    world.fate = (number) => (number % 3 === 0 ? fate : "done");
    const history = await runFor(world, clientsOf(world), 20);
    checkManners(world);
    const asked = world.asked.map(({ input }) => writtenBy(input)).filter((value) => value !== null);
    equal(new Set(asked).size, asked.length, "no value is asked twice");
    const unknown = history.filter(({ outcome }) => outcome === "unknown");
    ok(unknown.length > 10, `${unknown.length} unknown`);
    ok(unknown.every(({ end, output }) => end === null && output === null));
  }
});

test("with sessions a write of unknown outcome is asked again under its number, as the same operation", async () => {
  for (const fate of ["lost", "applied-unknown", "silent"] as const) {
    const world = new Fake();
    world.fate = (number) => (number % 3 === 0 ? fate : "done");
    const history = await runFor(world, clientsOf(world, { sessions: true }), 20);
    checkManners(world);
    deepEqual(world.failures, []);
    const asked = world.asked.map(({ input }) => writtenBy(input)).filter((value) => value !== null);
    ok(asked.length - new Set(asked).size > 10, "values are asked again");
    const tries = new Map<string, number>();
    for (const { session, seq, firstUnacked } of world.numbers) {
      equal(firstUnacked, seq, "one write at a time");
      tries.set(`${session}.${seq}`, (tries.get(`${session}.${seq}`) ?? 0) + 1);
    }
    ok(
      [...tries.values()].some((count) => count > 1),
      "numbers are asked again",
    );
    const writes = history.filter(({ input }) => input.op !== "get");
    ok(writes.filter(({ outcome }) => outcome === "unknown").length < 0.1 * writes.length, "little is left in doubt");
  }
});

test("an answer about sessions is a violation: they are the server's own", async () => {
  const world = new Fake();
  world.fate = (number) => (number === 20 ? "stale" : "done");
  await runFor(world, clientsOf(world, { weights: { get: 0, put: 1, delete: 1, cas: 1 } }), 20);
  equal(world.failures.length, 1);
  ok(String(world.failures[0]).includes("acknowledged before"), String(world.failures[0]));
});

test("servers that are down fail requests at once, and for good when there is no other", async () => {
  const world = new Fake();
  world.down.add(0).add(1).add(2);
  const history = await runFor(world, clientsOf(world), 5);
  ok(history.length > 50);
  ok(history.every(({ outcome, end }) => outcome === "fail" && end !== null));
});

test("abandoned requests are over before their answer, which is not heard", async () => {
  const world = new Fake();
  world.fate = () => "silent";
  const history = await runFor(world, clientsOf(world, { abandon: 1, weights: { get: 0, put: 1, delete: 0, cas: 0 }, retries: 0 }), 20);
  ok(history.length > 30 && history.every(({ outcome }) => outcome === "unknown"));
});

test("insist writes until it is decided, and the last reads ask every server for every key", async () => {
  const world = new Fake();
  const clients = clientsOf(world);
  world.fate = (number) => (number < 3 ? "lost" : "done");
  const written: number[] = [];
  world.down.add(1);
  for (const server of [0, 1, 2]) {
    clients.insist(server, () => written.push(server));
  }
  world.engine.after(5 * SECOND, () => world.down.delete(1));
  await world.run(20 * SECOND);
  deepEqual([...written].sort(), [0, 1, 2]);
  await clients.readAll([0, 2]);
  deepEqual(world.failures, []);
  const read = clients.finalReads.map(({ server, key }) => `${server} ${key}`).sort();
  deepEqual(read, ["0 k0", "0 k1", "0 k2", "2 k0", "2 k1", "2 k2"]);
  checkManners(world);
});

test("last reads that nobody answers are a violation", async () => {
  const world = new Fake();
  world.down.add(1);
  await clientsOf(world).readAll([0, 1]);
  equal(world.failures.length, 1);
  ok(String(world.failures[0]).includes("1 of 2 servers do not answer reads"));
});

test("the same seed asks the same", async () => {
  const ask = async (): Promise<readonly Asked[]> => {
    const world = new Fake();
    world.fate = (number) => (number % 5 === 0 ? "lost" : number % 7 === 0 ? "not-applied" : "done");
    await runFor(world, clientsOf(world), 10);
    return world.asked;
  };
  deepEqual(await ask(), await ask());
});
