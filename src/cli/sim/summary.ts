/** What a batch of seeds has seen, as a table, and whether that was enough. Pure. */
import type { BatchTotals } from "../../sim/batch.js";
import { COVERAGE_SEEDS_MIN, missingCoverage } from "../../sim/checkers/coverage.js";
import { width } from "../table.js";
import { FAMILIES, type SimOptions } from "./options.js";
import { describeSpeed, faultsOf } from "./progress.js";
import { nameInvariant } from "./report.js";

const COLUMNS = 3;
const GAP = 4;
/** Seeds that are named for one invariant. */
const SEEDS_LISTED = 20;

export type Summary = {
  readonly text: string;
  /** Cases that the batch ought to have seen and has not. */
  readonly missing: readonly string[];
};

/** How a batch went. */
export type BatchRun = {
  readonly elapsedMs: number;
  /** It ran to its end. */
  readonly isWhole: boolean;
  /** Invariants that were broken, with the seeds that did. */
  readonly broken: ReadonlyMap<string, readonly number[]>;
};

/** The table and its verdict. */
export function summarize(totals: BatchTotals, options: SimOptions, run: BatchRun): Summary {
  const isSwarm = options.faults === null && options.servers === null;
  const isJudged = isSwarm && run.isWhole && totals.seeds >= COVERAGE_SEEDS_MIN;
  const missing = isJudged ? missingCoverage(totals.tally, totals.seeds) : [];
  const families = Object.keys(FAMILIES).map((family) => `${family} ${faultsOf(totals, family)}`);
  const text = [
    `${totals.seeds} seeds${run.isWhole ? "" : " (interrupted)"}, ${totals.violations === 0 ? "no violation" : `violations: ${totals.violations}`}`,
    ...[...run.broken].map(([invariant, seeds]) => `  ${nameInvariant(invariant)}: ${listSeeds(seeds)}`),
    describeSpeed(totals, run.elapsedMs),
    `${totals.decided} slots decided, ${totals.operations} operations of clients, ${totals.events} events; faults: ${families.join(", ")}`,
    "",
    "What was seen:",
    ...grid(totals),
    "",
    verdict(isJudged, isSwarm, missing),
    "",
  ].join("\n");
  return { text, missing };
}

function listSeeds(seeds: readonly number[]): string {
  const more = seeds.length > SEEDS_LISTED ? ` and ${seeds.length - SEEDS_LISTED} more` : "";
  return `seed${seeds.length === 1 ? "" : "s"} ${seeds.slice(0, SEEDS_LISTED).join(" ")}${more}`;
}

function verdict(isJudged: boolean, isSwarm: boolean, missing: readonly string[]): string {
  if (!isJudged) {
    return isSwarm
      ? `Coverage is judged from ${COVERAGE_SEEDS_MIN} seeds on.`
      : "Coverage is not judged: --faults and --servers leave cases out on purpose.";
  }
  return missing.length === 0 ? "Coverage: every case was seen." : `Coverage: these cases were never seen: ${missing.join(", ")}`;
}

/** Names and counts in columns, read downwards. */
function grid({ tally }: BatchTotals): readonly string[] {
  const cells = [...tally.counts].sort(([a], [b]) => (a < b ? -1 : 1));
  const rows = Math.ceil(cells.length / COLUMNS);
  const names = Math.max(0, ...cells.map(([name]) => width(name)));
  const counts = Math.max(0, ...cells.map(([, count]) => String(count).length));
  return Array.from({ length: rows }, (_, row) => {
    const line = Array.from({ length: COLUMNS }, (_, column) => cells[column * rows + row])
      .filter((cell) => cell !== undefined)
      .map(([name, count]) => `${name.padEnd(names)}  ${String(count).padStart(counts)}`);
    return `  ${line.join(" ".repeat(GAP))}`;
  });
}
