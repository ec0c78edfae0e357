/**
 * A disk in memory that forgets as a real one may (PROTOCOL §7.2): what was not synced is lost in any subset of 512-byte
 * sectors, names that were not synced are lost from some operation on. It holds what a power cut would leave, next to what
 * the running process sees. Must never be kinder than a disk is allowed to be unkind.
 */
import { nextChance, nextInt, type Prng } from "../../base/prng.js";

const SECTOR_BYTES = 512;

/** The error of the File port with its POSIX name. */
export class DiskError extends Error {
  readonly code: string;

  constructor(code: string, path: string) {
    super(`${code}: ${path}`);
    this.code = code;
  }
}

/** One file: `data` as the process sees it, `durable` as it would be after a cut if no dirty sector survived. */
export class Inode {
  data = new Uint8Array(0);
  private durable = new Uint8Array(0);
  private readonly dirty = new Set<number>();

  write(position: number, bytes: Uint8Array): void {
    if (position + bytes.length > this.data.length) {
      this.resize(position + bytes.length);
    }
    this.data.set(bytes, position);
    this.soil(position, position + bytes.length);
  }

  truncate(size: number): void {
    const before = this.data.length;
    this.resize(size);
    this.soil(Math.min(before, size), Math.max(before, size));
  }

  /** What lies in the range is on disk, and so is the size. */
  sync(from = 0, end = this.data.length): void {
    this.fitDurable(this.data.length);
    for (let sector = Math.floor(from / SECTOR_BYTES); sector * SECTOR_BYTES < end; sector++) {
      this.keep(sector);
    }
    if (from === 0 && end === this.data.length) {
      this.dirty.clear();
    }
  }

  /** The power went: each sector that was not synced survives with probability `p`. */
  crash(prng: Prng, p: number): void {
    if (this.data.length !== this.durable.length && nextChance(prng, p)) {
      this.fitDurable(this.data.length);
    }
    for (const sector of this.dirty) {
      if (nextChance(prng, p)) {
        this.keep(sector);
      }
    }
    this.data = this.durable.slice();
    this.dirty.clear();
  }

  /** Decay: changes a byte on the disk itself. */
  rot(position: number, mask: number): void {
    for (const image of [this.data, this.durable]) {
      image[position] = (image[position] ?? 0) ^ mask;
    }
  }

  clone(): Inode {
    const copy = new Inode();
    copy.data = this.data.slice();
    copy.durable = this.durable.slice();
    for (const sector of this.dirty) {
      copy.dirty.add(sector);
    }
    return copy;
  }

  private resize(size: number): void {
    const data = new Uint8Array(size);
    data.set(this.data.subarray(0, Math.min(size, this.data.length)));
    this.data = data;
  }

  private fitDurable(size: number): void {
    if (this.durable.length !== size) {
      const durable = new Uint8Array(size);
      durable.set(this.durable.subarray(0, Math.min(size, this.durable.length)));
      this.durable = durable;
    }
  }

  private soil(from: number, end: number): void {
    for (let sector = Math.floor(from / SECTOR_BYTES); sector * SECTOR_BYTES < end; sector++) {
      this.dirty.add(sector);
    }
  }

  private keep(sector: number): void {
    const from = sector * SECTOR_BYTES;
    const end = Math.min(from + SECTOR_BYTES, this.durable.length, this.data.length);
    if (from < end) {
      this.durable.set(this.data.subarray(from, end), from);
    }
    this.dirty.delete(sector);
  }
}

type Names = Map<string, Inode>;

/** One directory: names as seen, names on disk, and the operations between the two in their order. */
class Directory {
  readonly names: Names = new Map();
  private readonly durable: Names = new Map();
  private pending: ((names: Names) => void)[] = [];

  change(operation: (names: Names) => void): void {
    operation(this.names);
    this.pending.push(operation);
  }

  sync(): void {
    for (const operation of this.pending) {
      operation(this.durable);
    }
    this.pending = [];
  }

  /** A journal keeps the order: some first operations survive, the rest is gone. */
  crash(prng: Prng): void {
    const surviving = nextInt(prng, 0, this.pending.length + 1);
    this.pending = this.pending.slice(0, surviving);
    this.sync();
    this.names.clear();
    for (const [name, inode] of this.durable) {
      this.names.set(name, inode);
    }
  }

  clone(copies: Map<Inode, Inode>): Directory {
    const copy = new Directory();
    const copied = (inode: Inode): Inode => {
      const known = copies.get(inode) ?? inode.clone();
      copies.set(inode, known);
      return known;
    };
    this.sync();
    for (const [name, inode] of this.names) {
      copy.names.set(name, copied(inode));
      copy.durable.set(name, copied(inode));
    }
    return copy;
  }
}

export class MemoryDisk {
  private directories = new Map<string, Directory>();
  /** Counts power cuts: a handle of an earlier life is dead. */
  life = 0;
  readonly locks = new Set<string>();
  /** Bytes the disk takes; more is ENOSPC. */
  capacity = Number.POSITIVE_INFINITY;

  directory(path: string): Directory {
    const found = this.directories.get(path);
    if (found === undefined) {
      throw new DiskError("ENOENT", path);
    }
    return found;
  }

  makeDirectory(path: string): void {
    if (!this.directories.has(path)) {
      this.directories.set(path, new Directory());
    }
  }

  inode(path: string): Inode {
    const { directory, name } = splitPath(path);
    const inode = this.directory(directory).names.get(name);
    if (inode === undefined) {
      throw new DiskError("ENOENT", path);
    }
    return inode;
  }

  used(): number {
    let bytes = 0;
    for (const directory of this.directories.values()) {
      for (const inode of directory.names.values()) {
        bytes += inode.data.length;
      }
    }
    return bytes;
  }

  /** The power goes and comes back. `p`: the chance of each unsynced sector to have made it. */
  crash(prng: Prng, p = 0.5): void {
    this.life += 1;
    this.locks.clear();
    const inodes = new Set<Inode>();
    for (const directory of this.directories.values()) {
      directory.crash(prng);
      for (const inode of directory.names.values()) {
        inodes.add(inode);
      }
    }
    for (const inode of inodes) {
      inode.crash(prng, p);
    }
  }

  /** The process dies, the machine goes on: everything written is seen by the next life, synced or not. */
  kill(): void {
    this.life += 1;
    this.locks.clear();
  }

  /** A copy with all names synced, to damage without losing the original. */
  clone(): MemoryDisk {
    const copy = new MemoryDisk();
    const copies = new Map<Inode, Inode>();
    copy.directories = new Map([...this.directories].map(([path, directory]) => [path, directory.clone(copies)]));
    copy.capacity = this.capacity;
    return copy;
  }
}

export function splitPath(path: string): { readonly directory: string; readonly name: string } {
  const at = path.lastIndexOf("/");
  return { directory: path.slice(0, at), name: path.slice(at + 1) };
}
