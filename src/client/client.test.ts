/**
 * Tests the client against fake servers on real sockets: answers, errors with their outcome, and failover.
 * A write must reach a second server only when the first provably did nothing; each test looks at what the fakes were asked.
 */
import assert from "node:assert/strict";
import { createServer } from "node:net";
import { after, test } from "node:test";
import { status } from "@grpc/grpc-js";
import { SynodClient } from "./client.js";
import { StoreError } from "./error.js";
import { type FakeBehaviour, FakeFailure, type FakeServer, freePort, startFakeServer } from "./testing/fake-server.js";

const cleanups: Array<() => void> = [];
after(() => {
  for (const cleanup of cleanups) {
    cleanup();
  }
});

async function fake(behaviour?: FakeBehaviour, port?: number): Promise<FakeServer> {
  const server = await startFakeServer(behaviour, port);
  cleanups.push(() => server.kill());
  return server;
}

function client(endpoints: readonly string[], timeoutMs = 5000, dialTimeoutMs = 2000): SynodClient {
  const made = new SynodClient({ endpoints, timeoutMs, dialTimeoutMs });
  cleanups.push(() => made.close());
  return made;
}

async function failure(promise: Promise<unknown>): Promise<StoreError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof StoreError, `a StoreError, not ${String(error)}`);
  return error;
}

const silence = (): Promise<void> => new Promise(() => undefined);

test("put, get, delete and an absent key", async () => {
  const server = await fake();
  const store = client([server.endpoint]);
  await store.put("a", "1");
  assert.equal(await store.get("a"), "1");
  await store.put("empty", "");
  assert.equal(await store.get("empty"), "");
  await store.delete("a");
  assert.equal(await store.get("a"), undefined);
  await store.delete("a");
  assert.deepEqual(server.calls, ["put a=1", "get a", "put empty=", "get empty", "delete a", "get a", "delete a"]);
});

test("a value of several megabytes and one of many scripts pass unchanged", async () => {
  const server = await fake();
  const store = client([server.endpoint]);
  const big = "0123456789abcdef".repeat(80_000);
  await store.put("big", big);
  assert.equal(await store.get("big"), big);
  await store.put("schlüssel", "値 🗝️ \u0000 end");
  assert.equal(await store.get("schlüssel"), "値 🗝️ \u0000 end");
});

test("endpoints: 0.0.0.0 and localhost are loopback, repetitions are one, wrong ones are named", async () => {
  const store = client(["0.0.0.0:8000", "localhost:8000", "http://127.0.0.1:8000", "[::1]:8000"]);
  assert.deepEqual(store.endpoints, ["127.0.0.1:8000", "[::1]:8000"]);
  assert.throws(() => new SynodClient({ endpoints: [] }), /needs at least one endpoint/);
  assert.throws(() => new SynodClient({ endpoints: ["nowhere"] }), /the endpoint 'nowhere' has no port; allowed is host:port/);
});

test("nobody listens: connection, not applied, and the endpoint is named", async () => {
  const port = await freePort();
  const error = await failure(client([`127.0.0.1:${port}`]).put("a", "1"));
  assert.equal(error.code, "connection");
  assert.equal(error.outcome, "not-applied");
  assert.equal(error.message, `no connection to 127.0.0.1:${port} (connection refused)`);
});

test("a refused connection: writes and reads go on to the next server, and stay there", async () => {
  const server = await fake();
  const store = client([`127.0.0.1:${await freePort()}`, server.endpoint]);
  await store.put("a", "1");
  assert.equal(store.endpoint, server.endpoint);
  assert.equal(await store.get("a"), "1");
});

test("a server that comes back is dialled anew at once", async () => {
  const port = await freePort();
  const store = client([`127.0.0.1:${port}`]);
  assert.equal((await failure(store.get("a"))).code, "connection");
  const server = await fake({}, port);
  server.store.set("a", "1");
  assert.equal(await store.get("a"), "1");
  server.kill();
  const broken = await failure(store.get("a"));
  assert.equal(broken.code, "connection");
  const again = await fake({}, port);
  again.store.set("a", "2");
  assert.equal(await store.get("a"), "2");
});

