/**
 * A walk over the keys of a range in order, which can be parked between slices: what is remembered then is the last key, never a
 * position, so that anything may change meanwhile. Between `resume` and `park` no key may be added or removed.
 */
import { compareBytes } from "../base/bytes.js";
import { type Leaf, NO_LEAF } from "./index-leaves.js";
import type { KeyIndex } from "./key-index.js";
import { isOpenEnd, type RangeEnd } from "./model.js";
import { NO_ROW, type Row } from "./versions.js";

export class IndexCursor {
  /** Place of the row that `next` returned. */
  leaf: Leaf = NO_LEAF;
  slot = 0;
  private readonly index: KeyIndex;
  private readonly rangeEnd: RangeEnd;
  /** Where to go on: at this key, or behind it. */
  private from: Uint8Array;
  private behind = false;
  private nextLeaf: Leaf = NO_LEAF;
  private nextSlot = 0;
  private endLeaf: Leaf = NO_LEAF;
  private endSlot = 0;
  private exhausted = false;

  /** `key` and `rangeEnd` must not change while the cursor is used. */
  constructor(index: KeyIndex, key: Uint8Array, rangeEnd: RangeEnd) {
    this.index = index;
    this.from = key;
    this.rangeEnd = rangeEnd;
  }

  /** Before the first `next`, and before the first after a `park`. */
  resume(): void {
    const { index, rangeEnd } = this;
    if (rangeEnd === undefined) {
      this.exhausted = this.behind || !index.locateKey(this.from);
      this.nextLeaf = index.leaf;
      this.nextSlot = index.slot;
      this.endLeaf = NO_LEAF;
      return;
    }
    this.endLeaf = NO_LEAF;
    if (!isOpenEnd(rangeEnd)) {
      if (compareBytes(this.from, rangeEnd) >= 0) {
        this.exhausted = true;
        return;
      }
      index.locateKey(rangeEnd);
      if (index.settle()) {
        this.endLeaf = index.leaf;
        this.endSlot = index.slot;
      }
    }
    const found = index.locateKey(this.from);
    this.nextLeaf = index.leaf;
    this.nextSlot = found && this.behind ? index.slot + 1 : index.slot;
  }

  /** The newest version of the next key, tombstones included; NO_ROW at the end. */
  next(): Row {
    if (this.exhausted) {
      return NO_ROW;
    }
    const { leaves } = this.index;
    if (this.nextSlot >= leaves.count(this.nextLeaf)) {
      this.nextLeaf = leaves.next(this.nextLeaf);
      this.nextSlot = 0;
    }
    if (this.nextLeaf === NO_LEAF || (this.nextLeaf === this.endLeaf && this.nextSlot === this.endSlot)) {
      this.exhausted = true;
      return NO_ROW;
    }
    this.leaf = this.nextLeaf;
    this.slot = this.nextSlot;
    this.nextSlot++;
    this.exhausted = this.rangeEnd === undefined;
    return leaves.rowAt(this.leaf, this.slot);
  }

  /** Remembers the key of `row`, the last that `next` returned. */
  park(lastKey: Uint8Array): void {
    this.from = lastKey;
    this.behind = true;
  }
}
