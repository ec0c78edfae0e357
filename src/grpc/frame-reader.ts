/**
 * Cuts a connection's bytes into frames. Frames that lie whole in a chunk are handed out in place; one that spans chunks is gathered once.
 * Must never look at what frames mean, and must never hold a frame larger than we allowed.
 */
import { FRAME_HEADER_BYTES, readU24, readU31 } from "./frames.js";
import { Gather } from "./gather.js";

/** Who gets the frames. All positions are in `bytes`. */
export interface FrameSink {
  /** False once nothing more is to be read. */
  readonly reading: boolean;
  /** Offers a whole frame in place, for a short way; the position after what was taken, or 0 for the long way (`onFrame`). */
  takeAhead(bytes: Buffer, at: number): number;
  onFrame(bytes: Buffer, at: number, length: number): void;
  onOversizedFrame(length: number): void;
}

/** The reader of one connection. */
export class FrameReader {
  private readonly sink: FrameSink;
  private readonly frameBytesMax: number;
  private readonly partial = new Gather();

  /** `frameBytesMax`: the largest payload that our SETTINGS allow. */
  constructor(sink: FrameSink, frameBytesMax: number) {
    this.sink = sink;
    this.frameBytesMax = frameBytesMax;
  }

  /** Reads one chunk of any size. */
  push(chunk: Buffer): void {
    let at = this.partial.length > 0 ? this.completePartial(chunk) : 0;
    const sink = this.sink;
    while (chunk.length - at >= FRAME_HEADER_BYTES && sink.reading) {
      const length = readU24(chunk, at);
      if (length > this.frameBytesMax) {
        sink.onOversizedFrame(length);
        return;
      }
      const next = at + FRAME_HEADER_BYTES + length;
      if (next > chunk.length) {
        break;
      }
      const ahead = sink.takeAhead(chunk, at);
      if (ahead > 0) {
        at = ahead;
      } else {
        sink.onFrame(chunk, at, length);
        at = next;
      }
    }
    if (at < chunk.length && sink.reading) {
      const left = chunk.length - at;
      this.partial.expect(left < FRAME_HEADER_BYTES ? FRAME_HEADER_BYTES : FRAME_HEADER_BYTES + readU24(chunk, at));
      this.partial.append(chunk.subarray(at));
    }
  }

  /** Adds to the frame under way; the position in `chunk` after it, or the chunk's end while it is not complete. */
  private completePartial(chunk: Buffer): number {
    let at = 0;
    if (this.partial.length < FRAME_HEADER_BYTES) {
      at = Math.min(this.partial.missing, chunk.length);
      this.partial.append(chunk.subarray(0, at));
      if (this.partial.missing > 0) {
        return at;
      }
      const length = (this.partial.at(0) << 16) | (this.partial.at(1) << 8) | this.partial.at(2);
      if (length > this.frameBytesMax) {
        this.sink.onOversizedFrame(length);
        return chunk.length;
      }
      this.partial.expect(FRAME_HEADER_BYTES + length);
    }
    const end = Math.min(chunk.length, at + this.partial.missing);
    this.partial.append(chunk.subarray(at, end));
    if (this.partial.missing === 0) {
      const frame = this.partial.take();
      this.sink.onFrame(frame, 0, frame.length - FRAME_HEADER_BYTES);
    }
    return end;
  }
}

/** The type, flags and stream of the frame header at `bytes[at]`. */
export function frameType(bytes: Buffer, at: number): number {
  return bytes[at + 3] as number;
}

export function frameFlags(bytes: Buffer, at: number): number {
  return bytes[at + 4] as number;
}

export function frameStream(bytes: Buffer, at: number): number {
  return readU31(bytes, at + 5);
}
