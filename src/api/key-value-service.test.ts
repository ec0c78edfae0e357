/** The answers of KeyValueStore as a table: request, what the server did with it, status and text. The server is played by the test. */
import { deepEqual, equal, match } from "node:assert/strict";
import { test } from "node:test";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { CompareAndSetRequestSchema, CompareAndSetResponseSchema, PutRequestSchema } from "../gen/keyvaluestore_pb.js";
import type { Responder, UnaryHandler } from "../grpc/service.js";
import { GRPC_STATUS } from "../grpc/status.js";
import { BatchBuilder } from "../kv/batch.js";
import { encodePlainPut } from "../kv/command.js";
import { kvError } from "../kv/error.js";
import { NO_LEASE, NO_SESSION, revision, sessionId } from "../kv/model.js";
import type { Reply } from "../kv/reply.js";
import { Store } from "../kv/store.js";
import { clusterId } from "../paxos/ids.js";
import type { ReadWaiter } from "../server/reads.js";
import { StoreError } from "../server/store-error.js";
import type { WriteWaiter } from "../server/writes.js";
import { REQUEST_MS_MAX } from "./calls.js";
import { type KeyValueBackend, type KeyValueLimits, keyValueHandlers } from "./key-value-service.js";
import { SessionTokens } from "./session-token.js";

const bytes = (value: string): Uint8Array => new TextEncoder().encode(value);
const text = (value: Uint8Array): string => new TextDecoder().decode(value);
const request = (key: string, value = "", more: MessageInitShape<typeof PutRequestSchema> = {}): Uint8Array =>
  toBinary(PutRequestSchema, create(PutRequestSchema, { key, value, ...more }));
const limits: KeyValueLimits = { maxKeyBytes: 16, maxRequestBytes: 64, requestTimeoutMs: 5000 };
const done: Reply = { kind: "put", revision: revision(2) };
const unavailable = new StoreError("unavailable", "not-applied", "No server coordinates yet.");

/** What the played server does with a request. */
type Play = {
  readonly write?: (waiter: WriteWaiter) => void;
  readonly read?: (waiter: ReadWaiter) => void;
  readonly isGone?: boolean;
};

function call(kind: "get" | "put" | "del" | "compareAndSet", message: Uint8Array, play: Play = {}, deadlineMs?: number, bounds = limits) {
  const store = Store.empty();
  const builder = new BatchBuilder();
  builder.add(NO_SESSION, 0, 0, encodePlainPut(bytes("there"), bytes("value")));
  store.applyBatch(1, builder.finish(), { onReply: () => {} });
  const seen: string[] = [];
  const answers: string[] = [];
  const outcomes: string[] = [];
  const replies: Uint8Array[] = [];
  const backend: KeyValueBackend = {
    store,
    nowMicros: () => 1_000_000,
    identity: { clusterId: clusterId(0x0102030405060708n), lineage: { number: 0, random: 0n } },
    txn: ({ compares, success, failure }, waiter) => {
      const [compare] = compares;
      const operand = compare?.target === "value" ? text(compare.operand) : "absent";
      seen.push(
        `if ${text(compare?.key ?? bytes("?"))} is ${operand}: ${success.map(({ kind }) => kind)}, else ${failure.map(({ kind }) => kind)}`,
      );
      (play.write ?? ((it) => it.done(done)))(waiter);
    },
    put: (key, value, waiter, number) => {
      const under = number === undefined ? "" : ` as ${number.session}.${number.seq}/${number.firstUnacked}`;
      seen.push(`put ${text(key)}=${text(value)} by ${waiter.deadline}${under}`);
      (play.write ?? ((it) => it.done(done)))(waiter);
    },
    delete: (key, waiter) => {
      seen.push(`delete ${text(key)} by ${waiter.deadline}`);
      (play.write ?? ((it) => it.done(done)))(waiter);
    },
    read: (waiter) => {
      seen.push(`read by ${waiter.deadline}`);
      (play.read ?? ((it) => it.answer()))(waiter);
    },
  };
  const responder: Responder = {
    reply: (stream, reply) => replies.push(reply) && answers.push(`${stream} ok ${text(reply.subarray(reply.length > 0 ? 2 : 0))}`),
    fail: (stream, status, why, trailers) => {
      answers.push(`${stream} ${status} ${why}`);
      outcomes.push(String(trailers?.[0]?.[1] ?? ""));
    },
    metadata: () => [],
    deadlineMs: () => deadlineMs,
    isOpen: () => play.isGone !== true,
    onCancel: () => {},
    closed: false,
    remote: "test",
  };
  const handlers: Record<string, UnaryHandler> = keyValueHandlers(backend, bounds);
  handlers[kind]?.(message, responder, 3);
  equal(answers.length, 1);
  return { answer: answers[0]?.slice(2) ?? "", seen, outcome: outcomes[0] ?? "", reply: replies[0] ?? new Uint8Array(0) };
}

