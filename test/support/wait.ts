/** Waiting for what other processes do: by asking again within a bound, never by a guess at how long it takes. */

const ASK_EVERY_MS = 25;
/** Far above what any of it takes on a loaded machine; a test that waits this long has failed. */
export const PATIENCE_MS = 30_000;

/** Thrown by what is asked when waiting on cannot help; `until` passes it on at once. */
export class Hopeless extends Error {
  override readonly name = "Hopeless";
}

/** Asks until the answer is not null and returns it. Throws after `withinMs`, naming `what` was waited for and why the last try failed. */
export async function until<T>(what: string, ask: () => Promise<T | null> | T | null, withinMs: number = PATIENCE_MS): Promise<T> {
  const endsAt = performance.now() + withinMs;
  let last = "";
  for (;;) {
    try {
      const answer = await ask();
      if (answer !== null) {
        return answer;
      }
    } catch (error) {
      if (error instanceof Hopeless) {
        throw error;
      }
      last = `; last: ${error instanceof Error ? error.message : String(error)}`;
    }
    if (performance.now() > endsAt) {
      throw new Error(`waited ${withinMs} ms for ${what}${last}`);
    }
    await pause(ASK_EVERY_MS);
  }
}

/** A pause that is itself the stimulus, such as how long a process stays stopped; not for waiting on an event. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** `promise`, or a rejection that names `what` after `withinMs`. */
export async function within<T>(what: string, promise: Promise<T>, withinMs: number = PATIENCE_MS): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${withinMs} ms for ${what}`)), withinMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Calls `work` for every item, at most `width` at a time; rejects with the first failure. */
export async function eachOf<T>(items: Iterable<T>, width: number, work: (item: T) => Promise<void>): Promise<void> {
  const iterator = items[Symbol.iterator]();
  const lane = async (): Promise<void> => {
    for (let next = iterator.next(); next.done !== true; next = iterator.next()) {
      await work(next.value);
    }
  };
  await Promise.all(Array.from({ length: width }, lane));
}
