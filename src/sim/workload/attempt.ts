/**
 * One try of one request at one server, as a client process would make it: the request enters the server's process, the answer comes or
 * does not, and the client waits no longer than it wants to. It tells its outcome exactly once, and never calls a write failed unless
 * the server said that it has not happened and never will.
 */
import type { KvErrorKind } from "../../kv/error.js";
import type { KvStore } from "../../kv/kv-store.js";
import { type Compare, newFound, type SessionId, type TxnRequest } from "../../kv/model.js";
import type { Reply } from "../../kv/reply.js";
import type { WriteNumber } from "../../server/client-writes.js";
import type { Server } from "../../server/server.js";
import type { StoreError } from "../../server/store-error.js";
import type { Engine } from "../engine/engine.js";
import type { Input, Output } from "./operation.js";
import { labelOf } from "./texts.js";

/** What a client uses of a server. */
export type Target = Pick<Server, "put" | "delete" | "txn" | "read" | "registerSession" | "nowMicros"> & {
  readonly store: Pick<KvStore, "find" | "revision">;
};

/** The servers as clients see them, and the time they live in. */
export interface Servers {
  readonly engine: Engine;
  readonly machines: readonly { readonly host: { enter(work: () => void): void } | null }[];
  /** Null while it is down or starting. */
  server(index: number): Target | null;
}

/**
 * How a try ended. `refused`: it has not happened and will not, at this try. `unknown`: nobody can say; `odd` is what a server said that no
 * client should ever hear of its own writes. `expired`: the session of the client is gone, and unless that is `doubtful` this try did
 * nothing. `down`: there was nobody to ask.
 */
export type Answer =
  | { readonly kind: "ok"; readonly output: Output }
  | { readonly kind: "refused"; readonly final: boolean }
  | { readonly kind: "unknown"; readonly odd?: KvErrorKind }
  | { readonly kind: "expired"; readonly doubtful: boolean }
  | { readonly kind: "down" };

export type Request = {
  readonly key: Uint8Array;
  readonly input: Input;
  /** The bytes of a put or cas. */
  readonly value: Uint8Array | null;
  /** The bytes that a cas expects; null for an absent key. */
  readonly expected: Uint8Array | null;
};

/** Both in microseconds: what the server is given on its own clock, and how long the client waits. */
export type Patience = { readonly server: number; readonly client: number };

/** Refusals that prove that nothing was changed, now and later. The others leave open what an earlier copy of the request did. */
const DEFINITE: readonly KvErrorKind[] = [
  "key-not-provided",
  "key-not-found",
  "value-provided",
  "lease-provided",
  "too-many-operations",
  "duplicate-key",
  "quota-exceeded",
  "key-too-large",
  "value-too-large",
  "reply-too-large",
];

const found = newFound();

/** Whom to ask, and how long. `number`: where the client has a session. */
export type Ask = { readonly server: number; readonly patience: Patience; readonly number: WriteNumber | null };

/** Asks `server` of `servers`; `settle` is called once, at an event of its own or within the server's turn. */
export function attempt(servers: Servers, request: Request, ask: Ask, settle: (answer: Answer) => void): void {
  enter(servers, ask, settle, (target, terms, end) => send(target, request, { ...terms, number: ask.number }, end));
}

/** Asks for a session; null where none is told, though there may be one. */
export function register(servers: Servers, ask: Ask, settle: (session: SessionId | null) => void): void {
  const settled = (answer: Answer | SessionId): void => settle(typeof answer === "number" ? answer : null);
  enter<Answer | SessionId>(servers, ask, settled, (target, terms, end) =>
    target.registerSession({
      ...terms,
      done: (reply) => end(reply.kind === "registered" ? reply.session : { kind: "unknown" }),
      fail: () => end({ kind: "unknown" }),
    }),
  );
}

/** Goes into the server's process with a request that `run` makes there, and waits no longer than the client has patience. */
function enter<T>(
  servers: Servers,
  ask: Ask,
  settle: (answer: T | Answer) => void,
  run: (target: Target, terms: Terms, end: (answer: T | Answer) => void) => void,
): void {
  const target = servers.server(ask.server);
  const host = servers.machines[ask.server]?.host ?? null;
  if (target === null || host === null) {
    settle({ kind: "down" });
    return;
  }
  let open = true;
  const end = (answer: T | Answer): void => {
    if (open) {
      open = false;
      timer.cancel();
      settle(answer);
    }
  };
  const timer = servers.engine.after(ask.patience.client, () => end({ kind: "unknown" }));
  host.enter(() => run(target, { deadline: target.nowMicros() + ask.patience.server, isGone: () => !open }, end));
}

type Terms = { readonly deadline: number; readonly isGone: () => boolean };

type Numbered = Terms & { readonly number: WriteNumber | null };

function send(target: Target, request: Request, { number: own, ...terms }: Numbered, end: (answer: Answer) => void): void {
  const fail = (error: StoreError): void =>
    end(error.outcome === "not-applied" ? { kind: "refused", final: error.code === "too-large" } : { kind: "unknown" });
  const { key, value } = request;
  if (value === null && request.input.op === "get") {
    target.read({ ...terms, answer: () => end({ kind: "ok", output: readNow(target, key) }), fail });
    return;
  }
  const number = own ?? undefined;
  const done = (reply: Reply, isDoubtful = false): void => end(answerOf(reply, number !== undefined, isDoubtful));
  const waiter = { ...terms, done, fail };
  if (value === null) {
    target.delete(key, waiter, number);
  } else if (request.input.op === "put") {
    target.put(key, value, waiter, number);
  } else {
    target.txn(swap(key, request.expected, value), waiter, number);
  }
}

function readNow(target: Target, key: Uint8Array): Output {
  const { store } = target;
  const value = store.find(key, found) ? labelOf(found.bytes, found.valueFrom, found.valueEnd) : null;
  return { value, revision: store.revision };
}

/** Compare and swap as a transaction: an absent key is one that was never created. */
function swap(key: Uint8Array, expected: Uint8Array | null, value: Uint8Array): TxnRequest {
  const compare: Compare =
    expected === null
      ? { result: "equal", key, target: "create", operand: 0n }
      : { result: "equal", key, target: "value", operand: expected };
  return { compares: [compare], success: [{ kind: "put", key, value }], failure: [] };
}

function answerOf(reply: Reply, hasSession: boolean, isDoubtful: boolean): Answer {
  const { revision } = reply;
  switch (reply.kind) {
    case "put":
      return { kind: "ok", output: { revision } };
    case "deleteRange":
      return { kind: "ok", output: { deleted: reply.deleted > 0, revision } };
    case "txn":
      return { kind: "ok", output: { swapped: reply.succeeded, revision } };
    case "error":
      if (hasSession && reply.error.kind === "session-expired") {
        return { kind: "expired", doubtful: isDoubtful };
      }
      return DEFINITE.includes(reply.error.kind) ? { kind: "refused", final: true } : { kind: "unknown", odd: reply.error.kind };
    default:
      return { kind: "unknown" };
  }
}
