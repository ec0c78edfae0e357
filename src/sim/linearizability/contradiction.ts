/**
 * The smallest contradiction it can find in one key's bad history: a few operations that no order explains, whatever the others
 * did. Only steps that keep the proof are taken: an operation is forgotten, in part or whole, only where every history that is
 * linearizable with it is linearizable without it too. So what is left condemns the whole.
 */
import type { Operation } from "../workload/operation.js";
import { countUpTo } from "./lost-read.js";
import { DEFAULT_LIMITS, type SearchLimits, searchKey } from "./search.js";

/** Steps, and operations looked at, over all searches of one shrinking; when they are spent the best so far stands. Some seconds. */
const WORK_MAX = 20_000_000;

/** `history`: the operations of one key, not linearizable. Returns some of them, in order of start, that are not linearizable either. */
export function findContradiction(
  history: readonly Operation[],
  limits: SearchLimits = DEFAULT_LIMITS,
  workMax: number = WORK_MAX,
): Operation[] {
  const shrinking = new Shrinking(limits, workMax);
  const sorted = history.filter(({ outcome }) => outcome !== "fail").sort((a, b) => a.start - b.start);
  return shrinking.byForgetting(shrinking.byTime(sorted)).map((cut) => shrinking.originalOf(cut));
}

/**
 * The history as it stood at `at`: what had not started is not there, and what was not answered yet is unanswered. Of a linearizable
 * history every such prefix is linearizable. Operations that change stand for their originals in `originals`.
 */
export function cutAt(history: readonly Operation[], at: number, originals?: Map<Operation, Operation>): Operation[] {
  const cut: Operation[] = [];
  for (const operation of history) {
    if (operation.start > at) {
      continue;
    }
    if (operation.outcome !== "ok" || (operation.end !== null && operation.end <= at)) {
      cut.push(operation);
    } else {
      const unanswered: Operation = { ...operation, end: null, outcome: "unknown", output: null };
      originals?.set(unanswered, operation);
      cut.push(unanswered);
    }
  }
  return cut;
}

/**
 * `history`, in order of start, with those of `history[from, end)` forgotten as far as can be. A read can always go, and so can what
 * a write was told of the value that it met. The write itself can go where nothing that is left can see it: everything that looks
 * for its value, or that wants another value gone, ended before it started, or started only after a certain write that itself
 * started after this one had ended. For then, in any order, up to the next write nobody reads what it wrote, and nobody minds the
 * value before it. The last write of a value that somebody looks for stays all the same: a value from nowhere would be bad too,
 * and would not show what is wrong.
 */
export function forget(
  history: readonly Operation[],
  run: { readonly from: number; readonly end: number },
  originals?: Map<Operation, Operation>,
): Operation[] {
  const left: Operation[] = [];
  const forgotten = new Set<Operation>();
  for (const [i, operation] of history.entries()) {
    const isInRun = i >= run.from && i < run.end;
    if (isInRun && isRead(operation)) {
      continue;
    }
    const kept = isInRun ? blindly(operation) : operation;
    if (isInRun) {
      forgotten.add(kept);
    }
    if (kept !== operation) {
      originals?.set(kept, originals.get(operation) ?? operation);
    }
    left.push(kept);
  }
  // In order of start, so that the later writes on which a removal rests are still there when it is decided.
  const sight = new Sight(left);
  return left.filter((operation) => !forgotten.has(operation) || sight.canSee(operation));
}

/**
 * The write without what it was told: a delete that found something is a delete, a cas that swapped a put, and one that may have
 * swapped a put that may have happened.
 */
function blindly(operation: Operation): Operation {
  const { input, output, outcome } = operation;
  if (input.op === "delete" && outcome === "ok" && output?.deleted !== undefined) {
    return { ...operation, output: { revision: null } };
  }
  if (input.op === "cas") {
    const put: Operation = { ...operation, input: { op: "put", value: input.value } };
    return outcome === "ok" && output?.swapped ? { ...put, output: { revision: null } } : { ...put, outcome: "unknown", output: null };
  }
  return operation;
}

function isRead({ input, output, outcome }: Operation): boolean {
  switch (input.op) {
    case "get":
      return true;
    case "put":
      return false;
    case "delete":
      return outcome === "ok" && output?.deleted === false;
    case "cas":
      return outcome === "ok" && output?.swapped === false;
  }
}

function writtenBy({ input }: Operation): string | null {
  return input.op === "put" || input.op === "cas" ? input.value : null;
}

/** It has certainly happened, and certainly wrote. */
function isCertainWrite(operation: Operation): boolean {
  const { input, output, outcome } = operation;
  return outcome === "ok" && !isRead(operation) && (input.op !== "cas" || output?.swapped === true);
}

const endOf = ({ outcome, end }: Operation): number => (outcome === "ok" && end !== null ? end : Number.POSITIVE_INFINITY);

/** Who can see which write. */
class Sight {
  private readonly lookers = new Map<string | null, Operation[]>();
  /** By value, in order of start. */
  private readonly writers = new Map<string | null, Operation[]>();
  /** They met another value than some one, so any write may matter to them. */
  private readonly opponents: Operation[] = [];
  /** Certain writes in order of start, and the earliest end of any from there on. */
  private readonly certainStarts: number[] = [];
  private readonly earliestEnds: number[] = [];

