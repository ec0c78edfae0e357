/** The checks of a whole run, once it is over: every answer against the log, the end state of every server, and all that clients saw, from outside. */
import type { Cluster } from "../cluster/cluster.js";
import { checkHistory } from "../linearizability/check.js";
import { explain } from "../linearizability/explain.js";
import { Violation } from "../observer.js";
import type { Clients } from "../workload/clients.js";
import type { Operation } from "../workload/operation.js";
import { checkEnd } from "./durability.js";
import type { WitnessChecker } from "./witness.js";

/** What clients did before those of the run. `witnessed`: as the witness of the run may know it; `seen`: as it explains what is seen now. */
export type Earlier = { readonly witnessed: readonly Operation[]; readonly seen: readonly Operation[] };

export type WholeRun = {
  readonly cluster: Cluster;
  readonly witness: WitnessChecker;
  readonly clients: Clients;
  /** Those that every key was read through at the end. */
  readonly servers: readonly number[];
  readonly earlier?: Earlier;
};

/** Fails the run where it broke a promise. */
export function checkWholeRun({ cluster, witness, clients, servers, earlier }: WholeRun): void {
  const { tally, watchers } = cluster;
  if (watchers.failure !== null) {
    return;
  }
  try {
    witness.finish([...(earlier?.witnessed ?? []), ...clients.history]);
    tally.add("request in the log again", witness.model.repeats);
    tally.add("request turned away by its session", witness.model.turnedAway);
    tally.add("session expired", witness.model.expired);
    const final = { reads: clients.finalReads, keys: clients.keys, servers };
    checkEnd(witness.model, final, (index) => cluster.server(index)?.store ?? null);
    demandLinearizable([...(earlier?.seen ?? []), ...clients.history]);
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
