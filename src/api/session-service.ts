/**
 * Sessions of clients: RegisterSession, CloseSession, and the number that a write carries. What is wrong with a number is said before
 * anything is written, so that such an answer always means that this call did nothing.
 */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { EMPTY_BYTES } from "../base/bytes.js";
import { CloseSessionRequestSchema, RegisterSessionResponseSchema } from "../gen/keyvaluestore_pb.js";
import type { Responder, UnaryHandler } from "../grpc/service.js";
import { GRPC_STATUS } from "../grpc/status.js";
import { SESSION_OUTSTANDING_MAX } from "../kv/limits.js";
import type { Reply } from "../kv/reply.js";
import type { WriteNumber } from "../server/client-writes.js";
import type { Server } from "../server/server.js";
import { deadlines, WriteCall } from "./calls.js";
import { type ApiError, OUTCOME_TRAILERS, SESSION_EXPIRED } from "./errors.js";
import { SESSION_TOKEN_BYTES, SessionTokens, type TokenProblem } from "./session-token.js";

/** What the handlers need of a server. */
export type SessionBackend = Pick<Server, "registerSession" | "closeSession" | "nowMicros" | "identity">;

/** What a request says of the write it asks for. */
export type NumberFields = { readonly session: Uint8Array; readonly seq: number; readonly firstUnacked: number };

export function sessionHandlers(
  server: SessionBackend,
  limits: { readonly requestTimeoutMs: number },
): { readonly register: UnaryHandler; readonly close: UnaryHandler } {
  const deadlineOf = deadlines(server, limits.requestTimeoutMs);
  const tokens = new SessionTokens(server);
  const encodeRegistered = (reply: Reply): Uint8Array => {
    const session = reply.kind === "registered" ? tokens.encode(reply.session) : EMPTY_BYTES;
    const response = create(RegisterSessionResponseSchema, { session, outstandingMax: SESSION_OUTSTANDING_MAX });
    return toBinary(RegisterSessionResponseSchema, response);
  };
  return {
    register: (_message, responder, stream) =>
      server.registerSession(new WriteCall({ responder, stream, deadline: deadlineOf(responder, stream) }, encodeRegistered)),
    close: (message, responder, stream) => {
      const session = tokens.decode(readToken(message));
      if (session === "foreign") {
        responder.reply(stream, EMPTY_BYTES); // it is gone, as was asked
      } else if (typeof session === "string") {
        failProblem(session, responder, stream);
      } else {
        server.closeSession(session, new WriteCall({ responder, stream, deadline: deadlineOf(responder, stream) }, () => EMPTY_BYTES));
      }
    },
  };
}

/** The session in a CloseSessionRequest; empty where it is no such message, which no session is. */
function readToken(message: Uint8Array): Uint8Array {
  try {
    return fromBinary(CloseSessionRequestSchema, message).session;
  } catch {
    return EMPTY_BYTES;
  }
}

function failProblem(problem: TokenProblem, responder: Responder, stream: number): void {
  const { status, text } = problemOf(problem);
  responder.fail(stream, status, text, OUTCOME_TRAILERS["not-applied"]);
}

function problemOf(problem: TokenProblem): ApiError {
  switch (problem) {
    case "malformed":
      return invalid(`session is not one of ${SESSION_TOKEN_BYTES} bytes that RegisterSession gave: give it back as it came.`);
    case "foreign":
      return { status: GRPC_STATUS.FAILED_PRECONDITION, text: `${SESSION_EXPIRED}: The session is of another store. ${REGISTER_ANEW}` };
    case "homeless":
      return { status: GRPC_STATUS.UNAVAILABLE, text: "This server belongs to no cluster yet. Nothing was written." };
  }
}

const REGISTER_ANEW = "Register a new one; read first if an earlier call with this seq had no answer. Nothing was written.";

/** The number of a write that names a session, or what is wrong with it. */
export function readWriteNumber({ session, seq, firstUnacked }: NumberFields, tokens: SessionTokens): WriteNumber | ApiError {
  if (session.length === 0) {
    return invalid("seq is given without a session: get one by RegisterSession, or leave seq out.");
  }
  if (seq < 1 || !Number.isSafeInteger(seq)) {
    return invalid("seq is not a number from 1 to 2^53 - 1: each write of a session has one of its own.");
  }
  if (firstUnacked > seq) {
    return invalid("first_unacked is above seq: it is the lowest number that may still be asked for, this one included.");
  }
  if (seq - firstUnacked >= SESSION_OUTSTANDING_MAX) {
    const text = `seq is ${seq - firstUnacked} above first_unacked, and less than ${SESSION_OUTSTANDING_MAX} is allowed: wait for answers first. Nothing was written.`;
    return { status: GRPC_STATUS.RESOURCE_EXHAUSTED, text };
  }
  const id = tokens.decode(session);
  return typeof id === "string" ? problemOf(id) : { session: id, seq, firstUnacked };
}

function invalid(text: string): ApiError {
  return { status: GRPC_STATUS.INVALID_ARGUMENT, text: `${text} Nothing was written.` };
}
