/**
 * The operations that commands and transactions are made of, as bytes: put, delete range, range, and transactions nested as
 * they are. Nesting deeper than the operation budget can ever allow is refused while decoding, so that no bytes exhaust the
 * stack. Whether a request is allowed is never decided here: a refusal is a reply, not malformed bytes.
 */
import { unreachable } from "../base/assert.js";
import { type ByteReader, type ByteWriter, MalformedBytes } from "../base/bytes.js";
import { TXN_OPERATIONS_MAX } from "./limits.js";
import type {
  Compare,
  CompareResult,
  DeleteRangeRequest,
  Operation,
  PutRequest,
  RangeRequest,
  SortOrder,
  SortTarget,
  TxnRequest,
} from "./model.js";
import { leaseId, NO_LEASE } from "./model.js";

/** Positions are the numbers in the codec, and etcd's on its wire. */
const RESULTS: readonly CompareResult[] = ["equal", "greater", "less", "not-equal"];
const TARGETS: readonly Compare["target"][] = ["version", "create", "mod", "value", "lease"];
const SORT_ORDERS: readonly SortOrder[] = ["none", "ascend", "descend"];
const SORT_TARGETS: readonly SortTarget[] = ["key", "version", "create", "mod", "value"];
const OPERATION_TAG = { put: 1, deleteRange: 2, range: 3, txn: 4 } as const;
const RANGE_FLAG = { rangeEnd: 1, countOnly: 2, keysOnly: 4 } as const;

const PUT_FLAG = { prevKv: 1, ignoreValue: 2, ignoreLease: 4, lease: 8 } as const;
const DELETE_FLAG = { prevKv: 1, rangeEnd: 2 } as const;
const PUT_FLAGS_KNOWN = 15;
const DELETE_FLAGS_KNOWN = 3;

function pick<T>(table: readonly T[], index: number, what: string): T {
  const found = table[index];
  if (found === undefined) {
    throw new MalformedBytes(`${what} ${index}`);
  }
  return found;
}

export function writePut(writer: ByteWriter, put: PutRequest): void {
  const lease = put.lease ?? NO_LEASE;
  const flags =
    (put.prevKv === true ? PUT_FLAG.prevKv : 0) |
    (put.ignoreValue === true ? PUT_FLAG.ignoreValue : 0) |
    (put.ignoreLease === true ? PUT_FLAG.ignoreLease : 0) |
    (lease === NO_LEASE ? 0 : PUT_FLAG.lease);
  writer.u8(flags).bytes(put.key).bytes(put.value);
  if (lease !== NO_LEASE) {
    writer.big64(lease);
  }
}

/** Key and value are views into the input. */
export function readPut(reader: ByteReader): PutRequest {
  const flags = reader.u8();
  if (flags > PUT_FLAGS_KNOWN) {
    throw new MalformedBytes(`put flags ${flags}`);
  }
  const key = reader.bytes();
  const value = reader.bytes();
  return {
    key,
    value,
    prevKv: (flags & PUT_FLAG.prevKv) !== 0,
    ignoreValue: (flags & PUT_FLAG.ignoreValue) !== 0,
    ignoreLease: (flags & PUT_FLAG.ignoreLease) !== 0,
    lease: (flags & PUT_FLAG.lease) !== 0 ? leaseId(reader.big64()) : NO_LEASE,
  };
}

export function writeDeleteRange(writer: ByteWriter, request: DeleteRangeRequest): void {
  const { key, rangeEnd } = request;
  writer.u8((request.prevKv === true ? DELETE_FLAG.prevKv : 0) | (rangeEnd === undefined ? 0 : DELETE_FLAG.rangeEnd)).bytes(key);
  if (rangeEnd !== undefined) {
    writer.bytes(rangeEnd);
  }
}

/** Key and end are views into the input. */
export function readDeleteRange(reader: ByteReader): DeleteRangeRequest {
  const flags = reader.u8();
  if (flags > DELETE_FLAGS_KNOWN) {
    throw new MalformedBytes(`delete flags ${flags}`);
  }
  const key = reader.bytes();
  const prevKv = (flags & DELETE_FLAG.prevKv) !== 0;
  return (flags & DELETE_FLAG.rangeEnd) === 0 ? { key, prevKv } : { key, rangeEnd: reader.bytes(), prevKv };
}

/** A number that a writer of ours put there: an integer, whatever the bytes say. */
export function readInteger(reader: ByteReader): number {
  const value = reader.f64();
  if (!Number.isSafeInteger(value)) {
    throw new MalformedBytes(`${value} is no safe integer`);
  }
  return value;
}

function writeEnd(writer: ByteWriter, end: Uint8Array | undefined): void {
  writer.boolean(end !== undefined);
  if (end !== undefined) {
    writer.bytes(end);
  }
}

function writeCompare(writer: ByteWriter, compare: Compare): void {
  writer.u8(RESULTS.indexOf(compare.result)).u8(TARGETS.indexOf(compare.target)).bytes(compare.key);
  writeEnd(writer, compare.rangeEnd);
  if (compare.target === "value") {
    writer.bytes(compare.operand);
  } else {
    writer.big64(compare.operand);
  }
}

