/**
 * What the state machine refuses, as values: a refusal is an ordinary, replicated result and never an exception. Each kind
 * has etcd's text where etcd has the case; kinds are numbered for the codec and never renumbered.
 */
import { MalformedBytes } from "../base/bytes.js";

export type KvErrorKind =
  | "key-not-provided"
  | "key-not-found"
  | "value-provided"
  | "lease-provided"
  | "too-many-operations"
  | "duplicate-key"
  | "compacted"
  | "future-revision"
  | "quota-exceeded"
  | "key-too-large"
  | "value-too-large"
  | "invalid-sort"
  | "reply-too-large"
  | "reply-dropped"
  | "stale-sequence"
  | "session-expired"
  | "too-many-outstanding";

/** A refusal. `limit` and `size` say what was exceeded and by what, where that is the reason; else both are 0. */
export type KvError = { readonly kind: KvErrorKind; readonly limit: number; readonly size: number };

/** Position is the number in the codec: only add at the end. */
const KINDS: readonly KvErrorKind[] = [
  "key-not-provided",
  "key-not-found",
  "value-provided",
  "lease-provided",
  "too-many-operations",
  "duplicate-key",
  "compacted",
  "future-revision",
  "quota-exceeded",
  "key-too-large",
  "value-too-large",
  "invalid-sort",
  "reply-too-large",
  "reply-dropped",
  "stale-sequence",
  "session-expired",
  "too-many-outstanding",
];

const TEXTS: Readonly<Record<KvErrorKind, string>> = {
  "key-not-provided": "etcdserver: key is not provided",
  "key-not-found": "etcdserver: key not found",
  "value-provided": "etcdserver: value is provided",
  "lease-provided": "etcdserver: lease is provided",
  "too-many-operations": "etcdserver: too many operations in txn request",
  "duplicate-key": "etcdserver: duplicate key given in txn request",
  compacted: "etcdserver: mvcc: required revision has been compacted",
  "future-revision": "etcdserver: mvcc: required revision is a future revision",
  "quota-exceeded": "etcdserver: mvcc: database space exceeded",
  "key-too-large": "etcdserver: request is too large",
  "value-too-large": "etcdserver: request is too large",
  "invalid-sort": "etcdserver: invalid sort option",
  "reply-too-large": "the reply of this write would be too large; nothing was changed",
  "reply-dropped": "the write was applied, but its reply is no longer kept",
  "stale-sequence": "the request was acknowledged before; it is not applied again",
  "session-expired": "the session is unknown or has expired; whether the request was applied before is not known",
  "too-many-outstanding": "too many unacknowledged requests in this session; nothing was changed",
};

export function kvError(kind: KvErrorKind, limit = 0, size = 0): KvError {
  return { kind, limit, size };
}

/** etcd's exact text for the kinds etcd knows, a sentence of our own for the rest. */
export function errorText(kind: KvErrorKind): string {
  return TEXTS[kind];
}

/** The number of a kind in replies and snapshots. */
export function errorNumber(kind: KvErrorKind): number {
  return KINDS.indexOf(kind);
}

/** The kind of a number; throws MalformedBytes on one that no version of ours wrote. */
export function errorKindOf(number: number): KvErrorKind {
  const kind = KINDS[number];
  if (kind === undefined) {
    throw new MalformedBytes(`error number ${number}`);
  }
  return kind;
}
