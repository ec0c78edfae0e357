/**
 * The servers of a transcript: their names, addresses and options. Times and limits are the same in all transcripts, so that a
 * reader need not look them up, unless its `cluster` line says otherwise.
 */
import { type Address, address } from "../ids.js";
import type { ReplicaOptions } from "../replica.js";

/** Times and limits of a transcript's servers unless its `cluster` line says otherwise. */
export type Limits = {
  readonly window: number;
  readonly windowBytes: number;
  readonly keep: number;
  readonly pingMs: number;
  /** How long a grant lasts, and a silent server is not suspected. */
  readonly grantMs: number;
  /** After how long the autopilot takes a vote and gives it back, ms; 0: it leaves the voters alone. */
  readonly removeAfterMs: number;
  readonly stableMs: number;
  readonly minVoters: number;
  /** Members that a server of an empty disk asks to join; none: it waits to be founded. */
  readonly join: readonly string[];
  /** Whether who joins may become a voter without an operator. */
  readonly electable: boolean;
};

/** `n1` of `n1:1`. */
export function nameOf(named: Address): string {
  return named.slice(0, named.indexOf(":"));
}

/** `n1:1` of `n1`. */
export function addressOf(name: string): Address {
  return address(`${name}:1`);
}

/** How the server `name` of a cluster that lists `list` is told to behave. */
export function optionsOf(name: string, list: readonly string[], limits: Limits): ReplicaOptions {
  return {
    address: addressOf(name),
    clientAddress: name,
    list: list.map(addressOf),
    seed: Number(name.slice(1)),
    pingMs: limits.pingMs,
    grantMs: limits.grantMs,
    suspectMs: limits.grantMs,
    windowSlots: limits.window,
    windowBytes: limits.windowBytes,
    keepSlots: limits.keep,
    keepBytes: 64 * 1024 * 1024,
    removeAfterMs: limits.removeAfterMs,
    stableMs: limits.stableMs,
    minVoters: limits.minVoters,
    join: limits.join.map(addressOf),
    electable: limits.electable,
  };
}
