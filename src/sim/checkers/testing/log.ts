/** Decided logs written by hand, for tests of what reads them: commands under sessions, one batch a slot. */
import { BatchBuilder } from "../../../kv/batch.js";
import { type Command, encodeCommand } from "../../../kv/command.js";
import { NO_SESSION, type SessionId } from "../../../kv/model.js";
import { commandsBatch } from "../../../paxos/batch.js";
import type { Effect, Event } from "../../../paxos/effect.js";
import type { Slot } from "../../../paxos/ids.js";
import { textBytes } from "../../workload/texts.js";

/** One request of a batch: session 0 is none. */
export type Entry = { readonly session: number; readonly seq: number; readonly unacked?: number; readonly command: Command };

/** No more than the filler needs to be there. */
const VALUE_BYTES = 20;

const key = (name: string): Uint8Array => textBytes(name, 0);
const value = (label: string): Uint8Array => textBytes(label, VALUE_BYTES);

export const register: Command = { kind: "registerSession", nonce: 1n };

export function put(name: string, label: string): Command {
  return { kind: "put", key: key(name), value: value(label) };
}

export function remove(name: string): Command {
  return { kind: "deleteRange", key: key(name) };
}

export function cas(name: string, expected: string | null, label: string): Command {
  const compare =
    expected === null
      ? ({ result: "equal", key: key(name), target: "create", operand: 0n } as const)
      : ({ result: "equal", key: key(name), target: "value", operand: value(expected) } as const);
  return { kind: "txn", compares: [compare], success: [{ kind: "put", key: key(name), value: value(label) }], failure: [] };
}

/** The payload of one slot. */
export function payloadOf(entries: readonly Entry[]): Uint8Array {
  const builder = new BatchBuilder();
  for (const { session, seq, unacked, command } of entries) {
    builder.add(session === 0 ? NO_SESSION : (session as SessionId), seq, unacked ?? 0, encodeCommand(command));
  }
  return builder.finish();
}

/** What a step looks like that hands a slot to the state machine. */
export function applyEffect(slot: number, payload: Uint8Array): readonly [Event, readonly Effect[]] {
  return [{ kind: "tick", now: 0 }, [{ kind: "apply", slot: slot as Slot, batch: commandsBatch(payload) }]];
}
