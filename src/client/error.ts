/**
 * What a client is told when a request fails, and above all whether the command may still take effect.
 * It must import nothing: tools load it before they know whether they will dial at all.
 */

/**
 * Why: `connection` no server could be reached, or the connection broke; `unavailable` the server answers but cannot serve now
 * (no coordinator, no quorum, stopping); `timeout` the time given was not enough; `invalid-argument` the request is wrong;
 * `refused` the cluster could not bear it as it is now, and the message says what to do first;
 * `session-expired` the session of this client's writes was lost, and with it the answer of a write that was asked before;
 * `resource-exhausted` a limit or the quota; `cancelled` by the caller; `unimplemented` the server is of another kind; `internal` any other.
 */
export type StoreErrorCode =
  | "connection"
  | "unavailable"
  | "timeout"
  | "invalid-argument"
  | "refused"
  | "session-expired"
  | "resource-exhausted"
  | "cancelled"
  | "unimplemented"
  | "internal";

/** `not-applied`: it had no effect and never will. `unknown`: it may have been applied, or may be yet. */
export type Outcome = "not-applied" | "unknown";

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
