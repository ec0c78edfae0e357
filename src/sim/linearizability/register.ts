/**
 * One key's history in the form that the search wants: values as small integers, what each operation needs and writes, and
 * the unanswered writes gathered by what they would do. It must leave out only what provably changes no verdict.
 */
import { assert, unreachable } from "../../base/assert.js";
import type { Operation } from "../workload/operation.js";

/** The value of a key that is not there; every register begins with it. */
export const ABSENT = 0;
/** Where an operation needs, avoids or writes nothing in particular. */
export const NONE = -1;

/**
 * Every value that is written but never read and never expected. Nothing can tell two such values apart, so they are one:
 * their writes become interchangeable, which is most of what keeps the search small.
 */
export const UNSEEN = 1;
const FIRST_SEEN = 2;

/**
 * What an operation asks of the value and makes of it. `need`: the value it must meet. `avoid`: the value it must not meet.
 * `write`: what it leaves. With `isMaybe` it writes where it meets `need` and does nothing elsewhere (a cas that was not told
 * whether it swapped).
 */
export type Deed = { readonly need: number; readonly avoid: number; readonly write: number; readonly isMaybe: boolean };

/** Writes without an answer that do the same: `starts` ascends, microseconds; their indices among all such writes begin at `from`. */
export type UnknownKind = { readonly need: number; readonly write: number; readonly starts: readonly number[]; readonly from: number };

/** One key's history. The arrays run beside each other, one entry an answered operation, in order of their start. */
export type Register = {
  readonly operations: readonly Operation[];
  readonly starts: Float64Array;
  readonly ends: Float64Array;
  readonly deeds: readonly Deed[];
  readonly unknownKinds: readonly UnknownKind[];
  readonly unknownCount: number;
  /** Values are the integers below this. */
  readonly valueCount: number;
};

/**
 * Prepares the operations of one key, given in any order. Left out are operations that failed (they have not happened), reads
 * without an answer (they changed nothing and said nothing), and a cas that could only have put the value that it met.
 */
export function prepareRegister(history: readonly Operation[]): Register {
  const values = new Values(history);
  const answered: Array<{ readonly operation: Operation; readonly deed: Deed }> = [];
  const unknown: Array<{ readonly start: number; readonly deed: Deed }> = [];
  for (const operation of history) {
    const deed = values.deedOf(operation);
    if (deed === null) {
      continue;
    }
    if (operation.outcome === "unknown") {
      unknown.push({ start: operation.start, deed });
    } else {
      assert(operation.end !== null && operation.end >= operation.start, "an answered operation ends, and not before it starts");
      answered.push({ operation, deed });
    }
  }
  answered.sort((a, b) => a.operation.start - b.operation.start);
  unknown.sort((a, b) => a.start - b.start);
  return {
    operations: answered.map(({ operation }) => operation),
    starts: Float64Array.from(answered, ({ operation }) => operation.start),
    ends: Float64Array.from(answered, ({ operation }) => operation.end ?? Number.POSITIVE_INFINITY),
    deeds: answered.map(({ deed }) => deed),
    unknownKinds: gatherKinds(unknown),
    unknownCount: unknown.length,
    valueCount: values.count,
  };
}

function gatherKinds(unknown: ReadonlyArray<{ readonly start: number; readonly deed: Deed }>): UnknownKind[] {
  const gathered = new Map<string, { readonly deed: Deed; readonly starts: number[] }>();
  for (const { start, deed } of unknown) {
    const name = `${deed.need} ${deed.write}`;
    const kind = gathered.get(name);
    if (kind === undefined) {
      gathered.set(name, { deed, starts: [start] });
    } else {
      kind.starts.push(start);
    }
  }
  let from = 0;
  return [...gathered.values()].map(({ deed, starts }) => {
    const kind = { need: deed.need, write: deed.write, starts, from };
    from += starts.length;
    return kind;
  });
}

/** Integers for values. Only those that some operation reads or expects have one of their own. */
class Values {
  private readonly seen = new Map<string, number>();

  constructor(history: readonly Operation[]) {
    for (const { input, output, outcome } of history) {
      if (outcome === "ok" && input.op === "get") {
        this.see(output?.value);
      } else if (outcome !== "fail" && input.op === "cas") {
        this.see(input.expected);
      }
    }
  }

  get count(): number {
    return FIRST_SEEN + this.seen.size;
  }

  /** What the operation does; null where it can be left out. */
  deedOf({ input, output, outcome }: Operation): Deed | null {
    if (outcome === "fail") {
      return null;
    }
    switch (input.op) {
      case "get":
        return outcome === "ok" && output?.value !== undefined ? reads(this.of(output.value)) : null;
      case "put":
        return { need: NONE, avoid: NONE, write: this.of(input.value), isMaybe: false };
      case "delete":
        if (outcome === "unknown" || output?.deleted === undefined) {
          return { need: NONE, avoid: NONE, write: ABSENT, isMaybe: false };
        }
        return output.deleted ? { need: NONE, avoid: ABSENT, write: ABSENT, isMaybe: false } : reads(ABSENT);
      case "cas":
        return casDeed({ expected: this.of(input.expected), value: this.of(input.value), swapped: output?.swapped, outcome });
      default:
        return unreachable(input);
    }
  }

  private see(value: string | null | undefined): void {
    if (value !== null && value !== undefined && !this.seen.has(value)) {
      this.seen.set(value, FIRST_SEEN + this.seen.size);
    }
  }

  private of(value: string | null): number {
    return value === null ? ABSENT : (this.seen.get(value) ?? UNSEEN);
  }
}

const reads = (need: number): Deed => ({ need, avoid: NONE, write: NONE, isMaybe: false });

type Cas = {
  readonly expected: number;
  readonly value: number;
  readonly swapped: boolean | undefined;
  readonly outcome: Operation["outcome"];
};

function casDeed({ expected, value, swapped, outcome }: Cas): Deed | null {
  const isTold = outcome === "ok" && swapped !== undefined;
  if (isTold && !swapped) {
    return { need: NONE, avoid: expected, write: NONE, isMaybe: false };
  }
  if (expected === value) {
    return isTold ? reads(expected) : null;
  }
  return { need: expected, avoid: NONE, write: value, isMaybe: outcome === "ok" && !isTold };
}