const INVALID = GRPC_STATUS.INVALID_ARGUMENT;

test("what requests are answered", () => {
  const invalidUtf8 = Uint8Array.of(0x0a, 1, 0xff);
  const invalidValue = Uint8Array.of(0x0a, 1, 97, 0x12, 1, 0xc0);
  const table: readonly (readonly [string, "get" | "put" | "del", Uint8Array, string])[] = [
    ["a key that is there", "get", request("there"), "ok value"],
    ["an absent key", "get", request("absent"), `${GRPC_STATUS.NOT_FOUND} Key not found.`],
    ["a put", "put", request("k", "v"), "ok "],
    ["a put of an empty value", "put", request("k"), "ok "],
    ["a delete", "del", request("k"), "ok "],
    ["a get without a key", "get", new Uint8Array(0), `${INVALID} The key is empty. A key has at least one character.`],
    ["a put without a key", "put", request("", "v"), `${INVALID} The key is empty. A key has at least one character.`],
    ["a delete without a key", "del", request(""), `${INVALID} The key is empty. A key has at least one character.`],
    [
      "a key that is too long",
      "put",
      request("k".repeat(17), "v"),
      `${INVALID} The key has 17 bytes, at most 16 are allowed (max_key_bytes).`,
    ],
    ["a key at the limit", "put", request("k".repeat(16), "v"), "ok "],
    [
      "a request that is too large",
      "put",
      request("k", "v".repeat(60)),
      `${INVALID} The request has 65 bytes, at most 64 are allowed (max_request_bytes). Nothing was written.`,
    ],
    ["a request at the limit", "put", request("k", "v".repeat(59)), "ok "],
    ["a key that is not UTF-8", "get", invalidUtf8, `${INVALID} The key is not valid UTF-8.`],
    ["a value that is not UTF-8", "put", invalidValue, `${INVALID} The value is not valid UTF-8.`],
    ["a get that ignores an unknown field 2", "get", invalidValue, `${GRPC_STATUS.NOT_FOUND} Key not found.`],
    ["bytes that are no message", "put", Uint8Array.of(0x0a, 9), `${INVALID} The request is no valid protobuf message of its type.`],
  ];
  for (const [name, kind, message, expected] of table) {
    equal(call(kind, message).answer, expected, name);
  }
});

