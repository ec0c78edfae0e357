/**
 * Transactions: all compares, those of nested transactions included, are answered on the state before; that fixes the way through
 * the branches, which is then a flat list of operations. They are checked against the state, and only then run in order, reads
 * seeing the writes before them. A refusal at any point leaves no trace.
 */
import { assert } from "../base/assert.js";
import type { Budget, Sliced } from "./budget.js";
import { evaluateAll } from "./compare.js";
import type { KvError } from "./error.js";
import { type Operation, type OperationResult, type Revision, revision, type TxnRequest, type TxnResult } from "./model.js";
import type { Mvcc } from "./mvcc.js";
import { checkRange, RangeWork } from "./range.js";
import { checkExisting, checkQuota, putWeight, WriteSet } from "./write.js";

/** The result of a transaction while it is being filled. */
type OpenResult = { readonly kind: "txn"; revision: Revision; readonly succeeded: boolean; readonly results: OperationResult[] };
type SimpleOperation = Exclude<Operation, { readonly kind: "txn" }>;
/** What happens next: an operation runs and its result is appended to `results`, or a nested transaction's is, to be filled by what follows. */
type Step =
  | { readonly kind: "run"; readonly operation: SimpleOperation; readonly results: OperationResult[] }
  | { readonly kind: "open"; readonly nested: OpenResult; readonly results: OperationResult[] };
type Plan = { readonly top: OpenResult; readonly steps: readonly Step[] };
/** A branch whose operations were planned up to `at`. */
type Branch = { readonly operations: readonly Operation[]; readonly results: OperationResult[]; at: number };

function* choose(mvcc: Mvcc, txn: TxnRequest, budget: Budget): Sliced<OpenResult> {
  const succeeded = yield* evaluateAll(mvcc, txn.compares, budget);
  return { kind: "txn", revision: revision(mvcc.visibleRevision), succeeded, results: [] };
}

function branchOf(txn: TxnRequest, result: OpenResult): Branch {
  return { operations: result.succeeded ? txn.success : txn.failure, results: result.results, at: 0 };
}

/** Answers the compares on the way and lays the chosen branches out as one list, in the order in which they will run. */
function* makePlan(mvcc: Mvcc, txn: TxnRequest, budget: Budget): Sliced<Plan> {
  const top = yield* choose(mvcc, txn, budget);
  const steps: Step[] = [];
  const open: Branch[] = [branchOf(txn, top)];
  for (let branch = open.at(-1); branch !== undefined; branch = open.at(-1)) {
    const operation = branch.operations[branch.at++];
    if (operation === undefined) {
      open.pop();
    } else if (operation.kind === "txn") {
      const nested = yield* choose(mvcc, operation, budget);
      steps.push({ kind: "open", nested, results: branch.results });
      open.push(branchOf(operation, nested));
    } else {
      steps.push({ kind: "run", operation, results: branch.results });
    }
  }
  return { top, steps };
}

/** Why the state does not allow the operations: puts first, then reads, as etcd has it; then the quota, for all puts together. */
function checkSteps(mvcc: Mvcc, steps: readonly Step[], quotaBytes: number): KvError | undefined {
  let weight = 0;
  for (const step of steps) {
    if (step.kind === "run" && step.operation.kind === "put") {
      const refused = checkExisting(mvcc, step.operation);
      if (refused !== undefined) {
        return refused;
      }
      weight += putWeight(mvcc, step.operation);
    }
  }
  for (const step of steps) {
    if (step.kind === "run" && step.operation.kind === "range") {
      const refused = checkRange(mvcc, step.operation, mvcc.visibleRevision);
      if (refused !== undefined) {
        return refused;
      }
    }
  }
  return weight === 0 ? undefined : checkQuota(mvcc, quotaBytes, weight);
}

function* runOperation(writes: WriteSet, operation: SimpleOperation): Sliced<OperationResult | KvError> {
  switch (operation.kind) {
    case "put": {
      const result = writes.put(operation);
      return "kind" in result ? result : { kind: "put", ...result };
    }
    case "deleteRange": {
      const result = yield* writes.deleteRange(operation);
      return "kind" in result ? result : { kind: "deleteRange", ...result };
    }
    case "range": {
      const work = new RangeWork(writes.mvcc, operation, writes.current, writes.budget);
      yield* work.drive();
      const result = work.result();
      if ("kind" in result) {
        return result;
      }
      for (const pair of result.pairs) {
        const refused = writes.count(pair);
        if (refused !== undefined) {
          return refused;
        }
      }
      return { kind: "range", ...result };
    }
  }
}

function isError(result: OperationResult | KvError): result is KvError {
  return "limit" in result;
}

/** Runs a transaction whose shape was checked (`checkTxn`). A refusal has changed nothing. */
export function* runTxn(mvcc: Mvcc, txn: TxnRequest, quotaBytes: number, budget: Budget): Sliced<TxnResult | KvError> {
  const { top, steps } = yield* makePlan(mvcc, txn, budget);
  const refused = checkSteps(mvcc, steps, quotaBytes);
  if (refused !== undefined) {
    return refused;
  }
  const writes = new WriteSet(mvcc, budget);
  for (const step of steps) {
    if (step.kind === "open") {
      step.results.push(step.nested);
      continue;
    }
    const result = yield* runOperation(writes, step.operation);
    if (isError(result)) {
      yield* writes.rollBack();
      return result;
    }
    step.results.push(result);
    if (budget.left <= 0) {
      yield;
    }
  }
  const at = revision(writes.current);
  for (const step of steps) {
    if (step.kind === "open") {
      step.nested.revision = at;
    }
  }
  writes.commit();
  top.revision = at;
  return { revision: at, succeeded: top.succeeded, results: top.results };
}

/** Whether either branch, nested ones included, may write. */
export function mayWrite(txn: TxnRequest): boolean {
  const open: TxnRequest[] = [txn];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    for (const operation of [...next.success, ...next.failure]) {
      if (operation.kind === "put" || operation.kind === "deleteRange") {
        return true;
      }
      if (operation.kind === "txn") {
        open.push(operation);
      }
    }
  }
  return false;
}

/** A transaction that only reads, answered from the visible state. The caller has checked its shape and that it cannot write. */
export function* readTxn(mvcc: Mvcc, txn: TxnRequest, budget: Budget): Sliced<TxnResult | KvError> {
  const before = mvcc.log.end;
  const result = yield* runTxn(mvcc, txn, Number.MAX_SAFE_INTEGER, budget);
  assert(mvcc.log.end === before, "a read-only transaction writes nothing");
  return result;
}
