/**
 * The File port over Node's fs: the thin end of the storage layer. It decides nothing, retries nothing but a write or read
 * that the system cut short, and passes every error on as it came.
 */
import * as fs from "node:fs";
import * as fsPromises from "node:fs/promises";
import { dirname } from "node:path";
import type { DirectoryLock, File, FileSystem, OpenOptions } from "../ports/file.js";
import { lockDirectory } from "./node-directory-lock.js";

const { O_RDONLY, O_RDWR, O_CREAT, O_EXCL, O_DSYNC } = fs.constants;
/** Data of users: not for everybody on the machine. */
const FILE_MODE = 0o640;

/**
 * On Linux O_DSYNC makes write and sync one system call and one hop through the pool (LIMITS §5). Elsewhere it does not reach
 * the medium (on macOS only F_FULLFSYNC does, which is what Node's fdatasync calls there), so the sync is a call of its own.
 */
const SYNCS_ON_WRITE = process.platform === "linux";

export class NodeFileSystem implements FileSystem {
  async list(directory: string): Promise<readonly string[]> {
    return await fsPromises.readdir(directory);
  }

  /** One level at a time: where a file system makes none and says ENOENT (/proc), Node's own recursive mkdir asks again for ever. */
  async makeDirectory(directory: string): Promise<void> {
    const levels = [directory];
    for (let above = dirname(directory); await isMissing(above); above = dirname(above)) {
      levels.unshift(above);
    }
    for (const level of levels) {
      if (await makeOne(level)) {
        await this.syncDirectory(dirname(level));
      }
    }
  }

  async open(path: string, { mode, durable }: OpenOptions): Promise<File> {
    const flags = mode === "read" ? O_RDONLY : mode === "create" ? O_RDWR | O_CREAT | O_EXCL : O_RDWR;
    const sync = durable && mode !== "read";
    const handle = await open(path, sync && SYNCS_ON_WRITE ? flags | O_DSYNC : flags);
    return new NodeFile(handle, sync && !SYNCS_ON_WRITE);
  }

  async rename(from: string, to: string): Promise<void> {
    await fsPromises.rename(from, to);
  }

  async remove(path: string): Promise<void> {
    await fsPromises.unlink(path);
  }

  async syncDirectory(directory: string): Promise<void> {
    const handle = await fsPromises.open(directory, "r");
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  }

  async freeBytes(path: string): Promise<number> {
    const { bavail, bsize } = await fsPromises.statfs(path);
    return bavail * bsize;
  }

  async lock(directory: string): Promise<DirectoryLock> {
    return await lockDirectory(directory);
  }
}

/** Descriptors and callbacks, not FileHandle: the write is the hot path of the whole server. */
class NodeFile implements File {
  private readonly descriptor: number;
  private readonly syncsAfterWrite: boolean;
  private closed = false;

  constructor(descriptor: number, syncsAfterWrite: boolean) {
    this.descriptor = descriptor;
    this.syncsAfterWrite = syncsAfterWrite;
  }

  write(position: number, bytes: Uint8Array, done: (error: Error | null) => void): void {
    fs.write(this.descriptor, bytes, 0, bytes.length, position, (error, written) => {
      if (error !== null) {
        done(error);
      } else if (written < bytes.length) {
        this.write(position + written, bytes.subarray(written), done);
      } else if (this.syncsAfterWrite) {
        fs.fdatasync(this.descriptor, done);
      } else {
        done(null);
      }
    });
  }

  async read(position: number, length: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(length);
    let filled = 0;
    while (filled < length) {
      const count = await read(this.descriptor, bytes.subarray(filled), position + filled);
      if (count === 0) {
        break;
      }
      filled += count;
    }
    return bytes.subarray(0, filled);
  }

  sync(): Promise<void> {
    return settled((done) => fs.fdatasync(this.descriptor, done));
  }

  size(): Promise<number> {
    return new Promise((resolve, reject) => {
      fs.fstat(this.descriptor, (error, stats) => (error === null ? resolve(stats.size) : reject(error)));
    });
  }

  truncate(size: number): Promise<void> {
    return settled((done) => fs.ftruncate(this.descriptor, size, done));
  }

  async close(): Promise<void> {
    if (!this.closed) {
      this.closed = true;
      await settled((done) => fs.close(this.descriptor, done));
    }
  }
}

async function isMissing(path: string): Promise<boolean> {
  return await fsPromises.stat(path).then(
    () => false,
    (error: NodeJS.ErrnoException) => error.code === "ENOENT",
  );
}

/** Whether it had to be made. */
async function makeOne(directory: string): Promise<boolean> {
  try {
    await fsPromises.mkdir(directory);
    return true;
  } catch (error) {
    const isThere = await fsPromises.stat(directory).then(
      (found) => found.isDirectory(),
      () => false,
    );
    if (isThere) {
      return false;
    }
    throw error;
  }
}

function open(path: string, flags: number): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.open(path, flags, FILE_MODE, (error, descriptor) => (error === null ? resolve(descriptor) : reject(error)));
  });
}

function read(descriptor: number, into: Uint8Array, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.read(descriptor, into, 0, into.length, position, (error, count) => (error === null ? resolve(count) : reject(error)));
  });
}

function settled(start: (done: (error: Error | null) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    start((error) => (error === null || error === undefined ? resolve() : reject(error)));
  });
}
