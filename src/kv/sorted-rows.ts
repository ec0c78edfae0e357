/**
 * Sorting any number of versions in slices: runs of bounded length are sorted as they fill, and merged with a heap as rows are
 * taken. So no single step takes longer than sorting one run, and taking the first few of many is cheap.
 */
import type { Row } from "./versions.js";

/** Negative, zero or positive, like a comparator of Array.sort; never zero for two different rows. */
export type RowOrder = (a: Row, b: Row) => number;

const RUN_ROWS = 1024;

type Run = { readonly rows: Uint32Array; readonly end: number; at: number };

export class SortedRows {
  private readonly order: RowOrder;
  private readonly runs: Run[] = [];
  private filling = new Uint32Array(RUN_ROWS);
  private filled = 0;
  private merging = false;

  constructor(order: RowOrder) {
    this.order = order;
  }

  /** Returns the work done, in units of about a microsecond. */
  add(row: Row): number {
    this.filling[this.filled++] = row;
    return this.filled === RUN_ROWS ? this.closeRun() : 0;
  }

  /** The first row in order that was not taken yet, or undefined. No row may be added after the first call. */
  take(): Row | undefined {
    if (!this.merging) {
      this.merging = true;
      this.closeRun();
      for (let at = (this.runs.length >> 1) - 1; at >= 0; at--) {
        this.siftDown(at);
      }
    }
    const first = this.runs[0];
    if (first === undefined) {
      return undefined;
    }
    const row = first.rows[first.at++] as Row;
    if (first.at === first.end) {
      const last = this.runs.pop() as Run;
      if (this.runs.length > 0) {
        this.runs[0] = last;
      }
    }
    this.siftDown(0);
    return row;
  }

  private closeRun(): number {
    const { filled } = this;
    if (filled > 0) {
      const rows = this.filling.subarray(0, filled);
      rows.sort(this.order);
      this.runs.push({ rows, end: filled, at: 0 });
      this.filling = new Uint32Array(RUN_ROWS);
      this.filled = 0;
    }
    return filled * 2;
  }

  private siftDown(from: number): void {
    const { runs } = this;
    let at = from;
    for (;;) {
      let least = at;
      for (let child = 2 * at + 1; child <= 2 * at + 2 && child < runs.length; child++) {
        if (this.order(headOf(runs, child), headOf(runs, least)) < 0) {
          least = child;
        }
      }
      if (least === at) {
        return;
      }
      const moved = runs[at] as Run;
      runs[at] = runs[least] as Run;
      runs[least] = moved;
      at = least;
    }
  }
}

function headOf(runs: readonly Run[], index: number): Row {
  const run = runs[index] as Run;
  return run.rows[run.at] as Row;
}
