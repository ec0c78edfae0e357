/** Bugs of the list in PROTOCOL §7.6 that cannot be planted: what they would break is not built (docs/DIVERGENCE.md). */
import type { Absent } from "./mutant.js";

const GRANT_READS = "Grant reads are not built: no read rests on a grant or a clock, and no grant is hard.";
const LEASES = "Leases are not built.";

export const ABSENT: readonly Absent[] = [
  { id: "28", name: "The age of a grant is taken from the receipt of the Pong.", reason: GRANT_READS },
  { id: "29", name: "The time is the event loop's cached one.", reason: GRANT_READS },
  { id: "30", name: "An acceptor forgets a hard grant at a restart.", reason: GRANT_READS },
  { id: "31", name: "Grants are kept over a new ballot.", reason: GRANT_READS },
  { id: "33", name: "Who handed over goes on with grant reads.", reason: GRANT_READS },
  { id: "47", name: "A watch resumes one revision late.", reason: "Watches are not built." },
  { id: "48", name: "A TTL is taken from the wall clock.", reason: LEASES },
  { id: "61", name: "A soft grant counts for a grant read.", reason: GRANT_READS },
  { id: "62", name: "A peer that is gone, or restarted, voids a hard grant.", reason: GRANT_READS },
  { id: "63", name: "The length of hard grants is not durable.", reason: GRANT_READS },
  { id: "64", name: "The Ping of a lower ballot replaces a hard grant.", reason: GRANT_READS },
  {
    id: "67",
    name: "A damaged acceptance is repaired although its header is bad, or before its slots are fetched.",
    reason: "Repair of a damaged log is not built: damage before valid data stops the server.",
  },
  { id: "83", name: "A keep-alive is acknowledged without a round.", reason: LEASES },
];
