/**
 * One HTTP/2 connection, either end: settings, header blocks, windows, PING, GOAWAY and the rules of RFC 9113 that concern the whole
 * connection. Streams are its role's (server or client). Reads bytes and writes bytes; must never touch a socket, a clock or a timer but
 * through its port, and must never throw on what a peer sent: a violation ends the connection with the error code of the RFC.
 */

import { CONTROL_BUDGET, FloodGuard, RESET_BUDGET, SETTINGS_COST } from "./flood-guard.js";
import { FrameReader, type FrameSink, frameFlags, frameStream, frameType } from "./frame-reader.js";
import { FrameWriter, PING_BYTES } from "./frame-writer.js";
import { ERROR, encodeSettings, FLAG, FRAME, FRAME_HEADER_BYTES, readU31, readU32, SETTING, WINDOW_DEFAULT, WINDOW_MAX } from "./frames.js";
import { type HeaderFields, HpackDecoder, HpackError } from "./hpack-decoder.js";
import { Output } from "./output.js";
import { readSettings } from "./peer-settings.js";
import { Sender } from "./sender.js";

/** The largest frame we take: a batch of 1 MiB with its envelope is one frame. */
export const RECEIVE_FRAME_BYTES_MAX = 1024 * 1024 + 64 * 1024;
/** The window of each stream that we receive: several batches. */
export const RECEIVE_STREAM_WINDOW = 4 * 1024 * 1024;
/** The window of the connection that we receive: never the bound in practice; what we hold is bounded by bytes held, not by it. */
export const RECEIVE_CONNECTION_WINDOW = 1024 * 1024 * 1024;
/** A header block on the wire, all CONTINUATION frames included. */
export const HEADER_BLOCK_BYTES_MAX = 64 * 1024;
/** CONTINUATION frames of one block: empty ones would otherwise never reach the bytes' bound. */
export const CONTINUATIONS_MAX = 32;
/** While this much waits to be written we read nothing: answers to control frames are bounded so. Above what the sender fills by itself. */
export const OUTPUT_BYTES_PAUSE = 4 * 1024 * 1024;

const PRIORITY_BYTES = 5;

/** What a session needs of the world. */
export interface SessionPort {
  /** Monotonic milliseconds. */
  now(): number;
  /** The output stopped being empty: it is to be written in this turn of the event loop. */
  wantFlush(): void;
  /** Nothing more will be read: write what waits, then end the connection. */
  finish(): void;
  /** Runs `callback` soon, in a turn of the event loop of its own. */
  defer(callback: () => void): void;
  /** `onTimer` is wanted at `at` (of `now`), if not before. */
  wakeAt(at: number): void;
}

/** The owner of a session's streams. */
export interface SessionRole {
  /** Offered at each HEADERS and DATA frame that lies whole in a chunk; see `FrameSink.takeAhead`. */
  takeAhead(bytes: Buffer, at: number): number;
  /** A decoded header block; undefined fields stand for a list above the limit. */
  onHeaders(stream: number, fields: HeaderFields | undefined, endStream: boolean): void;
  /** `flowBytes` is what counts against the stream's window, padding included. */
  onData(stream: number, data: Buffer, flowBytes: number, endStream: boolean): void;
  onReset(stream: number, code: number): void;
  onStreamCredit(stream: number, increment: number): void;
  /** The peer changed the window of all streams by `difference`. */
  onStreamWindowChange(difference: number): void;
  /** The peer's SETTINGS were applied. */
  onSettings(): void;
  onPingAnswer(): void;
  /** Streams above `lastStream` were not and will not be processed. */
  onGoaway(lastStream: number, code: number, text: string): void;
  /** Whether a stream was never opened: most frames on it are violations. */
  isIdle(stream: number): boolean;
  /** The connection is over, by either side; called once. */
  onOver(reason: string): void;
}

/** A header block whose CONTINUATION frames are under way. */
interface OpenBlock {
  readonly stream: number;
  readonly endStream: boolean;
  readonly parts: Buffer[];
  bytes: number;
}

export class Session implements FrameSink {
  readonly output: Output;
  readonly sender: Sender;
  readonly writer: FrameWriter;
  readonly decoder: HpackDecoder;
  readonly controlGuard: FloodGuard;
  readonly resetGuard: FloodGuard;
  /** What the peer's settings allow us to open at once. */
  peerStreamsMax = Number.POSITIVE_INFINITY;
  /** The highest stream of the peer that we took up; what GOAWAY tells. */
  lastProcessed = 0;
  private readonly role: SessionRole;
  private readonly port: SessionPort;
  private readonly frames: FrameReader;
  private receiveWindow = WINDOW_DEFAULT;
  private block: OpenBlock | undefined;
  private settingsSeen = false;
  private over = false;

