/**
 * The witness (PROTOCOL §7.5, i; etcd's robustness tests replay the log in the same way): the decided log is replayed in a model of its
 * own, and each answer is held against it while the run goes on. An answer must be what the log says, at the revision it names; no
 * revision may be older than one that was told before the request; no write may happen before it was asked for, after it was answered,
 * twice, or although it was said not to. O(n log n) in all. It never looks at a server.
 */
import { SESSIONS_MAX } from "../../kv/limits.js";
import type { Batch } from "../../paxos/batch.js";
import type { Effect, Event } from "../../paxos/effect.js";
import { type Observer, Violation } from "../observer.js";
import { describeOperation, seconds } from "../workload/history.js";
import type { Input, Operation, Output } from "../workload/operation.js";
import { type Execution, Model } from "./model.js";

/** Deletes carry no value of their own: which of them ran is found by time and revision. */
type Deletion = { readonly execution: Execution; claimed: boolean };

export class WitnessChecker implements Observer {
  readonly model: Model;
  /** By the value written. */
  private readonly writes = new Map<string, Execution>();
  private readonly deletions = new Map<string, Deletion[]>();
  /** Values that clients asked to be written. */
  private readonly asks = new Map<string, number>();
  /** When answers came, and the highest revision told by then; both rise. */
  private readonly toldAt: number[] = [];
  private readonly told: number[] = [];
  private readonly toldBy: Operation[] = [];

  /** `sessionsMax`: the most sessions of the state machine. */
  constructor(sessionsMax: number = SESSIONS_MAX) {
    this.model = new Model((execution) => this.onExecution(execution), sessionsMax);
  }

  /**
   * The witness of the lineage that a forced recovery begins, whose log is `log`: writes that the clients of before asked for may be in it,
   * and whatever was told before, no revision of it is older.
   */
  afterRecovery(log: readonly Batch[], sessionsMax: number, at: number): WitnessChecker {
    const next = new WitnessChecker(sessionsMax);
    for (const [value, askedAt] of this.asks) {
      next.asks.set(value, askedAt);
    }
    next.toldAt.push(...this.toldAt);
    next.told.push(...this.told);
    next.toldBy.push(...this.toldBy);
    for (const [index, batch] of log.entries()) {
      next.follow(index + 1, batch, at);
    }
    return next;
  }

  asked(at: number, _client: number, _server: number, _key: string, input: Input): void {
    if ((input.op === "put" || input.op === "cas") && !this.asks.has(input.value)) {
      this.asks.set(input.value, at);
    }
  }

