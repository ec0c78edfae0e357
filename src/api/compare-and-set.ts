/** CompareAndSet as a transaction of the state machine, and its reply as a response. */
import { create, toBinary } from "@bufbuild/protobuf";
import { assert } from "../base/assert.js";
import { utf8Decode } from "../base/utf8.js";
import { CompareAndSetResponseSchema } from "../gen/keyvaluestore_pb.js";
import type { Compare, TxnRequest } from "../kv/model.js";
import type { Reply } from "../kv/reply.js";

/** Stores `value` if the key has `expected`, or does not exist where that is undefined; else finds what it has. */
export function compareAndSetTxn(key: Uint8Array, expected: Uint8Array | undefined, value: Uint8Array): TxnRequest {
  const compare: Compare =
    expected === undefined
      ? { result: "equal", key, target: "create", operand: 0n }
      : { result: "equal", key, target: "value", operand: expected };
  return { compares: [compare], success: [{ kind: "put", key, value }], failure: [{ kind: "range", key }] };
}

/** The response for the reply to such a transaction. A value that is no text, written by other means, is shown with replacement characters. */
export function encodeCompareAndSet(reply: Reply): Uint8Array {
  assert(reply.kind === "txn", "the reply to a transaction is one of a transaction");
  const [result] = reply.results;
  const found = result?.kind === "range" ? result.pairs[0] : undefined;
  const current = found === undefined ? {} : { current: utf8Decode(found.value) ?? new TextDecoder().decode(found.value) };
  return toBinary(CompareAndSetResponseSchema, create(CompareAndSetResponseSchema, { swapped: reply.succeeded, ...current }));
}
