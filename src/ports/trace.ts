/** Where the dialogue of a replica can be watched: transcripts, tests and live views read the same plain values. */
import type { Effect, Event } from "../paxos/effect.js";

/** Called after each step. An implementation must not change what it is given; absent where nobody listens, at no cost. */
export interface Trace {
  step(event: Event, effects: readonly Effect[]): void;
}
