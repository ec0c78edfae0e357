/**
 * gRPC status codes, and the text form of a status message on the wire (percent-encoded UTF-8).
 * Must never throw on what a peer sent: a message that does not decode is shown as it came.
 */
import { utf8Decode, utf8Encode } from "../base/utf8.js";

/** The codes of the gRPC specification by name. */
export const GRPC_STATUS = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const;

/** One of `GRPC_STATUS` where we say it; a peer may send numbers that are not in the list. */
export type GrpcStatus = number;

const PERCENT = 0x25;
const PRINTABLE_FIRST = 0x20;
const PRINTABLE_LAST = 0x7e;

/** The value of `grpc-message` for `text`: printable ASCII stays, everything else and `%` becomes `%XX`. */
export function encodeStatusMessage(text: string): string {
  let encoded = "";
  for (const byte of utf8Encode(text)) {
    const plain = byte >= PRINTABLE_FIRST && byte <= PRINTABLE_LAST && byte !== PERCENT;
    encoded += plain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return encoded;
}

/** The text of a `grpc-message`; where it is not valid percent-encoded UTF-8, the raw value (the specification asks for no error). */
export function decodeStatusMessage(value: string): string {
  if (!value.includes("%")) {
    return value;
  }
  const bytes: number[] = [];
  for (let at = 0; at < value.length; at++) {
    const pair = value.slice(at + 1, at + 3);
    if (value[at] === "%" && /^[0-9a-fA-F]{2}$/.test(pair)) {
      bytes.push(Number.parseInt(pair, 16));
      at += 2;
    } else {
      bytes.push(value.charCodeAt(at) & 0xff);
    }
  }
  return utf8Decode(Uint8Array.from(bytes)) ?? value;
}
