/**
 * The File port of one life of a process over its disk. Each call becomes one operation that takes time on the disk; a dead
 * process gets no answer. It keeps nothing of its own but which files are open.
 */
import { nextChance, nextInt, type Prng } from "../../base/prng.js";
import type { DirectoryLock, File, FileSystem, OpenMode, OpenOptions } from "../../ports/file.js";
import type { Boundary, Host } from "../engine/host.js";
import { attempt, DiskError } from "./disk-error.js";
import { Inode, PAGE_BYTES } from "./inode.js";
import type { SimDisk } from "./sim-disk.js";

type Request<T> = {
  readonly boundary?: Boundary;
  readonly inode?: Inode;
  readonly effect: () => T;
};

/** One process's way to one disk. */
class Access {
  readonly disk: SimDisk;
  readonly host: Host;

  constructor(disk: SimDisk, host: Host) {
    this.disk = disk;
    this.host = host;
  }

  /** An operation whose end a promise tells. One that changes the disk happens or not when its process dies meanwhile. */
  ask<T>({ boundary, inode, effect }: Request<T>): Promise<T> {
    this.disk.stir();
    return new Promise((resolve, reject) => {
      let tell: (() => void) | null = null;
      const whole = (): void => {
        const value = effect();
        tell = () => resolve(value);
      };
      this.disk.start({
        host: this.host,
        boundary: boundary ?? null,
        inode: inode ?? null,
        effect: whole,
        interrupted: boundary === undefined ? null : (fate) => void (nextChance(fate, 0.5) && attempt(whole)),
        settle: (error) => (error === null ? tell?.() : reject(error)),
      });
    });
  }
}

export class SimFileSystem implements FileSystem {
  private readonly access: Access;

  constructor(disk: SimDisk, host: Host) {
    this.access = new Access(disk, host);
  }

  list(directory: string): Promise<readonly string[]> {
    const { disk } = this.access;
    return this.access.ask({ effect: () => [...disk.directoryOf(directory).names.keys()] });
  }

  makeDirectory(directory: string): Promise<void> {
    return this.access.ask({ effect: () => this.access.disk.makeDirectory(directory) });
  }

  open(path: string, { mode, durable }: OpenOptions): Promise<File> {
    const { directory, name } = splitPath(path);
    const opened = (inode: Inode): File => new SimFile(this.access, { inode, path, mode, durable });
    if (mode !== "create") {
      return this.access.ask({ effect: () => opened(this.inode(path)) });
    }
    return this.access.ask({
      boundary: "create",
      effect: () => {
        const into = this.access.disk.directoryOf(directory);
        if (into.names.has(name)) {
          throw new DiskError("EEXIST", path);
        }
        const inode = new Inode();
        into.change({ name, inode, from: null });
        return opened(inode);
      },
    });
  }

  rename(from: string, to: string): Promise<void> {
    const { directory, name } = splitPath(from);
    return this.access.ask({
      boundary: "rename",
      effect: () => this.access.disk.directoryOf(directory).change({ name: splitPath(to).name, inode: this.inode(from), from: name }),
    });
  }

  remove(path: string): Promise<void> {
    const { directory, name } = splitPath(path);
    return this.access.ask({
      boundary: "remove",
      effect: () => {
        this.inode(path);
        this.access.disk.directoryOf(directory).change({ name, inode: null, from: null });
      },
    });
  }

  syncDirectory(directory: string): Promise<void> {
    const { disk } = this.access;
    // What changes after this moment is not promised.
    const known = attempt(() => disk.directoryOf(directory)) === null ? disk.directoryOf(directory).changes : 0;
    return this.access.ask({
      boundary: "syncDirectory",
      effect: () => {
        const synced = disk.directoryOf(directory);
        if (disk.takeFailure()) {
          throw new DiskError("EIO", directory);
        }
        synced.syncTo(known);
      },
    });
  }

  freeBytes(_path: string): Promise<number> {
    return this.access.ask({ effect: () => this.access.disk.freeBytes() });
  }

  lock(directory: string): Promise<DirectoryLock> {
    const { disk } = this.access;
    return this.access.ask({
      effect: () => {
        disk.directoryOf(directory);
        if (!disk.lock(directory)) {
          throw new DiskError("ELOCKED", `${directory} is held by another process`);
        }
        return { release: () => this.access.ask({ effect: () => disk.unlock(directory) }) };
      },
    });
  }

