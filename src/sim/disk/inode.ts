/**
 * The content of one file: what the system sees, and next to it what the disk itself holds wherever that is older. Bookkeeping
 * is per sector and only for what is not synced, so that a durable write into blocks that exist costs a copy and no more.
 * It must never be kinder than a disk may be unkind: what was not synced is lost in any subset of sectors.
 */
import { assert } from "../../base/assert.js";
import { nextChance, nextInt, type Prng } from "../../base/prng.js";

/** What a disk writes whole or not at all. */
export const SECTOR_BYTES = 512;
/** What the system copies from a process at a time. */
export const PAGE_BYTES = 4096;

const ZERO_SECTOR: Uint8Array = new Uint8Array(SECTOR_BYTES);
/** How likely each unsynced sector is to have reached the disk; one is drawn for each file and power loss. */
const SURVIVALS = [0, 0.1, 0.5, 0.9, 1] as const;

/** What a power loss did to one file. */
export type Loss = { readonly lost: number; readonly kept: number };

const sectorOf = (position: number): number => Math.floor(position / SECTOR_BYTES);
const sectorsIn = (bytes: number): number => Math.ceil(bytes / SECTOR_BYTES);

export class Inode {
  /** Longer than the file; zeros behind its end. A multiple of SECTOR_BYTES. */
  private bytes = new Uint8Array(0);
  private seenSize = 0;
  private durableSize = 0;
  /** Sectors that a sync would write, with what the disk holds there. Sectors behind the durable size are not listed: they are unsynced, and zeros on the disk. */
  private readonly dirty = new Map<number, Uint8Array>();
  /** Sectors that a failed sync left out of date although the system holds them for written: no later sync writes them. */
  private readonly stale = new Map<number, Uint8Array>();

  /** A file with this content, all of it on disk. */
  static of(content: Uint8Array): Inode {
    const inode = new Inode();
    inode.write(0, content, true);
    return inode;
  }

  get size(): number {
    return this.seenSize;
  }

  /** A view of what the system sees; never to be written to, and of no worth after the next change. */
  view(): Uint8Array {
    return this.bytes.subarray(0, this.seenSize);
  }

  /** A copy of a part of what the system sees, shorter where the file ends. */
  read(position: number, length: number): Uint8Array {
    return this.bytes.slice(Math.min(position, this.seenSize), Math.min(position + length, this.seenSize));
  }

  /** `durable`: the range is on disk when this returns, and the size. */
  write(position: number, bytes: Uint8Array, durable: boolean): void {
    const end = position + bytes.length;
    if (!durable) {
      this.soil(position, end);
    }
    this.reach(end);
    this.bytes.set(bytes, position);
    if (durable) {
      this.settle(position, end);
    }
  }

  truncate(size: number): void {
    if (size < this.seenSize) {
      this.soil(size, this.seenSize);
      this.bytes.fill(0, size, this.seenSize);
      this.seenSize = size;
    } else {
      this.reach(size);
    }
  }

  sync(): void {
    this.dirty.clear();
    this.durableSize = this.seenSize;
    this.dropBehind(this.stale, this.seenSize);
  }

  /** A sync failed: of what was not synced some is on disk, some will be tried again, and some is lost without the system knowing; it may show the new content or the old. */
  failSync(prng: Prng): void {
    if (this.seenSize > this.durableSize && nextChance(prng, 0.5)) {
      this.listGap(sectorsIn(this.seenSize));
      this.durableSize = this.seenSize;
    }
    const forgets = nextChance(prng, 0.25);
    for (const [sector, content] of [...this.dirty]) {
      const fate = nextInt(prng, 0, 3);
      if (fate === 0) {
        continue;
      }
      this.dirty.delete(sector);
      if (fate === 1 && forgets) {
        this.bytes.set(content, sector * SECTOR_BYTES);
        this.bytes.fill(0, this.seenSize, Math.max(this.seenSize, (sector + 1) * SECTOR_BYTES));
      } else if (fate === 1) {
        this.stale.set(sector, content);
      }
    }
  }

  /** The system forgets what it holds for written: where that is not true, the disk's own content comes to light. */
  evict(): void {
    for (const [sector, content] of this.stale) {
      this.bytes.set(content, sector * SECTOR_BYTES);
    }
    this.stale.clear();
    this.bytes.fill(0, this.seenSize);
  }

