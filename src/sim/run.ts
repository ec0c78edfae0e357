/**
 * One run of the simulator: a cluster, its clients and the faults of a scenario, then the healing, then the checks of everything that
 * was seen. The same scenario gives the same result on every machine. Real time, files and output are its caller's.
 */
import { seedPrng, splitPrng } from "../base/prng.js";
import { checkEnd } from "./checkers/durability.js";
import { StateChecker } from "./checkers/states.js";
import { TraceHash } from "./checkers/trace-hash.js";
import { WitnessChecker } from "./checkers/witness.js";
import { Cluster } from "./cluster/cluster.js";
import { heal } from "./cluster/healing.js";
import { Nemesis } from "./cluster/nemesis.js";
import type { Failure } from "./cluster/watchers.js";
import type { Tally } from "./engine/tally.js";
import { checkHistory } from "./linearizability/check.js";
import { explain } from "./linearizability/explain.js";
import { type Observer, Violation } from "./observer.js";
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
  const trace = new TraceHash();
  const witness = new WitnessChecker(scenario.settings.sessionsMax);
  const states = new StateChecker(witness.model);
  const cluster = new Cluster(scenario, splitPrng(prng), {
    drain: options.drain,
    observers: [trace, witness, states, ...(options.observers ?? [])],
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
    finish({ cluster, witness, clients }, core);
  }
  trace.add(`${cluster.protocol.decided} ${String(cluster.protocol.history.chains.at(-1))}`);
  for (const { server } of cluster.machines) {
    trace.add(server === null || server.store.busy ? "-" : String(server.store.stateHash()));
  }
  return {
    scenario,
    violation: watchers.failure,
    traceHash: trace.text,
    tally: cluster.tally,
    virtualMicros: engine.now,
    events: engine.events,
    decided: cluster.protocol.decided,
    operations: clients.history,
  };
}

type Seen = { readonly cluster: Cluster; readonly witness: WitnessChecker; readonly clients: Clients };

/** The checks of the whole: `servers` are those that every key was read through at the end. */
function finish({ cluster, witness, clients }: Seen, servers: readonly number[]): void {
  const { tally, watchers } = cluster;
  if (watchers.failure !== null) {
    return;
  }
  try {
    witness.finish(clients.history);
    tally.add("request in the log again", witness.model.repeats);
    tally.add("request turned away by its session", witness.model.turnedAway);
    tally.add("session expired", witness.model.expired);
    const final = { reads: clients.finalReads, keys: clients.keys, servers };
    checkEnd(witness.model, final, (index) => cluster.server(index)?.store ?? null);
    demandLinearizable(clients.history);
  } catch (error) {
    watchers.fail(error);
  }
}

/** The same history once more, seen from outside only: this check knows nothing of the log. */
function demandLinearizable(history: readonly Operation[]): void {
  const result = checkHistory(history);
  if (result.kind === "not-linearizable") {
    throw new Violation("linearizable", explain(result.contradiction, history));
  }
  if (result.kind === "gave-up") {
    throw new Violation("checker", `the search for an order of the operations on ${result.key} reached its limit ${result.limit}`);
  }
}
