/** Runs a batch of seeds, adds up what they saw, and tells the story of those that failed. */
import { type Exploration, explore } from "./explorer.js";

/** `message` says what broke, `report` also what happened just before. */
export type Failure = { readonly seed: number; readonly message: string; readonly report: string };

export type Batch = {
  readonly failures: readonly Failure[];
  readonly coverage: ReadonlyMap<string, number>;
  readonly steps: number;
  readonly decided: number;
};

/** Lines of the dialogue that a report ends with. */
const REPORT_LINES = 60;

/** Explores `count` seeds from `from` on, and stops after `failuresMax` that failed. */
export function exploreSeeds({ from, count, failuresMax }: { from: number; count: number; failuresMax: number }): Batch {
  const failures: Failure[] = [];
  const coverage = new Map<string, number>();
  let steps = 0;
  let decided = 0;
  for (let seed = from; seed < from + count && failures.length < failuresMax; seed++) {
    let seen: Exploration;
    try {
      seen = explore(seed);
    } catch (error) {
      failures.push(failureOf(seed, error));
      continue;
    }
    steps += seen.steps;
    decided += seen.decided;
    for (const [what, times] of seen.coverage) {
      coverage.set(what, (coverage.get(what) ?? 0) + times);
    }
  }
  return { failures, coverage, steps, decided };
}

/** Runs the seed once more, listening. */
function failureOf(seed: number, error: unknown): Failure {
  const message = `seed ${seed}: ${error instanceof Error ? `${error.name}: ${error.message}` : String(error)}`;
  const lines: string[] = [];
  try {
    explore(seed, (line) => {
      lines.push(line);
      if (lines.length > 2 * REPORT_LINES) {
        lines.splice(0, REPORT_LINES);
      }
    });
    lines.push("(the seed did not fail again: the explorer is not deterministic)");
  } catch (again) {
    lines.push(again instanceof Error ? (again.stack ?? again.message) : String(again));
  }
  return { seed, message, report: `${lines.slice(-REPORT_LINES).join("\n")}\n${message}` };
}
