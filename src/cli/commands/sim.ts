/**
 * `synod sim`: runs the production code of a whole cluster in virtual time, under faults, and checks all that it does. Exit status 0: no
 * promise was broken; 1: one was, or a case was never seen; 5: interrupted before the end.
 */
import { type BatchTotals, newTotals } from "../../sim/batch.js";
import type { Observer } from "../../sim/observer.js";
import type { RunResult } from "../../sim/run.js";
import type { DrawOptions } from "../../sim/scenario/draw.js";
import type { Scenario } from "../../sim/scenario/scenario.js";
import { EXIT } from "../errors.js";
import type { Flags } from "../flags.js";
import { investigate, narrate } from "../sim/investigate.js";
import { type SimOptions, simOptions } from "../sim/options.js";
import { makeProgress } from "../sim/progress.js";
import { readReplay } from "../sim/replay-file.js";
import { nameInvariant, renderReport, seedCommand } from "../sim/report.js";
import { describeRevision } from "../sim/revision.js";
import { drain, loadSimulator, type Simulator } from "../sim/simulator.js";
import { summarize } from "../sim/summary.js";
import { TraceFile } from "../sim/trace-file.js";

/** Runs what the flags ask for; resolves to the exit status. */
export async function runSim(flags: Flags): Promise<number> {
  const options = simOptions(flags);
  if (options.demo !== null) {
    const { tellDemo } = await import("../sim/demo.js");
    return tellDemo(options.demo, options.quorum, (line) => process.stdout.write(`${line}\n`));
  }
  const trace = options.trace === null ? null : new TraceFile(options.trace);
  try {
    return options.replay === null
      ? await new Batch(options, await loadSimulator(options.mutant), trace).run()
      : await replay(options, options.replay, trace);
  } finally {
    trace?.close();
  }
}

/** Interrupts: the first ends what runs, its summary is still printed. */
function interruption(): { readonly happened: Promise<"interrupted">; readonly isOver: () => boolean; readonly end: () => void } {
  let over = false;
  let stop = (): void => {};
  const happened = new Promise<"interrupted">((resolve) => {
    stop = () => {
      over = true;
      resolve("interrupted");
    };
  });
  process.once("SIGINT", stop);
  return { happened, isOver: () => over, end: () => process.removeListener("SIGINT", stop) };
}

class Batch {
  private readonly options: SimOptions;
  private readonly simulator: Simulator;
  private readonly trace: TraceFile | null;
  private readonly revision = describeRevision();
  private readonly interrupted = interruption();
  private readonly began = performance.now();
  private readonly progress;
  private totals: BatchTotals = newTotals();
  /** What was broken, and by which seeds. */
  private readonly broken = new Map<string, number[]>();

  constructor(options: SimOptions, simulator: Simulator, trace: TraceFile | null) {
    this.options = options;
    this.simulator = simulator;
    this.trace = trace;
    this.progress = makeProgress(process.stderr, options.seeds, () => performance.now());
  }

  async run(): Promise<number> {
    const { options } = this;
    const work = this.simulator.runSeeds({
      from: options.seed,
      count: options.seeds,
      draw: drawOptions(options),
      drain,
      observersOf: (scenario) => this.observersOf(scenario),
      keepGoing: () => !this.interrupted.isOver(),
      onResult: (seed, result, totals) => this.take(seed, result, totals),
    });
    // A run cannot be ended from outside: an interrupted one is left alone, and the process ends.
    await Promise.race([work, this.interrupted.happened]);
    this.interrupted.end();
    this.progress.clear();
    return this.finish();
  }

  private observersOf(scenario: Scenario): readonly Observer[] {
    const { trace } = this;
    const { Narrator, serverAddresses } = this.simulator;
    if (trace === null) {
      return [];
    }
    trace.add(`== seed ${scenario.seed}: ${scenario.name}, ${scenario.servers} servers`);
    return [
      new Narrator({ addresses: serverAddresses(scenario.servers), sink: (line) => trace.add(line), everything: this.options.pulse }),
    ];
  }