  constructor(history: readonly Operation[]) {
    for (const operation of history) {
      this.note(operation);
    }
    const certain = history.filter(isCertainWrite);
    let earliest = Number.POSITIVE_INFINITY;
    for (const operation of certain.toReversed()) {
      earliest = Math.min(earliest, endOf(operation));
      this.earliestEnds.push(earliest);
      this.certainStarts.push(operation.start);
    }
    this.earliestEnds.reverse();
    this.certainStarts.reverse();
  }

  /** Whether something may see what the write left. */
  canSee(write: Operation): boolean {
    const hiddenAt = this.earliestEnds[countUpTo(this.certainStarts, endOf(write))] ?? Number.POSITIVE_INFINITY;
    const mayMeet = (other: Operation): boolean => other !== write && endOf(other) >= write.start && other.start <= hiddenAt;
    const lookers = this.lookers.get(writtenBy(write)) ?? [];
    return lookers.some((looker) => mayMeet(looker) || this.isLastSource(write, looker)) || this.opponents.some(mayMeet);
  }

  /** Whether `looker` would look for a value that nobody wrote before, were it not for `write`. */
  private isLastSource(write: Operation, looker: Operation): boolean {
    const value = writtenBy(write);
    const sources = value === null ? [] : (this.writers.get(value) ?? []);
    return sources.findLast(({ start }) => start <= endOf(looker)) === write;
  }

  private note(operation: Operation): void {
    const { input, output, outcome } = operation;
    if (!isRead(operation)) {
      append(this.writers, writtenBy(operation), operation);
    }
    if (input.op === "get") {
      if (outcome === "ok" && output?.value !== undefined) {
        append(this.lookers, output.value, operation);
      }
    } else if (input.op === "delete" && outcome === "ok" && output?.deleted !== undefined) {
      if (output.deleted) {
        this.opponents.push(operation);
      } else {
        append(this.lookers, null, operation);
      }
    } else if (input.op === "cas") {
      append(this.lookers, input.expected, operation);
      if (outcome === "ok" && output?.swapped !== true) {
        this.opponents.push(operation);
      }
    }
  }
}

function append<K, V>(lists: Map<K, V[]>, key: K, value: V): void {
  const list = lists.get(key);
  if (list === undefined) {
    lists.set(key, [value]);
  } else {
    list.push(value);
  }
}

/** One shrinking: its budget, and which operation a cut one stands for. */
class Shrinking {
  private readonly limits: SearchLimits;
  private readonly workMax: number;
  private readonly originals = new Map<Operation, Operation>();
  private work = 0;

  constructor(limits: SearchLimits, workMax: number) {
    this.limits = limits;
    this.workMax = workMax;
  }

  originalOf(operation: Operation): Operation {
    return this.originals.get(operation) ?? operation;
  }

  /** The shortest prefix that is bad, by halving: once it is bad it stays so. */
  byTime(history: readonly Operation[]): readonly Operation[] {
    const answers = history.filter(({ outcome }) => outcome === "ok").map(endOf);
    answers.sort((a, b) => a - b);
    let goodBefore = 0;
    let badFrom = answers.length - 1;
    while (goodBefore < badFrom) {
      const middle = (goodBefore + badFrom) >>> 1;
      if (this.isBad(cutAt(history, answers[middle] as number))) {
        badFrom = middle;
      } else {
        goodBefore = middle + 1;
      }
    }
    // Where the limits ended a search this may be no bad prefix of the shortest kind, and the whole must do.
    const shortest = cutAt(history, answers[badFrom] ?? 0, this.originals);
    return this.isBad(shortest) ? shortest : history;
  }

  /** Forgets ever smaller runs of operations while what is left stays bad. */
  byForgetting(history: readonly Operation[]): readonly Operation[] {
    let left = history;
    for (let size = Math.ceil(left.length / 2); size >= 1; ) {
      const before = left;
      left = this.withoutRunsOf(size, left);
      if (size > 1) {
        size = Math.min(size >>> 1, Math.ceil(left.length / 2));
      } else if (left === before || this.isSpent) {
        break;
      }
    }
    return left;
  }

  private withoutRunsOf(size: number, history: readonly Operation[]): readonly Operation[] {
    let left = history;
    for (let from = 0; from < left.length && !this.isSpent; ) {
      const fewer = forget(left, { from, end: from + size }, this.originals);
      const gone = left.length - fewer.length;
      const isLess = gone > 0 || fewer.some((operation, i) => operation !== left[i]);
      if (isLess && this.isBad(fewer)) {
        left = fewer;
        from += Math.max(0, size - gone); // what stayed of the run stands at `from` now
      } else {
        from += size;
      }
    }
    return left;
  }

  private get isSpent(): boolean {
    return this.work >= this.workMax;
  }

  private isBad(history: readonly Operation[]): boolean {
    const stepsMax = Math.min(this.limits.stepsMax, Math.max(0, this.workMax - this.work));
    const { verdict, steps } = searchKey(history, { ...this.limits, stepsMax });
    this.work += steps + history.length;
    return verdict === "not-linearizable";
  }
}
