/**
 * What a batch of seeds must have seen before its silence says anything: cases whose handling is never run are not tested. A name
 * here is a count of the tally.
 */
import type { Tally } from "../engine/tally.js";
import { FAULT_KINDS } from "../scenario/faults.js";

/** A smaller batch may miss a case by chance and is not judged. */
export const COVERAGE_SEEDS_MIN = 200;

/** What the network and the disk did because of them. */
const EFFECTS: readonly string[] = [
  "net drop",
  "net duplicate",
  "net replay",
  "net reorder",
  "net delay",
  "net clog",
  "net large",
  "net cut",
  "net flap",
  "net split",
  "net star",
  "net chain",
  "net ring",
  "net unnoticed",
  "net reset",
  "net refuse",
  "net gone",
  "net given up",
  "disk lost sector",
  "disk lost name",
  "disk torn",
  "disk stall",
  "disk full",
  "disk failed sync",
  "disk misdirect",
  "disk rot",
  "disk wiped",
  "disk restored",
  "damage refused at start",
];

/** What the servers came to do. */
const CONDUCT: readonly string[] = [
  "genesis",
  "preVote",
  "election won",
  "values adopted",
  "acceptedInPromise",
  "decidedInPromise",
  "promiseInParts",
  "noop",
  "prepareByHandover",
  "nack ballot",
  "nack granted",
  "nack noSpace",
  "nack behind",
  "nack failing",
  "catchUpReply",
  "readIndexReply",
  "snapshot taken",
  "snapshot installed",
  "restart",
  "request in the log again",
  "request turned away by its session",
  "session expired",
  "death: crashes at a boundary",
  "death: loses power",
  "death: stops",
  "death by itself",
  "healed",
  "blocked",
];

/** What the clients were told. */
const ANSWERS: readonly string[] = ["get ok", "get fail", "put ok", "put fail", "put unknown", "delete ok", "cas ok", "cas unknown"];

/** Every kind of fault, and what must have come of them. */
export const COVERAGE_GATES: readonly string[] = [...FAULT_KINDS.map((kind) => `fault ${kind}`), ...EFFECTS, ...CONDUCT, ...ANSWERS];

/** The gates that `tally` never passed. */
export function missingCoverage(tally: Tally): readonly string[] {
  return COVERAGE_GATES.filter((name) => tally.of(name) === 0);
}
