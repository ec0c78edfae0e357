/** The header fields of responses, as the gRPC specification orders them. No state. */
import { appendMetadata, type Metadata } from "./metadata.js";
import { encodeStatusMessage, GRPC_STATUS, type GrpcStatus } from "./status.js";

/** A status message is cut here: it is for people, and header lists are bounded at the other end. */
export const STATUS_MESSAGE_CHARACTERS_MAX = 2048;

export const OK_HEADERS: readonly string[] = [":status", "200", "content-type", "application/grpc"];
export const OK_TRAILERS: readonly string[] = ["grpc-status", "0"];

/** The end of a call. */
export interface End {
  readonly status: GrpcStatus;
  readonly message: string;
  readonly trailers: Metadata;
}

/** Response headers with metadata. */
export function headerFields(metadata: Metadata): string[] {
  const fields = [...OK_HEADERS];
  appendMetadata(fields, metadata);
  return fields;
}

/** Trailers after headers were sent. */
export function trailerFields(end: End): string[] {
  const fields = ["grpc-status", String(end.status)];
  if (end.message !== "") {
    fields.push("grpc-message", encodeStatusMessage(end.message.slice(0, STATUS_MESSAGE_CHARACTERS_MAX)));
  }
  appendMetadata(fields, end.trailers);
  return fields;
}

/** A whole response without messages (the specification's Trailers-Only). */
export function trailersOnlyFields(end: End, httpStatus = "200"): string[] {
  const contentType = httpStatus === "200" ? ["content-type", "application/grpc"] : [];
  return [":status", httpStatus, ...contentType, ...trailerFields(end), ...acceptedEncoding(end.status)];
}

/** UNIMPLEMENTED may be about compression: saying what we take is right in any case. */
function acceptedEncoding(status: GrpcStatus): readonly string[] {
  return status === GRPC_STATUS.UNIMPLEMENTED ? ["grpc-accept-encoding", "identity"] : [];
}
