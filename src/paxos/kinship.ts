/**
 * Whether two belong together: of one cluster, and of one lineage of it. A forced recovery begins a new lineage (PROTOCOL §4.7); two
 * recoveries made apart have the same number, and only their random parts tell them apart. This is the one place that compares:
 * what is not `same` is never counted, and is told why.
 */
import type { ClusterId, Lineage } from "./ids.js";

/** What a message, a peer's Hello or a data directory says of where it belongs. */
export type Origin = { readonly clusterId: ClusterId; readonly lineage: Lineage };

/** How the other one is related to us. older: of a lineage that a recovery left behind. newer: a recovery left ours behind. rival: recovered apart from ours. */
export type Kinship = "same" | "otherCluster" | "older" | "newer" | "rival";

export function kinshipOf(own: Origin, other: Origin): Kinship {
  if (own.clusterId !== other.clusterId) {
    return "otherCluster";
  }
  if (own.lineage.number !== other.lineage.number) {
    return other.lineage.number < own.lineage.number ? "older" : "newer";
  }
  return own.lineage.random === other.lineage.random ? "same" : "rival";
}

const WIPE =
  "Stop it, set its data directory aside, and start it again with an empty one: it joins by itself. " +
  "Only if recoveries were made apart from each other it may be the branch that is to go on: choose before you do.";

/** Why the server at `address` is turned away, and what to do, for people; null for one that is not. `self`: the server that says so. */
export function kinshipText(kinship: Kinship, self: string, address: string): string | null {
  switch (kinship) {
    case "same":
      return null;
    case "older":
      return `${address} holds the state from before a forced recovery of this cluster: it is turned away. ${WIPE}`;
    case "newer":
      return `This server, ${self}, holds the state from before a forced recovery of this cluster: the others go on without it and turn it away. ${WIPE}`;
    case "rival":
      return (
        `${address} comes from another forced recovery of this cluster than this server, ${self}, made apart from it: the two never mix. ` +
        "Choose which one is to go on; stop the servers of the other, set their data directories aside, and start them again with empty ones."
      );
    case "otherCluster":
      return `${address} belongs to another cluster: it is not counted. Check its data directory and the lists of replicas.`;
  }
}
