/**
 * Tells every observer what happens, and keeps the first violation. What an observer throws must not reach the code under test,
 * which would take it for a failure of its own: it is kept here and ends the run after the present event.
 */
import { AssertionFailure } from "../../base/assert.js";
import type { Effect, Event } from "../../paxos/effect.js";
import type { Address } from "../../paxos/ids.js";
import { InvariantViolation } from "../../paxos/invariants.js";
import type { Header, Message } from "../../paxos/message.js";
import type { WalRecord } from "../../paxos/record.js";
import type { Engine } from "../engine/engine.js";
import { type Observer, Violation } from "../observer.js";

export type Failure = { readonly invariant: string; readonly message: string /** Microseconds of true time. */; readonly at: number };

export class Watchers {
  private readonly engine: Engine;
  private readonly observers: readonly Observer[];
  /** Those who want to hear of what happens with every message. */
  private readonly ofSteps: readonly Observer[];
  private readonly ofSends: readonly Observer[];
  private readonly ofSyncs: readonly Observer[];
  private first: Failure | null = null;

  constructor(engine: Engine, observers: readonly Observer[]) {
    this.engine = engine;
    this.observers = observers;
    this.ofSteps = observers.filter((observer) => observer.stepped !== undefined);
    this.ofSends = observers.filter((observer) => observer.sent !== undefined);
    this.ofSyncs = observers.filter((observer) => observer.synced !== undefined);
  }

  /** Whether anybody wants to hear of lost messages. */
  get watchLosses(): boolean {
    return this.observers.some((observer) => observer.lost !== undefined);
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

  // What follows is told so often that a closure for each would count.

  stepped(server: number, event: Event, effects: readonly Effect[]): void {
    for (const observer of this.ofSteps) {
      try {
        observer.stepped?.(this.engine.now, server, event, effects);
      } catch (error) {
        this.fail(error);
      }
    }
  }

  sent(server: number, to: readonly Address[], header: Header, message: Message): void {
    for (const observer of this.ofSends) {
      try {
        observer.sent?.(this.engine.now, server, to, header, message);
      } catch (error) {
        this.fail(error);
      }
    }
  }

  synced(server: number, records: readonly WalRecord[]): void {
    for (const observer of this.ofSyncs) {
      try {
        observer.synced?.(this.engine.now, server, records);
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
