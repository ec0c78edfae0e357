/** Small tools of the tests of the store: batches, recorded replies, snapshots to and fro. */
import { utf8Encode } from "../../base/utf8.js";
import { BatchBuilder } from "../batch.js";
import { type Command, encodeCommand } from "../command.js";
import type { KvStore, ReadView } from "../kv-store.js";
import { NO_SESSION, type SessionId } from "../model.js";
import type { Reply, ReplySink } from "../reply.js";
import { SESSION_LIMITS, type SessionLimits } from "../session-table.js";
import { Store } from "../store.js";

export type Request = { readonly session: number; readonly seq: number; readonly firstUnacked: number; readonly command: Command };
export type Heard = { readonly session: number; readonly seq: number; readonly reply: Reply };

export class Recorder implements ReplySink {
  readonly heard: Heard[] = [];
  onReply(session: SessionId, seq: number, reply: Reply): void {
    this.heard.push({ session, seq, reply });
  }
}

export const DEAF: ReplySink = { onReply: () => undefined };

export const bytes = (text: string): Uint8Array => utf8Encode(text);

export function payloadOf(requests: readonly Request[]): Uint8Array {
  const builder = new BatchBuilder();
  for (const { session, seq, firstUnacked, command } of requests) {
    builder.add(session as SessionId, seq, firstUnacked, encodeCommand(command));
  }
  return builder.finish();
}

/** Applies one command without a session at the next slot. */
export function run(store: KvStore, command: Command): Reply {
  return runIn(store, { session: NO_SESSION, seq: 1, firstUnacked: 0, command });
}

export function runIn(store: KvStore, request: Request): Reply {
  const recorder = new Recorder();
  store.applyBatch(store.appliedSlot + 1, payloadOf([request]), recorder);
  return (recorder.heard[0] as Heard).reply;
}

export function put(store: KvStore, key: string, value: string): Reply {
  return run(store, { kind: "put", key: bytes(key), value: bytes(value) });
}

/** All chunks of a view, taken in slices of `units`; `between` runs after each. */
export function chunksOf(view: ReadView, units = 1e9, between: () => void = () => undefined): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  while (!view.done) {
    const chunk = view.next(units);
    if (chunk !== undefined) {
      chunks.push(chunk);
    }
    between();
  }
  return chunks;
}

export function restoreFrom(chunks: readonly Uint8Array[], units = 1e9, limits: SessionLimits = SESSION_LIMITS): KvStore {
  const restore = Store.restore(limits);
  for (const chunk of chunks) {
    restore.write(chunk);
    while (!restore.step(units)) {
      // The next slice goes on with the same chunk.
    }
  }
  return restore.finish();
}
