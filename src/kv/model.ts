/**
 * The words of the store: pairs, requests and results as plain values. They follow etcd's data model, so that its API is a
 * conversion. Nothing here holds state, and nothing here is allocated per put on the hot path.
 */
import { assert } from "../base/assert.js";
import type { Brand } from "../base/brand.js";

/** A point in the history of the store: 1 is the empty store, each write adds one. 0 in a request means now. */
export type Revision = Brand<number, "Revision">;
/** A client's session, given by the state machine, from 1 on and never twice. */
export type SessionId = Brand<number, "SessionId">;
/** 64 bits of a client's; a signed number as on the wire of etcd. 0 is no lease. */
export type LeaseId = Brand<bigint, "LeaseId">;

/** The revision of a store that was never written. */
export const EMPTY_REVISION = 1 as Revision;
/** "Now" in a read. */
export const REVISION_NOW = 0 as Revision;
/** No session: the command runs each time it is decided. For commands that may run twice without harm. */
export const NO_SESSION = 0 as SessionId;
export const NO_LEASE = 0n as LeaseId;

export function revision(value: number): Revision {
  assert(Number.isSafeInteger(value), "a revision is a safe integer");
  return value as Revision;
}

export function sessionId(value: number): SessionId {
  assert(Number.isSafeInteger(value) && value >= 0, "a session id is a non-negative safe integer");
  return value as SessionId;
}

export function leaseId(value: bigint): LeaseId {
  return BigInt.asIntN(64, value) as LeaseId;
}

/** One version of a key. `key` and `value` are copies that the holder may keep. */
export type Pair = {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly createRevision: Revision;
  readonly modRevision: Revision;
  /** Counts the puts since the key was created, from 1 on. */
  readonly version: number;
  readonly lease: LeaseId;
};

/** What `find` fills in: where the pair lies. The bytes are the store's own: read them before the store is called again, and never write. */
export type Found = {
  bytes: Uint8Array;
  valueFrom: number;
  valueEnd: number;
  createRevision: number;
  modRevision: number;
  version: number;
};

export function newFound(): Found {
  return { bytes: new Uint8Array(0), valueFrom: 0, valueEnd: 0, createRevision: 0, modRevision: 0, version: 0 };
}

/**
 * Which keys: absent is the one key; a single zero byte is every key from `key` on; else all keys in [key, rangeEnd).
 * The key `\0` with the end `\0` is every key.
 */
export type RangeEnd = Uint8Array | undefined;

/** The end that means "no end". */
export const OPEN_END: Uint8Array = Uint8Array.of(0);
/** The first key there can be. */
export const FIRST_KEY: Uint8Array = Uint8Array.of(0);

export function isOpenEnd(end: Uint8Array): boolean {
  return end.length === 1 && end[0] === 0;
}

/** The end of the range of all keys that begin with `prefix`: OPEN_END where no key is above them. */
export function prefixEnd(prefix: Uint8Array): Uint8Array {
  for (let at = prefix.length - 1; at >= 0; at--) {
    const byte = prefix[at] as number;
    if (byte < 0xff) {
      const end = prefix.slice(0, at + 1);
      end[at] = byte + 1;
      return end;
    }
  }
  return OPEN_END;
}

export type PutRequest = {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly lease?: LeaseId;
  readonly prevKv?: boolean;
  /** Keep the value and change the rest; the key must exist and `value` be empty. */
  readonly ignoreValue?: boolean;
  /** Keep the lease; the key must exist and no lease be given. */
  readonly ignoreLease?: boolean;
};

export type DeleteRangeRequest = { readonly key: Uint8Array; readonly rangeEnd?: Uint8Array; readonly prevKv?: boolean };

export type SortOrder = "none" | "ascend" | "descend";
export type SortTarget = "key" | "version" | "create" | "mod" | "value";

/** Order of work: read at the revision, filter by revisions, sort, cut by the limit. Absent or 0 filters and limit mean none. */
export type RangeRequest = {
  readonly key: Uint8Array;
  readonly rangeEnd?: Uint8Array;
  /** 0 or below is now. */
  readonly revision?: number;
  readonly limit?: number;
  readonly countOnly?: boolean;
  readonly keysOnly?: boolean;
  readonly sortOrder?: SortOrder;
  readonly sortTarget?: SortTarget;
  readonly minModRevision?: number;
  readonly maxModRevision?: number;
  readonly minCreateRevision?: number;
  readonly maxCreateRevision?: number;
};

export type CompareResult = "equal" | "greater" | "less" | "not-equal";

/** With `rangeEnd` every key of the range must satisfy it. An absent key counts as zeros, and never satisfies a compare of values. */
export type Compare = { readonly result: CompareResult; readonly key: Uint8Array; readonly rangeEnd?: Uint8Array } & (
  | { readonly target: "version" | "create" | "mod" | "lease"; readonly operand: bigint }
  | { readonly target: "value"; readonly operand: Uint8Array }
);

export type Operation =
  | ({ readonly kind: "put" } & PutRequest)
  | ({ readonly kind: "deleteRange" } & DeleteRangeRequest)
  | ({ readonly kind: "range" } & RangeRequest)
  | ({ readonly kind: "txn" } & TxnRequest);

export type TxnRequest = {
  readonly compares: readonly Compare[];
  readonly success: readonly Operation[];
  readonly failure: readonly Operation[];
};

/** `revision` is the store's newest as the range saw it; `count` is of all keys in the range, limit and filters aside. */
export type RangeResult = {
  readonly revision: Revision;
  readonly pairs: readonly Pair[];
  /** Whether the limit cut something off. */
  readonly more: boolean;
  readonly count: number;
};

export type PutResult = { readonly revision: Revision; readonly previous?: Pair };
export type DeleteRangeResult = { readonly revision: Revision; readonly deleted: number; readonly previous: readonly Pair[] };
export type TxnResult = { readonly revision: Revision; readonly succeeded: boolean; readonly results: readonly OperationResult[] };

export type OperationResult =
  | ({ readonly kind: "put" } & PutResult)
  | ({ readonly kind: "deleteRange" } & DeleteRangeResult)
  | ({ readonly kind: "range" } & RangeResult)
  | ({ readonly kind: "txn" } & TxnResult);

/** One event of the history: what a watch delivers. A delete carries only key and revision. */
export type HistoryEvent =
  | { readonly kind: "put"; readonly pair: Pair }
  | { readonly kind: "delete"; readonly key: Uint8Array; readonly modRevision: Revision };