  constructor(role: SessionRole, port: SessionPort, headerListBytesMax: number) {
    this.role = role;
    this.port = port;
    this.output = new Output(() => port.wantFlush());
    this.controlGuard = new FloodGuard(CONTROL_BUDGET, () => port.now());
    this.resetGuard = new FloodGuard(RESET_BUDGET, () => port.now());
    this.sender = new Sender(this.output, () => this.controlGuard.earn());
    this.writer = new FrameWriter(this.output, this.sender);
    this.decoder = new HpackDecoder(headerListBytesMax);
    this.frames = new FrameReader(this, RECEIVE_FRAME_BYTES_MAX);
  }

  get reading(): boolean {
    return !this.over;
  }

  /** Whether reading should rest until the output was written. */
  get congested(): boolean {
    return this.output.size >= OUTPUT_BYTES_PAUSE;
  }

  /** Announces our settings (`extra` and the windows above) and grants the connection's window. */
  start(extra: ReadonlyArray<readonly [setting: number, value: number]>): void {
    this.writer.frame(
      FRAME.SETTINGS,
      0,
      0,
      encodeSettings([[SETTING.INITIAL_WINDOW_SIZE, RECEIVE_STREAM_WINDOW], [SETTING.MAX_FRAME_SIZE, RECEIVE_FRAME_BYTES_MAX], ...extra]),
    );
    this.refillWindow();
  }

  /** Reads what the socket brought; any split of the bytes gives the same result. */
  receive(chunk: Buffer): void {
    if (!this.over) {
      this.frames.push(chunk);
    }
  }

  /** The socket is gone. */
  disconnected(reason: string): void {
    this.end(reason);
  }

  /** Says goodbye with `code` and ends the connection: what waits is written, nothing is read any more. */
  close(code: number, text: string): void {
    if (!this.over) {
      this.writer.goaway(code, text, this.lastProcessed);
      this.end(text);
      this.port.finish();
    }
  }

  /** Ends the connection after what waits was written; goodbyes were said. */
  leave(reason: string): void {
    if (!this.over) {
      this.end(reason);
      this.port.finish();
    }
  }

  /** Counts DATA of `flowBytes` against the connection's window; false where the peer had no right to send it. */
  countData(flowBytes: number): boolean {
    if (flowBytes > this.receiveWindow) {
      return false;
    }
    this.receiveWindow -= flowBytes;
    if (this.receiveWindow < RECEIVE_CONNECTION_WINDOW / 2) {
      this.refillWindow();
    }
    return true;
  }

  /** Decodes a block; undefined where the list is too large. On a broken block the connection is over: ask `reading` afterwards. */
  decode(bytes: Buffer, from: number, end: number): HeaderFields | undefined {
    try {
      return this.decoder.decode(bytes, from, end);
    } catch (error) {
      if (!(error instanceof HpackError)) {
        throw error;
      }
      this.close(ERROR.COMPRESSION_ERROR, error.message);
      return undefined;
    }
  }

  takeAhead(bytes: Buffer, at: number): number {
    const type = frameType(bytes, at);
    const usual = (type === FRAME.HEADERS || type === FRAME.DATA) && this.block === undefined && this.settingsSeen;
    return usual ? this.role.takeAhead(bytes, at) : 0;
  }

  onOversizedFrame(length: number): void {
    this.close(ERROR.FRAME_SIZE_ERROR, `frame of ${length} bytes is above ${RECEIVE_FRAME_BYTES_MAX}`);
  }

  onFrame(bytes: Buffer, at: number, length: number): void {
    const type = frameType(bytes, at);
    const flags = frameFlags(bytes, at);
    const stream = frameStream(bytes, at);
    const payload = bytes.subarray(at + FRAME_HEADER_BYTES, at + FRAME_HEADER_BYTES + length);
    if (this.block !== undefined && (type !== FRAME.CONTINUATION || stream !== this.block.stream)) {
      this.close(ERROR.PROTOCOL_ERROR, "a header block was interrupted");
    } else if (!this.settingsSeen && (type !== FRAME.SETTINGS || (flags & FLAG.ACK) !== 0)) {
      this.close(ERROR.PROTOCOL_ERROR, "the first frame must be SETTINGS");
    } else if (stream === 0) {
      this.onConnectionFrame(type, flags, payload);
    } else {
      this.onStreamFrame(type, flags, stream, payload);
    }
  }