test("what the server's and the state machine's errors become", () => {
  const fail = (error: StoreError): Play => ({ write: (waiter) => waiter.fail(error), read: (waiter) => waiter.fail(error) });
  const refuse = (kind: Parameters<typeof kvError>[0], limit: number, size: number): Play => ({
    write: (waiter) => waiter.done({ kind: "error", revision: revision(2), error: kvError(kind, limit, size) }),
  });
  equal(call("put", request("k", "v"), fail(unavailable)).answer, `${GRPC_STATUS.UNAVAILABLE} No server coordinates yet.`);
  equal(call("get", request("k"), fail(unavailable)).answer, `${GRPC_STATUS.UNAVAILABLE} No server coordinates yet.`);
  equal(
    call("del", request("k"), fail(new StoreError("overloaded", "not-applied", "Too many wait."))).answer,
    `${GRPC_STATUS.RESOURCE_EXHAUSTED} Too many wait.`,
  );
  equal(call("put", request("k", "v"), fail(new StoreError("too-large", "not-applied", "Too large."))).answer, `${INVALID} Too large.`);
  match(
    call("put", request("k", "v"), refuse("quota-exceeded", 100, 120)).answer,
    /^8 The store is full: .* 100 bytes, and this write needs 120/,
  );
  match(call("put", request("k", "v"), refuse("key-too-large", 10, 12)).answer, /^3 12 bytes are too many, at most 10/);
  match(call("put", request("k", "v"), refuse("too-many-outstanding", 0, 0)).answer, /^8 /);
  match(call("put", request("k", "v"), refuse("reply-dropped", 0, 0)).answer, /^13 the write was applied/);
});

test("a call without a deadline gets the configured one, one with a deadline is answered a little before it", () => {
  deepEqual(call("put", request("k", "v")).seen, ["put k=v by 6000000"]);
  deepEqual(call("get", request("k"), {}, 200).seen, ["read by 1180000"]);
  deepEqual(call("del", request("k"), {}, 60_000).seen, ["delete k by 60900000"]);
  deepEqual(call("get", request("k"), {}, 2 ** 31 - 1).seen, [`read by ${1_000_000 + REQUEST_MS_MAX * 1000}`]);
});

test("whether anybody still waits for the answer is the connection's to say", () => {
  const seen: (boolean | undefined)[] = [];
  const read = (waiter: ReadWaiter): void => {
    seen.push(waiter.isGone?.());
    waiter.answer();
  };
  const write = (waiter: WriteWaiter): void => {
    seen.push(waiter.isGone?.());
    waiter.done(done);
  };
  call("get", request("there"), { read });
  call("put", request("k", "v"), { write });
  call("del", request("k"), { write, isGone: true });
  call("get", request("there"), { read, isGone: true });
  deepEqual(seen, [false, false, true, true]);
});

/** The session `id` of the store that the played server is of, or of another. */
function token(id: number, cluster = 0x0102030405060708n, lineage = 0n): Uint8Array {
  const identity = { clusterId: clusterId(cluster), lineage: { number: 0, random: lineage } };
  return new SessionTokens({ identity }).encode(sessionId(id));
}

test("a write with a session goes on under the client's number", () => {
  const session = token(77);
  deepEqual(call("put", request("k", "v", { session, seq: 5n, firstUnacked: 3n })).seen, ["put k=v by 6000000 as 77.5/3"]);
  deepEqual(call("put", request("k", "v", { session, seq: 1n })).seen, ["put k=v by 6000000 as 77.1/0"]);
  deepEqual(call("put", request("k", "v", { session, seq: 4096n, firstUnacked: 1n })).seen, ["put k=v by 6000000 as 77.4096/1"]);
});

