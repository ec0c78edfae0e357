/**
 * The two tables of HPACK: the static one (RFC 7541, appendix A), and the dynamic one that encoder and decoder of a connection keep alike.
 * The dynamic table must never hold more than its size says: it is what a peer can make us remember.
 */
import { assert } from "../base/assert.js";

/** Name and value by index minus one. */
export const STATIC_TABLE: ReadonlyArray<readonly [name: string, value: string]> = [
  [":authority", ""],
  [":method", "GET"],
  [":method", "POST"],
  [":path", "/"],
  [":path", "/index.html"],
  [":scheme", "http"],
  [":scheme", "https"],
  [":status", "200"],
  [":status", "204"],
  [":status", "206"],
  [":status", "304"],
  [":status", "400"],
  [":status", "404"],
  [":status", "500"],
  ["accept-charset", ""],
  ["accept-encoding", "gzip, deflate"],
  ["accept-language", ""],
  ["accept-ranges", ""],
  ["accept", ""],
  ["access-control-allow-origin", ""],
  ["age", ""],
  ["allow", ""],
  ["authorization", ""],
  ["cache-control", ""],
  ["content-disposition", ""],
  ["content-encoding", ""],
  ["content-language", ""],
  ["content-length", ""],
  ["content-location", ""],
  ["content-range", ""],
  ["content-type", ""],
  ["cookie", ""],
  ["date", ""],
  ["etag", ""],
  ["expect", ""],
  ["expires", ""],
  ["from", ""],
  ["host", ""],
  ["if-match", ""],
  ["if-modified-since", ""],
  ["if-none-match", ""],
  ["if-range", ""],
  ["if-unmodified-since", ""],
  ["last-modified", ""],
  ["link", ""],
  ["location", ""],
  ["max-forwards", ""],
  ["proxy-authenticate", ""],
  ["proxy-authorization", ""],
  ["range", ""],
  ["referer", ""],
  ["refresh", ""],
  ["retry-after", ""],
  ["server", ""],
  ["set-cookie", ""],
  ["strict-transport-security", ""],
  ["transfer-encoding", ""],
  ["user-agent", ""],
  ["vary", ""],
  ["via", ""],
  ["www-authenticate", ""],
];

/** The size both ends start with (RFC 7541 §4.2, RFC 9113 §6.5.2), and the most we ever use. */
export const TABLE_BYTES_DEFAULT = 4096;
/** What an entry costs besides its text (RFC 7541 §4.1). */
export const ENTRY_OVERHEAD = 32;
/** Evicted slots are reclaimed in groups of at least this many. */
const COMPACT_AFTER = 128;

/** One entry; `bytes` is its size as the RFC counts it, which a replaced text no longer tells. */
export interface TableEntry {
  readonly name: string;
  readonly value: string;
  readonly bytes: number;
}

/** Entries from oldest to newest. `inserted` grows with each, so that it also says whether anything has changed. */
export class DynamicTable {
  /** Entries inserted since the beginning: the number of the next one. */
  inserted = 0;
  /** Changes with every insertion, eviction and resizing. */
  version = 0;
  private entries: TableEntry[] = [];
  private evictedSlots = 0;
  private used = 0;
  private limit: number;
  private readonly onEvict: ((entry: TableEntry, number: number) => void) | undefined;

  /** `onEvict` is told each entry that goes, with the number it had. */
  constructor(limit: number, onEvict?: (entry: TableEntry, number: number) => void) {
    this.limit = limit;
    this.onEvict = onEvict;
  }

  get length(): number {
    return this.entries.length - this.evictedSlots;
  }

  get bytes(): number {
    return this.used;
  }

  get bytesMax(): number {
    return this.limit;
  }

  /** The entry `back` steps before the newest (0 is the newest), or undefined. */
  at(back: number): TableEntry | undefined {
    return back < this.length ? this.entries[this.entries.length - 1 - back] : undefined;
  }

  /** Inserts, evicting what no longer fits; an entry larger than the table empties it (RFC 7541 §4.4). */
  insert(entry: TableEntry): void {
    this.version++;
    this.evictTo(this.limit - entry.bytes);
    if (entry.bytes <= this.limit) {
      this.entries.push(entry);
      this.used += entry.bytes;
      this.inserted++;
    }
  }

  resize(limit: number): void {
    this.version++;
    this.limit = limit;
    this.evictTo(limit);
  }

  private evictTo(bytes: number): void {
    while (this.used > bytes && this.length > 0) {
      const entry = this.entries[this.evictedSlots] as TableEntry;
      this.onEvict?.(entry, this.inserted - this.length);
      this.used -= entry.bytes;
      this.evictedSlots++;
    }
    assert(this.used >= 0, "the dynamic table's size is the sum of its entries");
    if (this.evictedSlots >= COMPACT_AFTER || this.length === 0) {
      this.entries = this.entries.slice(this.evictedSlots);
      this.evictedSlots = 0;
    }
  }
}
