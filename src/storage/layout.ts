/**
 * What lies in a data directory: the names, the file that makes a directory ours and says which format, and the refusal of
 * anything else. Must never touch a directory that is not ours.
 */
import { utf8Decode, utf8Encode } from "../base/utf8.js";
import type { File, FileSystem } from "../ports/file.js";
import { FORMAT_VERSION } from "./limits.js";
import { codeOf, failureOf, REMEDY_CORRUPT, StorageFailure } from "./storage-failure.js";

export const FORMAT_FILE = "synod-format";
export const FORMAT_TEMP = "synod-format.tmp";
/** In place of the format file while a directory is being made from a state; renamed to it at the very end. */
export const UNFINISHED_FILE = "synod-unfinished";
export const BALLAST_FILE = "ballast";
export const SNAPSHOT_WRITE_TEMP = "snapshot-write.tmp";
export const SNAPSHOT_RECEIVE_TEMP = "snapshot-receive.tmp";

const FORMAT_LINES = /^synod data directory\nformat (\d{1,9})\n$/;
const SEGMENT_NAME = /^wal-(\d{8,12})\.log$/;
const SNAPSHOT_NAME = /^snapshot-(\d{16})\.snap$/;
/** Made by the lock, or by the system at the root of a disk. */
const IGNORED_NAME = /^(lock\..*|lost\+found)$/;
const FORMAT_BYTES_MAX = 4096;
const NAMES_SHOWN = 5;

export const segmentName = (number: number): string => `wal-${String(number).padStart(8, "0")}.log`;
export const snapshotName = (index: number): string => `snapshot-${String(index).padStart(16, "0")}.snap`;
export const pathIn = (directory: string, name: string): string => `${directory}/${name}`;

/** virgin: nothing of worth is there; `leftovers` are of a creation that was interrupted. ours: a log must be there. */
export type Inventory =
  | { readonly kind: "virgin"; readonly leftovers: readonly string[]; readonly segments: readonly number[] }
  | {
      readonly kind: "ours";
      /** Numbers of the segment files. */
      readonly segments: readonly number[];
      /** Indexes of the snapshots, descending. */
      readonly snapshots: readonly number[];
      readonly temporaries: readonly string[];
      readonly ballast: boolean;
    };

/** Looks at a directory that exists and is locked. Throws a StorageFailure of kind foreign, newer-format, corrupt or io. */
export async function takeInventory(fileSystem: FileSystem, directory: string): Promise<Inventory> {
  const names = (await listContent(fileSystem, directory)).slice().sort();
  if (names.includes(UNFINISHED_FILE)) {
    throw new StorageFailure("foreign", "a recovery or a restore into this directory was interrupted: it is no data directory", {
      path: directory,
      remedy: "Remove the directory, and run that command again.",
    });
  }
  const segments = numbersOf(names, SEGMENT_NAME);
  const snapshots = numbersOf(names, SNAPSHOT_NAME).reverse();
  if (names.includes(FORMAT_FILE)) {
    await checkFormat(fileSystem, pathIn(directory, FORMAT_FILE));
    const temporaries = [FORMAT_TEMP, SNAPSHOT_WRITE_TEMP, SNAPSHOT_RECEIVE_TEMP].filter((name) => names.includes(name));
    return { kind: "ours", segments, snapshots, temporaries, ballast: names.includes(BALLAST_FILE) };
  }
  const strange = names.filter((name) => !isOurs(name));
  if (strange.length > 0) {
    const more = strange.length > NAMES_SHOWN ? ` and ${strange.length - NAMES_SHOWN} more` : "";
    throw new StorageFailure(
      "foreign",
      `not empty and not a data directory of Synod: it holds ${strange.slice(0, NAMES_SHOWN).join(", ")}${more}`,
      {
        path: directory,
        remedy: "Choose an empty or new directory as data_dir.",
      },
    );
  }
  // The format file is the last thing a creation writes: without it there is at most the first segment of a creation that was interrupted.
  if (snapshots.length > 0 || segments.some((number) => number > 1)) {
    throw missingFormat(directory);
  }
  return { kind: "virgin", leftovers: names, segments };
}

