/** The queue of a simulation: things to do, in order of time, and of insertion where times are equal. It knows no clock. */

const NOTHING = (): void => {};

/** Something that is due at a time. */
class Item {
  readonly at: number;
  readonly order: number;
  /** What to do when its time has come. */
  run: () => void;

  constructor(at: number, order: number, run: () => void) {
    this.at = at;
    this.order = order;
    this.run = run;
  }

  /** It stays in the queue, and does nothing. */
  cancel(): void {
    this.run = NOTHING;
  }
}

function isBefore(a: Item, b: Item): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

/** A binary heap of closures. */
export class EventHeap {
  private readonly items: Item[] = [];
  private order = 0;

  get size(): number {
    return this.items.length;
  }

  push(at: number, run: () => void): { cancel(): void } {
    const item = new Item(at, this.order++, run);
    const { items } = this;
    let hole = items.length;
    items.push(item);
    while (hole > 0) {
      const parent = (hole - 1) >> 1;
      const above = items[parent] as Item;
      if (!isBefore(item, above)) {
        break;
      }
      items[hole] = above;
      hole = parent;
    }
    items[hole] = item;
    return item;
  }

  /** The earliest item; undefined when there is none. */
  peek(): { readonly at: number; readonly run: () => void } | undefined {
    return this.items[0];
  }

  /** The earliest item, removed; undefined when there is none. */
  pop(): { readonly at: number; readonly run: () => void } | undefined {
    const { items } = this;
    const first = items[0];
    const last = items.pop();
    if (first === undefined || last === undefined || items.length === 0) {
      return first;
    }
    let hole = 0;
    for (;;) {
      let child = 2 * hole + 1;
      if (child >= items.length) {
        break;
      }
      if (child + 1 < items.length && isBefore(items[child + 1] as Item, items[child] as Item)) {
        child++;
      }
      const below = items[child] as Item;
      if (!isBefore(below, last)) {
        break;
      }
      items[hole] = below;
      hole = child;
    }
    items[hole] = last;
    return first;
  }
}
