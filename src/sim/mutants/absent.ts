/** Bugs of the list in PROTOCOL §7.6 that cannot be planted: what they would break is not built (docs/DIVERGENCE.md). */
import type { Absent } from "./mutant.js";

const MEMBERSHIP = "Changing the voters while running is not built: no configuration entry is ever proposed.";
const JOINING = "Joining is not built: nobody gets a ReplicaId after the founding, and an empty disk speaks under none.";
const RECOVERY = "Forced recovery is not built: a cluster has one lineage.";
const GRANT_READS = "Grant reads are not built: no read rests on a grant or a clock, and no grant is hard.";
const LEASES = "Leases are not built.";

export const ABSENT: readonly Absent[] = [
  { id: "15", name: "A stepped-down coordinator keeps tallies across a learned configuration entry.", reason: MEMBERSHIP },
  { id: "16", name: "A configuration is active when it is proposed.", reason: MEMBERSHIP },
  { id: "17", name: "The same ballot goes on behind a configuration entry.", reason: MEMBERSHIP },
  { id: "18", name: "The pipeline is not stopped at a configuration entry.", reason: MEMBERSHIP },
  { id: "19", name: "The configuration of the founding governs all slots.", reason: MEMBERSHIP },
  { id: "20", name: "The epoch that an entry was made from is ignored.", reason: MEMBERSHIP },
  { id: "23", name: "The vote of a removed replica or an observer counts.", reason: MEMBERSHIP },
  { id: "25", name: "An old lineage is accepted.", reason: RECOVERY },
  { id: "28", name: "The age of a grant is taken from the receipt of the Pong.", reason: GRANT_READS },
  { id: "29", name: "The time is the event loop's cached one.", reason: GRANT_READS },
  { id: "30", name: "An acceptor forgets a hard grant at a restart.", reason: GRANT_READS },
  { id: "31", name: "Grants are kept over a new ballot.", reason: GRANT_READS },
  { id: "33", name: "Who handed over goes on with grant reads.", reason: GRANT_READS },
  { id: "44", name: "A removal ignores whom the others hear.", reason: MEMBERSHIP },
  { id: "45", name: "A change begins before the one before is settled.", reason: MEMBERSHIP },
  { id: "47", name: "A watch resumes one revision late.", reason: "Watches are not built." },
  { id: "48", name: "A TTL is taken from the wall clock.", reason: LEASES },
  { id: "57", name: "A ReplicaId is given again to the same address.", reason: JOINING },
  { id: "60", name: "Lineages are compared by number only.", reason: RECOVERY },
  { id: "61", name: "A soft grant counts for a grant read.", reason: GRANT_READS },
  { id: "62", name: "A peer that is gone, or restarted, voids a hard grant.", reason: GRANT_READS },
  { id: "63", name: "The length of hard grants is not durable.", reason: GRANT_READS },
  { id: "64", name: "The Ping of a lower ballot replaces a hard grant.", reason: GRANT_READS },
  {
    id: "67",
    name: "A damaged acceptance is repaired although its header is bad, or before its slots are fetched.",
    reason: "Repair of a damaged log is not built: damage before valid data stops the server.",
  },
  { id: "70", name: "A voter that pings and never acknowledges is never removed.", reason: MEMBERSHIP },
  { id: "71", name: "A change counts as settled by decided slots that are not durable.", reason: MEMBERSHIP },
  { id: "74", name: "An entry made from another epoch does not end the ballot.", reason: MEMBERSHIP },
  { id: "76", name: "An unknown ReplicaId is counted.", reason: JOINING },
  { id: "77", name: "The Hello and CatchUp of an unknown ReplicaId are dropped.", reason: JOINING },
  { id: "83", name: "A keep-alive is acknowledged without a round.", reason: LEASES },
  { id: "84", name: "A stop leaves the voter set, or keeps the tie-break.", reason: MEMBERSHIP },
];
