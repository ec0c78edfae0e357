/**
 * Memory for keys and values: records in pages outside the V8 heap. A record is never changed; freeing one only lowers its page's
 * count, and pages that are mostly free are emptied by moving what lives (`reclaim.ts`). Where a record lies is no part of the
 * replicated state: nothing here may influence a reply.
 */
import { assert } from "../base/assert.js";

/** A page. Its records are found through their owners, or by walking it from the start. */
export type Page = {
  bytes: Uint8Array;
  words: Int32Array;
  /** Bytes handed out; the next record begins here. */
  used: number;
  /** Bytes of records that were not freed. */
  live: number;
  /** Counts how often the page was given up: what was known of its records before is then void. */
  epoch: number;
};

export const PAGE_BYTES = 1 << 20;
/** A record above this has a page of its own, so that at most a quarter of a page is lost at its end. */
export const OWN_PAGE_BYTES = PAGE_BYTES / 4;
/** The first page of a slab: a small store needs no more. */
export const FIRST_PAGE_BYTES = PAGE_BYTES / 16;
/** Empty pages kept for reuse; more go back to the runtime. */
const SPARE_PAGES_MAX = 4;

/** Words before the bytes of a record: its owner's row, key length, value length. */
export const RECORD_HEADER_WORDS = 3;
export const RECORD_HEADER_BYTES = RECORD_HEADER_WORDS * 4;

/** The bytes a record takes: header, key, value, zeros up to a whole word. */
export function recordBytes(keyLength: number, valueLength: number): number {
  return (RECORD_HEADER_BYTES + keyLength + valueLength + 3) & ~3;
}

const NO_PAGE: Page = { bytes: new Uint8Array(0), words: new Int32Array(0), used: 0, live: 0, epoch: 0 };

export class Slab {
  /** Place of the record that `allocate` made last. */
  page = 0;
  offset = 0;
  private readonly pages: Page[] = [];
  private readonly freeIndexes: number[] = [];
  private readonly spares: Page[] = [];
  private current = -1;
  private allocated = 0;
  private liveTotal = 0;

  /** Bytes of all pages, spares included. */
  get memoryBytes(): number {
    return this.allocated + this.spares.length * PAGE_BYTES;
  }

  /** Bytes of the pages in use. */
  get pageBytes(): number {
    return this.allocated;
  }

  /** Bytes of records that were not freed. */
  get liveBytes(): number {
    return this.liveTotal;
  }

  /** How many page numbers were ever in use: those below may be visited. */
  get pageCount(): number {
    return this.pages.length;
  }

  pageAt(index: number): Page {
    return this.pages[index] as Page;
  }

  /** Whether records are still added to the page. */
  isCurrent(index: number): boolean {
    return index === this.current;
  }

  /** Room for a record of `size` bytes (a multiple of 4), at `page` and `offset`. What was there before is still there: write all of it. */
  allocate(size: number): void {
    if (size > OWN_PAGE_BYTES) {
      this.page = this.addPage(newPage(size));
      this.offset = 0;
    } else {
      if (this.current < 0 || this.pageAt(this.current).used + size > this.pageAt(this.current).bytes.length) {
        this.turnPage(this.pages.length === 0 && size <= FIRST_PAGE_BYTES ? FIRST_PAGE_BYTES : PAGE_BYTES);
      }
      this.page = this.current;
      this.offset = this.pageAt(this.current).used;
    }
    const page = this.pageAt(this.page);
    page.used = this.offset + size;
    page.live += size;
    this.liveTotal += size;
  }

  /** Gives up a record of `size` bytes. Its bytes stay readable until the next allocation. */
  free(index: number, size: number): void {
    const page = this.pageAt(index);
    page.live -= size;
    this.liveTotal -= size;
    assert(page.live >= 0, "a record is freed once");
    if (page.live === 0 && index !== this.current) {
      this.drop(index);
    }
  }

  private turnPage(bytes: number): void {
    const before = this.current;
    this.current = this.addPage(this.spares.pop() ?? newPage(bytes));
    if (before >= 0 && this.pageAt(before).live === 0) {
      this.drop(before);
    }
  }

  private addPage(page: Page): number {
    this.allocated += page.bytes.length;
    const index = this.freeIndexes.pop() ?? this.pages.length;
    this.pages[index] = page;
    return index;
  }

  private drop(index: number): void {
    const page = this.pageAt(index);
    this.pages[index] = NO_PAGE;
    this.freeIndexes.push(index);
    this.allocated -= page.bytes.length;
    if (page.bytes.length === PAGE_BYTES && this.spares.length < SPARE_PAGES_MAX) {
      page.used = 0;
      page.epoch++;
      this.spares.push(page);
    }
  }
}

function newPage(size: number): Page {
  const buffer = new ArrayBuffer(size);
  return { bytes: new Uint8Array(buffer), words: new Int32Array(buffer), used: 0, live: 0, epoch: 0 };
}
