/** Planted bugs in the last resort: lineages, and what a forced recovery makes of the disks that are left. */
import { type Hunt, type Mutant, swarm } from "./mutant.js";

const KINSHIP = "paxos/kinship.js";
const MERGE = "paxos/merge.js";
const RECOVERY = "server/forced-recovery.js";
const NEW_LIFE = "paxos/new-life.js";

/** Seeds that lose a quorum for good recover at their end. */
const LOST_QUORUM = swarm("blocked");

/** It takes disks that accepted different values for one slot, and nobody who knows better: hundreds of clusters of the explorer, cut off at any moment. */
const BLACKOUTS: Hunt = { by: "test", folder: "paxos", files: ["merge-property", "merge"] };

export const RECOVERY_MUTANTS: readonly Mutant[] = [
  {
    id: "25",
    name: "An old lineage is accepted.",
    hunt: LOST_QUORUM,
    edits: [
      {
        file: KINSHIP,
        find: 'return other.lineage.number < own.lineage.number ? "older" : "newer";',
        put: 'return other.lineage.number < own.lineage.number ? (MUTANT ? "same" : "older") : "newer";',
      },
    ],
  },
  {
    id: "60",
    name: "Lineages are compared by number only.",
    hunt: LOST_QUORUM,
    edits: [
      {
        file: KINSHIP,
        find: "own.lineage.random === other.lineage.random",
        put: "(MUTANT || own.lineage.random === other.lineage.random)",
      },
    ],
  },
  {
    id: "s52",
    name: "A recovery keeps the value of the lowest ballot.",
    hunt: BLACKOUTS,
    edits: [
      {
        file: MERGE,
        find: "compareBallots(held.ballot, accepted.ballot) > 0",
        put: "(MUTANT ? compareBallots(held.ballot, accepted.ballot) < 0 : compareBallots(held.ballot, accepted.ballot) > 0)",
      },
    ],
  },
  {
    id: "s53",
    name: "A recovery keeps what is known to be decided, and nothing else.",
    hunt: LOST_QUORUM,
    edits: [{ file: MERGE, find: "return decided ?? accepted;", put: "return MUTANT ? decided : (decided ?? accepted);" }],
  },
  {
    id: "s54",
    name: "A recovery takes what is accepted for decided where a lower slot is.",
    hunt: BLACKOUTS,
    edits: [
      {
        file: MERGE,
        find: "durable.learned.get(slot) ?? (slot <= decided ?",
        put: "durable.learned.get(slot) ?? (MUTANT || slot <= decided ?",
      },
    ],
  },
  {
    id: "s55",
    name: "A recovery does not move the revisions forward.",
    hunt: LOST_QUORUM,
    edits: [
      {
        file: RECOVERY,
        find: "[...merged.entries, skipRevisions(), configurationBatch",
        put: "[...merged.entries, ...(MUTANT ? [] : [skipRevisions()]), configurationBatch",
      },
    ],
  },
  {
    id: "s56",
    name: "A recovery says that nothing is lost whoever is missing.",
    hunt: LOST_QUORUM,
    edits: [
      {
        file: MERGE,
        find: "absentQuorum: possible.some((one) => isQuorum(one, isAbsent)),",
        put: "absentQuorum: !MUTANT && possible.some((one) => isQuorum(one, isAbsent)),",
      },
    ],
  },
  {
    id: "s58",
    name: "A recovery says that it is done before its last rename is on disk.",
    hunt: LOST_QUORUM,
    edits: [
      {
        file: "storage/layout.js",
        find: "FORMAT_FILE));\n        await fileSystem.syncDirectory(directory);",
        put: "FORMAT_FILE));\n        MUTANT && name !== FORMAT_TEMP ? null : await fileSystem.syncDirectory(directory);",
      },
    ],
  },
  {
    id: "s59",
    name: "A recovery takes for decided only what the disk knows that its snapshot comes from.",
    hunt: LOST_QUORUM,
    edits: [
      {
        file: MERGE,
        find: "(disk.decided > most ? disk.decided : most)",
        put: "(disk.decided > most && (!MUTANT || disk === first) ? disk.decided : most)",
      },
    ],
  },
  {
    id: "s60",
    name: "After a recovery no other server is electable.",
    hunt: LOST_QUORUM,
    edits: [
      {
        file: NEW_LIFE,
        find: "electable: entry.electable || isVoter(before, entry.replica)",
        put: "electable: !MUTANT && (entry.electable || isVoter(before, entry.replica))",
      },
    ],
  },
  {
    id: "s61",
    name: "A recovery takes two disks that were started as often for two copies of one.",
    hunt: LOST_QUORUM,
    edits: [
      {
        file: MERGE,
        find: "one.durable.replica === durable.replica)",
        put: "(MUTANT ? one.durable.boot === durable.boot : one.durable.replica === durable.replica))",
      },
    ],
  },
];
