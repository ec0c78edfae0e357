/**
 * Is there an order of one key's operations that explains every answer? The search of Wing and Gong (1993) with Lowe's list and
 * memory of dead states (2017), and five cuts of our own, each of which leaves an order to be found wherever there is one:
 *
 * 1. A read that fits the value now is taken now. It is minimal (nothing not yet ordered returned before it started) and changes
 *    nothing, so in any order that completes this state it can be moved to the front.
 * 2. Unanswered writes that would do the same are used in order of their start: in any order, those that are used can trade
 *    places so that the earlier stands first, and each still stands after its start.
 * 3. An unanswered write is tried only where it can matter: somebody not yet ordered reads or expects what it writes, or an
 *    operation not yet ordered wants the value of now to be gone (a cas that met something else, a delete that found something).
 *    Else take any completing order that begins with it: up to the next write nothing there looks at its value, and nothing
 *    minds the value before it; so the order without it completes too.
 * 4. A value that must still be read, and that nobody left can write, is not overwritten.
 * 5. A state is dead where one with the same value, the same answered operations ordered and fewer unanswered ones used is dead:
 *    what completes the one completes the other.
 *
 * It must never call a history bad because a limit was reached.
 */
import type { Operation } from "../workload/operation.js";
import { EventList } from "./event-list.js";
import { hasLostRead } from "./lost-read.js";
import { HashedSet, Memo, mixWord } from "./memo.js";
import { ABSENT, type Deed, NONE, prepareRegister, type Register, type UnknownKind } from "./register.js";
import { rankByUrgency } from "./urgency.js";

/** Bounds of one search; reaching one is a verdict of its own. */
export type SearchLimits = {
  /** Operations put at the end of an order that is being built, over the whole search; `LOOKS_PER_STEP` dead states looked at count as one. */
  readonly stepsMax: number;
  /** Words of four bytes for dead states. */
  readonly memoWordsMax: number;
};

/** Some ten seconds, and 256 MB. */
export const DEFAULT_LIMITS: SearchLimits = { stepsMax: 20_000_000, memoWordsMax: 0x400_0000 };

/** A look at a dead state costs this much less than a step. */
const LOOKS_PER_STEP = 16;

/** `steps` and `memory` name the limit that ended the search. */
export type Verdict = "linearizable" | "not-linearizable" | "steps" | "memory";

/** How a search ended, and how many steps it took. */
export type SearchEnd = { readonly verdict: Verdict; readonly steps: number };

/** Searches the history of one key. */
export function searchKey(history: readonly Operation[], limits: SearchLimits): SearchEnd {
  const register = prepareRegister(history);
  return hasLostRead(register) ? { verdict: "not-linearizable", steps: 0 } : new Search(register, limits).run();
}

/** Cursors over the moves of a state: answered operations by their number, then `count + k` for the unknown kind `k`. */
const BEFORE_FIRST = -1;
const NO_MOVE = -2;

class Search {
  private readonly register: Register;
  private readonly limits: SearchLimits;
  private readonly count: number;
  private readonly events: EventList;
  private readonly memo: Memo;

  /** The state: the value, which answered operations are ordered, and how many writes of each unknown kind were used. */
  private value = ABSENT;
  private readonly ordered: HashedSet;
  private readonly usedUnknown: HashedSet;
  private readonly usedOfKind: Int32Array;

  /** By answered operation, its place among the moves of a state. */
  private readonly ranks: Int32Array;

  /** By value, over operations not yet ordered: reads of it; cas that may expect it; who wants it gone; who writes it. */
  private readonly readersLeft: Int32Array;
  private readonly lookersLeft: Int32Array;
  private readonly opponentsLeft: Int32Array;
  private readonly writersLeft: Int32Array;

  /** What was ordered, in order; a kind `k` as `-1 - k`. */
  private readonly trail: number[] = [];
  /** Of each move that led here: the move, the length of the trail before it, and the value before it. */
  private readonly moves: number[] = [];
  private readonly trailLengths: number[] = [];
  private readonly valuesBefore: number[] = [];
  private readonly state: number[] = [];
  private exactWords = 0;
  private steps = 0;

