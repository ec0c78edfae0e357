/**
 * The one error of this layer: the disk broke, is full, or holds what it must not. It says which file, why, and what a person
 * can do. After one of kind "io" or "corrupt" the process must end: nothing here is ever tried again.
 */
import { AssertionFailure } from "../base/assert.js";
import type { Ballot } from "../paxos/ballot.js";
import type { Slot } from "../paxos/ids.js";

/**
 * io: the disk refused or a sync failed; nobody knows what is on it. corrupt: the disk holds something else than was written.
 * full: no space. newer-format: written by a later version. foreign: the directory is not ours, or none that we can use. locked: another process has it.
 */
export type StorageFailureKind = "io" | "corrupt" | "full" | "newer-format" | "foreign" | "locked";

/**
 * A batch of the log whose body is damaged while its header is good: what was promised is known, and every slot from `first`
 * to `last` would have to be fetched again as decided before this replica may vote (PROTOCOL §6).
 */
export type DamagedRange = {
  readonly offset: number;
  readonly first: Slot;
  readonly last: Slot;
  readonly promised: Ballot;
  readonly hardMs: number;
};

export type StorageFailureOptions = {
  /** The file or directory it is about. */
  readonly path: string;
  /** What the person who reads it can do, as a sentence. */
  readonly remedy: string;
  /** Not empty only where the damage could be repaired from other replicas: every damaged batch has a good header. */
  readonly damaged?: readonly DamagedRange[];
  readonly cause?: unknown;
};

export class StorageFailure extends Error {
  override readonly name = "StorageFailure";
  readonly kind: StorageFailureKind;
  readonly path: string;
  readonly remedy: string;
  readonly damaged: readonly DamagedRange[];
  /** What is wrong, without the place and the remedy. */
  readonly finding: string;

  constructor(kind: StorageFailureKind, message: string, options: StorageFailureOptions) {
    super(`${options.path}: ${message} [${kind}]. ${options.remedy}`, options.cause === undefined ? undefined : { cause: options.cause });
    this.kind = kind;
    this.finding = message;
    this.path = options.path;
    this.remedy = options.remedy;
    this.damaged = options.damaged ?? [];
  }
}

const REMEDY_IO = "Check the disk and the system's log, then start the server again; it reads back what is really there.";
/** What to do where no space is left. */
export const REMEDY_FULL = "Free space on this disk, then start the server again; nothing that was acknowledged is lost.";

/** What to do with a replica whose disk lies: the others have the data. */
export const REMEDY_CORRUPT =
  "Do not edit the file, and do not start from an older copy. Set the data directory aside, and start the server with an empty one: it joins the others again by itself.";

/** What the File port's codes say of a place that a person has named, and not of the disk; with each what to do. */
const REMEDIES_OF_PLACE: Readonly<Record<string, string>> = {
  EEXIST: "Choose a directory as data_dir, or a new name: a file is in its place.",
  ENOTDIR: "Choose a directory as data_dir, or a new name: a file is in its place.",
  ENOENT: "Choose a data_dir on an ordinary file system: none can be made here.",
  EACCES: "Choose a data_dir that this user may write to, or give the user that right.",
  EPERM: "Choose a data_dir that this user may write to, or give the user that right.",
  EROFS: "Choose a data_dir that can be written. If this one could, see the system's log: a file system with errors is made read-only.",
  ENAMETOOLONG: "Choose a data_dir with a shorter path.",
  ELOOP: "Choose a data_dir whose path has no links in a circle.",
};

/** The failure of a data directory that cannot be made or taken where it was named; `failureOf` where the place is not to blame. */
export function failureOfPlace(error: unknown, directory: string, action: string): StorageFailure {
  const remedy = REMEDIES_OF_PLACE[codeOf(error)];
  return remedy === undefined || error instanceof StorageFailure || !(error instanceof Error)
    ? failureOf(error, directory, action)
    : new StorageFailure("foreign", `cannot be the data_dir: ${error.message}`, { path: directory, remedy, cause: error });
}

/** The POSIX name that an error of the File port carries, or "". */
export function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
}

/** Whether an error of the File port says that there is no space: on the disk, or in the share of it that is ours. */
export function isNoSpace(error: unknown): boolean {
  return codeOf(error) === "ENOSPC" || codeOf(error) === "EDQUOT";
}

/** Whether an error of the File port says that this user may not. */
export function isForbidden(error: unknown): boolean {
  return codeOf(error) === "EACCES" || codeOf(error) === "EPERM";
}

/** What an error of the File port means for the storage. One that is a StorageFailure already stays as it is; a failed assertion is a bug and goes on. */
export function failureOf(error: unknown, path: string, action: string): StorageFailure {
  if (error instanceof AssertionFailure) {
    throw error;
  }
  if (error instanceof StorageFailure) {
    return error;
  }
  const full = isNoSpace(error);
  const reason = error instanceof Error ? error.message : String(error);
  return new StorageFailure(full ? "full" : "io", `cannot ${action}: ${reason}`, {
    path,
    remedy: full ? REMEDY_FULL : REMEDY_IO,
    cause: error,
  });
}
