/**
 * The calls and returns of a history in order of time, as a doubly linked list from which a linearized operation is lifted and
 * to which it is put back (Lowe, "Testing for linearizability", 2017). It knows times only while it is built.
 */

/** Entry `i` is the call of operation `i`, entry `count + i` its return, `2 * count` the end of the list. */
export class EventList {
  private readonly count: number;
  private readonly following: Int32Array;
  private readonly preceding: Int32Array;

  /** `starts` ascends. At equal times a call comes before a return: operations that touch are concurrent. */
  constructor(starts: Float64Array, ends: Float64Array) {
    const count = starts.length;
    this.count = count;
    this.following = new Int32Array(2 * count + 1);
    this.preceding = new Int32Array(2 * count + 1);
    const returns = Array.from({ length: count }, (_, i) => i).sort((a, b) => (ends[a] as number) - (ends[b] as number) || a - b);
    let last = 2 * count;
    const append = (entry: number): void => {
      this.following[last] = entry;
      this.preceding[entry] = last;
      last = entry;
    };
    let call = 0;
    for (const operation of returns) {
      while (call < count && (starts[call] as number) <= (ends[operation] as number)) {
        append(call++);
      }
      append(count + operation);
    }
    append(2 * count);
  }

  get isEmpty(): boolean {
    return this.first === 2 * this.count;
  }

  /** The first entry: the call of the operation that started first of those not lifted, or the end. */
  get first(): number {
    return this.following[2 * this.count] as number;
  }

  /** The entry after `entry`. It is a call only where it is below the number of operations. */
  after(entry: number): number {
    return this.following[entry] as number;
  }

  /** The operation that returns first of those not lifted; the list is not empty. */
  firstToReturn(): number {
    let entry = this.first;
    while (entry < this.count) {
      entry = this.after(entry);
    }
    return entry - this.count;
  }

  /** Takes the call and the return of `operation` out. */
  lift(operation: number): void {
    this.unlink(operation);
    this.unlink(this.count + operation);
  }

  /** Puts them back; operations come back in the opposite order of their lifting. */
  unlift(operation: number): void {
    this.relink(this.count + operation);
    this.relink(operation);
  }

  private unlink(entry: number): void {
    const before = this.preceding[entry] as number;
    const after = this.following[entry] as number;
    this.following[before] = after;
    this.preceding[after] = before;
  }

  private relink(entry: number): void {
    this.following[this.preceding[entry] as number] = entry;
    this.preceding[this.following[entry] as number] = entry;
  }
}
