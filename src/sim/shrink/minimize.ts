/**
 * The smallest part of a list that still does what the whole does, by leaving out ever smaller pieces (Zeller and Hildebrandt,
 * Simplifying and Isolating Failure-Inducing Input, 2002). Knows nothing of what the items are.
 */

/**
 * A sublist of `items`, in order, for which `holds` holds, and which loses it with any single item (unless `holds` began to answer false
 * because a budget ran out). `holds` is true of `items` itself and is not asked.
 */
export async function minimize<T>(items: readonly T[], holds: (part: readonly T[]) => Promise<boolean>): Promise<readonly T[]> {
  if (items.length === 0 || (await holds([]))) {
    return [];
  }
  let best = items;
  let pieces = 2;
  while (best.length > 1) {
    const smaller = await withoutOnePiece(best, pieces, holds);
    if (smaller !== null) {
      best = smaller;
      pieces = Math.max(2, pieces - 1);
    } else if (pieces >= best.length) {
      break;
    } else {
      pieces = Math.min(best.length, 2 * pieces);
    }
  }
  return best;
}

async function withoutOnePiece<T>(
  items: readonly T[],
  pieces: number,
  holds: (part: readonly T[]) => Promise<boolean>,
): Promise<readonly T[] | null> {
  const count = Math.min(pieces, items.length);
  // From the end: what comes after the failure's causes goes first, and cheaply.
  for (let piece = count - 1; piece >= 0; piece--) {
    const from = Math.floor((piece * items.length) / count);
    const end = Math.floor(((piece + 1) * items.length) / count);
    const part = [...items.slice(0, from), ...items.slice(end)];
    if (part.length > 0 && (await holds(part))) {
      return part;
    }
  }
  return null;
}
