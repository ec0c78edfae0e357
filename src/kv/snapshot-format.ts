/**
 * The layout of a snapshot, for the writer and the reader alike. Chunks of at most SNAPSHOT_CHUNK_BYTES, each beginning with how
 * it goes on; records back to back in it; a record too large for one chunk is cut into pieces. Order: header, sessions (least
 * recently used first), versions (keys ascending, newest version first), events (in the order written), end. Equal states make
 * equal bytes. Whether bytes got damaged is found by the checksums of storage and wire, and by the state hash at the end.
 */

/** First field of the header record. */
export const SNAPSHOT_MAGIC = "synod-kv";
/** Raise it with any change of layout; a reader refuses what is newer than itself. */
export const SNAPSHOT_VERSION = 1;

/** First byte of a chunk. */
export const CHUNK_KIND = {
  /** Whole records. */
  records: 0,
  /** A piece of a record, more to come. */
  piece: 1,
  /** The last piece of a record. */
  lastPiece: 2,
} as const;

/** First byte of a record. */
export const RECORD_TAG = {
  header: 1,
  session: 2,
  /** The newest retained version of a key, with the key. */
  newest: 3,
  /** The next older version of the same key. */
  older: 4,
  /** Versions by their number in the order above: the next events of the history. */
  events: 5,
  end: 6,
} as const;

export const VERSION_FLAG = { tombstone: 1, lease: 2 } as const;
export const VERSION_FLAGS_KNOWN = 3;

/** More bytes than the numbers of one version record take. */
export const VERSION_FIELDS_BYTES = 64;
/** Events in one record at most. */
export const EVENTS_PER_RECORD = 4096;

/** Bytes that are no snapshot, or a damaged one, or one of a newer program; says which. The store made of it must not be used. */
export class SnapshotFailure extends Error {
  override readonly name = "SnapshotFailure";
}
