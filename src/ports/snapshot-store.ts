/**
 * Snapshots on disk: written, received, served and loaded in chunks of at most SNAPSHOT_CHUNK_MAX bytes. A snapshot counts
 * only once the log names it (records `snapshot` and `snapshotInstalled`); what the log does not name is deleted at the next
 * start, and what it names no more is deleted when its successor's record is on disk.
 *
 * Every promise rejects with a StorageFailure. One of kind "full" from a writer or receiver is survivable: abort it. After any
 * other the process must end.
 */
import type { SnapshotMeta } from "../paxos/message.js";

/** What is known of a snapshot before its first byte: the state after `index`. */
export type SnapshotBase = Pick<SnapshotMeta, "index" | "chain" | "stateHash" | "configuration">;

/** A snapshot of our own state, being written. One call at a time. */
export interface SnapshotWriter {
  /** Appends a chunk of 1 to SNAPSHOT_CHUNK_MAX bytes; it may be reused once this resolves. */
  push(chunk: Uint8Array): Promise<void>;
  /** Syncs, renames into place, syncs the directory and reads everything back; resolves with the facts for the `snapshot` record. */
  finish(): Promise<SnapshotMeta>;
  /** Gives up and deletes what was written. Nothing once it is finished, or given up before. */
  abort(): Promise<void>;
}

/** A snapshot from a peer, being received. Chunks may come in any order; a repeated one is ignored. One call at a time. */
export interface SnapshotReceiver {
  readonly meta: SnapshotMeta;
  /** The chunk is on disk when this resolves. Rejects with MalformedBytes on a chunk that cannot belong to `meta`. */
  storeChunk(chunk: number, bytes: Uint8Array): Promise<void>;
  /** Whether all chunks make up the snapshot that `meta` describes: if so it is renamed into place, durably; if not it is deleted. */
  finish(): Promise<boolean>;
  /** Gives up and deletes what was stored. Nothing once it is finished, or given up before. */
  abort(): Promise<void>;
}

export interface SnapshotStore {
  /** The newest snapshot that the log names, as recovery or the last commit left it. */
  latest(): SnapshotMeta | null;
  /** Begins a snapshot of our own state. One writer at a time. */
  create(base: SnapshotBase): Promise<SnapshotWriter>;
  /** Begins to receive; a reception under way is aborted first. */
  receive(meta: SnapshotMeta): Promise<SnapshotReceiver>;
  /** All chunks in order, each checked, the whole checked at the end: a load that ends without an error read what was written. */
  chunks(index: SnapshotMeta["index"]): AsyncIterable<Uint8Array>;
  /** One chunk, checked, to be sent to a peer; a snapshot that is being read this way is not deleted for a while. Null where there is no such snapshot or chunk any more. */
  readChunk(index: SnapshotMeta["index"], chunk: number): Promise<Uint8Array | null>;
  /** What the snapshots take on disk. Bytes. */
  diskBytes(): number;
}
