/**
 * Writes the frames of one connection to its output, and owns the encoder of its header blocks, since blocks must leave in the order in
 * which they were encoded. Must never write DATA: that is the sender's, which knows the windows.
 */
import { utf8Encode } from "../base/utf8.js";
import { encodeFrame, FLAG, FRAME, FRAME_HEADER_BYTES, writeFrameHeader, writeU32 } from "./frames.js";
import type { HeaderFields } from "./hpack-decoder.js";
import { HpackEncoder } from "./hpack-encoder.js";
import type { Output } from "./output.js";
import type { Sender } from "./sender.js";

/** The payload that PING carries and its answer repeats. */
export const PING_BYTES = 8;
/** Payloads up to here are written in place. */
const IN_PLACE_BYTES_MAX = 256;

export class FrameWriter {
  readonly encoder = new HpackEncoder();
  private readonly output: Output;
  private readonly sender: Sender;

  /** `sender` knows the largest frame that the peer takes. */
  constructor(output: Output, sender: Sender) {
    this.output = output;
    this.sender = sender;
  }

  /** `stream` 0 is the connection. */
  frame(type: number, flags: number, stream: number, payload: Uint8Array): void {
    if (payload.length > IN_PLACE_BYTES_MAX) {
      this.output.append(encodeFrame(type, flags, stream, payload));
      return;
    }
    const at = this.output.reserve(FRAME_HEADER_BYTES + payload.length);
    writeFrameHeader(this.output.bytes, at, { length: payload.length, type, flags, stream });
    this.output.bytes.set(payload, at + FRAME_HEADER_BYTES);
  }

  /** GOAWAY; the connection goes on until its owner ends it. */
  goaway(code: number, text: string, lastStream: number): void {
    const debug = utf8Encode(text);
    const payload = new Uint8Array(8 + debug.length);
    writeU32(payload, 0, lastStream);
    writeU32(payload, 4, code);
    payload.set(debug, 8);
    this.frame(FRAME.GOAWAY, 0, 0, payload);
  }

  ping(): void {
    this.frame(FRAME.PING, 0, 0, new Uint8Array(PING_BYTES));
  }

  /** Ends one stream with an error code. */
  reset(stream: number, code: number): void {
    this.frame(FRAME.RST_STREAM, 0, stream, u32Payload(code));
  }

  /** Grants the peer `increment` bytes more on a stream, or on the connection. */
  grant(stream: number, increment: number): void {
    this.frame(FRAME.WINDOW_UPDATE, 0, stream, u32Payload(increment));
  }

  /** Encodes and writes a header block, in as many frames as the peer's frame size asks for. */
  headers(stream: number, fields: HeaderFields, endStream: boolean): void {
    const block = this.encoder.encode(fields);
    const limit = this.sender.frameBytesMax;
    let from = 0;
    let type: number = FRAME.HEADERS;
    let flags: number = endStream ? FLAG.END_STREAM : 0;
    do {
      const end = Math.min(block.length, from + limit);
      this.frame(type, end === block.length ? flags | FLAG.END_HEADERS : flags, stream, block.subarray(from, end));
      from = end;
      type = FRAME.CONTINUATION;
      flags = 0;
    } while (from < block.length);
  }
}

function u32Payload(value: number): Uint8Array {
  const payload = new Uint8Array(4);
  writeU32(payload, 0, value);
  return payload;
}
