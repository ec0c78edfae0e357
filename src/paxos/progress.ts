/**
 * What must happen whenever the decided slot moved, whichever way it moved: reads that waited for it are answered, and a
 * candidate that was catching up looks again at what it needs.
 */
import { evaluatePromises } from "./candidate.js";
import type { Outbox } from "./outbox.js";
import { releaseReads } from "./read-index.js";
import { noteConfiguration } from "./reconfiguration.js";
import type { ReplicaState } from "./state.js";

export function afterAdvance(state: ReplicaState, out: Outbox): void {
  noteConfiguration(state, out);
  releaseReads(state, out);
  evaluatePromises(state, out);
}
