/**
 * Running one command that is not a plain put: what it checks, what it changes, what it answers. Long ones run in slices.
 * Sessions of requests and the plain put are the store's (`store.ts`).
 */
import type { Budget, Sliced } from "./budget.js";
import type { Command } from "./command.js";
import { type KvError, kvError } from "./error.js";
import { type DeleteRangeRequest, type PutRequest, revision, type TxnRequest } from "./model.js";
import type { Mvcc } from "./mvcc.js";
import type { Reply } from "./reply.js";
import type { SessionTable } from "./session-table.js";
import { runTxn } from "./txn.js";
import { checkDeleteRange, checkPut, checkTxn } from "./txn-check.js";
import { checkExisting, checkQuota, putWeight, WriteSet } from "./write.js";

/** What commands act on. */
export type ApplyContext = {
  readonly mvcc: Mvcc;
  readonly sessions: SessionTable;
  readonly budget: Budget;
  quotaBytes: number;
  /** The slot being applied. */
  slot: number;
};

export function refusal(mvcc: Mvcc, error: KvError): Reply {
  return { kind: "error", revision: revision(mvcc.visibleRevision), error };
}

/** Applies one command. */
export function* applyCommand(context: ApplyContext, command: Command): Sliced<Reply> {
  const { mvcc, sessions } = context;
  switch (command.kind) {
    case "put":
      return yield* applyPut(context, command);
    case "deleteRange":
      return yield* applyDeleteRange(context, command);
    case "txn":
      return yield* applyTxn(context, command);
    case "compact":
      return applyCompact(mvcc, command.revision);
    case "registerSession": {
      const session = sessions.register(context.slot);
      return { kind: "registered", revision: revision(mvcc.visibleRevision), session, nonce: command.nonce };
    }
    case "expireSessions":
      return yield* applyExpire(context, command.usedBelowSlot);
    case "closeSession": {
      const count = sessions.close(command.session) ? 1 : 0;
      return { kind: "sessionsExpired", revision: revision(mvcc.visibleRevision), count };
    }
    case "setQuota":
      context.quotaBytes = command.bytes;
      return { kind: "quotaSet", revision: revision(mvcc.visibleRevision) };
    case "skipRevisions":
      mvcc.visibleRevision += command.by;
      return applyCompact(mvcc, mvcc.visibleRevision);
  }
}

function* applyPut(context: ApplyContext, put: PutRequest): Sliced<Reply> {
  const { mvcc } = context;
  const refused = checkPut(put) ?? checkExisting(mvcc, put) ?? checkQuota(mvcc, context.quotaBytes, putWeight(mvcc, put));
  if (refused !== undefined) {
    return refusal(mvcc, refused);
  }
  const writes = new WriteSet(mvcc, context.budget);
  const result = writes.put(put);
  if ("kind" in result) {
    yield* writes.rollBack();
    return refusal(mvcc, result);
  }
  writes.commit();
  return { kind: "put", ...result };
}

function* applyDeleteRange(context: ApplyContext, request: DeleteRangeRequest): Sliced<Reply> {
  const { mvcc } = context;
  const refused = checkDeleteRange(request);
  if (refused !== undefined) {
    return refusal(mvcc, refused);
  }
  const writes = new WriteSet(mvcc, context.budget);
  const result = yield* writes.deleteRange(request);
  if ("kind" in result) {
    yield* writes.rollBack();
    return refusal(mvcc, result);
  }
  writes.commit();
  return { kind: "deleteRange", ...result };
}

function* applyTxn(context: ApplyContext, txn: TxnRequest): Sliced<Reply> {
  const { mvcc } = context;
  const refused = checkTxn(txn);
  if (refused !== undefined) {
    return refusal(mvcc, refused);
  }
  const result = yield* runTxn(mvcc, txn, context.quotaBytes, context.budget);
  return "kind" in result ? refusal(mvcc, result) : { kind: "txn", ...result };
}

function* applyExpire(context: ApplyContext, usedBelowSlot: number): Sliced<Reply> {
  const { mvcc, sessions, budget } = context;
  let count = 0;
  for (let work = sessions.expireOldest(usedBelowSlot); work > 0; work = sessions.expireOldest(usedBelowSlot)) {
    count++;
    budget.left -= work;
    if (budget.left <= 0) {
      yield;
    }
  }
  return { kind: "sessionsExpired", revision: revision(mvcc.visibleRevision), count };
}

/** From now on reads below `to` are refused and its history does not count; the memory is reclaimed in the background. */
function applyCompact(mvcc: Mvcc, to: number): Reply {
  if (to <= mvcc.compactedRevision) {
    return refusal(mvcc, kvError("compacted"));
  }
  if (to > mvcc.visibleRevision) {
    return refusal(mvcc, kvError("future-revision"));
  }
  mvcc.compact(to);
  return { kind: "compact", revision: revision(mvcc.visibleRevision) };
}
