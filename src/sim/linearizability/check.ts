/**
 * Whether a history of a key-value store is linearizable, seen from outside: nothing but what clients asked and were told. Keys are
 * checked one by one: a history is linearizable exactly where that of each object is (Herlihy and Wing, 1990), and no operation
 * here touches two keys. It must never say `linearizable` or `not-linearizable` of a history that it gave up on.
 */
import type { Operation } from "../workload/operation.js";
import { findContradiction } from "./contradiction.js";
import { DEFAULT_LIMITS, type SearchLimits, searchKey } from "./search.js";

/**
 * `contradiction`: the smallest set found of operations that no order explains, in order of their start. `gave-up`: no key was found
 * bad, and at this one the search reached a limit, which `limit` names.
 */
export type CheckResult =
  | { readonly kind: "linearizable" }
  | { readonly kind: "not-linearizable"; readonly key: string; readonly contradiction: readonly Operation[] }
  | { readonly kind: "gave-up"; readonly key: string; readonly limit: keyof SearchLimits };

export type CheckOptions = {
  /** Per key; each default is that of `DEFAULT_LIMITS`. */
  readonly limits?: Partial<SearchLimits>;
  /** Told after each key that was not bad, with the number of operations checked so far. */
  readonly onProgress?: (operationsChecked: number) => void;
};

/** Checks the whole history, in any order of its operations; stops at the first bad key. */
export function checkHistory(history: readonly Operation[], options: CheckOptions = {}): CheckResult {
  const limits: SearchLimits = { ...DEFAULT_LIMITS, ...options.limits };
  let result: CheckResult = { kind: "linearizable" };
  let checked = 0;
  for (const [key, operations] of byKey(history)) {
    const { verdict } = searchKey(operations, limits);
    if (verdict === "not-linearizable") {
      return { kind: "not-linearizable", key, contradiction: findContradiction(operations, limits) };
    }
    if (verdict !== "linearizable" && result.kind === "linearizable") {
      result = { kind: "gave-up", key, limit: verdict === "steps" ? "stepsMax" : "memoWordsMax" };
    }
    checked += operations.length;
    options.onProgress?.(checked);
  }
  return result;
}

/** The operations of each key, keys in the order in which they first appear. */
export function byKey(history: readonly Operation[]): ReadonlyMap<string, readonly Operation[]> {
  const keys = new Map<string, Operation[]>();
  for (const operation of history) {
    const operations = keys.get(operation.key);
    if (operations === undefined) {
      keys.set(operation.key, [operation]);
    } else {
      operations.push(operation);
    }
  }
  return keys;
}
