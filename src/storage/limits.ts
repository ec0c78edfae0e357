/** Every limit and fixed size of the storage layer, with the reason for its value. Numbers that are part of a file format say so. */
const KIB = 1024;
const MIB = 1024 * KIB;

/** The version in every file this layer writes. A reader refuses a higher one; a change of any format raises it. */
export const FORMAT_VERSION = 1;

/** What the log is aligned to (format): the sector of today's disks, so that a write never touches a sector of the batch before. */
export const BLOCK_BYTES = 4 * KIB;

/** A segment holds at least a header and a few batches. */
export const SEGMENT_BYTES_MIN = 32 * KIB;
export const SEGMENT_BYTES_MAX = 1024 * MIB;
export const SEGMENT_BYTES_DEFAULT = 16 * MIB;

/** Largest segment header: two configurations of the most members with long addresses fit. */
export const SEGMENT_HEADER_MAX = 64 * KIB;

/** Largest body of one batch; a commit of a server's whole window is far smaller. A longer length in a header is damage. */
export const COMMIT_BYTES_MAX = 1024 * MIB;

/** The commit buffer is kept between commits up to this size. */
export const COMMIT_BUFFER_KEPT = 4 * MIB;

/** A start copies the live tail in batches of about this size, so that memory stays bounded. */
export const TAIL_BATCH_BYTES = MIB;

/** A batch that nothing followed for this long is sealed (PROTOCOL §6). Checked twice as often. */
export const SEAL_IDLE_MS = 10;

/** Recycled or prefilled segments kept for later; more are deleted. */
export const SPARE_SEGMENTS_MAX = 2;

/** Zeros are written ahead in slices with a sync and a pause each: a large backlog slows every commit for seconds (LIMITS §5). */
export const PREFILL_SLICE_BYTES = 256 * KIB;
export const PREFILL_PAUSE_MS = 1;

/** Recovery reads segments in windows of this size. */
export const READ_WINDOW_BYTES = MIB;

/** Largest chunk of a snapshot: one peer message. */
export const SNAPSHOT_CHUNK_MAX = MIB;
/** Most chunks of a snapshot: bounds the table at the end of the file. */
export const SNAPSHOT_CHUNKS_MAX = MIB;
/** A snapshot is synced each time this much was written, so that no large backlog stands before a commit of the log. */
export const SNAPSHOT_SYNC_BYTES = 4 * MIB;
/** A superseded snapshot that was read by a peer is kept this long after the last read. */
export const SNAPSHOT_SERVED_KEEP_MS = 30_000;

/** Less free space than this is low: no new values are accepted, promises still are. */
export const SPACE_RESERVE_DEFAULT = 64 * MIB;
/** How often free space is looked at. */
export const SPACE_POLL_MS = 2000;