test("a number in bad order is refused before anything is written, with what is wrong and the remedy", () => {
  const session = token(77);
  const large = { ...limits, maxRequestBytes: 128 };
  const table: readonly (readonly [string, MessageInitShape<typeof PutRequestSchema>, RegExp])[] = [
    ["no seq", { session }, /^3 seq is not a number from 1/],
    ["a seq above 2^53", { session, seq: 2n ** 53n, firstUnacked: 2n ** 53n }, /^3 seq is not a number from 1/],
    ["no session", { seq: 3n }, /^3 seq is given without a session: get one by RegisterSession/],
    ["first_unacked above seq", { session, seq: 3n, firstUnacked: 4n }, /^3 first_unacked is above seq/],
    ["too far ahead", { session, seq: 4097n, firstUnacked: 1n }, /^8 seq is 4096 above first_unacked, and less than 4096 is allowed/],
    ["half a session", { session: session.subarray(8), seq: 1n }, /^3 session is not one of 16 bytes/],
    ["session 0", { session: token(0), seq: 1n }, /^3 session is not one of 16 bytes/],
    ["another cluster's", { session: token(77, 1n), seq: 1n }, /^9 SESSION_EXPIRED: The session is of another store/],
    ["another lineage's", { session: token(77, undefined, 9n), seq: 1n }, /^9 SESSION_EXPIRED: The session is of another store/],
  ];
  for (const [name, more, expected] of table) {
    const { answer, outcome, seen } = call("put", request("k", "v", more), {}, undefined, large);
    match(answer, expected, name);
    match(answer, /Nothing was written\.$/, name);
    equal(outcome, "not-applied", name);
    deepEqual(seen, [], name);
  }
});

test("what the rules of sessions refuse says whether the write may have been applied", () => {
  const answer = (kind: "session-expired" | "stale-sequence", isDoubtful: boolean) =>
    call("put", request("k", "v"), {
      write: (waiter) => waiter.done({ kind: "error", revision: revision(2), error: kvError(kind) }, isDoubtful),
    });
  const expired = answer("session-expired", false);
  match(expired.answer, /^9 SESSION_EXPIRED: .* Register a new one; .* Nothing was written\.$/);
  equal(expired.outcome, "not-applied");
  const doubtful = answer("session-expired", true);
  match(doubtful.answer, /^9 SESSION_EXPIRED: .* The write may have been applied\.$/);
  equal(doubtful.outcome, "unknown");
  const stale = answer("stale-sequence", false);
  match(stale.answer, /^10 STALE_SEQ: .* it may have been applied before\. Read, and use a higher seq\.$/);
  equal(stale.outcome, "unknown");
});

test("compare and set: what is asked of the store, and what its answers become", () => {
  const ask = (expected?: string): Uint8Array =>
    toBinary(
      CompareAndSetRequestSchema,
      create(CompareAndSetRequestSchema, { key: "k", value: "new", ...(expected === undefined ? {} : { expected }) }),
    );
  const txn = (succeeded: boolean, value?: string): Play => {
    const pair = {
      key: bytes("k"),
      value: bytes(value ?? ""),
      createRevision: revision(2),
      modRevision: revision(2),
      version: 1,
      lease: NO_LEASE,
    };
    const pairs = value === undefined ? [] : [pair];
    const result = succeeded
      ? ({ kind: "put", revision: revision(3) } as const)
      : ({ kind: "range", revision: revision(3), pairs, more: false, count: pairs.length } as const);
    return { write: (waiter) => waiter.done({ kind: "txn", revision: revision(3), succeeded, results: [result] }) };
  };
  const responseTo = (expected: string | undefined, play: Play) => {
    const { swapped, current } = fromBinary(CompareAndSetResponseSchema, call("compareAndSet", ask(expected), play).reply);
    return { swapped, current };
  };
  deepEqual(call("compareAndSet", ask("old"), txn(true)).seen, ["if k is old: put, else range"]);
  deepEqual(call("compareAndSet", ask(""), txn(true)).seen, ["if k is : put, else range"]);
  deepEqual(call("compareAndSet", ask(), txn(true)).seen, ["if k is absent: put, else range"]);
  deepEqual(responseTo("old", txn(true)), { swapped: true, current: undefined });
  deepEqual(responseTo("old", txn(false, "other")), { swapped: false, current: "other" });
  deepEqual(responseTo("old", txn(false, "")), { swapped: false, current: "" });
  deepEqual(responseTo("old", txn(false)), { swapped: false, current: undefined });
  const notText = Uint8Array.of(0x0a, 1, 97, 0x32, 1, 0xc0);
  equal(call("compareAndSet", notText).answer, `${INVALID} The expected value is not valid UTF-8.`);
});
