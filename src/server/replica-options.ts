/** What the protocol core is told of a server's configuration. */
import { address } from "../paxos/ids.js";
import type { ReplicaOptions } from "../paxos/replica.js";
import type { ServerConfig } from "./config.js";

/** The options of a replica that draws from `seed`. */
export function replicaOptions(config: ServerConfig, seed: number): ReplicaOptions {
  return {
    address: address(config.paxosAddress),
    clientAddress: config.clientAddress,
    list: config.replicas.map(address),
    seed,
    pingMs: config.pingMs,
    grantMs: config.grantMs,
    suspectMs: config.suspectMs,
    windowSlots: config.windowSlots,
    windowBytes: config.windowBytes,
    keepSlots: config.keepSlots,
    keepBytes: config.keepBytes,
    removeAfterMs: config.removeAfterMs,
    stableMs: config.stableMs,
    minVoters: config.minVoters,
    join: config.join.map(address),
    electable: config.electable,
  };
}
