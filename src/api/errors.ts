/** Expected errors as gRPC statuses. Each text says what is wrong, what is allowed, and whether a write may have happened. */
import type { Metadata } from "../grpc/metadata.js";
import { GRPC_STATUS, type GrpcStatus } from "../grpc/status.js";
import { errorText, type KvError } from "../kv/error.js";
import type { StoreError } from "../server/store-error.js";

export type ApiError = { readonly status: GrpcStatus; readonly text: string };

const STATUS_OF: Readonly<Record<StoreError["code"], GrpcStatus>> = {
  unavailable: GRPC_STATUS.UNAVAILABLE,
  overloaded: GRPC_STATUS.RESOURCE_EXHAUSTED,
  "too-large": GRPC_STATUS.INVALID_ARGUMENT,
};

/** Says to programs what the text says to people: whether a write that failed may still take effect. Clients rely on the name. */
export const OUTCOME_TRAILERS: Readonly<Record<StoreError["outcome"], Metadata>> = {
  "not-applied": [["synod-outcome", "not-applied"]],
  unknown: [["synod-outcome", "unknown"]],
};

export function ofStoreError(error: StoreError): ApiError {
  return { status: STATUS_OF[error.code], text: error.message };
}

/** A request above `max_request_bytes`. */
export function tooLargeRequest(bytes: number, bytesMax: number): ApiError {
  return {
    status: GRPC_STATUS.INVALID_ARGUMENT,
    text: `The request has ${bytes} bytes, at most ${bytesMax} are allowed (max_request_bytes). Nothing was written.`,
  };
}

/** How the texts begin that speak of sessions; clients rely on the two words. */
export const SESSION_EXPIRED = "SESSION_EXPIRED";
export const STALE_SEQ = "STALE_SEQ";

type Refused = ApiError & { readonly outcome: StoreError["outcome"] };

/** A refusal of the state machine, and what it says of the write. `isDoubtful`: see `WriteWaiter.done`. */
export function ofKvError(error: KvError, isDoubtful: boolean): Refused {
  switch (error.kind) {
    case "quota-exceeded":
      return {
        status: GRPC_STATUS.RESOURCE_EXHAUSTED,
        text: `The store is full: keys, values and history may take ${error.limit} bytes, and this write needs ${error.size}. Nothing was written. Delete keys, or raise quota_bytes on every server.`,
        outcome: "not-applied",
      };
    case "key-too-large":
    case "value-too-large":
      return {
        status: GRPC_STATUS.INVALID_ARGUMENT,
        text: `${error.size} bytes are too many, at most ${error.limit} are allowed. Nothing was written.`,
        outcome: "not-applied",
      };
    case "too-many-outstanding":
      return {
        status: GRPC_STATUS.RESOURCE_EXHAUSTED,
        text: "Too many writes are under way. Nothing was written.",
        outcome: "not-applied",
      };
    case "session-expired":
      return sessionExpired(isDoubtful);
    case "stale-sequence":
      return {
        status: GRPC_STATUS.ABORTED,
        text: `${STALE_SEQ}: seq is below a first_unacked that was sent before, by which its client gave it up. It is not applied any more; it may have been applied before. Read, and use a higher seq.`,
        outcome: "unknown",
      };
    default:
      // A reply that was dropped stands for a write that took place.
      return { status: GRPC_STATUS.INTERNAL, text: errorText(error.kind), outcome: "unknown" };
  }
}

function sessionExpired(isDoubtful: boolean): Refused {
  const what = `${SESSION_EXPIRED}: The session is unknown, was closed or has expired.`;
  const status = GRPC_STATUS.FAILED_PRECONDITION;
  return isDoubtful
    ? { status, text: `${what} Read, and register a new one. The write may have been applied.`, outcome: "unknown" }
    : {
        status,
        text: `${what} Register a new one; read first if an earlier call with this seq had no answer. Nothing was written.`,
        outcome: "not-applied",
      };
}
