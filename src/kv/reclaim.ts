/**
 * Giving memory back in small steps: walks the events that compaction passed, and empties pages that are mostly free by moving
 * what lives in them. When it runs changes only where memory lies, never a reply, a hash or a snapshot.
 */
import type { Mvcc } from "./mvcc.js";
import { PAGE_BYTES, type Page, recordBytes } from "./slab.js";

/** Pages are emptied while more than this share of their bytes is free, and more than FREE_BYTES_MIN in all. */
const FREE_SHARE_MAX = 0.25;
const FREE_BYTES_MIN = 8 * PAGE_BYTES;
/** A page with a larger share of living bytes is not worth moving. */
const VICTIM_LIVE_MAX = 0.75;

/** The page being emptied; `epoch` tells whether the page was given up and reused since. */
type Victim = { readonly index: number; readonly page: Page; readonly epoch: number; offset: number };

export class Reclaimer {
  private readonly mvcc: Mvcc;
  private victim: Victim | undefined;

  constructor(mvcc: Mvcc) {
    this.mvcc = mvcc;
  }

  /** Works for about `units` microseconds; true when nothing is left to do now. */
  step(units: number): boolean {
    const { mvcc } = this;
    let left = units;
    while (left > 0 && mvcc.holds === 0 && mvcc.hasCompactedEvents) {
      mvcc.reclaimEvent();
      left -= 2;
    }
    while (left > 0) {
      if (this.victim === undefined) {
        this.victim = this.chooseVictim();
        left--;
      }
      if (this.victim === undefined) {
        return mvcc.holds > 0 || !mvcc.hasCompactedEvents;
      }
      left -= this.moveRecord(this.victim);
    }
    return false;
  }

  /** Visits the next record of the page, moves it if it lives, and returns the work done. */
  private moveRecord(victim: Victim): number {
    const { index, page, offset } = victim;
    const { slab } = this.mvcc.versions;
    if (slab.pageAt(index) !== page || page.epoch !== victim.epoch || offset >= page.used) {
      this.victim = undefined;
      return 1;
    }
    const head = offset >> 2;
    const row = page.words[head] as number;
    const size = recordBytes(page.words[head + 1] as number, page.words[head + 2] as number);
    victim.offset += size;
    if (!this.mvcc.versions.owns(row, index, offset)) {
      return 0.1;
    }
    this.mvcc.versions.move(row);
    return 1 + size / 4096;
  }

  /** The page with the least living bytes, if enough is free for the work to pay. */
  private chooseVictim(): Victim | undefined {
    const { slab } = this.mvcc.versions;
    const free = slab.pageBytes - slab.liveBytes;
    if (free < FREE_BYTES_MIN || free < slab.pageBytes * FREE_SHARE_MAX) {
      return undefined;
    }
    let best: Victim | undefined;
    let bestLive = PAGE_BYTES * VICTIM_LIVE_MAX;
    for (let index = 0; index < slab.pageCount; index++) {
      const page = slab.pageAt(index);
      if (page.bytes.length === PAGE_BYTES && page.live < bestLive && !slab.isCurrent(index)) {
        best = { index, page, epoch: page.epoch, offset: 0 };
        bestLive = page.live;
      }
    }
    return best;
  }
}
