/**
 * From a scenario that fails to a small one that fails in the same way: kinds of faults are left out, then single faults, then
 * everything else is made plainer and the time cut short, each candidate being run again. Generic over what failing means; it never
 * returns a scenario that was not seen to fail, and stops when its budget is spent.
 */
import type { Scenario } from "../scenario/scenario.js";
import { minimize } from "./minimize.js";
import { plainerScenarios } from "./plainer.js";

/** When a scenario failed: microseconds of true time. */
export type Failing = { readonly at: number };

export type ShrinkOptions = {
  /** Whether a scenario breaks the same invariant as the first; null where it does not. */
  readonly fails: (scenario: Scenario) => Promise<Failing | null>;
  /** Asked before each run; false ends the shrinking with what was found. */
  readonly keepGoing?: () => boolean;
  /** Default RUNS_MAX. */
  readonly runsMax?: number;
  /** Told of each smaller scenario. */
  readonly onSmaller?: (scenario: Scenario, runs: number) => void;
};

export type Shrunk = { readonly scenario: Scenario; readonly at: number; readonly runs: number };

/** Runs that one shrinking may cost. */
export const RUNS_MAX = 400;
/** Passes over everything; each of them takes something away, or is the last. */
const PASSES_MAX = 8;
/** A run goes on for so long after the moment at which it failed before. Milliseconds. */
const SLACK_MS = 1;

class Shrinking {
  best: Scenario;
  at: number;
  runs = 0;
  private readonly options: ShrinkOptions;
  private readonly tried = new Set<string>();

  constructor(scenario: Scenario, at: number, options: ShrinkOptions) {
    this.best = scenario;
    this.at = at;
    this.options = options;
    this.tried.add(JSON.stringify(scenario));
  }

  get isOver(): boolean {
    return this.runs >= (this.options.runsMax ?? RUNS_MAX) || this.options.keepGoing?.() === false;
  }

  /** Whether `candidate` fails too; it is the best then. One that was tried before is not run again. */
  async tries(candidate: Scenario): Promise<boolean> {
    const text = JSON.stringify(candidate);
    if (this.tried.has(text) || this.isOver) {
      return false;
    }
    this.tried.add(text);
    this.runs++;
    const failing = await this.options.fails(candidate);
    if (failing === null) {
      return false;
    }
    this.best = candidate;
    this.at = failing.at;
    this.options.onSmaller?.(candidate, this.runs);
    return true;
  }

  /** Ends the faults where it failed; where it failed in the healing, as early as that still happens. */
  async cutTime(): Promise<void> {
    const failedAt = Math.ceil(this.at / 1000) + SLACK_MS;
    if (failedAt < this.best.durationMs && (await this.tries(endingAt(this.best, failedAt)))) {
      return;
    }
    for (let span = Math.floor(this.best.durationMs / 2); span >= 1000; span = Math.floor(span / 2)) {
      while (this.best.durationMs > span && (await this.tries(endingAt(this.best, this.best.durationMs - span)))) {}
    }
  }

  async dropKinds(): Promise<void> {
    const kinds = [...new Set(this.best.faults.map((fault) => fault.kind))];
    await minimize(kinds, (left) => this.tries({ ...this.best, faults: this.best.faults.filter(({ kind }) => left.includes(kind)) }));
  }

  async dropFaults(): Promise<void> {
    await minimize(this.best.faults, (faults) => this.tries({ ...this.best, faults }));
    await minimize(this.best.held, (held) => this.tries({ ...this.best, held }));
  }

  async makePlainer(): Promise<void> {
    for (let again = true; again && !this.isOver; ) {
      again = false;
      let candidates = plainerScenarios(this.best);
      for (let i = 0; i < candidates.length; i++) {
        const candidate = candidates[i];
        if (candidate !== undefined && (await this.tries(candidate))) {
          again = true;
          candidates = plainerScenarios(this.best);
        }
      }
    }
  }
}

/** The scenario with its faults over at `ms`. */
function endingAt(scenario: Scenario, ms: number): Scenario {
  const faults = scenario.faults.filter(({ at }) => at < ms);
  const held = scenario.held.filter(({ at }) => at < ms);
  return { ...scenario, durationMs: ms, faults, held };
}

/** The smallest failing scenario found from `scenario`, which fails at `at`. */
export async function shrink(scenario: Scenario, at: number, options: ShrinkOptions): Promise<Shrunk> {
  const shrinking = new Shrinking(scenario, at, options);
  for (let pass = 0; pass < PASSES_MAX && !shrinking.isOver; pass++) {
    const before = shrinking.best;
    await shrinking.cutTime();
    await shrinking.dropKinds();
    await shrinking.dropFaults();
    await shrinking.makePlainer();
    if (shrinking.best === before) {
      break;
    }
  }
  return { scenario: shrinking.best, at: shrinking.at, runs: shrinking.runs };
}
