/** One real replica for tests of what it does with a single message or request: small limits, the times of the transcripts, nobody around it. */
import type { Address } from "../ids.js";
import { createReplica, type ReplicaState } from "../replica.js";
import { STATIC_VOTERS } from "./static-voters.js";

/** Not started yet: its disk is the test's part. */
export function loneReplica(address: Address, list: readonly Address[]): ReplicaState {
  return createReplica({
    ...STATIC_VOTERS,
    address,
    clientAddress: "",
    list,
    seed: 1,
    pingMs: 100,
    grantMs: 600,
    suspectMs: 600,
    windowSlots: 4,
    windowBytes: 1000,
    keepSlots: 10,
    keepBytes: 1000,
  });
}
