/**
 * The names of one directory: as seen, as on disk, and the changes between the two in their order. A file system keeps that
 * order in its journal, so a power loss takes the changes from some point on and never one from the middle.
 */
import { nextInt, type Prng } from "../../base/prng.js";
import type { Inode } from "./inode.js";

type Names = Map<string, Inode>;

/** `name` stands for `inode` from now on, or for nothing (null); `from` is the name that it had before. */
type Change = { readonly name: string; readonly inode: Inode | null; readonly from: string | null };

function apply(names: Names, { name, inode, from }: Change): void {
  if (from !== null) {
    names.delete(from);
  }
  if (inode === null) {
    names.delete(name);
  } else {
    names.set(name, inode);
  }
}

export class Directory {
  /** As the system sees it. */
  readonly names: Names = new Map();
  private readonly durable: Names = new Map();
  private pending: Change[] = [];
  private synced = 0;

  /** Changes made since the beginning: what a sync that starts now covers. */
  get changes(): number {
    return this.synced + this.pending.length;
  }

  change(change: Change): void {
    apply(this.names, change);
    this.pending.push(change);
  }

  /** The first `count` changes since the beginning are on disk. */
  syncTo(count: number): void {
    for (const change of this.pending.splice(0, Math.max(0, count - this.synced))) {
      apply(this.durable, change);
      this.synced++;
    }
  }

  /** The power went. How many changes are lost. */
  losePower(prng: Prng): number {
    const kept = nextInt(prng, 0, this.pending.length + 1);
    const lost = this.pending.length - kept;
    this.syncTo(this.synced + kept);
    this.pending = [];
    this.names.clear();
    for (const [name, inode] of this.durable) {
      this.names.set(name, inode);
    }
    return lost;
  }

  /** These names and no others, on disk. */
  replace(names: ReadonlyMap<string, Inode>): void {
    this.pending = [];
    this.names.clear();
    this.durable.clear();
    for (const [name, inode] of names) {
      this.names.set(name, inode);
      this.durable.set(name, inode);
    }
  }
}
