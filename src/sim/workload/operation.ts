/** What a client asked and what it was told: the one form in which histories are recorded, checked, written to files and drawn. */

/** get: the value or null. put: the value. delete. cas: sets `value` where the present value is `expected` (null: where the key is absent). */
export type Input =
  | { readonly op: "get" }
  | { readonly op: "put"; readonly value: string }
  | { readonly op: "delete" }
  | { readonly op: "cas"; readonly expected: string | null; readonly value: string };

/**
 * ok: it happened, and `output` is what was said of it. fail: it has not happened and never will. unknown: nobody can say, it may still happen at any
 * later time.
 */
export type Outcome = "ok" | "fail" | "unknown";

/** get: `value` is what was read, null for an absent key. cas: `swapped`. delete: `deleted`, whether there was something. `revision` of the store at the answer, null where it was not told. */
export type Output = {
  readonly value?: string | null;
  readonly swapped?: boolean;
  readonly deleted?: boolean;
  readonly revision: number | null;
};

/** Times are microseconds of one clock for the whole history; `end` is null where no answer came. */
export type Operation = {
  readonly client: number;
  /** The server that was asked last, from 0. */
  readonly server: number;
  readonly key: string;
  readonly input: Input;
  readonly start: number;
  readonly end: number | null;
  readonly outcome: Outcome;
  /** Only where the outcome is ok. */
  readonly output: Output | null;
};
