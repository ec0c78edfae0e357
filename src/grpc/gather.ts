/**
 * Collects a known number of bytes that arrive in pieces, in one growing array. Never quadratic, and never holds much more than what came:
 * a peer that announces a large size and sends little costs little.
 */
import { assert } from "../base/assert.js";

/** The first array is at least this large. */
const BYTES_MIN = 4096;
/** An array is at most this many times what has come, so that one growth step usually suffices for what comes in 64 KiB chunks. */
const GROWTH = 32;

/** Bytes under way; reusable after `take`. */
export class Gather {
  private bytes: Buffer = Buffer.alloc(0);
  private used = 0;
  private total = 0;

  /** Bytes collected so far. */
  get length(): number {
    return this.used;
  }

  /** Bytes still missing. */
  get missing(): number {
    return this.total - this.used;
  }

  /** Memory held, for the owner's account. */
  get capacity(): number {
    return this.bytes.length;
  }

  /** Starts collecting, or corrects the total once it is known. */
  expect(total: number): void {
    assert(total >= this.used, "a total includes what was collected");
    this.total = total;
  }

  /** Copies `piece`, which must not exceed what is missing. */
  append(piece: Uint8Array): void {
    const needed = this.used + piece.length;
    assert(needed <= this.total, "a piece fits into what is missing");
    if (needed > this.bytes.length) {
      const larger = Buffer.allocUnsafeSlow(Math.min(this.total, Math.max(BYTES_MIN, needed * GROWTH)));
      larger.set(this.bytes.subarray(0, this.used));
      this.bytes = larger;
    }
    this.bytes.set(piece, this.used);
    this.used = needed;
  }

  /** A byte that was collected. */
  at(index: number): number {
    assert(index < this.used, "only collected bytes are read");
    return this.bytes[index] as number;
  }

  /** All that was collected, now the caller's; the gather starts anew. */
  take(): Buffer {
    const taken = this.bytes.subarray(0, this.used);
    this.bytes = Buffer.alloc(0);
    this.used = 0;
    this.total = 0;
    return taken;
  }
}
