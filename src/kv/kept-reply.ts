/** Between replies and the form in which sessions keep them: numbers where the reply is no more than that, else its bytes. */
import { present } from "../base/assert.js";
import { errorKindOf, errorNumber, kvError } from "./error.js";
import { revision } from "./model.js";
import { decodeReply, encodeReply, type Reply } from "./reply.js";
import { type KeptReply, REPLY_STATE } from "./session.js";

/** Fills `kept` with the form of `reply`; the one object is used over and over. */
export function keptForm(reply: Reply, kept: KeptReply): void {
  kept.revision = reply.revision;
  kept.detail = 0;
  kept.bytes = undefined;
  if (reply.kind === "put" && reply.previous === undefined) {
    kept.state = REPLY_STATE.put;
  } else if (reply.kind === "deleteRange" && reply.previous.length === 0) {
    kept.state = REPLY_STATE.deleteRange;
    kept.detail = reply.deleted;
  } else if (reply.kind === "error" && reply.error.limit === 0 && reply.error.size === 0) {
    kept.state = REPLY_STATE.error;
    kept.detail = errorNumber(reply.error.kind);
  } else {
    kept.state = REPLY_STATE.bytes;
    kept.bytes = encodeReply(reply);
  }
}

/** The reply that was kept: equal to the one first given, except where it was too large to keep. */
export function replyFromKept(kept: KeptReply): Reply {
  const at = revision(kept.revision);
  switch (kept.state) {
    case REPLY_STATE.put:
      return { kind: "put", revision: at };
    case REPLY_STATE.deleteRange:
      return { kind: "deleteRange", revision: at, deleted: kept.detail, previous: [] };
    case REPLY_STATE.error:
      return { kind: "error", revision: at, error: kvError(errorKindOf(kept.detail)) };
    case REPLY_STATE.dropped:
      return { kind: "error", revision: at, error: kvError("reply-dropped") };
    default:
      return decodeReply(present(kept.bytes, "a reply kept as bytes has bytes"));
  }
}
