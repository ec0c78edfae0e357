/**
 * What a decoded request header block asks for: checked against RFC 9113 §8 and the gRPC specification, and matched with a handler. One such
 * value serves every call with the same block, so it must never hold anything of a single call.
 */
import type { HeaderFields } from "./hpack-decoder.js";
import { EMPTY_METADATA, type Metadata, metadataFromFields } from "./metadata.js";
import type { GrpcServices, StreamHandler, UnaryHandler } from "./service.js";
import { GRPC_STATUS, type GrpcStatus } from "./status.js";
import { parseTimeout } from "./timeout.js";

/** An answer that needs no handler. */
export interface Refusal {
  readonly httpStatus: string;
  readonly status: GrpcStatus;
  readonly message: string;
}

/** A request's header block, understood. Exactly one of `unary`, `streaming`, `refusal`, `malformed` is set. */
export interface RequestHead {
  readonly unary: UnaryHandler | undefined;
  readonly streaming: StreamHandler | undefined;
  readonly refusal: Refusal | undefined;
  /** A violation of HTTP/2 (the stream ends with PROTOCOL_ERROR), for people. */
  readonly malformed: string | undefined;
  /** The deadline in milliseconds from arrival. */
  readonly timeoutMs: number | undefined;
  /** What the sum of the DATA must be. */
  readonly contentLength: number | undefined;
  readonly fields: HeaderFields;
}

/** The request's metadata, made anew for each who asks: most calls never do. */
export function requestMetadata(head: RequestHead): Metadata {
  return head.fields.length === 0 ? EMPTY_METADATA : metadataFromFields(head.fields);
}

const CONNECTION_SPECIFIC: ReadonlySet<string> = new Set(["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"]);
const GRPC_CONTENT_TYPE = /^application\/grpc($|[+;])/i;
const HTTP_OK = "200";

/** The single-valued headers that matter to us. */
interface Seen {
  method?: string;
  scheme?: string;
  path?: string;
  authority?: string;
  contentType?: string;
  timeout?: string;
  contentLength?: string;
  encoding?: string;
}

const SEEN_AS: ReadonlyMap<string, keyof Seen> = new Map<string, keyof Seen>([
  [":method", "method"],
  [":scheme", "scheme"],
  [":path", "path"],
  [":authority", "authority"],
  ["content-type", "contentType"],
  ["grpc-timeout", "timeout"],
  ["content-length", "contentLength"],
  ["grpc-encoding", "encoding"],
]);

/** The head of `fields`; `undefined` fields stand for a list above the limit `listBytesMax`. */
export function readRequest(fields: HeaderFields | undefined, services: GrpcServices, listBytesMax: number): RequestHead {
  if (fields === undefined) {
    const message = `request headers are above the limit of ${listBytesMax} bytes`;
    return refused([], { httpStatus: "431", status: GRPC_STATUS.RESOURCE_EXHAUSTED, message });
  }
  const seen: Seen = {};
  const malformed = scan(fields, seen) ?? missing(seen);
  if (malformed !== undefined) {
    return { ...refused(fields, undefined), malformed };
  }
  const refusal = refusalOf(seen);
  if (refusal !== undefined) {
    return refused(fields, refusal);
  }
  const path = seen.path ?? "";
  const unary = services.unary.get(path);
  const streaming = unary === undefined ? services.streaming.get(path) : undefined;
  if (unary === undefined && streaming === undefined) {
    const message = services.noMethod?.(path) ?? `no method ${path}`;
    return refused(fields, { httpStatus: HTTP_OK, status: GRPC_STATUS.UNIMPLEMENTED, message });
  }
  const timeoutMs = seen.timeout === undefined ? undefined : parseTimeout(seen.timeout);
  const contentLength = seen.contentLength === undefined ? undefined : Number(seen.contentLength);
  return { unary, streaming, refusal: undefined, malformed: undefined, timeoutMs, contentLength, fields };
}

/** Why the trailers of a request are malformed, or undefined. */
export function checkTrailers(fields: HeaderFields): string | undefined {
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    if (name === "" || name.startsWith(":") || CONNECTION_SPECIFIC.has(name)) {
      return "a trailer has a name that is not allowed";
    }
  }
  return undefined;
}

function refused(fields: HeaderFields, refusal: Refusal | undefined): RequestHead {
  return {
    unary: undefined,
    streaming: undefined,
    refusal,
    malformed: undefined,
    timeoutMs: undefined,
    contentLength: undefined,
    fields,
  };
}

/** Fills `seen`; what breaks RFC 9113 §8.2 and §8.3, or undefined. */
function scan(fields: HeaderFields, seen: Seen): string | undefined {
  let pseudoAllowed = true;
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    const value = fields[i + 1] as string;
    const key = SEEN_AS.get(name);
    const pseudo = name.startsWith(":");
    if (name === "") {
      return "a header has an invalid name or value";
    }
    if (pseudo && (!pseudoAllowed || key === undefined)) {
      return `pseudo-header ${name} is unknown or comes after other headers`;
    }
    if (CONNECTION_SPECIFIC.has(name) || (name === "te" && value !== "trailers")) {
      return `header ${name} has no place in HTTP/2`;
    }
    if (key !== undefined) {
      if (seen[key] !== undefined) {
        return `header ${name} occurs twice`;
      }
      seen[key] = value;
    }
    pseudoAllowed = pseudo;
  }
  return undefined;
}

function missing(seen: Seen): string | undefined {
  if (seen.method === undefined || seen.scheme === undefined || seen.path === undefined || seen.path === "") {
    return "one of :method, :scheme and :path is missing";
  }
  const length = seen.contentLength;
  return length !== undefined && !/^[0-9]{1,15}$/.test(length) ? "content-length is not a number" : undefined;
}

function refusalOf(seen: Seen): Refusal | undefined {
  if (seen.method !== "POST") {
    return { httpStatus: "405", status: GRPC_STATUS.INTERNAL, message: "gRPC calls use POST" };
  }
  if (!GRPC_CONTENT_TYPE.test(seen.contentType ?? "")) {
    return { httpStatus: "415", status: GRPC_STATUS.INTERNAL, message: "content-type must be application/grpc" };
  }
  if (seen.encoding !== undefined && seen.encoding !== "identity") {
    return { httpStatus: HTTP_OK, status: GRPC_STATUS.UNIMPLEMENTED, message: `compression ${seen.encoding} is not supported` };
  }
  if (seen.timeout !== undefined && parseTimeout(seen.timeout) === undefined) {
    return { httpStatus: HTTP_OK, status: GRPC_STATUS.INTERNAL, message: "grpc-timeout is malformed" };
  }
  return undefined;
}
