/**
 * A client's side of the wire by hand, for tests of the server's state without a socket: frames in, frames out, a clock that only the test moves.
 */
import { assert } from "../../base/assert.js";
import { concatBytes } from "../../base/bytes.js";
import { encodeFrame, encodeSettings, FLAG, FRAME, FRAME_HEADER_BYTES, readU24, readU31, readU32, writeU32 } from "../frames.js";
import { HpackDecoder } from "../hpack-decoder.js";
import { HpackEncoder } from "../hpack-encoder.js";
import { DEFAULT_LIMITS, type GrpcLimits } from "../limits.js";
import { messagePrefix } from "../sender.js";
import { ServerConnection } from "../server-connection.js";
import type { GrpcServices } from "../service.js";
import type { SessionPort } from "../session.js";

/** A frame that came out, header blocks decoded. */
export interface SeenFrame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
  readonly fields?: Readonly<Record<string, string>>;
}

/** A port whose time stands still and that remembers what was asked of it. */
export class TestPort implements SessionPort {
  time = 1000;
  flushesWanted = 0;
  finished = false;
  wake = Number.POSITIVE_INFINITY;
  deferred: Array<() => void> = [];

  now(): number {
    return this.time;
  }

  wantFlush(): void {
    this.flushesWanted++;
  }

  finish(): void {
    this.finished = true;
  }

  defer(callback: () => void): void {
    this.deferred.push(callback);
  }

  wakeAt(at: number): void {
    this.wake = Math.min(this.wake, at);
  }

  /** Runs what was deferred, also what that defers. */
  runDeferred(): void {
    for (let rounds = 0; this.deferred.length > 0; rounds++) {
      assert(rounds < 10_000, "deferred work comes to an end");
      const now = this.deferred;
      this.deferred = [];
      for (const callback of now) {
        callback();
      }
    }
  }
}

export const REQUEST_FIELDS: readonly string[] = [
  ":method",
  "POST",
  ":scheme",
  "http",
  ":path",
  "/test.Service/Echo",
  ":authority",
  "localhost",
  "content-type",
  "application/grpc",
  "te",
  "trailers",
];

/** `REQUEST_FIELDS` with another path and more fields. */
export function requestFields(path: string, more: readonly string[] = []): string[] {
  return [...REQUEST_FIELDS.map((text, i) => (REQUEST_FIELDS[i - 1] === ":path" ? path : text)), ...more];
}

/** The bytes of one gRPC message. */
export function grpcMessage(message: Uint8Array): Uint8Array {
  return concatBytes([messagePrefix(message.length), message]);
}

export function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  writeU32(bytes, 0, value);
  return bytes;
}

export function dataFrame(stream: number, data: Uint8Array, endStream: boolean): Uint8Array {
  return encodeFrame(FRAME.DATA, endStream ? FLAG.END_STREAM : 0, stream, data);
}

/** Cuts output into frames; `decoder` keeps its state between calls. Header blocks must lie in one frame. */
export function parseFrames(bytes: Buffer, decoder: HpackDecoder): SeenFrame[] {
  const frames: SeenFrame[] = [];
  let at = 0;
  while (at < bytes.length) {
    const length = readU24(bytes, at);
    const payload = bytes.subarray(at + FRAME_HEADER_BYTES, at + FRAME_HEADER_BYTES + length);
    assert(payload.length === length, "the output ends with a whole frame");
    const frame = { type: bytes[at + 3] as number, flags: bytes[at + 4] as number, stream: readU31(bytes, at + 5), payload };
    if (frame.type === FRAME.HEADERS) {
      assert((frame.flags & FLAG.END_HEADERS) !== 0, "the block lies in one frame");
      frames.push({ ...frame, fields: toRecord(decoder.decode(payload) ?? []) });
    } else {
      frames.push(frame);
    }
    at += FRAME_HEADER_BYTES + length;
  }
  return frames;
}

function toRecord(fields: readonly string[]): Record<string, string> {
  const record: Record<string, string> = {};
  for (let i = 0; i < fields.length; i += 2) {
    record[fields[i] as string] = fields[i + 1] as string;
  }
  return record;
}

/** A server connection with a client by hand. */
export class WireClient {
  readonly port = new TestPort();
  readonly connection: ServerConnection;
  readonly encoder = new HpackEncoder();
  private readonly decoder = new HpackDecoder(1 << 20);
  private pending: SeenFrame[] = [];

  constructor(services: GrpcServices, settings: ReadonlyArray<readonly [number, number]> = []) {
    const limits: GrpcLimits = { ...DEFAULT_LIMITS, ...services.limits };
    this.connection = new ServerConnection(services, limits, this.port, "test:1");
    this.send(encodeFrame(FRAME.SETTINGS, 0, 0, encodeSettings(settings)));
    this.frames();
  }

  /** Delivers all parts as one chunk. */
  send(...parts: readonly Uint8Array[]): void {
    this.connection.session.receive(Buffer.from(concatBytes(parts)));
  }

  headers(stream: number, fields: readonly string[] = REQUEST_FIELDS, flags: number = FLAG.END_HEADERS): Uint8Array {
    return encodeFrame(FRAME.HEADERS, flags, stream, this.encoder.encode(fields));
  }

  /** HEADERS and one DATA with the end: what takes the fast path. */
  unary(stream: number, message: Uint8Array, fields: readonly string[] = REQUEST_FIELDS): void {
    this.send(this.headers(stream, fields), dataFrame(stream, grpcMessage(message), true));
  }

  /** The bytes written since the last call, as a socket would take them: what that makes room for included. */
  takeBytes(): Buffer {
    const parts: Uint8Array[] = [];
    const { output, sender } = this.connection.session;
    while (output.size > 0) {
      for (const part of output.take()) {
        parts.push(new Uint8Array(part));
      }
      output.giveBack();
      sender.flushAll();
    }
    return Buffer.concat(parts);
  }

  /** The frames written since the last call. */
  frames(): SeenFrame[] {
    this.pending = parseFrames(this.takeBytes(), this.decoder);
    return this.pending;
  }

  /** Only what concerns one stream. */
  framesOf(stream: number): SeenFrame[] {
    return this.frames().filter((frame) => frame.stream === stream);
  }

  /** The error code of the GOAWAY among the frames written since the last call, or undefined. */
  goawayCode(): number | undefined {
    const frame = this.frames().find((each) => each.type === FRAME.GOAWAY);
    return frame === undefined ? undefined : readU32(frame.payload, 4);
  }

  /** Moves the clock and fires the timer if it is due. */
  advance(ms: number): void {
    this.port.time += ms;
    if (this.port.time >= this.port.wake) {
      this.port.wake = Number.POSITIVE_INFINITY;
      this.connection.onTimer();
    }
  }
}

/** The messages in the DATA frames of one stream. */
export function messagesOf(frames: readonly SeenFrame[]): Buffer[] {
  const bytes = Buffer.concat(frames.filter((frame) => frame.type === FRAME.DATA).map((frame) => frame.payload));
  const messages: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = readU32(bytes, at + 1);
    messages.push(bytes.subarray(at + 5, at + 5 + length));
    at += 5 + length;
  }
  return messages;
}