  /** The power went: every unsynced sector is old or new, and so is the size. */
  losePower(prng: Prng): Loss {
    const size = this.sizeAfterLoss(prng);
    const survival = SURVIVALS[nextInt(prng, 0, SURVIVALS.length)] ?? 0;
    const seenEnd = Math.max(this.seenSize, size);
    let lost = 0;
    let kept = 0;
    for (const [sector, content] of this.dirty) {
      if (nextChance(prng, survival)) {
        kept++;
      } else {
        this.bytes.set(content, sector * SECTOR_BYTES);
        lost++;
      }
    }
    for (let sector = sectorsIn(this.durableSize); sector * SECTOR_BYTES < this.seenSize; sector++) {
      if (sector * SECTOR_BYTES < size && nextChance(prng, survival)) {
        kept++;
      } else {
        this.bytes.fill(0, sector * SECTOR_BYTES, (sector + 1) * SECTOR_BYTES);
        lost++;
      }
    }
    lost += this.stale.size;
    for (const [sector, content] of this.stale) {
      this.bytes.set(content, sector * SECTOR_BYTES);
    }
    this.stale.clear();
    this.dirty.clear();
    this.bytes.fill(0, size, sectorsIn(seenEnd) * SECTOR_BYTES);
    this.seenSize = size;
    this.durableSize = size;
    return { lost, kept };
  }

  /** Whether all of the range is on disk as the system sees it. */
  isSynced(from: number, end: number): boolean {
    if (end > this.durableSize) {
      return false;
    }
    for (let sector = sectorOf(from); sector * SECTOR_BYTES < end; sector++) {
      if (this.dirty.has(sector) || this.stale.has(sector)) {
        return false;
      }
    }
    return true;
  }

  /** Decay of one bit, on the disk and in what the system sees of it. */
  flip(position: number, bit: number): void {
    assert(position < this.seenSize, "only what is there decays");
    this.bytes[position] = (this.bytes[position] ?? 0) ^ (1 << bit);
  }

  /** Keeps what the disk holds in the range, before it is changed. */
  private soil(from: number, end: number): void {
    const limit = Math.min(sectorsIn(end), sectorsIn(this.durableSize));
    for (let sector = sectorOf(from); sector < limit; sector++) {
      if (!this.dirty.has(sector)) {
        const at = sector * SECTOR_BYTES;
        this.dirty.set(sector, this.stale.get(sector) ?? this.bytes.slice(at, at + SECTOR_BYTES));
        this.stale.delete(sector);
      }
    }
  }

  /** The range was written and is on disk, and so is the size up to its end. */
  private settle(from: number, end: number): void {
    if (this.durableSize > this.seenSize) {
      this.dropBehind(this.dirty, this.seenSize);
      this.dropBehind(this.stale, this.seenSize);
      this.durableSize = this.seenSize;
    }
    if (end > this.durableSize) {
      this.listGap(sectorOf(from));
      this.durableSize = end;
    }
    if (this.dirty.size + this.stale.size > 0) {
      for (let sector = sectorOf(from); sector * SECTOR_BYTES < end; sector++) {
        this.dirty.delete(sector);
        this.stale.delete(sector);
      }
    }
  }

  /** Sectors behind the durable size and before `end` are about to come before it: they are listed now. */
  private listGap(end: number): void {
    for (let sector = sectorsIn(this.durableSize); sector < end; sector++) {
      this.dirty.set(sector, ZERO_SECTOR);
    }
  }

  private dropBehind(sectors: Map<number, Uint8Array>, size: number): void {
    for (const sector of sectors.keys()) {
      if (sector * SECTOR_BYTES >= size) {
        sectors.delete(sector);
      }
    }
  }

  private reach(size: number): void {
    if (size > this.bytes.length) {
      const grown = new Uint8Array(sectorsIn(Math.max(size, 2 * this.bytes.length)) * SECTOR_BYTES);
      grown.set(this.bytes.subarray(0, this.seenSize));
      this.bytes = grown;
    }
    this.seenSize = Math.max(this.seenSize, size);
  }

  private sizeAfterLoss(prng: Prng): number {
    const { seenSize, durableSize } = this;
    if (seenSize === durableSize) {
      return seenSize;
    }
    const pages = Math.floor((seenSize - durableSize) / PAGE_BYTES);
    const choice = nextInt(prng, 0, 3);
    if (choice === 2 && pages > 0) {
      return durableSize + nextInt(prng, 0, pages + 1) * PAGE_BYTES;
    }
    return choice === 1 ? seenSize : durableSize;
  }
}
