/**
 * Turns what gRPC says of a failed call into a `StoreError`. It must never call an outcome "not-applied" without proof.
 */
import { type ServiceError, status } from "@grpc/grpc-js";
import { type Outcome, StoreError, type StoreErrorCode } from "./error.js";

/** The trailer in which a server says the outcome of a failed write; see `Outcome`. */
export const OUTCOME_TRAILER = "synod-outcome";

/** Statuses that a server gives only to requests it did not execute. */
const REFUSALS: ReadonlySet<status> = new Set([
  status.INVALID_ARGUMENT,
  status.NOT_FOUND,
  status.ALREADY_EXISTS,
  status.PERMISSION_DENIED,
  status.UNAUTHENTICATED,
  status.FAILED_PRECONDITION,
  status.OUT_OF_RANGE,
  status.UNIMPLEMENTED,
]);

/** What grpc-js says of a call that never left: no connection, no address, or a stream the server refused before looking at it. */
const UNSENT = /^(No connection established|Name resolution failed|Stream refused by server|Failed to connect)/;
/** How a server says that a session is gone. */
const SESSION_EXPIRED = /^SESSION_EXPIRED\b/;
/** How our servers' sentences end where nothing was done: the promise in words, or a server that takes no requests yet or any more. */
const NOTHING_DONE = /(Nothing was written|This server is (starting|stopping))\.$/;
const MAYBE_DONE = /may (have been|still be) applied\.$/;
const BROKEN = /^(Connection dropped|read ECONN|write E|socket hang up|The session has been destroyed)/;

/** The error that a caller gets for a gRPC `failure` of a call to `endpoint`. */
export function fromServiceError(failure: ServiceError, endpoint: string): StoreError {
  const code = codeOf(failure);
  return new StoreError(messageOf(failure, code, endpoint), { code, outcome: outcomeOf(failure), endpoint }, failure);
}

function codeOf(failure: ServiceError): StoreErrorCode {
  switch (failure.code) {
    case status.UNAVAILABLE:
      return UNSENT.test(failure.details) || BROKEN.test(failure.details) ? "connection" : "unavailable";
    case status.DEADLINE_EXCEEDED:
      return "timeout";
    case status.FAILED_PRECONDITION:
      return SESSION_EXPIRED.test(failure.details) ? "session-expired" : "refused";
    case status.INVALID_ARGUMENT:
    case status.OUT_OF_RANGE:
      return "invalid-argument";
    case status.RESOURCE_EXHAUSTED:
      return "resource-exhausted";
    case status.CANCELLED:
      return "cancelled";
    case status.UNIMPLEMENTED:
      return "unimplemented";
    default:
      return "internal";
  }
}

function outcomeOf(failure: ServiceError): Outcome {
  const [said] = failure.metadata?.get(OUTCOME_TRAILER) ?? [];
  if (said === "not-applied" || said === "unknown") {
    return said;
  }
  if (MAYBE_DONE.test(failure.details)) {
    return "unknown";
  }
  if (REFUSALS.has(failure.code) || (failure.code === status.UNAVAILABLE && UNSENT.test(failure.details))) {
    return "not-applied";
  }
  // What a server says in words counts too: a proxy may drop trailers and leave the text.
  return NOTHING_DONE.test(failure.details) ? "not-applied" : "unknown";
}

function messageOf(failure: ServiceError, code: StoreErrorCode, endpoint: string): string {
  switch (code) {
    case "connection":
      return UNSENT.test(failure.details)
        ? `no connection to ${endpoint} (${reasonOf(failure.details)})`
        : `the connection to ${endpoint} broke (${failure.details})`;
    case "timeout":
      return `${endpoint} did not answer in time`;
    case "cancelled":
      return `the request to ${endpoint} was cancelled`;
    case "unimplemented":
      return `${endpoint} does not know this call: ${failure.details}`;
    default:
      return `${endpoint}: ${failure.details}`;
  }
}

/** The one word that matters of grpc-js's long sentences about a connection. */
function reasonOf(details: string): string {
  if (/ECONNREFUSED/.test(details)) {
    return "connection refused";
  }
  if (/ENOTFOUND|EAI_AGAIN|Name resolution failed/.test(details)) {
    return "the host name is not known";
  }
  if (/ETIMEDOUT|EHOSTUNREACH|ENETUNREACH/.test(details)) {
    return "not reachable";
  }
  const match = /Last error: (?:Error: )?(.+?)\.? Resolution note/.exec(details);
  return match?.[1] ?? details;
}
