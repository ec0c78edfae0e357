/**
 * etcd's semantics, case by case, as they are easily got wrong: revisions, options of puts, ranges, compaction, transactions.
 * Each case is a few requests against a small store and the exact answer.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { KvError, KvErrorKind } from "./error.js";
import { errorText } from "./error.js";
import type { KvStore } from "./kv-store.js";
import { KEY_BYTES_MAX, REPLY_BYTES_MAX, TXN_OPERATIONS_MAX, VALUE_BYTES_MAX } from "./limits.js";
import { type Compare, FIRST_KEY, type LeaseId, OPEN_END, type Operation, prefixEnd, type RangeResult } from "./model.js";
import type { Reply } from "./reply.js";
import { Store } from "./store.js";
import { bytes, put, run } from "./testing/kit.js";
import { mayWrite } from "./txn.js";

const ALL = { key: FIRST_KEY, rangeEnd: OPEN_END };

function range(store: KvStore, request: Parameters<KvStore["range"]>[0]): RangeResult {
  const result = store.range(request);
  assert.ok("pairs" in result);
  return result;
}

function keysOf(result: RangeResult): string[] {
  return result.pairs.map((pair) => Buffer.from(pair.key).toString("latin1"));
}

function refused(reply: Reply | RangeResult | KvError): KvErrorKind | undefined {
  if ("error" in reply) {
    return reply.error.kind;
  }
  return "limit" in reply ? reply.kind : undefined;
}

function txn(store: KvStore, success: readonly Operation[], compares: readonly Compare[] = [], failure: readonly Operation[] = []): Reply {
  return run(store, { kind: "txn", compares, success, failure });
}

const putOp = (key: string, value = "v"): Operation => ({ kind: "put", key: bytes(key), value: bytes(value) });
const deleteOp = (key: string, end?: string): Operation =>
  end === undefined ? { kind: "deleteRange", key: bytes(key) } : { kind: "deleteRange", key: bytes(key), rangeEnd: bytes(end) };
const nested = (success: readonly Operation[], failure: readonly Operation[] = [], compares: readonly Compare[] = []): Operation => ({
  kind: "txn",
  compares,
  success,
  failure,
});

describe("revisions", () => {
  test("an empty store is at 1, the first write makes 2, a delete of nothing takes none", () => {
    const store = Store.empty();
    assert.equal(store.revision, 1);
    assert.deepEqual(put(store, "a", "1"), { kind: "put", revision: 2 });
    assert.deepEqual(run(store, { kind: "deleteRange", key: bytes("x") }), { kind: "deleteRange", revision: 2, deleted: 0, previous: [] });
    assert.deepEqual(run(store, { kind: "deleteRange", key: bytes("a") }), { kind: "deleteRange", revision: 3, deleted: 1, previous: [] });
    assert.equal(store.revision, 3);
  });

  test("create revision and version begin anew after a delete", () => {
    const store = Store.empty();
    put(store, "a", "1");
    put(store, "a", "2");
    run(store, { kind: "deleteRange", key: bytes("a") });
    put(store, "a", "3");
    const pair = store.get(bytes("a"));
    assert.deepEqual([pair?.createRevision, pair?.modRevision, pair?.version], [5, 5, 1]);
    const before = range(store, { key: bytes("a"), revision: 3 }).pairs[0];
    assert.deepEqual([before?.createRevision, before?.modRevision, before?.version], [2, 3, 2]);
    assert.equal(range(store, { key: bytes("a"), revision: 4 }).count, 0);
    assert.equal(range(store, { key: bytes("a"), revision: 3 }).revision, 5, "the header names the newest revision");
  });

  test("a transaction takes one revision, and none where nothing changes", () => {
    const store = Store.empty();
    txn(store, [putOp("a"), putOp("b"), deleteOp("x")]);
    assert.equal(store.revision, 2);
    assert.deepEqual(
      range(store, ALL).pairs.map((pair) => pair.modRevision),
      [2, 2],
    );
    txn(store, [deleteOp("x"), { kind: "range", ...ALL }]);
    assert.equal(store.revision, 2);
  });
});

describe("ranges", () => {
  const store = Store.empty();
  for (const key of ["a", "ab", "b", "c\xff", "d"]) {
    run(store, { kind: "put", key: new Uint8Array(Buffer.from(key, "latin1")), value: bytes(key) });
  }

  test("ends: absent, exclusive, open, and before the beginning", () => {
    assert.deepEqual(keysOf(range(store, { key: bytes("a") })), ["a"]);
    assert.deepEqual(keysOf(range(store, { key: bytes("a"), rangeEnd: bytes("b") })), ["a", "ab"]);
    assert.deepEqual(keysOf(range(store, { key: bytes("b"), rangeEnd: OPEN_END })), ["b", "c\xff", "d"]);
    assert.equal(range(store, ALL).count, 5);
    assert.equal(range(store, { key: bytes("b"), rangeEnd: bytes("a") }).count, 0);
    assert.equal(range(store, { key: bytes("b"), rangeEnd: bytes("b") }).count, 0);
    assert.equal(refused(store.range({ key: bytes("") })), "key-not-provided");
  });

  test("prefixes: the last byte that is not 0xFF goes up, what follows is dropped", () => {
    assert.deepEqual(prefixEnd(Uint8Array.of(0x61)), Uint8Array.of(0x62));
    assert.deepEqual(prefixEnd(Uint8Array.of(0x61, 0xff, 0xff)), Uint8Array.of(0x62));
    assert.deepEqual(prefixEnd(Uint8Array.of(0xff, 0xff)), OPEN_END);
    assert.deepEqual(prefixEnd(new Uint8Array(0)), OPEN_END);
  });

  test("limit cuts after filter and sort; count ignores both; more says that something was cut", () => {
    const two = range(store, { ...ALL, limit: 2, sortOrder: "descend" });
    assert.deepEqual([keysOf(two), two.more, two.count], [["d", "c\xff"], true, 5]);
    const filtered = range(store, { ...ALL, limit: 2, minModRevision: 5 });
    assert.deepEqual([keysOf(filtered), filtered.more, filtered.count], [["c\xff", "d"], false, 5]);
    const counted = range(store, { ...ALL, limit: 1, countOnly: true });
    assert.deepEqual([counted.pairs, counted.more, counted.count], [[], false, 5]);
    assert.deepEqual(range(store, { ...ALL, limit: 5 }).more, false);
    assert.deepEqual(keysOf(range(store, { ...ALL, sortTarget: "mod" })), ["a", "ab", "b", "c\xff", "d"], "a target with no order ascends");
    assert.equal(
      range(store, { ...ALL, keysOnly: true }).pairs.every((pair) => pair.value.length === 0 && pair.modRevision > 1),
      true,
    );
  });
});

describe("history and compaction", () => {
  const store = Store.empty();
  for (const [key, value] of [
    ["a", "1"],
    ["a", "2"],
    ["b", "1"],
  ] as const) {
    put(store, key, value);
  }
  run(store, { kind: "deleteRange", key: bytes("b") });
  put(store, "c", "1");

  test("refusals of compaction and of reads at either end", () => {
    assert.equal(refused(store.range({ ...ALL, revision: 7 })), "future-revision");
    assert.equal(refused(run(store, { kind: "compact", revision: 7 })), "future-revision");
    assert.equal(refused(run(store, { kind: "compact", revision: 0 })), "compacted");
    assert.deepEqual(run(store, { kind: "compact", revision: 5 }), { kind: "compact", revision: 6 });
    assert.equal(refused(run(store, { kind: "compact", revision: 5 })), "compacted");
    assert.equal(refused(store.range({ ...ALL, revision: 4 })), "compacted");
    assert.equal(refused(store.events(5, 10) as KvError), "compacted");
  });

  test("the newest version at the compacted revision stays, unless it is a tombstone", () => {
    while (!store.maintain(1)) {
      // until all is reclaimed
    }
    assert.deepEqual(keysOf(range(store, { ...ALL, revision: 5 })), ["a"]);
    assert.deepEqual(keysOf(range(store, { ...ALL, revision: -1 })), ["a", "c"]);
    assert.deepEqual([store.stats().keys, store.stats().historyBytes], [2, 0]);
  });
});

test("skipped revisions: all history is gone, the state stays, and the next write follows behind the gap", () => {
  const store = Store.empty();
  put(store, "a", "1");
  put(store, "a", "2");
  assert.deepEqual(run(store, { kind: "skipRevisions", by: 1_000_000_000 }), { kind: "compact", revision: 1_000_000_003 });
  assert.deepEqual([store.revision, store.compactedRevision, store.stats().historyBytes], [1_000_000_003, 1_000_000_003, 0]);
  assert.equal(refused(store.range({ ...ALL, revision: 3 })), "compacted");
  assert.equal(refused(store.events(4, 10) as KvError), "compacted", "who watched from where it was is told");
  const [pair] = range(store, ALL).pairs;
  assert.deepEqual([pair?.modRevision, pair?.version], [3, 2], "no key changed");
  put(store, "b", "1");
  assert.equal(store.revision, 1_000_000_004);
});

describe("options of a put", () => {
  const store = Store.empty();
  const lease = (2n ** 62n) as LeaseId;
  run(store, { kind: "put", key: bytes("a"), value: bytes("1"), lease });

  test("ignore_value and ignore_lease keep what was, refuse what contradicts, and need the key", () => {
    const value = bytes("");
    assert.equal(refused(run(store, { kind: "put", key: bytes("a"), value: bytes("2"), ignoreValue: true })), "value-provided");
    assert.equal(refused(run(store, { kind: "put", key: bytes("a"), value, lease, ignoreLease: true })), "lease-provided");
    assert.equal(refused(run(store, { kind: "put", key: bytes("x"), value, ignoreValue: true })), "key-not-found");
    assert.equal(refused(run(store, { kind: "put", key: bytes("x"), value, ignoreLease: true })), "key-not-found");
    assert.equal(refused(run(store, { kind: "put", key: bytes(""), value })), "key-not-provided");
    run(store, { kind: "put", key: bytes("a"), value: bytes("2"), ignoreLease: true });
    assert.deepEqual([store.get(bytes("a"))?.value, store.get(bytes("a"))?.lease], [bytes("2"), lease]);
    run(store, { kind: "put", key: bytes("a"), value, ignoreValue: true });
    assert.deepEqual([store.get(bytes("a"))?.value, store.get(bytes("a"))?.lease], [bytes("2"), 0n], "a put without a lease detaches it");
  });

  test("prev_kv returns the pair before", () => {
    const reply = run(store, { kind: "put", key: bytes("a"), value: bytes("9"), prevKv: true });
    assert.deepEqual(reply.kind === "put" ? reply.previous?.value : undefined, bytes("2"));
    const gone = run(store, { kind: "deleteRange", ...ALL, prevKv: true });
    assert.deepEqual(gone.kind === "deleteRange" ? gone.previous.map((pair) => pair.value) : [], [bytes("9")]);
  });

  test("sizes: a key and a value at their limits, and one above", () => {
    const small = Store.empty();
    const key = new Uint8Array(KEY_BYTES_MAX).fill(1);
    assert.equal(run(small, { kind: "put", key, value: bytes("v") }).kind, "put");
    assert.deepEqual(small.get(key)?.value, bytes("v"));
    const long = run(small, { kind: "put", key: new Uint8Array(KEY_BYTES_MAX + 1), value: bytes("v") });
    assert.deepEqual(long.kind === "error" ? long.error : undefined, {
      kind: "key-too-large",
      limit: KEY_BYTES_MAX,
      size: KEY_BYTES_MAX + 1,
    });
    const huge = run(small, { kind: "put", key: bytes("v"), value: new Uint8Array(VALUE_BYTES_MAX + 1) });
    assert.deepEqual(huge.kind === "error" ? huge.error.kind : undefined, "value-too-large");
    assert.equal(refused(run(small, { kind: "deleteRange", key: new Uint8Array(KEY_BYTES_MAX + 1) })), "key-too-large");
  });
});

describe("compares", () => {
  const store = Store.empty();
  put(store, "a", "m");
  put(store, "a", "m");
  put(store, "b", "m");
  const missing = bytes("x");
  const a = bytes("a");
  const cases: readonly (readonly [string, Compare, boolean])[] = [
    ["version equal", { result: "equal", key: a, target: "version", operand: 2n }, true],
    ["create less", { result: "less", key: a, target: "create", operand: 3n }, true],
    ["mod greater", { result: "greater", key: a, target: "mod", operand: 3n }, false],
    ["a huge operand is no overflow", { result: "less", key: a, target: "mod", operand: 2n ** 63n - 1n }, true],
    ["value equal", { result: "equal", key: a, target: "value", operand: bytes("m") }, true],
    ["value not equal", { result: "not-equal", key: a, target: "value", operand: bytes("m") }, false],
    ["lease of a pair without", { result: "equal", key: a, target: "lease", operand: 0n }, true],
    ["an absent key has version 0", { result: "equal", key: missing, target: "version", operand: 0n }, true],
    ["an absent key has revision 0", { result: "less", key: missing, target: "create", operand: 1n }, true],
    ["an absent key's value equals nothing", { result: "equal", key: missing, target: "value", operand: bytes("") }, false],
    ["nor is it unequal to anything", { result: "not-equal", key: missing, target: "value", operand: bytes("m") }, false],
    ["every key of a range", { result: "equal", ...ALL, target: "value", operand: bytes("m") }, true],
    ["one key of a range does not", { result: "equal", ...ALL, target: "version", operand: 2n }, false],
    ["an empty range is like an absent key", { result: "equal", key: missing, rangeEnd: OPEN_END, target: "mod", operand: 0n }, true],
    ["its value too", { result: "not-equal", key: missing, rangeEnd: OPEN_END, target: "value", operand: bytes("m") }, false],
  ];
  for (const [name, compare, expected] of cases) {
    test(name, () => {
      const reply = store.readTxn({ compares: [compare], success: [], failure: [] });
      assert.equal("succeeded" in reply && reply.succeeded, expected);
    });
  }
});

describe("transactions", () => {
  test("reads see the writes before them; results name the revision as they saw it", () => {
    const store = Store.empty();
    put(store, "b", "0");
    const all: Operation = { kind: "range", ...ALL };
    const reply = txn(store, [all, deleteOp("x"), putOp("a"), all, deleteOp("b", "z"), all]);
    assert.ok(reply.kind === "txn");
    assert.deepEqual(
      reply.results.map((result) => result.revision),
      [2, 2, 3, 3, 3, 3],
    );
    assert.deepEqual(
      reply.results.map((result) => (result.kind === "range" ? result.count : -1)),
      [1, -1, -1, 2, -1, 1],
    );
  });

  test("nested compares are answered on the state before the whole transaction", () => {
    const store = Store.empty();
    const exists: Compare = { result: "greater", key: bytes("a"), target: "version", operand: 0n };
    const reply = txn(store, [putOp("a"), nested([putOp("b")], [putOp("c")], [exists])]);
    assert.ok(reply.kind === "txn" && reply.results[1]?.kind === "txn");
    assert.equal(reply.results[1].succeeded, false);
    assert.deepEqual(keysOf(range(store, ALL)), ["a", "c"]);
  });

  const duplicate: readonly (readonly [string, readonly Operation[], KvErrorKind | undefined])[] = [
    ["the same key put twice", [putOp("a"), putOp("a")], "duplicate-key"],
    ["a put inside a deleted range", [deleteOp("a", "c"), putOp("b")], "duplicate-key"],
    ["in either order", [putOp("b"), deleteOp("a", "c")], "duplicate-key"],
    ["inside a range without end", [deleteOp("a", "\0"), putOp("b")], "duplicate-key"],
    ["a put beside a deleted range", [deleteOp("a", "c"), putOp("c")], undefined],
    ["overlapping deletes", [deleteOp("a", "c"), deleteOp("b", "d"), deleteOp("b")], undefined],
    ["a nested put of a key put outside", [nested([putOp("a")]), putOp("a")], "duplicate-key"],
    ["a nested put inside a range deleted outside", [nested([], [putOp("b")]), deleteOp("a", "c")], "duplicate-key"],
    ["both branches of a nested one put the same key", [nested([putOp("a")], [putOp("a")])], undefined],
    ["two nested ones put the same key", [nested([putOp("a")]), nested([], [putOp("a")])], "duplicate-key"],
    ["a put where a nested one deletes", [nested([deleteOp("a")]), putOp("a")], "duplicate-key"],
  ];
  for (const [name, operations, expected] of duplicate) {
    test(`duplicates: ${name}`, () => assert.equal(refused(txn(Store.empty(), operations)), expected));
  }

  test("a key may be put and then deleted at one revision by nested transactions; history holds both", () => {
    const store = Store.empty();
    put(store, "a", "0");
    txn(store, [nested([putOp("a", "1")]), nested([deleteOp("a")])]);
    assert.equal(store.get(bytes("a")), undefined);
    const events = store.events(3, 10);
    assert.deepEqual(Array.isArray(events) ? events.map((event) => event.kind) : [], ["put", "delete"]);
    run(store, { kind: "compact", revision: 3 });
    while (!store.maintain(10)) {
      // until all is reclaimed
    }
    assert.deepEqual([store.stats().dataBytes, store.stats().keys], [0, 0]);
  });

  test("limits: operations, the budget of nested ones, empty keys", () => {
    const many = (count: number): Operation[] => Array.from({ length: count }, (_, at) => putOp(`k${at}`));
    assert.equal(refused(txn(Store.empty(), many(TXN_OPERATIONS_MAX))), undefined);
    assert.equal(refused(txn(Store.empty(), many(TXN_OPERATIONS_MAX + 1))), "too-many-operations");
    assert.equal(refused(txn(Store.empty(), [], [], many(TXN_OPERATIONS_MAX + 1))), "too-many-operations");
    assert.equal(refused(txn(Store.empty(), [nested(many(TXN_OPERATIONS_MAX - 1))])), undefined);
    assert.equal(refused(txn(Store.empty(), [nested(many(TXN_OPERATIONS_MAX))])), "too-many-operations");
    assert.equal(refused(txn(Store.empty(), [], [], [putOp("")])), "key-not-provided");
    assert.equal(
      refused(txn(Store.empty(), [], [{ result: "equal", key: bytes(""), target: "version", operand: 0n }])),
      "key-not-provided",
    );
  });

  test("a check that fails, in a branch that runs, leaves no trace", () => {
    const store = Store.empty();
    put(store, "a", "1");
    const hash = store.stateHash();
    const future: Operation = { kind: "range", key: bytes("a"), revision: 9 };
    const ignore: Operation = { kind: "put", key: bytes("x"), value: bytes(""), ignoreValue: true };
    assert.equal(refused(txn(store, [putOp("b"), future])), "future-revision");
    assert.equal(refused(txn(store, [putOp("b"), ignore])), "key-not-found");
    assert.equal(store.stateHash(), hash);
    assert.equal(refused(txn(store, [putOp("b")], [], [future])), undefined, "the branch not taken is not asked");
  });

  test("a reply above its limit fails the write and takes it back", () => {
    const store = Store.empty();
    const value = new Uint8Array(REPLY_BYTES_MAX / 8);
    for (let i = 0; i < 9; i++) {
      run(store, { kind: "put", key: bytes(`k${i}`), value });
    }
    const hash = store.stateHash();
    const reply = run(store, { kind: "deleteRange", ...ALL, prevKv: true });
    assert.ok(reply.kind === "error");
    assert.equal(reply.error.kind, "reply-too-large");
    assert.equal(reply.error.limit, REPLY_BYTES_MAX);
    assert.equal(refused(txn(store, [deleteOp("k0"), putOp("new"), { kind: "range", ...ALL }])), "reply-too-large");
    assert.equal(store.stateHash(), hash);
    assert.equal(range(store, ALL).count, 9);
    assert.equal(refused(run(store, { kind: "deleteRange", ...ALL })), undefined);
  });

  test("read-only transactions are known", () => {
    assert.equal(mayWrite({ compares: [], success: [], failure: [nested([{ kind: "range", ...ALL }])] }), false);
    assert.equal(mayWrite({ compares: [], success: [], failure: [nested([], [putOp("a")])] }), true);
  });
});

test("errors carry etcd's texts", () => {
  assert.equal(errorText("compacted"), "etcdserver: mvcc: required revision has been compacted");
  assert.equal(errorText("future-revision"), "etcdserver: mvcc: required revision is a future revision");
  assert.equal(errorText("quota-exceeded"), "etcdserver: mvcc: database space exceeded");
  assert.equal(errorText("duplicate-key"), "etcdserver: duplicate key given in txn request");
});
