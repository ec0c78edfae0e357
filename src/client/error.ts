/**
 * What a client is told when a request fails, and above all whether the command may still take effect. Turns gRPC statuses into
 * that; it must never call an outcome "not-applied" without proof.
 */
import { type ServiceError, status } from "@grpc/grpc-js";

/**
 * Why: `connection` no server could be reached, or the connection broke; `unavailable` the server answers but cannot serve now
 * (no coordinator, no quorum, stopping); `timeout` the time given was not enough; `invalid-argument` the request is wrong;
 * `resource-exhausted` a limit or the quota; `cancelled` by the caller; `unimplemented` the server is of another kind; `internal` any other.
 */
export type StoreErrorCode =
  | "connection"
  | "unavailable"
  | "timeout"
  | "invalid-argument"
  | "resource-exhausted"
  | "cancelled"
  | "unimplemented"
  | "internal";

/** `not-applied`: it had no effect and never will. `unknown`: it may have been applied, or may be yet. */
export type Outcome = "not-applied" | "unknown";

/** The trailer in which a server says the outcome of a failed write; see `Outcome`. */
export const OUTCOME_TRAILER = "synod-outcome";

/** A request that failed. The message names the endpoint and is fit for a person. */
export class StoreError extends Error {
  override readonly name = "StoreError";
  readonly code: StoreErrorCode;
  readonly outcome: Outcome;
  /** `host:port` of the server that was asked last. */
  readonly endpoint: string;

  constructor(
    message: string,
    facts: { readonly code: StoreErrorCode; readonly outcome: Outcome; readonly endpoint: string },
    cause?: unknown,
  ) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = facts.code;
    this.outcome = facts.outcome;
    this.endpoint = facts.endpoint;
  }
}

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
    case status.INVALID_ARGUMENT:
    case status.FAILED_PRECONDITION:
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
  if (REFUSALS.has(failure.code) || (failure.code === status.UNAVAILABLE && UNSENT.test(failure.details))) {
    return "not-applied";
  }
  // The store's errors end with their code and outcome in brackets; a proxy that drops trailers leaves the text.
  return /, not-applied\]$/.test(failure.details) ? "not-applied" : "unknown";
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
      return `${endpoint}: ${failure.details.replace(/ \[[a-z-]+, (not-applied|unknown)\]$/, "")}`;
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