  constructor(register: Register, limits: SearchLimits) {
    this.register = register;
    this.limits = limits;
    this.count = register.deeds.length;
    this.events = new EventList(register.starts, register.ends);
    this.ranks = rankByUrgency(register);
    this.memo = new Memo(limits.memoWordsMax);
    this.ordered = new HashedSet(this.count);
    this.usedUnknown = new HashedSet(register.unknownCount);
    this.usedOfKind = new Int32Array(register.unknownKinds.length);
    this.readersLeft = new Int32Array(register.valueCount);
    this.lookersLeft = new Int32Array(register.valueCount);
    this.opponentsLeft = new Int32Array(register.valueCount);
    this.writersLeft = new Int32Array(register.valueCount);
    for (const deed of register.deeds) {
      this.countDeed(deed, 1);
    }
    for (const { need, write, starts } of register.unknownKinds) {
      this.countUnknown(need, write, starts.length);
    }
  }

  run(): SearchEnd {
    return { verdict: this.search(), steps: this.steps };
  }

  private search(): Verdict {
    this.takeReads();
    let cursor = BEFORE_FIRST;
    while (!this.events.isEmpty) {
      const isDead = cursor === BEFORE_FIRST && this.memo.has(this.writeState(), this.exactWords, this.state);
      const move = isDead ? NO_MOVE : this.moveAfter(cursor);
      if (move === NO_MOVE) {
        if (!isDead && !this.memo.add(this.writeState(), this.exactWords, this.state)) {
          return "memory";
        }
        if (this.moves.length === 0) {
          return "not-linearizable";
        }
        cursor = this.takeBack();
      } else if (this.steps + this.memo.looks / LOOKS_PER_STEP >= this.limits.stepsMax) {
        return "steps";
      } else {
        cursor = this.make(move) ? BEFORE_FIRST : this.takeBack();
      }
    }
    return "linearizable";
  }

  /**
   * The state into `state`; returns the hash of its exact words. Those are the value and what is ordered: all before the first entry,
   * which in a list that is not empty is the call of the lowest operation not ordered, and some from its word on. The unanswered
   * writes follow: who cannot complete with fewer of them used up cannot with more.
   */
  private writeState(): number {
    const from = this.events.first >>> 5;
    this.state.length = 0;
    this.state.push(this.value, from);
    this.ordered.appendTo(this.state, from);
    this.exactWords = this.state.length;
    this.usedUnknown.appendTo(this.state, 0);
    return this.ordered.hash ^ mixWord(~this.value);
  }

  /** The next write that could come now, after the one at `cursor`: answered ones by their urgency, then unanswered ones. */
  private moveAfter(cursor: number): number {
    if (cursor < this.count) {
      const move = this.answeredAfter(cursor);
      if (move !== NO_MOVE) {
        return move;
      }
    }
    const kinds = this.register.unknownKinds;
    let kind = Math.max(0, cursor - this.count + 1);
    if (kind >= kinds.length) {
      return NO_MOVE;
    }
    const deadline = this.register.ends[this.events.firstToReturn()] as number;
    for (; kind < kinds.length; kind++) {
      if (this.canMatter(kind, deadline)) {
        return this.count + kind;
      }
    }
    return NO_MOVE;
  }

  /** Of the answered writes that fit now and come after the one at `cursor` in rank, the first. */
  private answeredAfter(cursor: number): number {
    const rank = cursor === BEFORE_FIRST ? -1 : (this.ranks[cursor] as number);
    let best = NO_MOVE;
    let bestRank = Number.POSITIVE_INFINITY;
    for (let entry = this.events.first; entry < this.count; entry = this.events.after(entry)) {
      const own = this.ranks[entry] as number;
      if (own > rank && own < bestRank && this.canCome(entry)) {
        best = entry;
        bestRank = own;
      }
    }
    return best;
  }

