/** The history by revision: what a watch hub reads. Never changes anything. */
import { type KvError, kvError } from "./error.js";
import { type HistoryEvent, revision } from "./model.js";
import type { Mvcc } from "./mvcc.js";

/**
 * The events from revision `from` on, in the order written: at least `limit` of them where there are as many, and no revision
 * in part. Events at or below the compacted revision are gone.
 */
export function readEvents(mvcc: Mvcc, from: number, limit: number): readonly HistoryEvent[] | KvError {
  if (from <= mvcc.compactedRevision) {
    return kvError("compacted");
  }
  const { log, versions } = mvcc;
  const events: HistoryEvent[] = [];
  let last = 0;
  for (let position = log.after(from - 1); position < log.end; position++) {
    const row = log.at(position);
    const at = versions.revisionOf(row);
    if (at > mvcc.visibleRevision || (events.length >= limit && at !== last)) {
      break;
    }
    last = at;
    events.push(
      versions.isTombstone(row)
        ? { kind: "delete", key: versions.keyOf(row), modRevision: revision(at) }
        : { kind: "put", pair: mvcc.pairOf(row) },
    );
  }
  return events;
}
