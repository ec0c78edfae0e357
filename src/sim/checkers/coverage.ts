/**
 * What a batch of seeds must have seen before its silence says anything: cases whose handling is never run are not tested. A name
 * here is a count of the tally.
 */
import type { Tally } from "../engine/tally.js";
import { FAULT_KINDS } from "../scenario/faults.js";

/** A smaller batch may miss a case by chance and is not judged. */
export const COVERAGE_SEEDS_MIN = 200;

/** Every kind of fault, and what must have come of them. */
export const COVERAGE_GATES: readonly string[] = [
  ...FAULT_KINDS.map((kind) => `fault ${kind}`),
  "election won",
  "snapshot taken",
  "snapshot installed",
];

/** The gates that `tally` never passed. */
export function missingCoverage(tally: Tally): readonly string[] {
  return COVERAGE_GATES.filter((name) => tally.of(name) === 0);
}