  private onConnectionFrame(type: number, flags: number, payload: Buffer): void {
    switch (type) {
      case FRAME.SETTINGS:
        return this.onSettings(flags, payload);
      case FRAME.PING:
        return this.onPing(flags, payload);
      case FRAME.GOAWAY:
        if (payload.length < 8) {
          return this.close(ERROR.FRAME_SIZE_ERROR, "GOAWAY is too short");
        }
        return this.role.onGoaway(readU31(payload, 0), readU32(payload, 4), payload.toString("latin1", 8, 264));
      case FRAME.WINDOW_UPDATE:
        return this.onConnectionCredit(payload);
      case FRAME.DATA:
      case FRAME.HEADERS:
      case FRAME.PRIORITY:
      case FRAME.RST_STREAM:
      case FRAME.PUSH_PROMISE:
      case FRAME.CONTINUATION:
        return this.close(ERROR.PROTOCOL_ERROR, `frame of type ${type} without a stream`);
      default:
        this.spendControl(1);
    }
  }

  private onStreamFrame(type: number, flags: number, stream: number, payload: Buffer): void {
    switch (type) {
      case FRAME.DATA:
        return this.onData(flags, stream, payload);
      case FRAME.HEADERS:
        return this.onHeaders(flags, stream, payload);
      case FRAME.CONTINUATION:
        return this.onContinuation(flags, stream, payload);
      case FRAME.RST_STREAM:
        if (payload.length !== 4 || this.role.isIdle(stream)) {
          const code = payload.length !== 4 ? ERROR.FRAME_SIZE_ERROR : ERROR.PROTOCOL_ERROR;
          return this.close(code, "RST_STREAM of a wrong length or stream");
        }
        return this.role.onReset(stream, readU32(payload, 0));
      case FRAME.WINDOW_UPDATE:
        return this.onStreamCredit(stream, payload);
      case FRAME.PRIORITY:
        if (payload.length !== PRIORITY_BYTES) {
          return this.close(ERROR.FRAME_SIZE_ERROR, "PRIORITY of a wrong length");
        }
        return this.spendControl(1);
      case FRAME.SETTINGS:
      case FRAME.PING:
      case FRAME.GOAWAY:
      case FRAME.PUSH_PROMISE:
        return this.close(ERROR.PROTOCOL_ERROR, `frame of type ${type} on stream ${stream}`);
      default:
        this.spendControl(1);
    }
  }

  private onData(flags: number, stream: number, payload: Buffer): void {
    const data = this.unpad(flags, payload, 0);
    if (data === undefined) {
      return;
    }
    if (this.role.isIdle(stream)) {
      return this.close(ERROR.PROTOCOL_ERROR, `DATA on stream ${stream}, which was never opened`);
    }
    if (!this.countData(payload.length)) {
      return this.close(ERROR.FLOW_CONTROL_ERROR, "DATA beyond the connection's window");
    }
    const endStream = (flags & FLAG.END_STREAM) !== 0;
    if (data.length > 0) {
      this.controlGuard.earn();
    } else if (!endStream) {
      this.spendControl(1);
    }
    this.role.onData(stream, data, payload.length, endStream);
  }

  private onHeaders(flags: number, stream: number, payload: Buffer): void {
    const fragment = this.unpad(flags, payload, (flags & FLAG.PRIORITY) !== 0 ? PRIORITY_BYTES : 0);
    if (fragment === undefined) {
      return;
    }
    const endStream = (flags & FLAG.END_STREAM) !== 0;
    if ((flags & FLAG.END_HEADERS) === 0) {
      // A copy: the chunk may be the socket's, and the block ends in a later one.
      this.block = { stream, endStream, parts: [Buffer.from(fragment)], bytes: fragment.length };
      return this.boundBlock(this.block);
    }
    this.onBlock(stream, fragment, endStream);
  }

  private onContinuation(flags: number, stream: number, payload: Buffer): void {
    const block = this.block;
    if (block === undefined) {
      return this.close(ERROR.PROTOCOL_ERROR, "CONTINUATION without HEADERS");
    }
    block.parts.push(Buffer.from(payload));
    block.bytes += payload.length;
    this.boundBlock(block);
    if (!this.over && (flags & FLAG.END_HEADERS) !== 0) {
      this.block = undefined;
      this.onBlock(stream, Buffer.concat(block.parts), block.endStream);
    }
  }

  private boundBlock(block: OpenBlock): void {
    if (block.bytes > HEADER_BLOCK_BYTES_MAX || block.parts.length > CONTINUATIONS_MAX + 1) {
      this.close(
        ERROR.ENHANCE_YOUR_CALM,
        `header block of over ${HEADER_BLOCK_BYTES_MAX} bytes or ${CONTINUATIONS_MAX} CONTINUATION frames`,
      );
    }
  }

  private onBlock(stream: number, block: Buffer, endStream: boolean): void {
    if (block.length > HEADER_BLOCK_BYTES_MAX) {
      return this.close(ERROR.ENHANCE_YOUR_CALM, `header block of over ${HEADER_BLOCK_BYTES_MAX} bytes`);
    }
    const fields = this.decode(block, 0, block.length);
    if (!this.over) {
      this.role.onHeaders(stream, fields, endStream);
    }
  }

