/**
 * The requests of KeyValueStore that name a key: text in, text out, over the store of bytes. The hot path: few objects a call, key and
 * value copied once. It must answer every call exactly once, and never hold a view into a request after its handler returned.
 */
import { isUtf8 } from "node:buffer";
import { EMPTY_BYTES } from "../base/bytes.js";
import type { Responder, UnaryHandler } from "../grpc/service.js";
import { GRPC_STATUS } from "../grpc/status.js";
import { newFound } from "../kv/model.js";
import type { WriteNumber } from "../server/client-writes.js";
import type { ReadWaiter } from "../server/reads.js";
import type { Server } from "../server/server.js";
import type { StoreError } from "../server/store-error.js";
import { type CallOf, deadlines, WriteCall } from "./calls.js";
import { compareAndSetTxn, encodeCompareAndSet } from "./compare-and-set.js";
import { type ApiError, OUTCOME_TRAILERS, ofStoreError, tooLargeRequest } from "./errors.js";
import { decodeKeyValue, encodeSlice, type KeyValue } from "./key-value-codec.js";
import { readWriteNumber } from "./session-service.js";
import { SessionTokens } from "./session-token.js";

export type KeyValueLimits = {
  readonly maxKeyBytes: number;
  readonly maxRequestBytes: number;
  /** For calls without a deadline of their own. Milliseconds. */
  readonly requestTimeoutMs: number;
};

/** What the handlers need of a server. */
export type KeyValueBackend = Pick<Server, "put" | "delete" | "txn" | "read" | "store" | "nowMicros" | "identity">;

/** What a client reads as an absent key; clients built elsewhere compare the text. */
export const KEY_NOT_FOUND = "Key not found.";

/** The handlers of the requests that name a key; the same for clients and for other servers. */
export type KeyValueHandlers = {
  readonly get: UnaryHandler;
  readonly put: UnaryHandler;
  readonly del: UnaryHandler;
  readonly compareAndSet: UnaryHandler;
};

export function keyValueHandlers(server: KeyValueBackend, limits: KeyValueLimits): KeyValueHandlers {
  const deadlineOf = deadlines(server, limits.requestTimeoutMs);
  const tokens = new SessionTokens(server);
  /** Calls `run` for a write in good order, and answers any other. */
  const write =
    (hasValue: boolean, run: (request: KeyValue, call: CallOf, number: WriteNumber | undefined) => void): UnaryHandler =>
    (message, responder, stream) => {
      const request = parse(message, { limits, hasValue });
      if ("status" in request) {
        responder.fail(stream, request.status, request.text, OUTCOME_TRAILERS["not-applied"]);
        return;
      }
      const number = request.session.length === 0 && request.seq === 0 ? undefined : readWriteNumber(request, tokens);
      if (number !== undefined && "status" in number) {
        responder.fail(stream, number.status, number.text, OUTCOME_TRAILERS["not-applied"]);
        return;
      }
      run(request, { responder, stream, deadline: deadlineOf(responder, stream) }, number);
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
    put: write(true, ({ key, value }, call, number) => server.put(key, value, new WriteCall(call, encodeNothing), number)),
    del: write(false, ({ key }, call, number) => server.delete(key, new WriteCall(call, encodeNothing), number)),
    compareAndSet: write(true, ({ key, value, expected }, call, number) => {
      if (expected !== undefined && !isUtf8(expected)) {
        const { status, text } = invalid("The expected value is not valid UTF-8.");
        call.responder.fail(call.stream, status, text, OUTCOME_TRAILERS["not-applied"]);
        return;
      }
      server.txn(compareAndSetTxn(key, expected, value), new WriteCall(call, encodeCompareAndSet), number);
    }),
  };
}

function encodeNothing(): Uint8Array {
  return EMPTY_BYTES;
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
    return tooLargeRequest(message.length, limits.maxRequestBytes);
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
    return invalid(`The key has ${key.length} bytes, at most ${limits.maxKeyBytes} are allowed (max_key_bytes).`);
  }
  if (!isUtf8(key)) {
    return invalid("The key is not valid UTF-8.");
  }
  if (value.length > 0 && !isUtf8(value)) {
    return invalid("The value is not valid UTF-8.");
  }
  return request;
}
