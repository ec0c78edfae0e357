/**
 * What a batch of seeds must have seen before its silence says anything: cases whose handling is never run are not tested. A name
 * here is a count of the tally.
 */
import type { Tally } from "../engine/tally.js";
import { FAULT_KINDS } from "../scenario/faults.js";

/** A smaller batch may miss a case by chance and is not judged. */
export const COVERAGE_SEEDS_MIN = 200;
/** From so many seeds on the rare cases are demanded too. */
export const RARE_SEEDS_MIN = 5000;

/** Seen in fewer than one seed in a hundred: each comes from one schedule, or takes several accidents at once. */
const RARE: ReadonlySet<string> = new Set([
  "decidedInPromise",
  "stale entry",
  "one by one down to 1",
  "one by one down to 2",
  "one by one: blocked",
  "recovery interrupted",
  "rival lineage turned away",
  "recovered once more",
]);

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

/** What became of the members. */
const MEMBERS: readonly string[] = [
  "voters 1 to 2",
  "voters 2 to 1",
  "voters 2 to 3",
  "voters 3 to 2",
  "voters 3 to 4",
  "voters 4 to 3",
  "voters 4 to 5",
  "voters 5 to 4",
  "decided by the tie-break",
  "tie-break moved",
  "vote lost by silence",
  "vote lost by missing acknowledgements",
  "vote given back",
  "member joined",
  "wiped member joined",
  "member left",
  "removed server ended",
  "machine brought back",
  "server added",
  "stale entry",
  "change settled",
  "change waits for the one before",
  "snapshot installed by a joiner",
  "handover by a removed coordinator",
  "promote done",
  "promote not done",
  "remove done",
  "remove not done",
  "moveTieBreak done",
  "came to rest",
  "left behind dead",
  "left behind cut off",
  "left behind hung",
  "left behind starved",
  "left behind failing",
  "one by one down to 1",
  "one by one down to 2",
  "one by one: blocked",
];

/** What came of a forced recovery. */
const RECOVERY: readonly string[] = [
  "recovery that loses nothing",
  "recovery that may lose",
  "recovery interrupted",
  "older lineage turned away",
  "rival lineage turned away",
  "message of another lineage turned away",
  "went on after recovery",
  "recovered once more",
];

/** What the clients were told. */
const ANSWERS: readonly string[] = ["get ok", "get fail", "put ok", "put fail", "put unknown", "delete ok", "cas ok", "cas unknown"];

/** Every kind of fault, and what must have come of them. */
export const COVERAGE_GATES: readonly string[] = [
  ...FAULT_KINDS.map((kind) => `fault ${kind}`),
  ...EFFECTS,
  ...CONDUCT,
  ...MEMBERS,
  ...RECOVERY,
  ...ANSWERS,
];

/** The gates that a batch of so many seeds must have passed, and by its `tally` never did. */
export function missingCoverage(tally: Tally, seeds: number): readonly string[] {
  return COVERAGE_GATES.filter((name) => tally.of(name) === 0 && (seeds >= RARE_SEEDS_MIN || !RARE.has(name)));
}
