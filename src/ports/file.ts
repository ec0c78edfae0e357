/**
 * The disk, as the storage layer sees it. Only the log's write is on the hot path, so it alone takes a callback; everything
 * rare returns a promise. An implementation never hides a failure and never tries again: whether to go on is not its decision.
 *
 * Failures are `Error`s with a POSIX name in `code`: ENOENT, EEXIST, ENOSPC, EIO and so on, and ELOCKED for a directory
 * that another process holds. Paths use "/"; a file is durable under its name only after its directory was synced.
 */

/** `code` of the error that `FileSystem.lock` rejects with when another process holds the directory; the message names it. */
export type LockedCode = "ELOCKED";

/**
 * read: an existing file, reading only. update: an existing file, reading and writing. create: a new file, reading and writing;
 * fails with EEXIST where there is one.
 */
export type OpenMode = "read" | "update" | "create";

export type OpenOptions = {
  readonly mode: OpenMode;
  /** Every write is on disk, data and what is needed to read it back, when its callback runs (O_DSYNC or as good). */
  readonly durable: boolean;
};

export interface File {
  /**
   * Writes all of `bytes` at byte `position`, extending the file where needed. `done` is never called from inside the call, and
   * once; `bytes` must not change until then. With an error, any part of the range may hold anything.
   */
  write(position: number, bytes: Uint8Array, done: (error: Error | null) => void): void;
  /** Up to `length` bytes from byte `position`: fewer only where the file ends. The array is the caller's own. */
  read(position: number, length: number): Promise<Uint8Array>;
  /** All that was written is on disk when it resolves. After a rejection nobody knows what is. */
  sync(): Promise<void>;
  /** Bytes. */
  size(): Promise<number>;
  /** Cuts the file, or extends it with zeros. */
  truncate(size: number): Promise<void>;
  /** Closing again changes nothing. */
  close(): Promise<void>;
}

/** A held lock. The operating system frees it when the process ends, however it ends. */
export interface DirectoryLock {
  release(): Promise<void>;
}

export interface FileSystem {
  /** Names of files and directories in `directory`, in no order. */
  list(directory: string): Promise<readonly string[]>;
  /** Makes the directory and those above it, durably; nothing where it exists. */
  makeDirectory(directory: string): Promise<void>;
  open(path: string, options: OpenOptions): Promise<File>;
  /** Atomically; what was at `to` is gone. Both in one directory. */
  rename(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  /** Names made, renamed and removed in `directory` are on disk when it resolves. */
  syncDirectory(directory: string): Promise<void>;
  /** Bytes that an ordinary process may still use on the file system of `path`. */
  freeBytes(path: string): Promise<number>;
  /** Excludes every other process from `directory`, which exists. A lock left by a dead process is no obstacle. */
  lock(directory: string): Promise<DirectoryLock>;
}
