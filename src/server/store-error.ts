/**
 * The expected errors of a request, as values for the edge to translate. Bugs and broken disks are never one of these.
 * Each says whether the command may still take effect: a client may repeat `unknown` only where repeating does no harm.
 */

/**
 * unavailable: no coordinator, no quorum, or stopping; overloaded: a bound of this server is reached;
 * too-large: no batch can hold the command.
 */
export type StoreErrorCode = "unavailable" | "overloaded" | "too-large";

/** `unknown`: the command may have been, or may still be, applied. */
export type Outcome = "not-applied" | "unknown";

export class StoreError extends Error {
  override readonly name = "StoreError";
  readonly code: StoreErrorCode;
  readonly outcome: Outcome;

  constructor(code: StoreErrorCode, outcome: Outcome, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.outcome = outcome;
  }
}
