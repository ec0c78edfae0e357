/**
 * Exactly once, on the side of the client, against fake servers on real sockets that share a store with sessions: which number each
 * try carries, which server it goes to, and what is known at the end. That real servers apply a number once is shown elsewhere.
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { after, test } from "node:test";
import { status } from "@grpc/grpc-js";
import { SynodClient, type SynodClientOptions } from "./client.js";
import { StoreError } from "./error.js";
import { RENEWALS_MAX } from "./session.js";
import {
  FAKE_OUTSTANDING_MAX,
  type FakeBehaviour,
  FakeFailure,
  type FakeServer,
  FakeSessions,
  freePort,
  startFakeServer,
} from "./testing/fake-server.js";

const cleanups: Array<() => void> = [];
after(() => {
  for (const cleanup of cleanups) {
    cleanup();
  }
});

async function fake(behaviour: FakeBehaviour): Promise<FakeServer> {
  const server = await startFakeServer(behaviour);
  cleanups.push(() => server.kill());
  return server;
}

function client(endpoints: readonly string[], options: Partial<SynodClientOptions> = {}): SynodClient {
  const made = new SynodClient({ endpoints, ...options });
  cleanups.push(() => made.close());
  return made;
}

async function failure(promise: Promise<unknown>): Promise<StoreError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  ok(error instanceof StoreError, `a StoreError, not ${String(error)}`);
  return error;
}

const silence = (): Promise<void> => new Promise(() => undefined);
const puts = ({ calls }: FakeServer): readonly string[] => calls.filter((call) => call.startsWith("put"));

test("the first write registers, once for many at a time; each has a number of its own", async () => {
  const sessions = new FakeSessions();
  const server = await fake({ sessions });
  const store = client([server.endpoint]);
  await Promise.all(["a", "b", "c"].map((key) => store.put(key, "1")));
  await store.put("d", "1");
  equal(server.calls.filter((call) => call === "register").length, 1);
  deepEqual([...sessions.applied].sort(), ["1 put a=1", "2 put b=1", "3 put c=1", "4 put d=1"]);
});

test("a server that dies after it applied a put, before its answer: the next is asked under the same number", async () => {
  const sessions = new FakeSessions();
  const dying: FakeServer = await fake({
    sessions,
    afterPut: () => {
      setImmediate(() => dying.kill());
      return silence();
    },
  });
  const good = await fake({ sessions });
  const store = client([dying.endpoint, good.endpoint]);
  await store.put("a", "1");
  deepEqual(sessions.applied, ["1 put a=1"]);
  deepEqual([puts(dying), puts(good)], [["put a=1"], ["put a=1"]]);
  equal(store.endpoint, good.endpoint);
});

test("a number that is still asked for is not called acknowledged by the writes that overtake it", async () => {
  const sessions = new FakeSessions();
  let overtaken = (): void => undefined;
  const others = new Promise<void>((resolve) => {
    overtaken = resolve;
  });
  let refusals = 1;
  const server = await fake({
    sessions,
    beforePut: async (key) => {
      if (key === "slow" && refusals-- > 0) {
        await others;
        throw new FakeFailure(status.UNAVAILABLE, "no quorum", "unknown");
      }
    },
  });
  const store = client([server.endpoint]);
  const slow = store.put("slow", "1");
  await store.put("a", "1");
  await store.put("b", "1");
  overtaken();
  await slow;
  deepEqual(sessions.applied, ["2 put a=1", "3 put b=1", "1 put slow=1"]);
});

test("a silent server gets half of the time, and one that says unknown is no end either", async () => {
  const sessions = new FakeSessions();
  const silent = await fake({ sessions, afterPut: silence });
  const unclear = await fake({
    sessions,
    beforePut: () => {
      throw new FakeFailure(status.UNAVAILABLE, "no quorum", "unknown");
    },
  });
  const good = await fake({ sessions });
  await client([silent.endpoint, unclear.endpoint, good.endpoint], { timeoutMs: 2000 }).put("a", "1");
  deepEqual(sessions.applied, ["1 put a=1"]);
  deepEqual(
    [puts(silent), puts(unclear), puts(good)].map(({ length }) => length),
    [1, 1, 1],
  );
});

test("a server that refuses ends the tries, and its word is not taken for the one that nobody answered", async () => {
  const sessions = new FakeSessions();
  const silent = await fake({ sessions, beforePut: silence });
  const refusing = await fake({
    sessions,
    beforePut: () => {
      throw new FakeFailure(status.INVALID_ARGUMENT, "Too large. Nothing was written.", "not-applied");
    },
  });
  const alone = await failure(client([refusing.endpoint, silent.endpoint]).put("a", "1"));
  deepEqual([alone.code, alone.outcome], ["invalid-argument", "not-applied"]);
  equal(alone.message, `${refusing.endpoint}: Too large. Nothing was written.`);
  const error = await failure(client([silent.endpoint, refusing.endpoint], { timeoutMs: 1000 }).put("a", "1"));
  deepEqual([error.code, error.outcome], ["invalid-argument", "unknown"]);
  match(
    error.message,
    /Nothing was written\.; \S+ did not answer in time; by an earlier try the write may have been applied, or may still be$/,
  );
  deepEqual([puts(silent).length, puts(refusing).length], [1, 2]);
});

test("all servers are asked again and again while there is time, and the outcome is unknown only when it is over", async () => {
  const sessions = new FakeSessions();
  let refusals = 6;
  const unclear: FakeBehaviour = {
    sessions,
    beforePut: () => {
      if (refusals-- > 0) {
        throw new FakeFailure(status.UNAVAILABLE, "no quorum", "unknown");
      }
    },
  };
  const servers = [await fake(unclear), await fake(unclear)];
  const store = client(servers.map(({ endpoint }) => endpoint));
  await store.put("a", "1");
  deepEqual(sessions.applied, ["1 put a=1"]);
  refusals = Number.POSITIVE_INFINITY;
  const error = await failure(store.put("a", "2", { timeoutMs: 300 }));
  deepEqual([error.code, error.outcome], ["unavailable", "unknown"]);
  ok(puts(servers[0] as FakeServer).length < 30, "not without pauses");
  refusals = 0;
  await store.put("a", "3");
  equal(sessions.applied.at(-1), "3 put a=3", "the number that was given up is not given again");
});

test("nobody listens: that is said at once, and that nothing was applied", async () => {
  const began = performance.now();
  const error = await failure(client([`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`]).put("a", "1"));
  deepEqual([error.code, error.outcome], ["connection", "not-applied"]);
  ok(performance.now() - began < 3000);
});

test("a session that is gone: a new one where nothing can have been applied, else the outcome is unknown", async () => {
  const sessions = new FakeSessions();
  const server = await fake({ sessions });
  const store = client([server.endpoint]);
  await store.put("a", "1");
  sessions.open.clear();
  await store.put("a", "2");
  deepEqual(sessions.applied, ["1 put a=1", "1 put a=2"]);

  const thrashing = await fake({ sessions, beforePut: () => sessions.open.clear() });
  const tired = await failure(client([thrashing.endpoint]).put("a", "x"));
  deepEqual([tired.code, tired.outcome], ["session-expired", "not-applied"]);
  equal(puts(thrashing).length, 1 + RENEWALS_MAX);

  let forgets = 1;
  const forgetful = await fake({
    sessions,
    beforePut: () => {
      if (forgets-- > 0) {
        sessions.open.clear();
        throw new FakeFailure(status.UNAVAILABLE, "no quorum", "unknown");
      }
    },
  });
  const error = await failure(client([forgetful.endpoint, server.endpoint]).put("a", "3"));
  deepEqual([error.code, error.outcome], ["session-expired", "unknown"]);
  match(error.message, /SESSION_EXPIRED: gone/);
});

test("no more writes are out than the store allows; the others wait for their turn", async () => {
  const sessions = new FakeSessions();
  let most = 0;
  let out = 0;
  const server = await fake({
    sessions,
    beforePut: async () => {
      most = Math.max(most, ++out);
      await new Promise((resolve) => setTimeout(resolve, 20));
    },
    afterPut: () => {
      out--;
    },
  });
  const store = client([server.endpoint]);
  await Promise.all(Array.from({ length: 3 * FAKE_OUTSTANDING_MAX }, (_, at) => store.put(`k${at}`, "v")));
  equal(sessions.applied.length, 3 * FAKE_OUTSTANDING_MAX);
  equal(most, FAKE_OUTSTANDING_MAX);
});

test("a registration that fails fails one write; the others make their own attempt", async () => {
  const sessions = new FakeSessions();
  let failures = 1;
  const server = await fake({
    sessions,
    beforeRegister: () => {
      if (failures-- > 0) {
        throw new FakeFailure(status.RESOURCE_EXHAUSTED, "busy. Nothing was written.", "not-applied");
      }
    },
  });
  const store = client([server.endpoint]);
  const results = await Promise.allSettled(["a", "b", "c"].map((key) => store.put(key, "1")));
  deepEqual(
    results.map(({ status: how }) => how),
    ["rejected", "fulfilled", "fulfilled"],
  );
});

test("end closes the session, once; exactlyOnce: false never opens one", async () => {
  const sessions = new FakeSessions();
  const server = await fake({ sessions });
  const store = client([server.endpoint]);
  await store.put("a", "1");
  await store.end();
  equal(sessions.open.size, 0);
  await store.end();
  equal(server.calls.filter((call) => call === "close").length, 1);
  const plain = client([server.endpoint], { exactlyOnce: false });
  await plain.put("b", "1");
  await plain.end();
  equal(sessions.open.size, 0);
  const down = client([`127.0.0.1:${await freePort()}`]);
  await down.end();
});
