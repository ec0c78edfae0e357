/**
 * What is done about a violation: the scenario is made smaller, run once more with a narrator, and told. The run is repeated first: one
 * that differs the second time is a fault of the simulator, and said to be.
 */
import type { Failure } from "../../sim/cluster/watchers.js";
import type { Narrator, NarratorOptions } from "../../sim/narrate/narrator.js";
import type { RunResult } from "../../sim/run.js";
import type { Scenario } from "../../sim/scenario/scenario.js";
import type { ShrinkMode } from "./options.js";
import { writeReplay } from "./replay-file.js";
import { type Report, renderReport } from "./report.js";
import { drain, type Simulator } from "./simulator.js";

/** How long a scenario is made smaller where nobody asked for more. */
const SHRINK_SECONDS = 60;

export type Investigation = {
  readonly simulator: Simulator;
  /** The bug that was planted; null where none was. */
  readonly mutant: string | null;
  readonly result: RunResult;
  readonly violation: Failure;
  readonly mode: ShrinkMode;
  readonly revision: string;
  readonly command: string;
  /** Told now and then what goes on. */
  readonly say: (text: string) => void;
  readonly keepGoing: () => boolean;
};

/** The report on a violation. Writes the shrunk scenario to a file. */
export async function investigate(options: Investigation): Promise<string> {
  const { result, violation, mode, revision, command } = options;
  const shrunk = mode === "off" ? null : await makeSmaller(options);
  const shown = shrunk?.scenario ?? result.scenario;
  const told = await narrate(options.simulator, shown);
  const same = shrunk !== null || told.result.traceHash === result.traceHash;
  const file = shrunk === null ? "" : writeReplay({ scenario: shown, invariant: violation.invariant, mutant: options.mutant }, revision);
  const report: Report = {
    scenario: result.scenario,
    violation,
    revision,
    command,
    shrunk: shrunk === null ? null : { ...shrunk, file },
    transcript: told.narrator.last(),
    lines: told.narrator.total,
  };
  const warning = "The run differs when it is repeated: the simulator is not deterministic here, and the transcript is of another run.\n";
  return renderReport(report) + (same ? "" : warning);
}

/** Runs `scenario` under a narrator, which keeps the last lines and, where told so, gives them all to a sink. */
export async function narrate(
  { Narrator, runScenario, serverAddresses }: Simulator,
  scenario: Scenario,
  options: Omit<NarratorOptions, "addresses"> = {},
): Promise<{ readonly result: RunResult; readonly narrator: Narrator }> {
  const narrator = new Narrator({ addresses: serverAddresses(scenario.servers), ...options });
  const result = await runScenario(scenario, { drain, observers: [narrator] });
  return { result, narrator };
}

async function makeSmaller({
  simulator: { runScenario, shrink },
  result,
  violation,
  mode,
  say,
  keepGoing,
}: Investigation): Promise<{ readonly scenario: Scenario; readonly runs: number; readonly isFinished: boolean }> {
  const until = performance.now() + (mode === "full" ? Number.POSITIVE_INFINITY : SHRINK_SECONDS * 1000);
  let isFinished = true;
  say(`Making seed ${result.scenario.seed} smaller${mode === "full" ? "" : `, for ${SHRINK_SECONDS} s at most`} ...\n`);
  const { scenario, runs } = await shrink(result.scenario, violation.at, {
    fails: async (candidate) => {
      const again = (await runScenario(candidate, { drain })).violation;
      return again?.invariant === violation.invariant ? { at: again.at } : null;
    },
    keepGoing: () => {
      isFinished = performance.now() < until && keepGoing();
      return isFinished;
    },
  });
  return { scenario, runs, isFinished };
}
