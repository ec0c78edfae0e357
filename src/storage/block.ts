/** Small helpers of the block formats: alignment, 64-bit fields in place. Must never allocate per call. */
import { BLOCK_BYTES } from "./limits.js";

const TWO_32 = 0x1_0000_0000;

/** `position` rounded up to a block. */
export function alignUp(position: number): number {
  return Math.ceil(position / BLOCK_BYTES) * BLOCK_BYTES;
}

/** A non-negative safe integer in eight little-endian bytes. */
export function setU64(view: DataView, at: number, value: number): void {
  view.setUint32(at, value % TWO_32, true);
  view.setUint32(at + 4, Math.floor(value / TWO_32), true);
}

/** Reads what setU64 wrote; above 2^53 the result is not a safe integer and the caller must refuse it. */
export function getU64(view: DataView, at: number): number {
  const low = view.getUint32(at, true);
  const high = view.getUint32(at + 4, true);
  return high === 0 ? low : high * TWO_32 + low;
}

/** A view of `bytes` as fields. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
