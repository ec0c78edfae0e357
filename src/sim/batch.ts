/**
 * Many seeds, one after another, and the sum of what they saw. Whether the batch has seen enough is judged by checkers/coverage.ts. It
 * must keep nothing of a clean run: ten thousand of them take no more memory than one.
 */
import { Tally } from "./engine/tally.js";
import type { Observer } from "./observer.js";
import { type RunResult, runScenario } from "./run.js";
import { type DrawOptions, drawScenario } from "./scenario/draw.js";
import type { Scenario } from "./scenario/scenario.js";

export type BatchOptions = {
  /** The first seed, and how many from it on. */
  readonly from: number;
  readonly count: number;
  /** What is fixed of each scenario. */
  readonly draw: DrawOptions;
  /** As for runScenario. */
  readonly drain: () => Promise<void>;
  /** Who watches the run of a scenario beside its checkers. */
  readonly observersOf?: (scenario: Scenario) => readonly Observer[];
  /** Asked before each seed; false ends the batch. */
  readonly keepGoing?: () => boolean;
  /** Waited for before the next seed. */
  readonly onResult?: (seed: number, result: RunResult, totals: BatchTotals) => void | Promise<void>;
};

export type BatchTotals = {
  readonly tally: Tally;
  seeds: number;
  /** Seeds that broke a promise. */
  violations: number;
  virtualMicros: number;
  events: number;
  operations: number;
  decided: number;
};

export function newTotals(): BatchTotals {
  return { tally: new Tally(), seeds: 0, violations: 0, virtualMicros: 0, events: 0, operations: 0, decided: 0 };
}

/** Runs the seeds; a violation does not end the batch. */
export async function runSeeds(options: BatchOptions): Promise<BatchTotals> {
  const totals = newTotals();
  for (let seed = options.from; seed < options.from + options.count && options.keepGoing?.() !== false; seed++) {
    const scenario = drawScenario(seed, options.draw);
    const result = await runScenario(scenario, { drain: options.drain, observers: options.observersOf?.(scenario) ?? [] });
    addResult(totals, result);
    await options.onResult?.(seed, result, totals);
  }
  return totals;
}

/** Adds one run to the sum. */
export function addResult(totals: BatchTotals, result: RunResult): void {
  totals.seeds++;
  totals.violations += result.violation === null ? 0 : 1;
  totals.virtualMicros += result.virtualMicros;
  totals.events += result.events;
  totals.operations += result.operations.length;
  totals.decided += result.decided;
  totals.tally.addAll(result.tally);
}