  /** The first server that applies a slot shows what was decided; whether others agree is not for the witness to say. */
  stepped(at: number, server: number, _event: Event, effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.kind === "apply" && effect.slot > this.model.slot) {
        if (effect.slot !== this.model.slot + 1) {
          throw new Violation(
            "22",
            `n${server + 1} applies slot ${effect.slot} at ${seconds(at)} s, and nobody applied slot ${this.model.slot + 1}`,
          );
        }
        this.follow(effect.slot, effect.batch, at);
      }
    }
  }

  private follow(slot: number, batch: Batch, at: number): void {
    if (batch.kind === "commands") {
      this.model.apply(slot, batch.payload, at);
    } else {
      this.model.skip(slot);
    }
  }

  /** Holds an answer against the log. Operations come in the order in which they were over. */
  answered(_at: number, operation: Operation): void {
    const { outcome, output, end } = operation;
    if (outcome !== "ok" || output === null || end === null) {
      return;
    }
    if (output.revision === null || output.revision > this.model.revision) {
      const text = `the newest revision of the log is ${this.model.revision}`;
      throw new Violation("25", `an answer from the future: ${describeOperation(operation)}; ${text}`);
    }
    this.checkOrder(operation, output.revision);
    if (operation.input.op === "get") {
      this.checkRead(operation, output, output.revision);
    } else if (operation.input.op === "delete") {
      this.claimDeletion(operation, output, output.revision);
    } else {
      this.checkWrite(operation, output, output.revision);
    }
    this.tell(operation, end, output.revision);
  }

  /** At the end of a run, with all its operations: what was said not to have happened has not, and what is not known happened once at most. */
  finish(history: readonly Operation[]): void {
    const undecided = new Map<string, Operation[]>();
    for (const operation of history) {
      const { input, outcome, key } = operation;
      if (outcome === "ok" || input.op === "get") {
        continue;
      }
      if (input.op === "delete") {
        undecided.set(key, [...(undecided.get(key) ?? []), operation]);
      } else {
        this.checkUnacknowledged(operation, input.value);
      }
    }
    this.checkOwners(history);
    for (const [key, deletions] of this.deletions) {
      checkUnclaimed(key, deletions, undecided.get(key) ?? []);
    }
  }

  private onExecution(execution: Execution): void {
    const { kind, key, value } = execution;
    if (kind === "delete" || value === null) {
      const deletions = this.deletions.get(key);
      if (deletions === undefined) {
        this.deletions.set(key, [{ execution, claimed: false }]);
      } else {
        deletions.push({ execution, claimed: false });
      }
      return;
    }
    const before = this.writes.get(value);
    if (before !== undefined) {
      throw new Violation("20", `a write ran twice: ${describeExecution(before)}, and ${describeExecution(execution)}`);
    }
    const askedAt = this.asks.get(value);
    if (askedAt === undefined) {
      throw new Violation("22", `the log holds a write that nobody asked for: ${describeExecution(execution)}`);
    }
    this.writes.set(value, execution);
  }

  /** Real time: whoever asks after an answer came sees a state at least as new. */
  private checkOrder(operation: Operation, revision: number): void {
    const last = this.lastBefore(operation.start);
    const told = this.told[last] ?? 0;
    if (revision < told) {
      const earlier = this.toldBy[last];
      const text = earlier === undefined ? "" : describeOperation(earlier);
      throw new Violation("linearizability", `an answer from the past: ${describeOperation(operation)}; before it began: ${text}`);
    }
  }

  private checkRead(operation: Operation, output: Output, revision: number): void {
    const expected = this.model.versionAt(operation.key, revision)?.value ?? null;
    if (output.value !== expected) {
      throw new Violation("linearizability", `a wrong value: ${describeOperation(operation)}; the log says ${expected ?? "absent"}`);
    }
  }

  private checkWrite(operation: Operation, output: Output, revision: number): void {
    const { input, start, end } = operation;
    const execution = input.op === "put" || input.op === "cas" ? this.writes.get(input.value) : undefined;
    if (execution === undefined) {
      throw new Violation(
        "22",
        `acknowledged and not in the log: ${describeOperation(operation)}; the log ends at slot ${this.model.slot}`,
      );
    }
    const swapped = execution.result === "done";
    const isTrue = execution.result !== "refused" && (input.op === "put" ? swapped : output.swapped === swapped);
    if (!isTrue || execution.revision !== revision || !isSame(operation, execution)) {
      throw new Violation("25", `a wrong reply: ${describeOperation(operation)}; the log says: ${describeExecution(execution)}`);
    }
    if (execution.at < start || execution.at > (end ?? execution.at)) {
      throw new Violation(
        "linearizability",
        `not between question and answer: ${describeOperation(operation)}; ${describeExecution(execution)}`,
      );
    }
  }

  /** Gives the operation the earliest deletion that can be its own: answers come in order of their end, so this finds one for each if that can be done. */
  private claimDeletion(operation: Operation, output: Output, revision: number): void {
    const deletions = this.deletions.get(operation.key) ?? [];
    const wanted = output.deleted === true ? "done" : "nothing";
    let own: Deletion | undefined;
    for (let at = deletions.length - 1; at >= 0; at--) {
      const deletion = deletions[at] as Deletion;
      const { execution } = deletion;
      if (execution.at < operation.start || execution.revision < revision) {
        break;
      }
      if (!deletion.claimed && execution.revision === revision && execution.result === wanted) {
        own = deletion;
      }
    }
    if (own === undefined) {
      const near = this.model.versionAt(operation.key, revision);
      const text =
        near === undefined ? "the key was never written before" : `the key was ${near.value ?? "absent"} since revision ${near.revision}`;
      throw new Violation("22", `acknowledged and not in the log: ${describeOperation(operation)}; at that revision ${text}`);
    }
    own.claimed = true;
  }

  private tell(operation: Operation, end: number, revision: number): void {
    const last = this.told.length - 1;
    const highest = this.told[last] ?? 0;
    this.toldAt.push(Math.max(end, this.toldAt[last] ?? 0));
    this.told.push(Math.max(highest, revision));
    this.toldBy.push(revision > highest ? operation : (this.toldBy[last] ?? operation));
  }

  /** Position of the last answer before a time; -1 where there is none. */
  private lastBefore(time: number): number {
    let low = 0;
    let high = this.toldAt.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.toldAt[middle] as number) < time) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low - 1;
  }

  private checkUnacknowledged(operation: Operation, value: string): void {
    const execution = this.writes.get(value);
    if (execution === undefined) {
      return;
    }
    const changed = execution.result === "done";
    if (operation.outcome === "fail" && execution.result !== "refused") {
      throw new Violation(
        "outcome",
        `said not to have happened: ${describeOperation(operation)}; the log says: ${describeExecution(execution)}`,
      );
    }
    if (execution.at < operation.start || !isSame(operation, execution)) {
      const text = changed ? "a write that was not asked for so" : "a command that was not asked for so";
      throw new Violation("22", `${text}: ${describeOperation(operation)}; the log says: ${describeExecution(execution)}`);
    }
  }

  /** Whatever is in the log belongs to an operation of the history. */
  private checkOwners(history: readonly Operation[]): void {
    const owners = new Set(history.map(({ input }) => (input.op === "put" || input.op === "cas" ? input.value : "")));
    for (const [value, execution] of this.writes) {
      if (!owners.has(value)) {
        throw new Violation("22", `the log holds a write that is in no history: ${describeExecution(execution)}`);
      }
    }
  }
}

/** What ran unacknowledged must be the work of operations of unknown outcome, each running once at most and not before it was asked for. */
function checkUnclaimed(key: string, deletions: readonly Deletion[], undecided: readonly Operation[]): void {
  const starts = undecided.filter(({ outcome }) => outcome === "unknown").map(({ start }) => start);
  starts.sort((a, b) => a - b);
  let ran = 0;
  for (const { claimed, execution } of deletions) {
    if (!claimed) {
      const start = starts[ran++];
      if (start === undefined || start > execution.at) {
        const text = `of the deletes of ${key} whose outcome is unknown, ${ran - 1} had begun and run by then`;
        throw new Violation("20", `a delete that nobody asked for, or that ran twice: ${describeExecution(execution)}; ${text}`);
      }
    }
  }
}

function isSame({ key, input }: Operation, execution: Execution): boolean {
  return execution.key === key && execution.kind === input.op && (input.op !== "cas" || execution.expected === input.expected);
}

/** A command that ran, in one line, for a person. */
export function describeExecution(execution: Execution): string {
  const { slot, at, kind, key, value, expected, result, revision, session, seq } = execution;
  const what = kind === "cas" ? `cas ${key} ${expected ?? "absent"} -> ${value}` : kind === "put" ? `put ${key}=${value}` : `delete ${key}`;
  return `${what} in slot ${slot} (session ${session}, request ${seq}), first applied at ${seconds(at)} s: ${result}, revision ${revision}`;
}
