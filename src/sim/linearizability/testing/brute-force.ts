/**
 * Linearizability by its definition: tries every order of every choice of operations. Shares no code with the search that it
 * judges. For histories of one key and a handful of operations only.
 */
import type { Operation } from "../../workload/operation.js";

/** Whether some order of the operations explains every answer. */
export function isLinearizable(history: readonly Operation[]): boolean {
  return canComplete(
    history.filter(({ outcome }) => outcome !== "fail"),
    null,
  );
}

function canComplete(left: readonly Operation[], value: string | null): boolean {
  if (left.every(({ outcome }) => outcome === "unknown")) {
    return true;
  }
  return left.some((operation) => {
    const others = left.filter((other) => other !== operation);
    const isMinimal = others.every(({ outcome, end }) => outcome !== "ok" || end === null || end >= operation.start);
    const after = isMinimal ? apply(operation, value) : undefined;
    return after !== undefined && canComplete(others, after);
  });
}

/** The value afterwards; undefined where the answer does not fit. */
function apply({ input, output }: Operation, value: string | null): string | null | undefined {
  const fits = <T>(told: T | undefined, is: T): boolean => told === undefined || told === is;
  switch (input.op) {
    case "get":
      return fits(output?.value, value) ? value : undefined;
    case "put":
      return input.value;
    case "delete":
      return fits(output?.deleted, value !== null) ? null : undefined;
    case "cas": {
      const swaps = value === input.expected;
      return fits(output?.swapped, swaps) ? (swaps ? input.value : value) : undefined;
    }
  }
}