test("UNAVAILABLE: a read asks the next server", async () => {
  const refusing = await fake({
    beforeGet: () => {
      throw new FakeFailure(status.UNAVAILABLE, "no coordinator");
    },
  });
  const good = await fake();
  good.store.set("a", "1");
  assert.equal(await client([refusing.endpoint, good.endpoint]).get("a"), "1");
});

test("UNAVAILABLE: a write asks the next server only where the server says that it was not executed", async () => {
  const good = await fake();
  const answer = (outcome?: string, text = "no coordinator"): FakeBehaviour => ({
    beforePut: () => {
      throw new FakeFailure(status.UNAVAILABLE, text, outcome);
    },
  });
  const definite = await fake(answer("not-applied"));
  await client([definite.endpoint, good.endpoint]).put("a", "1");
  const inText = await fake(answer(undefined, "No server coordinates. Nothing was written."));
  await client([inText.endpoint, good.endpoint]).put("b", "1");
  assert.deepEqual(good.calls, ["put a=1", "put b=1"]);
  for (const unclear of [await fake(answer()), await fake(answer("unknown"))]) {
    const error = await failure(client([unclear.endpoint, good.endpoint]).put("c", "1"));
    assert.deepEqual([error.code, error.outcome, error.endpoint], ["unavailable", "unknown", unclear.endpoint]);
    assert.equal(error.message, `${unclear.endpoint}: no coordinator`);
  }
  assert.deepEqual(good.calls, ["put a=1", "put b=1"]);
});

test("a server that dies during the call: a read goes on, a write is unknown and goes nowhere else", async () => {
  const dying: FakeServer = await fake({
    beforeGet: () => {
      setImmediate(() => dying.kill());
      return silence();
    },
  });
  const good = await fake();
  good.store.set("a", "1");
  assert.equal(await client([dying.endpoint, good.endpoint]).get("a"), "1");

  const dyingToo: FakeServer = await fake({
    beforePut: () => {
      setImmediate(() => dyingToo.kill());
      return silence();
    },
  });
  const error = await failure(client([dyingToo.endpoint, good.endpoint]).put("a", "2"));
  assert.deepEqual([error.code, error.outcome], ["connection", "unknown"]);
  assert.match(error.message, /^the connection to 127\.0\.0\.1:\d+ broke/);
  assert.deepEqual(good.calls, ["get a"]);
});

test("a silent server: a write times out as unknown; a read leaves time for the next server", async () => {
  const silent = await fake({ beforePut: silence, beforeGet: silence });
  const good = await fake();
  good.store.set("a", "1");
  const error = await failure(client([silent.endpoint, good.endpoint], 100).put("a", "2"));
  assert.deepEqual([error.code, error.outcome], ["timeout", "unknown"]);
  assert.equal(await client([silent.endpoint, good.endpoint], 2000).get("a"), "1");
});

test("a port that accepts and never speaks is given up after the dial timeout", async () => {
  const mute = createServer((socket) => {
    cleanups.push(() => socket.destroy());
  });
  await new Promise<void>((resolve) => mute.listen(0, "127.0.0.1", resolve));
  cleanups.push(() => mute.close());
  const address = mute.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const good = await fake();
  await client([`127.0.0.1:${port}`, good.endpoint], 10_000, 1000).put("a", "1");
  assert.deepEqual(good.calls, ["put a=1"]);
  const error = await failure(client([`127.0.0.1:${port}`], 5000, 50).put("a", "1"));
  assert.deepEqual([error.code, error.outcome], ["connection", "not-applied"]);
  assert.match(error.message, /no answer within 50 ms/);
});

