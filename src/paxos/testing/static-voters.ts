/** Options of a replica whose voters change only when somebody asks for it: for tests about everything else. Decides nothing. */
import type { ReplicaOptions } from "../replica.js";

export const STATIC_VOTERS: Pick<ReplicaOptions, "removeAfterMs" | "stableMs" | "minVoters" | "join" | "electable"> = {
  removeAfterMs: 0,
  stableMs: 3000,
  minVoters: 1,
  join: [],
  electable: true,
};
