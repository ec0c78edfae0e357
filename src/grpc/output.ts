/**
 * What waits to be written to one connection: small things are copied into one buffer, large ones follow by reference, and all leave in one
 * write. Must never reorder, and must tell its owner exactly once when it stops being empty.
 */

/** From here on bytes are kept by reference instead of copied: about where a copy costs more than one more entry of a gathered write. */
export const REFERENCE_BYTES_MIN = 16 * 1024;
const INITIAL_BYTES = 2048;
/** The buffer is sealed and a new one begun rather than grown beyond. */
const BUFFER_BYTES_MAX = 64 * 1024;

const NONE = Buffer.alloc(0);

/** The output of one connection between two flushes. */
export class Output {
  /** Where `reserve` makes room; valid until the next call of any method. */
  bytes: Buffer = NONE;
  private used = 0;
  private sealedFrom = 0;
  private parts: Uint8Array[] = [];
  private partBytes = 0;
  /** The buffer of the write under way, and one that is free for the next. */
  private inFlight: Buffer | undefined;
  private spare: Buffer | undefined;
  private readonly onDirty: () => void;

  /** `onDirty` is called when the output stops being empty. */
  constructor(onDirty: () => void) {
    this.onDirty = onDirty;
  }

  /** Bytes that wait. */
  get size(): number {
    return this.partBytes + this.used - this.sealedFrom;
  }

  /** Room for `count` bytes in `bytes`, from the index returned; the caller fills all of it. */
  reserve(count: number): number {
    if (this.used + count > this.bytes.length) {
      this.grow(count);
    }
    const at = this.used;
    this.used = at + count;
    // Empty before: nothing sealed and nothing else in the buffer.
    if (at === this.sealedFrom && this.partBytes === 0) {
      this.onDirty();
    }
    return at;
  }

  /** Appends `piece`: a copy of a small one, a large one itself, which must not change any more. */
  append(piece: Uint8Array): void {
    if (piece.length < REFERENCE_BYTES_MIN) {
      if (piece.length > 0) {
        const at = this.reserve(piece.length); // may replace `bytes`, so it comes first
        this.bytes.set(piece, at);
      }
      return;
    }
    const empty = this.size === 0;
    this.seal();
    this.parts.push(piece);
    this.partBytes += piece.length;
    if (empty) {
      this.onDirty();
    }
  }

  /** Everything that waits, in order, for one gathered write; until `giveBack` the arrays must not be written to. */
  take(): readonly Uint8Array[] {
    this.seal();
    const taken = this.parts;
    this.parts = [];
    this.partBytes = 0;
    this.inFlight = this.bytes;
    this.bytes = NONE;
    this.used = 0;
    this.sealedFrom = 0;
    return taken;
  }

  /** The write of what was taken last is done: its buffer can serve again. */
  giveBack(): void {
    this.spare = this.inFlight;
    this.inFlight = undefined;
  }

  private seal(): void {
    if (this.used > this.sealedFrom) {
      const part = this.bytes.subarray(this.sealedFrom, this.used);
      this.parts.push(part);
      this.partBytes += part.length;
      this.sealedFrom = this.used;
    }
  }

  /** A buffer with room for `count` more bytes: a larger one with what was in it, or a fresh one where that is sealed. */
  private grow(count: number): void {
    const previous = this.bytes;
    const from = this.sealedFrom;
    const held = this.used - from;
    if (held + count > BUFFER_BYTES_MAX) {
      this.seal();
      this.startBuffer(Math.max(BUFFER_BYTES_MAX, count));
      return;
    }
    this.startBuffer(Math.max(held + count, INITIAL_BYTES, Math.min(BUFFER_BYTES_MAX, previous.length * 2)));
    previous.copy(this.bytes, 0, from, from + held);
    this.used = held;
  }

  private startBuffer(bytesMin: number): void {
    const spare = this.spare;
    this.spare = undefined;
    this.bytes = spare !== undefined && spare.length >= bytesMin ? spare : Buffer.allocUnsafeSlow(bytesMin);
    this.used = 0;
    this.sealedFrom = 0;
  }
}
