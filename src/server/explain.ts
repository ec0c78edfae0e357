/** The sentence that tells a client why its request was not answered. It names servers, never internals. */
import type { ReplicaStatus } from "../paxos/replica.js";

/** What stands between a request and its answer, as far as this server knows. */
export function whatIsMissing(status: ReplicaStatus): string {
  if (status.blocked !== null) {
    return status.blocked;
  }
  if (status.coordinator === null) {
    const silent = status.voters.filter(({ live }) => !live).map(({ address }) => address);
    return `No server coordinates yet${silent.length > 0 ? `; ${silent.join(", ")} do not answer` : ""}.`;
  }
  return status.role === "coordinator"
    ? "Too few voters have answered this server, which coordinates."
    : `The coordinator ${status.coordinator} has not answered.`;
}