  private inode(path: string): Inode {
    const { directory, name } = splitPath(path);
    const inode = this.access.disk.directoryOf(directory).names.get(name);
    if (inode === undefined) {
      throw new DiskError("ENOENT", path);
    }
    return inode;
  }
}

type Opened = { readonly inode: Inode; readonly path: string; readonly mode: OpenMode; readonly durable: boolean };

class SimFile implements File {
  private readonly access: Access;
  private readonly inode: Inode;
  private readonly opened: Opened;
  private readonly place: { readonly directory: string; readonly name: string };
  private closed = false;

  constructor(access: Access, opened: Opened) {
    this.access = access;
    this.inode = opened.inode;
    this.opened = opened;
    this.place = splitPath(opened.path);
  }

  write(position: number, bytes: Uint8Array, done: (error: Error | null) => void): void {
    const { inode, access } = this;
    const refused = this.closed || this.opened.mode === "read";
    access.disk.start({
      host: access.host,
      boundary: "write",
      inode,
      effect: () => {
        if (refused) {
          throw new DiskError("EBADF", this.opened.path);
        }
        this.writeWhole(position, bytes);
      },
      interrupted: refused ? null : (fate) => this.writePart(fate, position, bytes),
      settle: done,
    });
  }

  read(position: number, length: number): Promise<Uint8Array> {
    return this.ask({ effect: () => this.inode.read(position, length) });
  }

  sync(): Promise<void> {
    const { inode, access } = this;
    return this.ask({
      boundary: "sync",
      effect: () => {
        if (access.disk.takeFailure()) {
          access.disk.failSync(inode);
          throw new DiskError("EIO", this.opened.path);
        }
        inode.sync();
      },
    });
  }

  size(): Promise<number> {
    return this.ask({ effect: () => this.inode.size });
  }

  truncate(size: number): Promise<void> {
    const { inode, access } = this;
    return this.ask({
      boundary: "truncate",
      effect: () => {
        if (!access.disk.hasRoom(size - inode.size)) {
          throw new DiskError("ENOSPC", this.opened.path);
        }
        inode.truncate(size);
      },
    });
  }

  close(): Promise<void> {
    if (this.closed) {
      return this.access.ask({ effect: () => {} });
    }
    this.closed = true;
    return this.access.ask({ inode: this.inode, effect: () => {} });
  }

  private ask<T>(request: Omit<Request<T>, "inode">): Promise<T> {
    if (this.closed) {
      return this.access.ask({
        effect: () => {
          throw new DiskError("EBADF", this.opened.path);
        },
      });
    }
    return this.access.ask({ ...request, inode: this.inode });
  }

  private writeWhole(position: number, bytes: Uint8Array): void {
    const { inode } = this;
    const { disk } = this.access;
    const grows = position + bytes.length - inode.size;
    if (grows > 0 && !disk.hasRoom(grows)) {
      const fits = Math.max(0, Math.min(bytes.length, inode.size + disk.freeBytes() - position));
      inode.write(position, bytes.subarray(0, fits - (fits % PAGE_BYTES)), false);
      throw new DiskError("ENOSPC", this.opened.path);
    }
    const { durable } = this.opened;
    disk.write({ inode, name: this.place.name, position, bytes, durable }, this.place.directory);
  }

  /** The process died in the call: nothing was copied, everything, or some pages; none of it is known to be on disk. */
  private writePart(fate: Prng, position: number, bytes: Uint8Array): void {
    const { inode } = this;
    const part = [0, bytes.length, nextInt(fate, 0, Math.ceil(bytes.length / PAGE_BYTES) + 1) * PAGE_BYTES][nextInt(fate, 0, 3)] ?? 0;
    const copied = bytes.subarray(0, part);
    if (copied.length > 0 && this.access.disk.hasRoom(position + copied.length - inode.size)) {
      inode.write(position, copied, false);
    }
  }
}

export function splitPath(path: string): { readonly directory: string; readonly name: string } {
  const at = path.lastIndexOf("/");
  return { directory: path.slice(0, at), name: path.slice(at + 1) };
}
