/**
 * What can be said of a request without looking at the state: empty keys, sizes, too many operations, and a key that one
 * transaction would put twice. The rules and their order are etcd's (server/etcdserver/api/v3rpc/key.go). Never touches the store.
 */
import { compareBytes } from "../base/bytes.js";
import { type KvError, kvError } from "./error.js";
import { KEY_BYTES_MAX, TXN_OPERATIONS_MAX, VALUE_BYTES_MAX } from "./limits.js";
import { type DeleteRangeRequest, isOpenEnd, NO_LEASE, type Operation, type PutRequest, type TxnRequest } from "./model.js";

function checkKey(key: Uint8Array): KvError | undefined {
  if (key.length === 0) {
    return kvError("key-not-provided");
  }
  return key.length > KEY_BYTES_MAX ? kvError("key-too-large", KEY_BYTES_MAX, key.length) : undefined;
}

export function checkPut(put: PutRequest): KvError | undefined {
  const refused = checkKey(put.key);
  if (refused !== undefined) {
    return refused;
  }
  if (put.ignoreValue === true && put.value.length > 0) {
    return kvError("value-provided");
  }
  if (put.ignoreLease === true && (put.lease ?? NO_LEASE) !== NO_LEASE) {
    return kvError("lease-provided");
  }
  return put.value.length > VALUE_BYTES_MAX ? kvError("value-too-large", VALUE_BYTES_MAX, put.value.length) : undefined;
}

export function checkDeleteRange(request: DeleteRangeRequest): KvError | undefined {
  return checkKey(request.key);
}

/** The rule of counts and keys, then the rule of duplicates. */
export function checkTxn(txn: TxnRequest): KvError | undefined {
  return checkShape(txn, TXN_OPERATIONS_MAX) ?? checkBranches(txn);
}

/** Recursion ends where the budget does: each level takes at least one operation from it. */
function checkShape(txn: TxnRequest, budget: number): KvError | undefined {
  const most = Math.max(txn.compares.length, txn.success.length, txn.failure.length);
  if (most > budget) {
    return kvError("too-many-operations", budget, most);
  }
  for (const compare of txn.compares) {
    const refused = checkKey(compare.key);
    if (refused !== undefined) {
      return refused;
    }
  }
  for (const operation of [...txn.success, ...txn.failure]) {
    const refused = checkOperation(operation, budget - most);
    if (refused !== undefined) {
      return refused;
    }
  }
  return undefined;
}

function checkOperation(operation: Operation, budget: number): KvError | undefined {
  switch (operation.kind) {
    case "put":
      return checkPut(operation);
    case "deleteRange":
    case "range":
      return checkKey(operation.key);
    case "txn":
      return checkShape(operation, budget);
  }
}

/** The keys that a branch puts, under a text that names each. */
type Puts = ReadonlyMap<string, Uint8Array>;
/** What one branch writes. */
type Writes = { readonly puts: Puts; readonly deletes: readonly DeleteRangeRequest[] };

/** One code unit a byte: equal for equal keys only. */
function nameOf(key: Uint8Array): string {
  let name = "";
  for (const byte of key) {
    name += String.fromCharCode(byte);
  }
  return name;
}

function covers(range: DeleteRangeRequest, key: Uint8Array): boolean {
  const order = compareBytes(key, range.key);
  if (range.rangeEnd === undefined) {
    return order === 0;
  }
  return order >= 0 && (isOpenEnd(range.rangeEnd) || compareBytes(key, range.rangeEnd) < 0);
}

function checkBranches(txn: TxnRequest): KvError | undefined {
  return new BranchWrites().collect(txn.success) && new BranchWrites().collect(txn.failure) ? undefined : kvError("duplicate-key");
}

/** Gathers the writes of one branch, refusing a key put twice, or put and deleted. */
class BranchWrites implements Writes {
  readonly puts = new Map<string, Uint8Array>();
  readonly deletes: DeleteRangeRequest[] = [];

  /** False where the branch breaks the rule. Deletes of this level count for all puts, those of nested transactions for later ones. */
  collect(operations: readonly Operation[]): boolean {
    for (const operation of operations) {
      if (operation.kind === "deleteRange") {
        this.deletes.push(operation);
      }
    }
    for (const operation of operations) {
      if (operation.kind === "txn" && !this.collectNested(operation)) {
        return false;
      }
    }
    return operations.every((operation) => operation.kind !== "put" || this.addPut(nameOf(operation.key), operation.key));
  }

  /** Only one side of a nested transaction runs, so both may put the same key. */
  private collectNested(txn: TxnRequest): boolean {
    const success = new BranchWrites();
    const failure = new BranchWrites();
    if (!success.collect(txn.success) || !failure.collect(txn.failure)) {
      return false;
    }
    for (const [name, key] of success.puts) {
      if (!this.addPut(name, key)) {
        return false;
      }
    }
    for (const [name, key] of failure.puts) {
      if (!success.puts.has(name) && !this.addPut(name, key)) {
        return false;
      }
    }
    this.deletes.push(...success.deletes, ...failure.deletes);
    return true;
  }

  private addPut(name: string, key: Uint8Array): boolean {
    if (this.puts.has(name) || this.deletes.some((range) => covers(range, key))) {
      return false;
    }
    this.puts.set(name, key);
    return true;
  }
}
