/**
 * The service KeyValueStore: text in, text out, over the store of bytes. The hot path: one object a call, key and value copied
 * once. It must answer every call exactly once, and never hold a view into a request after its handler returned.
 */
import { isUtf8 } from "node:buffer";
import { EMPTY_BYTES } from "../base/bytes.js";
import type { Responder, UnaryHandler } from "../grpc/service.js";
import { GRPC_STATUS } from "../grpc/status.js";
import { newFound } from "../kv/model.js";
import type { Reply } from "../kv/reply.js";
import { LIMITS } from "../server/config.js";
import type { ReadWaiter } from "../server/reads.js";
import type { Server } from "../server/server.js";
import type { StoreError } from "../server/store-error.js";
import type { WriteWaiter } from "../server/writes.js";
import { type ApiError, OUTCOME_TRAILERS, ofKvError, ofStoreError } from "./errors.js";
import { decodeKeyValue, encodeSlice, type KeyValue } from "./key-value-codec.js";

export type KeyValueLimits = {
  readonly maxKeyBytes: number;
  readonly maxRequestBytes: number;
  /** For calls without a deadline of their own. Milliseconds. */
  readonly requestTimeoutMs: number;
};

/** What the handlers need of a server. */
export type KeyValueBackend = Pick<Server, "put" | "delete" | "read" | "store" | "nowMicros">;

/** What a client reads as an absent key; clients built elsewhere compare the text. */
export const KEY_NOT_FOUND = "Key not found.";

/** Before a client's own deadline we answer why, this share of it ahead but no more than that. */
const ANSWER_AHEAD_SHARE = 0.1;
const ANSWER_AHEAD_MS_MAX = 100;
/** Nobody keeps a place in our queues for longer, whatever deadline a client sets: as long as the longest that an operator may set. */
export const REQUEST_MS_MAX = LIMITS.requestTimeoutMs.max;
const MICROS_A_MILLI = 1000;

/** The handlers of GetValue, PutPair and DeletePair; the same for clients and for other servers. */
export function keyValueHandlers(
  server: KeyValueBackend,
  limits: KeyValueLimits,
): { get: UnaryHandler; put: UnaryHandler; del: UnaryHandler } {
  const deadlineOf = (responder: Responder, stream: number): number => {
    const given = responder.deadlineMs(stream);
    const asked = given === undefined ? limits.requestTimeoutMs : given - Math.min(ANSWER_AHEAD_MS_MAX, given * ANSWER_AHEAD_SHARE);
    const millis = Math.min(asked, REQUEST_MS_MAX);
    return server.nowMicros() + Math.floor(millis * MICROS_A_MILLI);
  };
  return {
    get: (message, responder, stream) => {
      const request = parse(message, { limits, hasValue: false });
      if ("status" in request) {
        responder.fail(stream, request.status, request.text);
        return;
      }
      server.read(new GetCall(server, request.key.slice(), { responder, stream, deadline: deadlineOf(responder, stream) }));
    },
    put: (message, responder, stream) => {
      const request = parse(message, { limits, hasValue: true });
      if ("status" in request) {
        responder.fail(stream, request.status, request.text);
        return;
      }
      server.put(request.key, request.value, new WriteCall({ responder, stream, deadline: deadlineOf(responder, stream) }));
    },
    del: (message, responder, stream) => {
      const request = parse(message, { limits, hasValue: false });
      if ("status" in request) {
        responder.fail(stream, request.status, request.text);
        return;
      }
      server.delete(request.key, new WriteCall({ responder, stream, deadline: deadlineOf(responder, stream) }));
    },
  };
}

type CallOf = { readonly responder: Responder; readonly stream: number; readonly deadline: number };

class WriteCall implements WriteWaiter {
  readonly deadline: number;
  private readonly responder: Responder;
  private readonly stream: number;

  constructor({ responder, stream, deadline }: CallOf) {
    this.deadline = deadline;
    this.responder = responder;
    this.stream = stream;
  }

  done(reply: Reply): void {
    if (reply.kind === "error") {
      const { status, text } = ofKvError(reply.error);
      // A reply that was dropped, or a number used before, may stand for a write that took place: those are INTERNAL.
      const outcome = status === GRPC_STATUS.INTERNAL ? "unknown" : "not-applied";
      this.responder.fail(this.stream, status, text, OUTCOME_TRAILERS[outcome]);
    } else {
      this.responder.reply(this.stream, EMPTY_BYTES);
    }
  }

  isGone(): boolean {
    return !this.responder.isOpen(this.stream);
  }

  fail(error: StoreError): void {
    const { status, text } = ofStoreError(error);
    this.responder.fail(this.stream, status, text, OUTCOME_TRAILERS[error.outcome]);
  }
}

/** Filled by each read in turn: reading and answering happen in one go. */
const found = newFound();

class GetCall implements ReadWaiter {
  readonly deadline: number;
  private readonly server: KeyValueBackend;
  private readonly key: Uint8Array;
  private readonly responder: Responder;
  private readonly stream: number;

  constructor(server: KeyValueBackend, key: Uint8Array, { responder, stream, deadline }: CallOf) {
    this.deadline = deadline;
    this.server = server;
    this.key = key;
    this.responder = responder;
    this.stream = stream;
  }

  answer(): void {
    if (this.server.store.find(this.key, found)) {
      this.responder.reply(this.stream, encodeSlice(found.bytes, found.valueFrom, found.valueEnd));
    } else {
      this.responder.fail(this.stream, GRPC_STATUS.NOT_FOUND, KEY_NOT_FOUND);
    }
  }

  isGone(): boolean {
    return !this.responder.isOpen(this.stream);
  }

  fail(error: StoreError): void {
    const { status, text } = ofStoreError(error);
    this.responder.fail(this.stream, status, text);
  }
}

function invalid(text: string): ApiError {
  return { status: GRPC_STATUS.INVALID_ARGUMENT, text };
}

/** The request as views into `message`, or what is wrong with it. */
function parse(message: Uint8Array, { limits, hasValue }: { limits: KeyValueLimits; hasValue: boolean }): KeyValue | ApiError {
  if (message.length > limits.maxRequestBytes) {
    return invalid(`The request has ${message.length} bytes, at most ${limits.maxRequestBytes} are allowed.`);
  }
  const request = decodeKeyValue(message, hasValue);
  if (request === undefined) {
    return invalid("The request is no valid protobuf message of its type.");
  }
  const { key, value } = request;
  if (key.length === 0) {
    return invalid("The key is empty. A key has at least one character.");
  }
  if (key.length > limits.maxKeyBytes) {
    return invalid(`The key has ${key.length} bytes, at most ${limits.maxKeyBytes} are allowed.`);
  }
  if (!isUtf8(key)) {
    return invalid("The key is not valid UTF-8.");
  }
  if (value.length > 0 && !isUtf8(value)) {
    return invalid("The value is not valid UTF-8.");
  }
  return request;
}
