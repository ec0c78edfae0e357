/**
 * Assertions that stay on in production. A failed one is a bug: the node stops after dumping its last events
 * (halting is safe, lying is not). Never use these for bad input or a broken disk: those are errors of their own.
 */

/** Thrown by a failed `assert`; the server's event loop catches nothing else as a bug and exits on it. */
export class AssertionFailure extends Error {
  override readonly name = "AssertionFailure";
}

/** Stops the node unless `condition` holds. `message` says what should have been true, in the protocol's words. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) {
    throw new AssertionFailure(message);
  }
}

/** The value, which the caller knows to be there; a failed assertion where it is not. Stands in for the non-null `!`. */
export function present<T>(value: T | null | undefined, message: string): T {
  assert(value !== null && value !== undefined, message);
  return value;
}

/** Closes a union: compiles only where every case was handled. */
export function unreachable(value: never): never {
  throw new AssertionFailure(`unreachable case: ${JSON.stringify(value)}`);
}
