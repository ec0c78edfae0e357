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

/** A refusal of the state machine. */
export function ofKvError(error: KvError): ApiError {
  switch (error.kind) {
    case "quota-exceeded":
      return {
        status: GRPC_STATUS.RESOURCE_EXHAUSTED,
        text: `The store is full: keys, values and history may take ${error.limit} bytes, and this write needs ${error.size}. Nothing was written. Delete keys, or raise quota_bytes on every server.`,
      };
    case "key-too-large":
    case "value-too-large":
      return {
        status: GRPC_STATUS.INVALID_ARGUMENT,
        text: `${error.size} bytes are too many, at most ${error.limit} are allowed. Nothing was written.`,
      };
    case "too-many-outstanding":
      return { status: GRPC_STATUS.RESOURCE_EXHAUSTED, text: "Too many writes are under way. Nothing was written." };
    default:
      return { status: GRPC_STATUS.INTERNAL, text: errorText(error.kind) };
  }
}
