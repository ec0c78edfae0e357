/**
 * Virtual time: one heap of events in order of (time, sequence), run one at a time. All that happens in a simulation happens
 * here, so the same seed gives the same run. It must never read a real clock; the one thing that it asks of the runtime is to let
 * promises settle, which is handed in.
 */
import { assert } from "../../base/assert.js";
import { EventHeap } from "../../base/event-heap.js";

/** Something that is due later. Cancelling twice, or after it ran, changes nothing. */
export interface Scheduled {
  cancel(): void;
}

/** Turns that one event may ask for before it counts as a loop without end. */
const TURNS_MAX = 100_000;

export class Engine {
  private readonly heap = new EventHeap();
  private readonly drain: () => Promise<void>;
  private micros = 0;
  private turnEnds: (() => void)[] = [];
  private stirred = false;
  /** Events that were run. */
  events = 0;

  /** `drain` resolves when every promise that could settle has settled, and what waited for it has run. */
  constructor(drain: () => Promise<void>) {
    this.drain = drain;
  }

  /** True time since the beginning, microseconds, an integer. Servers see it through their own clocks only. */
  get now(): number {
    return this.micros;
  }

  /** Runs `work` at true time `at`, or now where that is past; after what was scheduled for the same time before. */
  schedule(at: number, work: () => void): Scheduled {
    return this.heap.push(Math.max(this.micros, Math.ceil(at)), work);
  }

  after(micros: number, work: () => void): Scheduled {
    return this.schedule(this.micros + micros, work);
  }

  /** Runs `work` when the present event is over and its promises have settled, at the same instant. */
  endOfTurn(work: () => void): void {
    this.turnEnds.push(work);
  }

  /** A promise was made or settled: the event is not over before what waits for it has run. Whoever returns a promise to the code under test calls it. */
  stir(): void {
    this.stirred = true;
  }

  /** Runs events until true time `end`, or until `isDone` holds after one of them. */
  async run(end: number, isDone: () => boolean = () => false): Promise<void> {
    for (;;) {
      if (this.stirred || this.turnEnds.length > 0) {
        for (let turns = 0; this.stirred || this.turnEnds.length > 0; turns++) {
          assert(turns < TURNS_MAX, "an event ends");
          if (this.stirred) {
            this.stirred = false;
            await this.drain();
          }
          this.endTurn();
        }
      }
      const next = this.heap.peek();
      if (next === undefined || next.at > end || isDone()) {
        break;
      }
      this.heap.pop();
      assert(next.at >= this.micros, "time does not go back");
      this.micros = next.at;
      this.events++;
      next.run();
    }
    if (!isDone()) {
      this.micros = Math.max(this.micros, end);
    }
  }

  private endTurn(): void {
    const { turnEnds } = this;
    if (turnEnds.length > 0) {
      this.turnEnds = [];
      this.stirred = true; // what it sets off belongs to the turn too
      for (const work of turnEnds) {
        work();
      }
    }
  }
}
