/**
 * Tells every observer what happens, and keeps the first violation. What an observer throws must not reach the code under test,
 * which would take it for a failure of its own: it is kept here and ends the run after the present event.
 */
import { AssertionFailure } from "../../base/assert.js";
import { InvariantViolation } from "../../paxos/invariants.js";
import type { Engine } from "../engine/engine.js";
import { type Observer, Violation } from "../observer.js";

export type Failure = { readonly invariant: string; readonly message: string /** Microseconds of true time. */; readonly at: number };

export class Watchers {
  private readonly engine: Engine;
  private readonly observers: readonly Observer[];
  private first: Failure | null = null;

  constructor(engine: Engine, observers: readonly Observer[]) {
    this.engine = engine;
    this.observers = observers;
  }

  get failure(): Failure | null {
    return this.first;
  }

  /** Calls `tell` with each observer. */
  tell(tell: (observer: Observer) => void): void {
    for (const observer of this.observers) {
      try {
        tell(observer);
      } catch (error) {
        this.fail(error);
      }
    }
  }

  fail(error: unknown): void {
    this.first ??= { ...explain(error), at: this.engine.now };
  }
}

function explain(error: unknown): { readonly invariant: string; readonly message: string } {
  if (error instanceof Violation) {
    return { invariant: error.invariant, message: error.message };
  }
  if (error instanceof InvariantViolation) {
    return { invariant: String(error.invariant), message: error.message };
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { invariant: error instanceof AssertionFailure ? "assertion" : "error", message: text };
}
