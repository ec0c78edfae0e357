/**
 * The compares of transactions. Each is a question about the state before the transaction; an absent key counts as zeros, but
 * satisfies no compare of values, "not equal" included. Never changes anything.
 */
import { compareBytes } from "../base/bytes.js";
import type { Budget, Sliced } from "./budget.js";
import { IndexCursor } from "./index-cursor.js";
import type { Compare, CompareResult } from "./model.js";
import type { Mvcc } from "./mvcc.js";
import { NO_ROW, type Row } from "./versions.js";

function satisfies(result: CompareResult, order: number): boolean {
  switch (result) {
    case "equal":
      return order === 0;
    case "not-equal":
      return order !== 0;
    case "greater":
      return order > 0;
    case "less":
      return order < 0;
  }
}

/** The compared number of a version, or 0 for NO_ROW. Clients send any 64 bits, so numbers are compared as bigint. */
function fieldOf(mvcc: Mvcc, row: Row, target: "version" | "create" | "mod" | "lease"): bigint {
  if (row === NO_ROW) {
    return 0n;
  }
  switch (target) {
    case "version":
      return BigInt(mvcc.versions.versionOf(row));
    case "create":
      return BigInt(mvcc.versions.createRevisionOf(row));
    case "mod":
      return BigInt(mvcc.versions.revisionOf(row));
    case "lease":
      return mvcc.versions.leaseOf(row);
  }
}

/** Whether one version (NO_ROW: an absent key) satisfies the compare. */
function holdsFor(mvcc: Mvcc, row: Row, compare: Compare): boolean {
  if (compare.target === "value") {
    if (row === NO_ROW) {
      return false;
    }
    mvcc.versions.open(row);
    const { bytes, keyFrom, keyLength, valueLength } = mvcc.versions;
    const valueFrom = keyFrom + keyLength;
    return satisfies(compare.result, compareBytes(bytes.subarray(valueFrom, valueFrom + valueLength), compare.operand));
  }
  const field = fieldOf(mvcc, row, compare.target);
  return satisfies(compare.result, field === compare.operand ? 0 : field > compare.operand ? 1 : -1);
}

/** Whether every key of the compare's range satisfies it at the visible revision; a range without keys is like one absent key. */
function* evaluate(mvcc: Mvcc, compare: Compare, budget: Budget): Sliced<boolean> {
  const at = mvcc.visibleRevision;
  if (compare.rangeEnd === undefined) {
    budget.left--;
    return holdsFor(mvcc, mvcc.readKey(compare.key, at), compare);
  }
  const cursor = new IndexCursor(mvcc.index, compare.key, compare.rangeEnd);
  cursor.resume();
  let any = false;
  for (let newest = cursor.next(); newest !== NO_ROW; newest = cursor.next()) {
    const row = mvcc.existingAt(newest, at);
    if (row !== NO_ROW) {
      any = true;
      if (!holdsFor(mvcc, row, compare)) {
        return false;
      }
    }
    budget.left -= 0.3;
    if (budget.left <= 0) {
      cursor.park(mvcc.versions.keyOf(newest));
      yield;
      cursor.resume();
    }
  }
  return any || holdsFor(mvcc, NO_ROW, compare);
}

/** Whether all compares hold. */
export function* evaluateAll(mvcc: Mvcc, compares: readonly Compare[], budget: Budget): Sliced<boolean> {
  for (const compare of compares) {
    if (!(yield* evaluate(mvcc, compare, budget))) {
      return false;
    }
  }
  return true;
}