function readCompare(reader: ByteReader): Compare {
  const result = pick(RESULTS, reader.u8(), "compare result");
  const target = pick(TARGETS, reader.u8(), "compare target");
  const key = reader.bytes();
  const keys = reader.boolean() ? { key, rangeEnd: reader.bytes() } : { key };
  return target === "value"
    ? { result, ...keys, target, operand: reader.bytes() }
    : { result, ...keys, target, operand: BigInt.asIntN(64, reader.big64()) };
}

function writeRange(writer: ByteWriter, range: RangeRequest): void {
  const flags =
    (range.rangeEnd === undefined ? 0 : RANGE_FLAG.rangeEnd) |
    (range.countOnly === true ? RANGE_FLAG.countOnly : 0) |
    (range.keysOnly === true ? RANGE_FLAG.keysOnly : 0);
  writer.u8(flags).bytes(range.key);
  if (range.rangeEnd !== undefined) {
    writer.bytes(range.rangeEnd);
  }
  writer.u8(SORT_ORDERS.indexOf(range.sortOrder ?? "none")).u8(SORT_TARGETS.indexOf(range.sortTarget ?? "key"));
  writer.f64(range.revision ?? 0).f64(range.limit ?? 0);
  writer.f64(range.minModRevision ?? 0).f64(range.maxModRevision ?? 0);
  writer.f64(range.minCreateRevision ?? 0).f64(range.maxCreateRevision ?? 0);
}

function readRange(reader: ByteReader): RangeRequest {
  const flags = reader.u8();
  if (flags > 7) {
    throw new MalformedBytes(`range flags ${flags}`);
  }
  const key = reader.bytes();
  const keys = (flags & RANGE_FLAG.rangeEnd) === 0 ? { key } : { key, rangeEnd: reader.bytes() };
  return {
    ...keys,
    countOnly: (flags & RANGE_FLAG.countOnly) !== 0,
    keysOnly: (flags & RANGE_FLAG.keysOnly) !== 0,
    sortOrder: pick(SORT_ORDERS, reader.u8(), "sort order"),
    sortTarget: pick(SORT_TARGETS, reader.u8(), "sort target"),
    revision: readInteger(reader),
    limit: readInteger(reader),
    minModRevision: readInteger(reader),
    maxModRevision: readInteger(reader),
    minCreateRevision: readInteger(reader),
    maxCreateRevision: readInteger(reader),
  };
}

function writeOperation(writer: ByteWriter, operation: Operation): void {
  writer.u8(OPERATION_TAG[operation.kind]);
  switch (operation.kind) {
    case "put":
      writePut(writer, operation);
      return;
    case "deleteRange":
      writeDeleteRange(writer, operation);
      return;
    case "range":
      writeRange(writer, operation);
      return;
    case "txn":
      writeTxn(writer, operation);
      return;
    default:
      unreachable(operation);
  }
}

function readOperation(reader: ByteReader, depth: number): Operation {
  const tag = reader.u8();
  switch (tag) {
    case OPERATION_TAG.put:
      return { kind: "put", ...readPut(reader) };
    case OPERATION_TAG.deleteRange:
      return { kind: "deleteRange", ...readDeleteRange(reader) };
    case OPERATION_TAG.range:
      return { kind: "range", ...readRange(reader) };
    case OPERATION_TAG.txn:
      return { kind: "txn", ...readTxn(reader, depth + 1) };
    default:
      throw new MalformedBytes(`operation of kind ${tag}`);
  }
}

function writeOperations(writer: ByteWriter, operations: readonly Operation[]): void {
  writer.varint(operations.length);
  for (const operation of operations) {
    writeOperation(writer, operation);
  }
}

function readOperations(reader: ByteReader, depth: number): readonly Operation[] {
  const operations: Operation[] = [];
  for (let left = reader.varint(); left > 0; left--) {
    operations.push(readOperation(reader, depth));
  }
  return operations;
}

/** Whether it keeps to the limits is checked when it is applied: a refusal is a reply, not malformed bytes. */
export function writeTxn(writer: ByteWriter, txn: TxnRequest): void {
  writer.varint(txn.compares.length);
  for (const compare of txn.compares) {
    writeCompare(writer, compare);
  }
  writeOperations(writer, txn.success);
  writeOperations(writer, txn.failure);
}

/** Byte fields are views into the input. `depth` is 0 for a transaction that is not nested. */
export function readTxn(reader: ByteReader, depth = 0): TxnRequest {
  if (depth > TXN_OPERATIONS_MAX) {
    throw new MalformedBytes(`transactions nested more than ${TXN_OPERATIONS_MAX} deep`);
  }
  const compares: Compare[] = [];
  for (let left = reader.varint(); left > 0; left--) {
    compares.push(readCompare(reader));
  }
  const success = readOperations(reader, depth);
  return { compares, success, failure: readOperations(reader, depth) };
}