  /** Whether the answered operation fits the value now. Reads that do were taken already; those that do not never do here. */
  private canCome(operation: number): boolean {
    const { need, avoid, write, isMaybe } = this.register.deeds[operation] as Deed;
    return write !== NONE && avoid !== this.value && (need === NONE || need === this.value || isMaybe);
  }

  private canMatter(kind: number, deadline: number): boolean {
    const { need, write, starts } = this.register.unknownKinds[kind] as UnknownKind;
    const start = starts[this.usedOfKind[kind] as number];
    if (start === undefined || start > deadline || write === this.value || !(need === NONE || need === this.value)) {
      return false;
    }
    const isLookedAt = (this.readersLeft[write] as number) + (this.lookersLeft[write] as number) > 0;
    return isLookedAt || (this.opponentsLeft[this.value] as number) > 0;
  }

  /** Makes a move and takes the reads that follow from it; false where the move leads nowhere (it is made all the same). */
  private make(move: number): boolean {
    this.moves.push(move);
    this.trailLengths.push(this.trail.length);
    this.valuesBefore.push(this.value);
    const before = this.value;
    if (move < this.count) {
      const { need, write, isMaybe } = this.register.deeds[move] as Deed;
      this.order(move);
      this.value = isMaybe && need !== before ? before : write;
    } else {
      const kind = move - this.count;
      this.use(kind, 1);
      this.trail.push(-1 - kind);
      this.value = (this.register.unknownKinds[kind] as UnknownKind).write;
    }
    if (this.value !== before && (this.readersLeft[before] as number) > 0 && this.writersLeft[before] === 0) {
      return false;
    }
    this.takeReads();
    return true;
  }

  /** Undoes the last move and all that followed from it; returns the move, from which the search goes on. */
  private takeBack(): number {
    const length = this.trailLengths.pop() as number;
    while (this.trail.length > length) {
      const last = this.trail.pop() as number;
      if (last >= 0) {
        this.events.unlift(last);
        this.ordered.remove(last);
        this.countDeed(this.register.deeds[last] as Deed, 1);
      } else {
        this.use(-1 - last, -1);
      }
    }
    this.value = this.valuesBefore.pop() as number;
    return this.moves.pop() as number;
  }

  /** Orders every read that may come now and fits. A read taken may let later ones in, and they stand later in the list. */
  private takeReads(): void {
    let entry = this.events.first;
    while (entry < this.count) {
      const { need, avoid, write } = this.register.deeds[entry] as Deed;
      let next = this.events.after(entry);
      if (write === NONE && (need === NONE ? avoid !== this.value : need === this.value)) {
        if (next === this.count + entry) {
          next = this.events.after(next);
        }
        this.order(entry);
      }
      entry = next;
    }
  }

  private order(operation: number): void {
    this.steps++;
    this.events.lift(operation);
    this.ordered.add(operation);
    this.countDeed(this.register.deeds[operation] as Deed, -1);
    this.trail.push(operation);
  }

  /** One write of the unknown kind is used (`sign` 1), or is free again (-1). */
  private use(kind: number, sign: 1 | -1): void {
    const { need, write, from } = this.register.unknownKinds[kind] as UnknownKind;
    const used = this.usedOfKind[kind] as number;
    if (sign === 1) {
      this.steps++;
      this.usedUnknown.add(from + used);
    } else {
      this.usedUnknown.remove(from + used - 1);
    }
    this.usedOfKind[kind] = used + sign;
    this.countUnknown(need, write, -sign);
  }

  private countDeed({ need, avoid, write, isMaybe }: Deed, by: number): void {
    if (isMaybe) {
      add(this.lookersLeft, need, by);
      add(this.opponentsLeft, need, by);
    } else {
      add(this.readersLeft, need, by);
    }
    add(this.opponentsLeft, avoid, by);
    add(this.writersLeft, write, by);
  }

  private countUnknown(need: number, write: number, by: number): void {
    add(this.lookersLeft, need, by);
    add(this.writersLeft, write, by);
  }
}

function add(counts: Int32Array, value: number, by: number): void {
  if (value !== NONE) {
    counts[value] = (counts[value] as number) + by;
  }
}
