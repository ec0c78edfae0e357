/**
 * Heads: the four bytes of a key that follow the prefix which a node's keys share, as one number. Most comparisons in the index
 * are comparisons of heads within a cache line or two; only equal heads need the keys themselves.
 */

/** Bytes `from + skip` to `from + skip + 3` of a key that ends at `end`, big end first, zeros past the end. */
export function headOf(bytes: Uint8Array, from: number, end: number): number {
  if (from + 4 <= end) {
    return (
      (((bytes[from] as number) << 24) |
        ((bytes[from + 1] as number) << 16) |
        ((bytes[from + 2] as number) << 8) |
        (bytes[from + 3] as number)) >>>
      0
    );
  }
  let head = 0;
  for (let at = from; at < from + 4; at++) {
    head = (head << 8) | (at < end ? (bytes[at] as number) : 0);
  }
  return head >>> 0;
}

/** The first index in `heads[from, end)` whose head is not below `head`, or `end`. */
export function lowerBound(heads: Uint32Array, from: number, end: number, head: number): number {
  let low = from;
  let high = end;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((heads[middle] as number) < head) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

/** The first index in `heads[from, end)` whose head is above `head`, or `end`. */
export function upperBound(heads: Uint32Array, from: number, end: number, head: number): number {
  let low = from;
  let high = end;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((heads[middle] as number) <= head) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

/** How many bytes two byte strings share from their starts on, at most `max`. */
export function sharedLength(
  a: Uint8Array,
  aFrom: number,
  b: Uint8Array,
  bounds: { readonly bFrom: number; readonly max: number },
): number {
  const { bFrom, max } = bounds;
  let at = 0;
  while (at < max && a[aFrom + at] === b[bFrom + at]) {
    at++;
  }
  return at;
}