  private async take(seed: number, result: RunResult, totals: BatchTotals): Promise<void> {
    this.totals = totals;
    if (result.violation !== null) {
      const { invariant } = result.violation;
      this.broken.set(invariant, [...(this.broken.get(invariant) ?? []), seed]);
    }
    if (this.options.json) {
      process.stdout.write(`${JSON.stringify(asJson(seed, result))}\n`);
    } else if (result.violation !== null) {
      this.progress.clear();
      process.stdout.write(await this.explain(seed, result, totals.violations === 1));
    }
    this.progress.update(totals);
  }

  /** The first violation in full, the others in a line each, unless each was asked for. */
  private explain(seed: number, result: RunResult, isFirst: boolean): string | Promise<string> {
    const { violation } = result;
    const { shrink } = this.options;
    const command = seedCommand(seed, this.options);
    if (violation === null || (!isFirst && shrink !== "full")) {
      return `Violation of ${nameInvariant(violation?.invariant ?? "")}, seed ${seed}: ${command}\n`;
    }
    return investigate({
      simulator: this.simulator,
      mutant: this.options.mutant,
      result,
      violation,
      mode: shrink,
      revision: this.revision,
      command,
      say: (text) => process.stderr.write(text),
      keepGoing: () => !this.interrupted.isOver(),
    });
  }

  private finish(): number {
    const { options, totals } = this;
    const isWhole = totals.seeds === options.seeds;
    const { text, missing } = summarize(totals, options, {
      elapsedMs: performance.now() - this.began,
      isWhole,
      broken: this.broken,
    });
    process.stdout.write(options.json ? `${JSON.stringify(totalsAsJson(totals, missing, isWhole))}\n` : text);
    if (totals.violations > 0 || missing.length > 0) {
      return EXIT.error;
    }
    return isWhole ? EXIT.ok : EXIT.unhealthy;
  }
}

function drawOptions({ minutes, servers, faults }: SimOptions): DrawOptions {
  return {
    ...(minutes === null ? {} : { minutes }),
    ...(servers === null ? {} : { servers }),
    ...(faults === null ? {} : { faults }),
  };
}

function asJson(seed: number, result: RunResult): unknown {
  const { scenario, violation, traceHash, virtualMicros, events, decided, operations, tally } = result;
  return {
    seed,
    schedule: scenario.name,
    servers: scenario.servers,
    violation,
    traceHash,
    virtualMs: Math.round(virtualMicros / 1000),
    events,
    decided,
    operations: operations.length,
    seen: Object.fromEntries(tally.counts),
  };
}

function totalsAsJson(totals: BatchTotals, missing: readonly string[], isWhole: boolean): unknown {
  const { seeds, violations, virtualMicros, events, decided, operations, tally } = totals;
  const seen = Object.fromEntries(tally.counts);
  return {
    summary: true,
    seeds,
    isWhole,
    violations,
    virtualMs: Math.round(virtualMicros / 1000),
    events,
    decided,
    operations,
    missing,
    seen,
  };
}

/** Runs the scenario of a file, and says whether it still breaks what it broke. */
async function replay(options: SimOptions, path: string, trace: TraceFile | null): Promise<number> {
  const { scenario, invariant, mutant } = readReplay(path);
  const { result, narrator } = await narrate(
    await loadSimulator(mutant),
    scenario,
    trace === null ? {} : { sink: (line) => trace.add(line), everything: options.pulse },
  );
  const { violation } = result;
  if (options.json) {
    process.stdout.write(`${JSON.stringify(asJson(scenario.seed, result))}\n`);
  } else if (violation === null) {
    const was = invariant === null ? "" : ` It broke ${nameInvariant(invariant)} once.`;
    process.stdout.write(`No violation: ${path}, seed ${scenario.seed}, ${describeRevision()}.${was}\n`);
  } else {
    const command = `synod sim --replay ${path}`;
    const shared = { scenario, violation, revision: describeRevision(), command, shrunk: null };
    process.stdout.write(renderReport({ ...shared, transcript: narrator.last(), lines: narrator.total }));
  }
  return violation === null ? EXIT.ok : EXIT.error;
}
