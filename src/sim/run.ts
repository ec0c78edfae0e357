/**
 * One run of the simulator: a cluster, its clients and the faults of a scenario, then the healing, then the checks of everything that
 * was seen. The same scenario gives the same result on every machine. Real time, files and output are its caller's.
 */
import { seedPrng, splitPrng } from "../base/prng.js";
import { StateChecker } from "./checkers/states.js";
import { TraceHash } from "./checkers/trace-hash.js";
import { checkWholeRun } from "./checkers/whole-run.js";
import { WitnessChecker } from "./checkers/witness.js";
import { Cluster } from "./cluster/cluster.js";
import { heal } from "./cluster/healing.js";
import { Nemesis } from "./cluster/nemesis.js";
import type { Failure } from "./cluster/watchers.js";
import { Engine } from "./engine/engine.js";
import { Tally } from "./engine/tally.js";
import type { Observer } from "./observer.js";
import { recoverNowAndThen } from "./recovery/operator.js";
import type { Scenario } from "./scenario/scenario.js";
import { Clients } from "./workload/clients.js";
import type { Operation } from "./workload/operation.js";

export type RunOptions = {
  /** Resolves when every promise that could settle has, and what waited for it has run: on Node, at the next tick. */
  readonly drain: () => Promise<void>;
  readonly observers?: readonly Observer[];
};

export type RunResult = {
  readonly scenario: Scenario;
  /** The first promise that was broken; null for a clean run. */
  readonly violation: Failure | null;
  /** Equal for equal runs. */
  readonly traceHash: string;
  /** What was seen, by name. */
  readonly tally: Tally;
  readonly virtualMicros: number;
  readonly events: number;
  readonly decided: number;
  readonly operations: readonly Operation[];
};

const MICROS_A_MILLI = 1000;
/** The servers start within so long of each other. */
const START_MS = 500;

/** Runs a scenario to its end, or to the first violation. Rejects only where the simulator itself is broken. */
export async function runScenario(scenario: Scenario, options: RunOptions): Promise<RunResult> {
  const prng = seedPrng(scenario.seed ^ 0x5eed);
  const observers = options.observers ?? [];
  const trace = new TraceHash();
  const witness = new WitnessChecker(scenario.settings.sessionsMax);
  const states = new StateChecker(witness.model);
  const cluster = new Cluster(scenario, splitPrng(prng), {
    world: { engine: new Engine(options.drain), tally: new Tally() },
    observers: [trace, witness, states, ...observers],
  });
  const { engine, watchers } = cluster;
  const clients = new Clients({ cluster, workload: scenario.workload, prng: splitPrng(prng) });
  const nemesis = new Nemesis(cluster, scenario);
  cluster.startAll(splitPrng(prng), START_MS);
  clients.start();
  states.start(cluster);
  await cluster.run(scenario.durationMs * MICROS_A_MILLI);
  clients.stop();
  if (watchers.failure === null) {
    const core = await heal({ cluster, nemesis, scenario, clients }, splitPrng(prng));
    if (core.length > 0) {
      await clients.readAll(core);
    }
    checkWholeRun({ cluster, witness, clients, servers: core });
  }
  const failure =
    watchers.failure ??
    (await recoverNowAndThen({ scenario, cluster, witness, clients, observers: [trace, ...observers] }, splitPrng(prng)));
  trace.add(`${cluster.protocol.decided} ${String(cluster.protocol.history.chains.at(-1))}`);
  for (const { server } of cluster.machines) {
    trace.add(server === null || server.store.busy ? "-" : String(server.store.stateHash()));
  }
  return {
    scenario,
    violation: failure,
    traceHash: trace.text,
    tally: cluster.tally,
    virtualMicros: engine.now,
    events: engine.events,
    decided: cluster.protocol.decided,
    operations: clients.history,
  };
}
