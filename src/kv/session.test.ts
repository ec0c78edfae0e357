/** Sessions: what is executed once, what is answered from the cache, what is refused, and who expires. Limits are made small. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Command } from "./command.js";
import type { KvStore } from "./kv-store.js";
import { SESSION_OUTSTANDING_MAX, SESSIONS_MAX } from "./limits.js";
import { sessionId } from "./model.js";
import type { Reply } from "./reply.js";
import { SESSION_LIMITS } from "./session-table.js";
import { Store } from "./store.js";
import { bytes, chunksOf, DEAF, payloadOf, type Request, restoreFrom, run, runIn } from "./testing/kit.js";

const command = (key: string): Command => ({ kind: "put", key: bytes(key), value: bytes("v") });

function register(store: KvStore): number {
  const reply = run(store, { kind: "registerSession", nonce: 2n ** 64n - 1n });
  assert.ok(reply.kind === "registered" && reply.nonce === 2n ** 64n - 1n);
  return reply.session;
}

function ask(store: KvStore, session: number, seq: number, rest: { firstUnacked?: number; command?: Command } = {}): Reply {
  return runIn(store, { session, seq, firstUnacked: rest.firstUnacked ?? 0, command: rest.command ?? command("k") });
}

const kindOf = (reply: Reply): string => (reply.kind === "error" ? reply.error.kind : reply.kind);

test("a repeated request gets its first reply and is not executed again", () => {
  const store = Store.empty();
  const session = register(store);
  const commands: readonly Command[] = [
    command("a"),
    { kind: "put", key: bytes("a"), value: bytes("w"), prevKv: true },
    { kind: "deleteRange", key: bytes("a"), prevKv: true },
    { kind: "deleteRange", key: bytes("a") },
    { kind: "put", key: bytes(""), value: bytes("") },
    { kind: "put", key: bytes("x"), value: bytes(""), ignoreValue: true },
    { kind: "txn", compares: [{ result: "equal", key: bytes("q"), target: "mod", operand: 7n }], success: [], failure: [] },
    { kind: "registerSession", nonce: 5n },
    { kind: "compact", revision: 2 },
    { kind: "setQuota", bytes: 1 },
    { kind: "put", key: bytes("big"), value: bytes("over the quota") },
    { kind: "expireSessions", usedBelowSlot: 0 },
  ];
  const first = commands.map((one, seq) => ask(store, session, seq, { command: one }));
  const revision = store.revision;
  const again = commands.map((one, seq) => ask(store, session, seq, { command: one }));
  assert.deepEqual(again, first);
  assert.equal(store.revision, revision);
  assert.deepEqual(first.map(kindOf).slice(-3), ["quotaSet", "quota-exceeded", "sessionsExpired"]);
});

test("both copies of a request in one batch apply once, and in another order of sequence too", () => {
  const store = Store.empty();
  const session = register(store);
  const request = (seq: number): Request => ({ session, seq, firstUnacked: 0, command: command(`k${seq}`) });
  const heard: [number, number][] = [];
  store.applyBatch(store.appliedSlot + 1, payloadOf([request(3), request(1), request(3), request(2), request(1)]), {
    onReply: (_, seq, reply) => heard.push([seq, reply.revision]),
  });
  assert.deepEqual(heard, [
    [3, 2],
    [1, 3],
    [3, 2],
    [2, 4],
    [1, 3],
  ]);
});

test("what was acknowledged is stale; what is too far ahead is refused; both leave no trace", () => {
  const store = Store.empty();
  const session = register(store);
  assert.equal(kindOf(ask(store, session, 10, { firstUnacked: 10 })), "put");
  assert.equal(kindOf(ask(store, session, 9, { firstUnacked: 5 })), "stale-sequence");
  assert.equal(kindOf(ask(store, session, 10 + SESSION_OUTSTANDING_MAX)), "too-many-outstanding");
  assert.equal(kindOf(ask(store, session, 9 + SESSION_OUTSTANDING_MAX)), "put");
  assert.equal(kindOf(ask(store, session, 10 + SESSION_OUTSTANDING_MAX, { firstUnacked: 11 })), "put");
  assert.equal(store.revision, 4);
  assert.equal(kindOf(ask(store, 77, 1)), "session-expired");
});

test("4096 requests outstanding are all kept, through a snapshot too", () => {
  const store = Store.empty();
  const session = register(store);
  const requests: Request[] = [];
  for (let seq = 5; seq < 5 + SESSION_OUTSTANDING_MAX; seq++) {
    requests.push({ session, seq, firstUnacked: 5, command: command(`k${seq % 10}`) });
  }
  store.applyBatch(store.appliedSlot + 1, payloadOf(requests), DEAF);
  const revision = store.revision;
  const restored = restoreFrom(chunksOf(store.openReadView()));
  for (const one of [store, restored]) {
    one.applyBatch(one.appliedSlot + 1, payloadOf(requests), {
      onReply: (_, seq, reply) => assert.equal(reply.revision, seq - 3),
    });
    assert.equal(one.revision, revision);
  }
  assert.equal(store.stateHash(), restored.stateHash());
});

test("one session too many: the one used least recently goes, not the one registered first", () => {
  const store = Store.empty({ ...SESSION_LIMITS, sessions: 3 });
  const [a, b, c] = [register(store), register(store), register(store)] as const;
  ask(store, a, 1);
  const d = register(store);
  assert.deepEqual(
    [a, b, c, d].map((id) => kindOf(ask(store, id, 2))),
    ["put", "session-expired", "put", "put"],
  );
  assert.equal(store.stats().sessions, 3);
});

test("expiry by slot takes those not used since, and the session that asks if it must", () => {
  const store = Store.empty();
  const [a, b] = [register(store), register(store)] as const;
  const slot = store.appliedSlot;
  ask(store, a, 1);
  assert.deepEqual(run(store, { kind: "expireSessions", usedBelowSlot: slot + 1 }), { kind: "sessionsExpired", revision: 2, count: 1 });
  assert.deepEqual(
    [a, b].map((id) => kindOf(ask(store, id, 2))),
    ["put", "session-expired"],
  );
  const gone = ask(store, a, 3, { command: { kind: "expireSessions", usedBelowSlot: store.appliedSlot + 100 } });
  assert.equal(kindOf(gone), "sessionsExpired");
  assert.equal(kindOf(ask(store, a, 3)), "session-expired");
  assert.equal(restoreFrom(chunksOf(store.openReadView())).stateHash(), store.stateHash());
});

test("a session that was closed is gone at once, its waiting requests included, and its id is not given again", () => {
  const store = Store.empty();
  const [a, b] = [register(store), register(store)] as const;
  const close = (session: number): Command => ({ kind: "closeSession", session: sessionId(session) });
  ask(store, a, 1);
  assert.deepEqual(ask(store, b, 1, { command: close(a) }), { kind: "sessionsExpired", revision: 2, count: 1 });
  assert.deepEqual(ask(store, b, 2, { command: close(a) }), { kind: "sessionsExpired", revision: 2, count: 0 });
  assert.equal(kindOf(ask(store, a, 1)), "session-expired");
  assert.equal(kindOf(ask(store, a, 2)), "session-expired");
  const heard: string[] = [];
  const group = [close(b), command("k"), command("l")].map((one, at) => ({ session: b, seq: 3 + at, firstUnacked: 3, command: one }));
  store.applyBatch(store.appliedSlot + 1, payloadOf(group), { onReply: (_, __, reply) => heard.push(kindOf(reply)) });
  assert.deepEqual(heard, ["sessionsExpired", "session-expired", "session-expired"]);
  assert.equal(store.stats().sessions, 0);
  assert.equal(restoreFrom(chunksOf(store.openReadView())).stateHash(), store.stateHash());
  assert.equal(register(store), b + 1);
});

test("too many kept replies: sessions used least recently go, never the one at work", () => {
  const store = Store.empty({ ...SESSION_LIMITS, replies: 10 });
  const [a, b] = [register(store), register(store)] as const;
  for (let seq = 0; seq < 8; seq++) {
    ask(store, a, seq);
  }
  for (let seq = 0; seq < 12; seq++) {
    ask(store, b, seq);
  }
  assert.equal(kindOf(ask(store, a, 0)), "session-expired");
  assert.equal(kindOf(ask(store, b, 0)), "put");
});

test("a reply too large to keep: a repeat is told so, and is not executed", () => {
  const store = Store.empty({ ...SESSION_LIMITS, replyBytes: 100 });
  const session = register(store);
  const large: Command = { kind: "put", key: bytes("a"), value: new Uint8Array(200), prevKv: true };
  assert.equal(kindOf(ask(store, session, 1, { command: large })), "put");
  assert.equal(kindOf(ask(store, session, 2, { command: large })), "put");
  const revision = store.revision;
  assert.equal(kindOf(ask(store, session, 1, { command: large })), "put");
  assert.equal(kindOf(ask(store, session, 2, { command: large })), "reply-dropped");
  assert.equal(store.revision, revision);
});

test("the limit of sessions holds at its real size", () => {
  const store = Store.empty();
  const requests = Array.from({ length: SESSIONS_MAX + 5 }, (_, seq) => ({
    session: 0,
    seq,
    firstUnacked: 0,
    command: { kind: "registerSession", nonce: BigInt(seq) } as const,
  }));
  store.applyBatch(1, payloadOf(requests), DEAF);
  assert.equal(store.stats().sessions, SESSIONS_MAX);
  assert.equal(kindOf(ask(store, 5, 1)), "session-expired");
  assert.equal(kindOf(ask(store, 6, 1)), "put");
});

test("a session can be used at any height of numbers, and gives a large ring back", () => {
  const store = Store.empty();
  const session = register(store);
  const top = Number.MAX_SAFE_INTEGER - 10;
  assert.equal(kindOf(ask(store, session, top, { firstUnacked: top })), "put");
  assert.equal(kindOf(ask(store, session, top, { firstUnacked: top })), "put");
  assert.equal(store.revision, 2);
});
