/** Calls on their way through the server: until when they wait, and how a write answers its call, exactly once. */
import type { Responder } from "../grpc/service.js";
import type { Reply } from "../kv/reply.js";
import { LIMITS } from "../server/config.js";
import type { Server } from "../server/server.js";
import type { StoreError } from "../server/store-error.js";
import type { WriteWaiter } from "../server/writes.js";
import { OUTCOME_TRAILERS, ofKvError, ofStoreError } from "./errors.js";

/** Before a client's own deadline we answer why, this share of it ahead but no more than that. */
const ANSWER_AHEAD_SHARE = 0.1;
const ANSWER_AHEAD_MS_MAX = 100;
/** Nobody keeps a place in our queues for longer, whatever deadline a client sets: as long as the longest that an operator may set. */
export const REQUEST_MS_MAX = LIMITS.requestTimeoutMs.max;
const MICROS_A_MILLI = 1000;

/** When a request must be answered, on the server's clock. */
export function deadlines(server: Pick<Server, "nowMicros">, requestTimeoutMs: number): (call: Responder, stream: number) => number {
  return (responder, stream) => {
    const given = responder.deadlineMs(stream);
    const asked = given === undefined ? requestTimeoutMs : given - Math.min(ANSWER_AHEAD_MS_MAX, given * ANSWER_AHEAD_SHARE);
    const millis = Math.min(asked, REQUEST_MS_MAX);
    return server.nowMicros() + Math.floor(millis * MICROS_A_MILLI);
  };
}

export type CallOf = { readonly responder: Responder; readonly stream: number; readonly deadline: number };

/** A write that waits for its answer; `encode` makes the response of a reply that is no refusal. */
export class WriteCall implements WriteWaiter {
  readonly deadline: number;
  private readonly responder: Responder;
  private readonly stream: number;
  private readonly encode: (reply: Reply) => Uint8Array;

  constructor({ responder, stream, deadline }: CallOf, encode: (reply: Reply) => Uint8Array) {
    this.deadline = deadline;
    this.responder = responder;
    this.stream = stream;
    this.encode = encode;
  }

  done(reply: Reply, isDoubtful = false): void {
    if (reply.kind === "error") {
      const { status, text, outcome } = ofKvError(reply.error, isDoubtful);
      this.responder.fail(this.stream, status, text, OUTCOME_TRAILERS[outcome]);
    } else {
      this.responder.reply(this.stream, this.encode(reply));
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
