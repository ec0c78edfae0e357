/**
 * How far a batch of seeds has come: a bar on a terminal, elsewhere a plain line every few seconds, so that a log stays short. Reads
 * the sum of what was seen; it must never slow a run down.
 */

import type { BatchTotals } from "../../sim/batch.js";
import { formatDuration } from "../config/quantities.js";
import { FAMILIES } from "./options.js";

/** What the progress writes to. */
export type Screen = { readonly isTTY?: boolean; readonly columns?: number; write(text: string): unknown };

const BAR_WIDTH = 24;
/** Between two drawings of the bar, and between two plain lines. */
const BAR_EVERY_MS = 100;
const LINE_EVERY_MS = 5000;
const CLEAR = "\r\u001b[K";

export type Progress = {
  /** A seed is done. */
  readonly update: (totals: BatchTotals) => void;
  /** Takes the bar away, so that something else can be printed; the next update draws it again. */
  readonly clear: () => void;
};

/** Draws on `screen`; `now` is a monotonic clock in milliseconds, `seeds` how many there will be. */
export function makeProgress(screen: Screen, seeds: number, now: () => number): Progress {
  const began = now();
  const isBar = screen.isTTY === true;
  let last = began;
  let drawn = false;
  const clear = (): void => {
    if (drawn) {
      screen.write(CLEAR);
      drawn = false;
    }
  };
  return {
    update: (totals) => {
      const at = now();
      if (at - last < (isBar ? BAR_EVERY_MS : LINE_EVERY_MS)) {
        return;
      }
      last = at;
      const words = describeProgress(totals, seeds, at - began);
      if (isBar) {
        const filled = Math.round((BAR_WIDTH * totals.seeds) / seeds);
        const line = `[${"#".repeat(filled)}${".".repeat(BAR_WIDTH - filled)}] ${words}`;
        screen.write(`${CLEAR}${line.slice(0, Math.max(20, (screen.columns ?? 100) - 1))}`);
        drawn = true;
      } else {
        screen.write(`${words}\n`);
      }
    },
    clear,
  };
}

/** `12/200 seeds, 2.3/s, 31x real time, violations 0, elections 40, snapshots 12, faults: network 31 disk 9 process 12 clock 3 members 5`. */
export function describeProgress(totals: BatchTotals, seeds: number, elapsedMs: number): string {
  const { tally } = totals;
  const faults = Object.keys(FAMILIES).map((family) => `${family} ${faultsOf(totals, family)}`);
  return [
    `${totals.seeds}/${seeds} seeds`,
    describeSpeed(totals, elapsedMs),
    `violations ${totals.violations}`,
    `elections ${tally.of("election won")}`,
    `snapshots ${tally.of("snapshot taken")}`,
    `faults: ${faults.join(" ")}`,
  ].join(", ");
}

/** `2.3 seeds/s, 4 m 10 s of virtual time in 8 s (31x)`. */
export function describeSpeed(totals: BatchTotals, elapsedMs: number): string {
  const seconds = Math.max(elapsedMs, 1) / 1000;
  const virtual = formatDuration(totals.virtualMicros / 1000);
  const ratio = totals.virtualMicros / 1e6 / seconds;
  return `${(totals.seeds / seconds).toFixed(1)} seeds/s, ${virtual} of virtual time in ${formatDuration(elapsedMs)} (${ratio.toFixed(ratio < 10 ? 1 : 0)}x)`;
}

/** Faults of a family that were brought about. */
export function faultsOf(totals: BatchTotals, family: string): number {
  return (FAMILIES[family] ?? []).reduce((sum, kind) => sum + totals.tally.of(`fault ${kind}`), 0);
}
