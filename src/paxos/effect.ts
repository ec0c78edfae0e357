/**
 * What goes into a replica and what comes out of it. `step(state, event)` returns effects as plain values; whoever runs
 * them must run them in order. The types hold the rule of durability: a pledge outside `thenSend` does not compile.
 */
import type { Ballot } from "./ballot.js";
import type { Batch } from "./batch.js";
import type { MembershipChange } from "./change.js";
import type { Address, Micros, Slot } from "./ids.js";
import type { Header, Message, Notice, Pledge, SnapshotMeta } from "./message.js";
import type { Durable, WalRecord } from "./record.js";

/** Where a message goes: the address a replica is listed under, so that a virgin can be reached as well. */
export type Destination = Address;

export type Event =
  /** First of all events; `durable` is what recovery made of the log, its boot raised and synced. */
  | { readonly kind: "start"; readonly durable: Durable; readonly now: Micros }
  /** `address` is the one the connection's Hello named. */
  | { readonly kind: "receive"; readonly address: Address; readonly header: Header; readonly message: Message; readonly now: Micros }
  /** A few times per pingMs; the replica does everything that waits for time here. */
  | { readonly kind: "tick"; readonly now: Micros }
  /** Everything persisted up to `lsn` is synced. Its thenSend was sent just before this event. */
  | { readonly kind: "persisted"; readonly lsn: number; readonly now: Micros }
  /** A batch of commands to decide; refused with an effect unless `canPropose`. */
  | { readonly kind: "propose"; readonly batch: Batch; readonly now: Micros }
  /** A linearizable read waits: one id may stand for many requests that came in the same turn. Ids are never reused in a life. */
  | { readonly kind: "read"; readonly id: number; readonly now: Micros }
  /** Nobody waits for that read any more. */
  | { readonly kind: "readCancel"; readonly id: number; readonly now: Micros }
  /** Our own stream to a peer is open: nothing was sent on it yet, the Hello comes first. */
  | { readonly kind: "connected"; readonly address: Address; readonly now: Micros }
  /** Its connection closed and a new one was refused: the process is gone. */
  | { readonly kind: "peerGone"; readonly address: Address; readonly now: Micros }
  /** Free space on disk fell below the reserve (low), or is back: while low, Proposes are refused and promises still kept. */
  | { readonly kind: "space"; readonly low: boolean; readonly now: Micros }
  /** The clocks disagree about the time that passed: the machine was suspended. */
  | { readonly kind: "clockGap"; readonly now: Micros }
  /** Give coordination up in favour of `heir` (an address), or of the best voter. No effect where this is not the coordinator. */
  | { readonly kind: "handover"; readonly heir: Address | null; readonly now: Micros }
  /** Stand for election at once (an operator's wish), unless a coordinator holds our grant. */
  | { readonly kind: "nominate"; readonly now: Micros }
  /** Change who is a member (PROTOCOL §4.7); `changeDone` tells what came of it, at `deadline` at the latest. Ids are never reused in a life. */
  | { readonly kind: "change"; readonly id: number; readonly change: MembershipChange; readonly deadline: Micros; readonly now: Micros }
  /** A snapshot of our own state is on disk and verified. */
  | { readonly kind: "snapshotTaken"; readonly meta: SnapshotMeta; readonly now: Micros }
  /** Chunk `chunk` of the snapshot being received is synced. */
  | { readonly kind: "chunkStored"; readonly index: Slot; readonly chunk: number; readonly now: Micros }
  /** The received snapshot was verified, renamed into place and loaded into the state machine; or (ok = false) it did not verify. */
  | { readonly kind: "snapshotLoaded"; readonly meta: SnapshotMeta; readonly ok: boolean; readonly now: Micros }
  /** The state machine's hash after `slot`, a multiple of CHECKPOINT_SLOTS, for comparison with the others. */
  | { readonly kind: "checkpoint"; readonly slot: Slot; readonly stateHash: SnapshotMeta["stateHash"]; readonly now: Micros };

