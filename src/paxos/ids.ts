/** The names of things in the protocol, branded so that none is taken for another. Only the constructors here may use `as`. */
import { assert } from "../base/assert.js";
import type { Brand } from "../base/brand.js";

/** A replica of one cluster: given by the log, one per disk life, never reused (PROTOCOL: identity). From 1 on. */
export type ReplicaId = Brand<number, "ReplicaId">;
/** Position of one instance of Paxos in the log, from 1 on; slot 0 stands for "before everything". */
export type Slot = Brand<number, "Slot">;
/** Where a server listens for other servers: "host:port", normalised (0.0.0.0 and localhost are written as 127.0.0.1). */
export type Address = Brand<string, "Address">;
/** 64 random bits drawn at founding. */
export type ClusterId = Brand<bigint, "ClusterId">;
/** 128 random bits drawn with the empty disk, in hexadecimal: which disk life this is. */
export type DiskId = Brand<string, "DiskId">;
/** Microseconds of the server's own monotonic clock, an integer; comparable only within one process life. */
export type Micros = number;

/** Generations of one cluster: a forced recovery begins a new one. Both parts are compared everywhere. */
export type Lineage = { readonly number: number; readonly random: bigint };

/** Sender of a message that has no ReplicaId yet. */
export const VIRGIN = 0 as ReplicaId;
export const SLOT_ZERO = 0 as Slot;
export const NO_CLUSTER = 0n as ClusterId;
export const NO_LINEAGE: Lineage = { number: 0, random: 0n };

export function replicaId(value: number): ReplicaId {
  assert(Number.isSafeInteger(value) && value >= 0, "a ReplicaId is a non-negative safe integer");
  return value as ReplicaId;
}

export function slot(value: number): Slot {
  assert(Number.isSafeInteger(value) && value >= 0, "a slot is a non-negative safe integer");
  return value as Slot;
}

/** The slot `by` places further on. */
export function slotAfter(from: Slot, by = 1): Slot {
  return slot(from + by);
}

export function address(value: string): Address {
  assert(value.length > 0, "an address is not empty");
  return value as Address;
}

export function clusterId(value: bigint): ClusterId {
  assert(value >= 0n && value < 1n << 64n, "a cluster id has 64 bits");
  return value as ClusterId;
}

/** Whether `value` has the form of a disk id. */
export function isDiskId(value: string): boolean {
  return /^[0-9a-f]{32}$/.test(value);
}

export function diskId(value: string): DiskId {
  assert(isDiskId(value), "a disk id is 32 hexadecimal digits");
  return value as DiskId;
}
