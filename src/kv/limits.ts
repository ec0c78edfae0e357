/**
 * Every limit of the state machine by its name. They bound replicated state, so they are the same on every replica and part of
 * the format: changing one changes what the log means. Settings of one server never belong here.
 */

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

/** The longest key the model holds, in bytes; a server may allow less. */
export const KEY_BYTES_MAX = 64 * KIB;
/** The longest value the model holds, in bytes; a server may allow less. */
export const VALUE_BYTES_MAX = 64 * MIB;

/** The most compares, and the most operations in either branch, of one transaction; a nested one has what its parent leaves (etcd's figure). */
export const TXN_OPERATIONS_MAX = 128;

/** The most bytes of pairs one write command may answer with; above it the command fails and changes nothing. */
export const REPLY_BYTES_MAX = 16 * MIB;

/** The most requests a session may have between its `firstUnacked` and its newest sequence number. */
export const SESSION_OUTSTANDING_MAX = 4096;
/** The most sessions; a further registration expires the one that was used least recently. */
export const SESSIONS_MAX = 16_384;
/** The most cached replies over all sessions; above it the sessions used least recently expire. */
export const CACHED_REPLIES_MAX = 1_048_576;
/** The most bytes of cached replies that do not fit a row of numbers (previous pairs, transactions); above it the oldest are dropped. */
export const CACHED_REPLY_BYTES_MAX = 64 * MIB;

/** The quota of a store whose quota was never set, in replicated bytes. */
export const QUOTA_BYTES_DEFAULT = 2 * GIB;
/** What one version of a key counts in replicated bytes beyond its key and value; about what it costs in memory. */
export const VERSION_OVERHEAD_BYTES = 96;

/** The largest piece of a snapshot. */
export const SNAPSHOT_CHUNK_BYTES = MIB;

/** A slice of work of one to three milliseconds, several times that while the code is still cold; in units of about a microsecond. */
export const SLICE_UNITS = 1000;
