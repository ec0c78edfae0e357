/**
 * What a demonstration is: a schedule written by hand, with what clients ask, and what a reader is told on the way. The same one is
 * shown under two rules of what a quorum is; it must never say of one what only holds under the other.
 */
import type { Fault } from "../scenario/faults.js";
import type { Scenario } from "../scenario/scenario.js";
import { PLAIN_SETTINGS, PLAIN_SPEEDS } from "../shrink/plainer.js";
import type { Input } from "../workload/operation.js";

/** live: a majority of the servers that answer a Ping, as the ancestor counted (PROTOCOL §4.6). majority: of the voters that the log names. */
export type QuorumRule = "live" | "majority";

/** Milliseconds of true time. */
type At = { readonly at: number };

export type Step = At &
  (
    | { readonly kind: "say"; readonly text: string /** Under this rule alone. */; readonly under?: QuorumRule }
    /** One request, asked once. */
    | { readonly kind: "ask"; readonly client: number; readonly server: number; readonly key: string; readonly input: Input }
    /** What these servers say of themselves. */
    | { readonly kind: "status"; readonly servers: readonly number[] }
    /** The value of `key` in the state of every server that runs. */
    | { readonly kind: "look"; readonly key: string }
  );

export type Demo = {
  readonly name: string;
  /** What it is about, before it begins. */
  readonly about: string;
  readonly scenario: Scenario;
  /** In order of `at`. */
  readonly steps: readonly Step[];
  /** What a reader should take away. */
  readonly moral: Readonly<Record<QuorumRule, string>>;
};

/** The world of the demonstrations: five servers, everyday settings, no clients but those of the script. */
export function demoScenario(name: string, durationMs: number, faults: readonly Fault[]): Scenario {
  return {
    name,
    seed: 1,
    servers: 5,
    spares: 0,
    durationMs,
    settings: PLAIN_SETTINGS,
    speeds: PLAIN_SPEEDS,
    workload: {
      clients: 0,
      pauseMs: 1000,
      keys: 1,
      valueBytes: 0,
      timeoutMs: 2000,
      retries: 0,
      weights: { get: 1, put: 1, delete: 0, cas: 0 },
      loyalty: 1,
      abandon: 0,
      sessions: false,
    },
    faults,
    held: [],
    core: [0, 1, 2, 3, 4],
    left: [],
  };
}