export function missingFormat(directory: string): StorageFailure {
  return new StorageFailure("corrupt", `the file ${FORMAT_FILE} is missing although there is a log`, {
    path: directory,
    remedy: REMEDY_CORRUPT,
  });
}

/** Makes the directory ours, durably and at once. */
export async function writeFormat(fileSystem: FileSystem, directory: string): Promise<void> {
  await writeFormatAs(fileSystem, directory, FORMAT_TEMP);
  await placeFormat(fileSystem, directory, FORMAT_TEMP);
}

/** Writes the format file under another name, durably but for the name. */
export async function writeFormatAs(fileSystem: FileSystem, directory: string, name: string): Promise<void> {
  const path = pathIn(directory, name);
  try {
    const file = await fileSystem.open(path, { mode: "create", durable: false });
    await writeAt(file, 0, utf8Encode(`synod data directory\nformat ${FORMAT_VERSION}\n`));
    await file.sync();
    await file.close();
  } catch (error) {
    throw failureOf(error, path, "write the format of the data directory");
  }
}

/** Gives the format file its name: from then on the directory is ours. */
export async function placeFormat(fileSystem: FileSystem, directory: string, name: string): Promise<void> {
  try {
    await fileSystem.rename(pathIn(directory, name), pathIn(directory, FORMAT_FILE));
    await fileSystem.syncDirectory(directory);
  } catch (error) {
    throw failureOf(error, directory, "write the format of the data directory");
  }
}

/** The write of the File port as a promise, for everything that is not the log's hot path. */
export function writeAt(file: File, position: number, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    file.write(position, bytes, (error) => (error === null ? resolve() : reject(error)));
  });
}

/** The names in a directory, without those that are there whatever it holds. */
export async function listContent(fileSystem: FileSystem, directory: string): Promise<readonly string[]> {
  try {
    return (await fileSystem.list(directory)).filter((name) => !IGNORED_NAME.test(name));
  } catch (error) {
    throw failureOf(error, directory, "read the data directory");
  }
}

async function checkFormat(fileSystem: FileSystem, path: string): Promise<void> {
  const bytes = await readSmall(fileSystem, path);
  const version = FORMAT_LINES.exec(utf8Decode(bytes) ?? "")?.[1];
  if (version === undefined || Number(version) < FORMAT_VERSION) {
    throw new StorageFailure("corrupt", "does not say which format the directory has", { path, remedy: REMEDY_CORRUPT });
  }
  if (Number(version) > FORMAT_VERSION) {
    throw newerFormat(path, Number(version));
  }
}

/** Removes the file, or finds that it is gone. */
export async function removeIfThere(fileSystem: FileSystem, path: string): Promise<void> {
  try {
    await fileSystem.remove(path);
  } catch (error) {
    if (codeOf(error) !== "ENOENT") {
      throw error;
    }
  }
}

/** A file of a later version: reading on would guess, writing would destroy. */
export function newerFormat(path: string, version: number): StorageFailure {
  return new StorageFailure("newer-format", `written in format ${version}, this version of Synod reads up to format ${FORMAT_VERSION}`, {
    path,
    remedy: "Start the version of Synod that wrote it, or a later one.",
  });
}

async function readSmall(fileSystem: FileSystem, path: string): Promise<Uint8Array> {
  try {
    const file = await fileSystem.open(path, { mode: "read", durable: false });
    const bytes = await file.read(0, FORMAT_BYTES_MAX);
    await file.close();
    return bytes;
  } catch (error) {
    throw failureOf(error, path, "read the format of the data directory");
  }
}

function isOurs(name: string): boolean {
  return name === FORMAT_TEMP || name === BALLAST_FILE || SEGMENT_NAME.test(name) || SNAPSHOT_NAME.test(name);
}

function numbersOf(names: readonly string[], pattern: RegExp): number[] {
  return names.flatMap((name) => {
    const digits = pattern.exec(name)?.[1];
    return digits === undefined ? [] : [Number(digits)];
  });
}
