/**
 * What is under way in one direction, in order: each copy of a message with the time when it arrives, and one event of the engine at a time for
 * all of them. It knows no faults but the clog, which stops it.
 */
import { assert } from "../../base/assert.js";
import type { Engine } from "../engine/engine.js";
import type { Connection } from "./connection.js";

/** Compacted once so much of the queue was taken. */
const TAKEN_MAX = 64;
const NEVER = Number.POSITIVE_INFINITY;

type Copy = { readonly bytes: Uint8Array; readonly connection: Connection; readonly due: number };

/** What the pipe asks of its link. */
export interface PipeEnd {
  /** Nothing moves now; `Pipe.resume` is called once that is over. */
  readonly isClogged: boolean;
  arrive(connection: Connection, bytes: Uint8Array): void;
}

export class Pipe {
  private readonly engine: Engine;
  private readonly end: PipeEnd;
  private queue: Copy[] = [];
  /** The first copy that was not taken. */
  private head = 0;
  private lastDue = 0;
  /** When the pump is to run. */
  private pumpAt = NEVER;

  constructor(engine: Engine, end: PipeEnd) {
    this.engine = engine;
    this.end = end;
  }

  /** Copies under way. */
  get length(): number {
    return this.queue.length - this.head;
  }

  /** Behind all that is under way, and not before `due`. */
  push(connection: Connection, bytes: Uint8Array, due: number): void {
    this.lastDue = Math.max(this.lastDue, due);
    this.queue.push({ bytes, connection, due: this.lastDue });
    if (this.lastDue < this.pumpAt) {
      this.arm();
    }
  }

  /** The clog is over: what is overdue arrives now. */
  resume(): void {
    this.arm();
  }

  /** How much of `connection` is under way. */
  countOf(connection: Connection): number {
    let count = 0;
    for (let i = this.head; i < this.queue.length; i++) {
      count += this.queue[i]?.connection === connection ? 1 : 0;
    }
    return count;
  }

  /** Takes out what is under way on `connection`, the first `kept` apart; in order. */
  discard(connection: Connection, kept: number): readonly Uint8Array[] {
    const rest: Copy[] = [];
    const out: Uint8Array[] = [];
    let left = kept;
    for (let i = this.head; i < this.queue.length; i++) {
      const copy = this.queue[i];
      assert(copy !== undefined, "a queue has no gaps");
      if (copy.connection !== connection) {
        rest.push(copy);
      } else if (left > 0) {
        left--;
        rest.push(copy);
      } else {
        out.push(copy.bytes);
      }
    }
    this.queue = rest;
    this.head = 0;
    this.lastDue = rest.at(-1)?.due ?? 0;
    return out;
  }

  /** Has the pump run when the next copy is due. */
  private arm(): void {
    const next = this.queue[this.head];
    if (next === undefined || this.end.isClogged) {
      return;
    }
    const at = Math.max(next.due, this.engine.now);
    if (at < this.pumpAt) {
      this.pumpAt = at;
      this.engine.schedule(at, this.pump);
    }
  }

  private readonly pump = (): void => {
    const { engine, end } = this;
    if (engine.now !== this.pumpAt) {
      return; // of a time before the queue was emptied
    }
    for (;;) {
      // Read anew each time: what arrives may end a process, and with it a part of the queue.
      const copy = this.queue[this.head];
      if (copy === undefined || copy.due > engine.now || end.isClogged) {
        break;
      }
      this.head++;
      end.arrive(copy.connection, copy.bytes);
    }
    if (this.head === this.queue.length || this.head >= TAKEN_MAX) {
      this.queue.splice(0, this.head);
      this.head = 0;
    }
    this.pumpAt = NEVER;
    this.arm();
  };
}
