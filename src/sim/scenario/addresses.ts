/** Under which addresses simulated servers are known. Plain values; nothing listens there. */
import { type Address, address } from "../../paxos/ids.js";

const FIRST_PORT = 9000;

/** The Paxos addresses of so many servers, in the order of their numbers, which is the order of their ReplicaIds too. */
export function serverAddresses(servers: number): readonly Address[] {
  return Array.from({ length: servers }, (_, i) => address(`127.0.0.1:${FIRST_PORT + i}`));
}
