/**
 * Room for commands that live for a few milliseconds: many in one buffer, because an array of its own for each costs more than
 * filling it. A view keeps its whole buffer alive, so what is to stay longer must be copied.
 */

/** Size of one buffer; a piece above a quarter of it gets an array of its own. */
export const ARENA_BYTES = 64 * 1024;

export class Arena {
  private buffer = new Uint8Array(ARENA_BYTES);
  private used = 0;

  /** `length` bytes to be filled by the caller; nobody else gets them. They hold anything. */
  take(length: number): Uint8Array {
    if (length > ARENA_BYTES / 4) {
      return new Uint8Array(length);
    }
    if (this.used + length > ARENA_BYTES) {
      this.buffer = new Uint8Array(ARENA_BYTES);
      this.used = 0;
    }
    const from = this.used;
    this.used += length;
    return this.buffer.subarray(from, this.used);
  }
}
