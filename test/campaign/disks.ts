/**
 * Disks of servers: small ones, each a file system in memory that can be filled up, and the removal of what is on them. Mounts are made
 * below `unshare --mount`, so they end with the last process in there.
 */
import { execFileSync } from "node:child_process";
import { closeSync, cpSync, existsSync, lstatSync, mkdirSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";

/** A server refuses new values below 64 MiB of free space; the rest is its log and its snapshots. */
const SMALL_DISK_BYTES = 192 * 1024 * 1024;
const FILL_SLICE_BYTES = 4 * 1024 * 1024;
const SMALLEST_SLICE_BYTES = 4096;

export class SmallDisk {
  readonly dataDir: string;
  private readonly filler: string;

  constructor(folder: string, host: number) {
    const at = join(folder, `disk-${host}`);
    mkdirSync(at);
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${SMALL_DISK_BYTES}`, "none", at]);
    this.dataDir = join(at, "data");
    this.filler = join(at, "filler");
  }

  /** Takes what is free, to the last block. */
  fill(): void {
    const file = openSync(this.filler, "w");
    try {
      for (let bytes = FILL_SLICE_BYTES; bytes >= SMALLEST_SLICE_BYTES; ) {
        bytes = writeZeros(file, bytes) ? bytes : bytes / 2;
      }
    } finally {
      closeSync(file);
    }
  }

  free(): void {
    rmSync(this.filler, { force: true });
  }

  /** Copies what the server left to where it outlives the mount. */
  saveTo(folder: string): void {
    if (existsSync(this.dataDir)) {
      cpSync(this.dataDir, folder, { recursive: true, filter: (path) => !lstatSync(path).isSocket() }); // a lock is a socket
    }
  }
}

/** Whether all of it was written. */
function writeZeros(file: number, bytes: number): boolean {
  try {
    return writeSync(file, Buffer.alloc(bytes)) === bytes;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOSPC") {
      return false;
    }
    throw error;
  }
}

/** Removes all that the server had on its disk; whether there was anything. */
export function wipe(dataDir: string): boolean {
  const had = existsSync(dataDir);
  rmSync(dataDir, { recursive: true, force: true });
  return had;
}