  private onSettings(flags: number, payload: Buffer): void {
    if ((flags & FLAG.ACK) !== 0) {
      if (payload.length > 0) {
        this.close(ERROR.FRAME_SIZE_ERROR, "SETTINGS acknowledgement with a payload");
      } else {
        this.spendControl(1);
      }
      return;
    }
    const fault = readSettings(payload, (setting, value) => this.applySetting(setting, value));
    if (fault !== undefined) {
      return this.close(fault.code, fault.text);
    }
    this.settingsSeen = true;
    this.spendControl(SETTINGS_COST);
    if (!this.over) {
      this.writer.frame(FRAME.SETTINGS, FLAG.ACK, 0, new Uint8Array(0));
      this.role.onSettings();
    }
  }

  private applySetting(setting: number, value: number): void {
    switch (setting) {
      case SETTING.HEADER_TABLE_SIZE:
        return this.writer.encoder.setTableBytesMax(value);
      case SETTING.MAX_CONCURRENT_STREAMS:
        this.peerStreamsMax = value;
        return;
      case SETTING.INITIAL_WINDOW_SIZE: {
        const difference = value - this.sender.streamWindow;
        this.sender.streamWindow = value;
        return this.role.onStreamWindowChange(difference);
      }
      case SETTING.MAX_FRAME_SIZE:
        this.sender.frameBytesMax = value;
        return;
      default:
      // ENABLE_PUSH and MAX_HEADER_LIST_SIZE change nothing that we do; unknown settings are ignored (§6.5.2).
    }
  }

  private onPing(flags: number, payload: Buffer): void {
    if (payload.length !== PING_BYTES) {
      return this.close(ERROR.FRAME_SIZE_ERROR, "PING of a wrong length");
    }
    this.spendControl(1);
    if (this.over) {
      return;
    }
    if ((flags & FLAG.ACK) !== 0) {
      this.role.onPingAnswer();
    } else {
      this.writer.frame(FRAME.PING, FLAG.ACK, 0, payload);
    }
  }

  private onConnectionCredit(payload: Buffer): void {
    if (payload.length !== 4) {
      return this.close(ERROR.FRAME_SIZE_ERROR, "WINDOW_UPDATE of a wrong length");
    }
    const increment = readU31(payload, 0);
    if (increment === 0) {
      return this.close(ERROR.PROTOCOL_ERROR, "WINDOW_UPDATE of zero");
    }
    this.spendControl(1);
    if (!this.over && !this.sender.creditConnection(increment)) {
      this.close(ERROR.FLOW_CONTROL_ERROR, `the connection's window would exceed ${WINDOW_MAX}`);
    }
  }

  private onStreamCredit(stream: number, payload: Buffer): void {
    if (payload.length !== 4) {
      return this.close(ERROR.FRAME_SIZE_ERROR, "WINDOW_UPDATE of a wrong length");
    }
    if (this.role.isIdle(stream)) {
      return this.close(ERROR.PROTOCOL_ERROR, `WINDOW_UPDATE on stream ${stream}, which was never opened`);
    }
    this.spendControl(1);
    if (!this.over) {
      this.role.onStreamCredit(stream, readU31(payload, 0));
    }
  }

  /** The payload without padding and the `skip` bytes before it; undefined, and the connection over, where that is not possible. */
  private unpad(flags: number, payload: Buffer, skip: number): Buffer | undefined {
    const padded = (flags & FLAG.PADDED) !== 0;
    const from = (padded ? 1 : 0) + skip;
    const padding = padded ? (payload[0] ?? 0) : 0;
    if (from + padding > payload.length) {
      // Padding that fills the payload is named by §6.1; a payload too short for its fixed fields by §4.2.
      const tooShort = from > payload.length;
      this.close(tooShort ? ERROR.FRAME_SIZE_ERROR : ERROR.PROTOCOL_ERROR, "padding or priority exceeds the frame");
      return undefined;
    }
    return from === 0 ? payload : payload.subarray(from, payload.length - padding);
  }

  private spendControl(cost: number): void {
    if (!this.controlGuard.spend(cost)) {
      this.close(ERROR.ENHANCE_YOUR_CALM, "too many control frames");
    }
  }

  private refillWindow(): void {
    this.writer.grant(0, RECEIVE_CONNECTION_WINDOW - this.receiveWindow);
    this.receiveWindow = RECEIVE_CONNECTION_WINDOW;
  }

  private end(reason: string): void {
    if (!this.over) {
      this.over = true;
      this.block = undefined;
      this.role.onOver(reason);
    }
  }
}