const REFUSALS: ReadonlyArray<readonly [code: status, expected: string, outcome: string]> = [
  [status.INVALID_ARGUMENT, "invalid-argument", "not-applied"],
  [status.RESOURCE_EXHAUSTED, "resource-exhausted", "not-applied"],
  [status.UNIMPLEMENTED, "unimplemented", "not-applied"],
  [status.INTERNAL, "internal", "unknown"],
  [status.UNKNOWN, "internal", "unknown"],
];

for (const [code, expected, outcome] of REFUSALS) {
  test(`a write answered ${status[code]} is ${expected}, ${outcome}, and is not repeated`, async () => {
    const refusing = await fake({
      beforePut: () => {
        throw new FakeFailure(code, "no", code === status.RESOURCE_EXHAUSTED ? "not-applied" : undefined);
      },
    });
    const other = await fake();
    const error = await failure(client([refusing.endpoint, other.endpoint]).put("a", "1"));
    assert.deepEqual([error.code, error.outcome], [expected, outcome]);
    assert.deepEqual(other.calls, []);
  });
}

test("all servers fail: the telling error comes first, the others behind it", async () => {
  const port = await freePort();
  const refusing = await fake({
    beforeGet: () => {
      throw new FakeFailure(status.UNAVAILABLE, "needs 2 of 3 servers");
    },
  });
  const error = await failure(client([refusing.endpoint, `127.0.0.1:${port}`]).get("a"));
  assert.deepEqual([error.code, error.outcome], ["unavailable", "not-applied"], "a read has no effect, however it fails");
  assert.equal(error.message, `${refusing.endpoint}: needs 2 of 3 servers; no connection to 127.0.0.1:${port} (connection refused)`);
});

test("cancelling ends the request", async () => {
  const controller = new AbortController();
  const silent = await fake({
    beforePut: () => {
      controller.abort();
      return silence();
    },
  });
  const pending = client([silent.endpoint]).put("a", "1", { signal: controller.signal });
  const error = await failure(pending);
  assert.deepEqual([error.code, error.outcome], ["cancelled", "unknown"]);
});

test("half of a surrogate pair is refused before it is sent", async () => {
  const server = await fake();
  const error = await failure(client([server.endpoint]).put("a", "\ud800"));
  assert.deepEqual([error.code, error.outcome], ["invalid-argument", "not-applied"]);
  assert.deepEqual(server.calls, []);
});

test("what is no string, as plain JavaScript may pass it, is refused before it is sent", async () => {
  const server = await fake();
  const store = client([server.endpoint]);
  const call = (name: "put" | "get" | "delete" | "compareAndSet", ...given: readonly unknown[]): Promise<unknown> =>
    Reflect.apply(store[name], store, given);
  const cases: ReadonlyArray<readonly [Promise<unknown>, string]> = [
    [call("put", "a"), "the value is of type undefined; allowed is a string"],
    [call("put", 7, "1"), "the key is of type number; allowed is a string"],
    [call("get", null), "the key is null; allowed is a string"],
    [call("delete"), "the key is of type undefined; allowed is a string"],
    [call("compareAndSet", "a", 1, "2"), "the expected value is of type number; allowed is a string"],
    [call("compareAndSet", "a", null, "2"), "the expected value is null; allowed is a string"],
  ];
  for (const [pending, text] of cases) {
    const { message, code, outcome } = await failure(pending);
    assert.deepEqual([message, code, outcome], [text, "invalid-argument", "not-applied"]);
  }
  assert.deepEqual(server.calls, []);
});

test("status of one server, also of one that is not among the endpoints", async () => {
  const one = await fake({ status: () => ({ version: "1", role: "coordinator", decidedSlot: 7n }) });
  const two = await fake({ status: () => ({ version: "2" }) });
  const store = client([one.endpoint]);
  const answer = await store.status();
  assert.deepEqual([answer.version, answer.role, answer.decidedSlot], ["1", "coordinator", 7n]);
  assert.equal((await store.status({ endpoint: two.endpoint })).version, "2");
});

test("a closed client may be used again", async () => {
  const server = await fake();
  const store = client([server.endpoint]);
  await store.put("a", "1");
  store.close();
  assert.equal(await store.get("a"), "1");
});
