/**
 * Bytes sent to a port by hand, and what comes back put into words: HTTP/2 frames by name with the code and text of GOAWAY, or the
 * first line of text. For peers that break the rules; it knows just enough HTTP/2 to read the answers.
 */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { within } from "./wait.js";

export const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");
const FRAMES = ["DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS", "PUSH_PROMISE", "PING", "GOAWAY", "WINDOW_UPDATE", "CONTINUATION"];
const ERRORS = [
  "NO_ERROR",
  "PROTOCOL_ERROR",
  "INTERNAL_ERROR",
  "FLOW_CONTROL_ERROR",
  "SETTINGS_TIMEOUT",
  "STREAM_CLOSED",
  "FRAME_SIZE_ERROR",
  "REFUSED_STREAM",
  "CANCEL",
  "COMPRESSION_ERROR",
  "CONNECT_ERROR",
  "ENHANCE_YOUR_CALM",
  "INADEQUATE_SECURITY",
  "HTTP_1_1_REQUIRED",
];
const HEADER_BYTES = 9;

/** An HTTP/2 frame; `length` overrides what its header says. */
export function frame(type: string, options: { flags?: number; stream?: number; payload?: Uint8Array; length?: number } = {}): Buffer {
  const payload = options.payload ?? new Uint8Array();
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUIntBE(options.length ?? payload.length, 0, 3);
  header.writeUInt8(FRAMES.includes(type) ? FRAMES.indexOf(type) : Number(type), 3);
  header.writeUInt8(options.flags ?? 0, 4);
  header.writeUInt32BE(options.stream ?? 0, 5);
  return Buffer.concat([header, payload]);
}

/** The preface and an empty SETTINGS, and then `frames`. */
export function opening(...frames: readonly Buffer[]): Buffer {
  return Buffer.concat([PREFACE, frame("SETTINGS"), ...frames]);
}

/** A field of a header block, literal and without index (RFC 7541 §6.2.2); names and values below 127 bytes. */
export function field(name: string, value: string): Buffer {
  return Buffer.concat([Buffer.from([0, name.length]), Buffer.from(name), Buffer.from([value.length]), Buffer.from(value)]);
}

/** A whole header block of a gRPC request for `path`. */
export function grpcHeaders(path: string): Buffer {
  const fields = [
    ":method",
    "POST",
    ":scheme",
    "http",
    ":path",
    path,
    ":authority",
    "test",
    "content-type",
    "application/grpc",
    "te",
    "trailers",
  ];
  return Buffer.concat(fields.flatMap((name, i) => (i % 2 === 0 ? [field(name, fields[i + 1] ?? "")] : [])));
}

/** A gRPC message with its five bytes of prefix. */
export function grpcMessage(message: Uint8Array): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** Opens a connection to `host:port`. */
export async function dial(address: string): Promise<Socket> {
  const colon = address.lastIndexOf(":");
  const socket = connect({ host: address.slice(0, colon), port: Number(address.slice(colon + 1)) });
  socket.on("error", () => undefined); // a reset is one way to end; `close` follows
  await within(`a connection to ${address}`, once(socket, "connect"));
  return socket;
}

/** Sends `bytes`, ends our side, and returns what came back until the server closed, in words. */
export async function converse(address: string, bytes: Uint8Array): Promise<string> {
  const socket = await dial(address);
  const chunks: Buffer[] = [];
  socket.on("data", (chunk) => chunks.push(chunk));
  const closed = once(socket, "close");
  socket.end(bytes);
  await within(`${address} to close the connection`, closed);
  return inWords(Buffer.concat(chunks));
}

/** `SETTINGS, GOAWAY PROTOCOL_ERROR "text"`. */
function inWords(bytes: Buffer): string {
  if (bytes.subarray(0, 5).toString("latin1") === "HTTP/") {
    return bytes.toString("latin1").split("\r\n")[0] ?? "";
  }
  const words: string[] = [];
  for (let at = 0; at + HEADER_BYTES <= bytes.length; ) {
    const length = bytes.readUIntBE(at, 3);
    const name = FRAMES[bytes.readUInt8(at + 3)] ?? "UNKNOWN";
    const payload = bytes.subarray(at + HEADER_BYTES, at + HEADER_BYTES + length);
    const code = name === "GOAWAY" && payload.length >= 8 ? payload.readUInt32BE(4) : name === "RST_STREAM" ? payload.readUInt32BE(0) : -1;
    const text = name === "GOAWAY" ? ` "${payload.subarray(8).toString("utf8")}"` : "";
    words.push(code < 0 ? name : `${name} ${ERRORS[code] ?? code}${text}`);
    at += HEADER_BYTES + length;
  }
  return words.join(", ");
}