/** A pledge on its way, whole: header and destinations are fixed in the step that emitted it. */
export type PledgeSend = { readonly to: readonly Destination[]; readonly header: Header; readonly message: Pledge };

export type Effect =
  /** One message to all of `to`: encode it once. */
  | { readonly kind: "send"; readonly to: readonly Destination[]; readonly header: Header; readonly message: Notice }
  /** Append, sync, then send, then report `persisted`. lsn counts the persist effects of a life from 1 on, without a gap. */
  | { readonly kind: "persist"; readonly lsn: number; readonly records: readonly WalRecord[]; readonly thenSend: readonly PledgeSend[] }
  /** Decided: hand it to the state machine, in this order. Slots come without a gap, after a restart from snapshot index + 1 on. */
  | { readonly kind: "apply"; readonly slot: Slot; readonly batch: Batch }
  /** These reads may be answered from any state that has applied `index`. */
  | { readonly kind: "readReady"; readonly ids: readonly number[]; readonly index: Slot }
  /** The batch was not and will not be proposed by this replica. */
  | { readonly kind: "refused"; readonly batch: Batch }
  /** Who coordinates, as far as this replica knows; `active` when it is this one and proposals are welcome. */
  | { readonly kind: "coordination"; readonly coordinator: Address | null; readonly ballot: Ballot; readonly active: boolean }
  /** Give way is done (or was given up): the ballot is retired, or another coordinates. */
  | { readonly kind: "handoverDone"; readonly heir: Address | null }
  /** What came of a change: decided at `slot` (0: nothing had to be changed), or not, for a reason that a person can act upon. `isOpen`: it may have been made, or may be yet. */
  | { readonly kind: "changeDone"; readonly id: number; readonly slot: Slot; readonly refusal: string | null; readonly isOpen: boolean }
  /** A server not known before: open a stream to it. The peers that are known at the start are dialled anyway. */
  | { readonly kind: "dial"; readonly address: Address }
  /** It is no member and has not been heard for long: close the stream to it, and dial it no more. */
  | { readonly kind: "forget"; readonly address: Address }
  /** A server that joins needs a snapshot, and this one has none yet: take one now. */
  | { readonly kind: "takeSnapshot" }
  /** Send chunk `chunk` of our snapshot at `index` to `to` as a SnapshotChunk with this header. */
  | { readonly kind: "sendChunk"; readonly to: Destination; readonly header: Header; readonly index: Slot; readonly chunk: number }
  /** Begin to receive a snapshot: what was received of any other is discarded. */
  | { readonly kind: "receiveSnapshot"; readonly meta: SnapshotMeta }
  /** Store this chunk and sync it, then report `chunkStored`. */
  | { readonly kind: "storeChunk"; readonly index: Slot; readonly chunk: number; readonly bytes: Uint8Array }
  /** All chunks are stored: verify, rename into place, load into the state machine, then report `snapshotLoaded`. */
  | { readonly kind: "loadSnapshot"; readonly meta: SnapshotMeta }
  /** Log entries up to `slot` are not needed any more (a trim record was persisted before). */
  | { readonly kind: "trim"; readonly slot: Slot }
  /** Deliver a tick at `at` (or soon after): something is due before the next regular one. A later wake replaces no earlier one. */
  | { readonly kind: "wake"; readonly at: Micros }
  /** Something a person should read, once: founding progress, a refused peer, a wiped disk. `code` is stable, `text` a sentence. */
  | { readonly kind: "notice"; readonly level: "info" | "warn" | "error"; readonly code: string; readonly text: string }
  /** This replica was removed for good: its clients should turn to others. A `halt` follows, once what it owes is said. */
  | { readonly kind: "leaving" }
  /** This replica must stop: it is damaged or was removed for good. `drains`: requests under way may end first. */
  | { readonly kind: "halt"; readonly text: string; readonly drains: boolean };
