/**
 * CRC-32C (Castagnoli, reflected polynomial 0x82F63B78), slicing by eight. Detects damage on disk and wire; it is no
 * identity: use hash64 where equality must mean sameness.
 */
const POLYNOMIAL = 0x82f63b78;
const SLICES = 8;

const tables: readonly Int32Array[] = (() => {
  const made = Array.from({ length: SLICES }, () => new Int32Array(256));
  const first = made[0] as Int32Array;
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) {
      crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
    }
    first[byte] = crc;
  }
  for (let slice = 1; slice < SLICES; slice++) {
    const previous = made[slice - 1] as Int32Array;
    const table = made[slice] as Int32Array;
    for (let byte = 0; byte < 256; byte++) {
      const crc = previous[byte] as number;
      table[byte] = (crc >>> 8) ^ (first[crc & 0xff] as number);
    }
  }
  return made;
})();
const [t0, t1, t2, t3, t4, t5, t6, t7] = tables as [
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
];

/** The checksum of `bytes[from, end)` as an unsigned 32-bit number; `previous` continues a checksum of what went before. */
export function crc32c(bytes: Uint8Array, from = 0, end: number = bytes.length, previous = 0): number {
  let crc = ~previous;
  let at = from;
  for (const stop = end - 7; at < stop; at += 8) {
    const a =
      crc ^
      ((bytes[at] as number) | ((bytes[at + 1] as number) << 8) | ((bytes[at + 2] as number) << 16) | ((bytes[at + 3] as number) << 24));
    crc =
      (t7[a & 0xff] as number) ^
      (t6[(a >>> 8) & 0xff] as number) ^
      (t5[(a >>> 16) & 0xff] as number) ^
      (t4[a >>> 24] as number) ^
      (t3[bytes[at + 4] as number] as number) ^
      (t2[bytes[at + 5] as number] as number) ^
      (t1[bytes[at + 6] as number] as number) ^
      (t0[bytes[at + 7] as number] as number);
  }
  for (; at < end; at++) {
    crc = (crc >>> 8) ^ (t0[(crc ^ (bytes[at] as number)) & 0xff] as number);
  }
  return ~crc >>> 0;
}
