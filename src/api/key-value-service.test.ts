/** The answers of KeyValueStore as a table: request, what the server did with it, status and text. The server is played by the test. */
import { deepEqual, equal, match } from "node:assert/strict";
import { test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { PutRequestSchema } from "../gen/keyvaluestore_pb.js";
import type { Responder, UnaryHandler } from "../grpc/service.js";
import { GRPC_STATUS } from "../grpc/status.js";
import { BatchBuilder } from "../kv/batch.js";
import { encodePlainPut } from "../kv/command.js";
import { kvError } from "../kv/error.js";
import { NO_SESSION, revision } from "../kv/model.js";
import type { Reply } from "../kv/reply.js";
import { Store } from "../kv/store.js";
import type { ReadWaiter } from "../server/reads.js";
import { StoreError } from "../server/store-error.js";
import type { WriteWaiter } from "../server/writes.js";
import { type KeyValueBackend, keyValueHandlers, REQUEST_MS_MAX } from "./key-value-service.js";

const bytes = (value: string): Uint8Array => new TextEncoder().encode(value);
const text = (value: Uint8Array): string => new TextDecoder().decode(value);
const request = (key: string, value = ""): Uint8Array => toBinary(PutRequestSchema, create(PutRequestSchema, { key, value }));
const limits = { maxKeyBytes: 16, maxRequestBytes: 64, requestTimeoutMs: 5000 };
const done: Reply = { kind: "put", revision: revision(2) };
const unavailable = new StoreError("unavailable", "not-applied", "No server coordinates yet.");

/** What the played server does with a request. */
type Play = {
  readonly write?: (waiter: WriteWaiter) => void;
  readonly read?: (waiter: ReadWaiter) => void;
  readonly isGone?: boolean;
};

function call(kind: "get" | "put" | "del", message: Uint8Array, play: Play = {}, deadlineMs?: number) {
  const store = Store.empty();
  const builder = new BatchBuilder();
  builder.add(NO_SESSION, 0, 0, encodePlainPut(bytes("there"), bytes("value")));
  store.applyBatch(1, builder.finish(), { onReply: () => {} });
  const seen: string[] = [];
  const answers: string[] = [];
  const backend: KeyValueBackend = {
    store,
    nowMicros: () => 1_000_000,
    put: (key, value, waiter) => {
      seen.push(`put ${text(key)}=${text(value)} by ${waiter.deadline}`);
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
    reply: (stream, reply) => answers.push(`${stream} ok ${text(reply.subarray(reply.length > 0 ? 2 : 0))}`),
    fail: (stream, status, why) => answers.push(`${stream} ${status} ${why}`),
    metadata: () => [],
    deadlineMs: () => deadlineMs,
    isOpen: () => play.isGone !== true,
    onCancel: () => {},
    closed: false,
    remote: "test",
  };
  const handlers: Record<string, UnaryHandler> = keyValueHandlers(backend, limits);
  handlers[kind]?.(message, responder, 3);
  equal(answers.length, 1);
  return { answer: answers[0]?.slice(2) ?? "", seen };
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
    ["a key that is too long", "put", request("k".repeat(17), "v"), `${INVALID} The key has 17 bytes, at most 16 are allowed.`],
    ["a key at the limit", "put", request("k".repeat(16), "v"), "ok "],
    ["a request that is too large", "put", request("k", "v".repeat(60)), `${INVALID} The request has 65 bytes, at most 64 are allowed.`],
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
