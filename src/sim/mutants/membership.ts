/** Planted bugs of the list in what changes who votes: entries, their ballots, settling, the autopilot's removals, joining. */
import { DIALOGUES, type Mutant, SWARM, swarm } from "./mutant.js";

const AUTOPILOT = "paxos/autopilot.js";
const COORDINATOR = "paxos/coordinator.js";
const LOG = "paxos/log.js";
const MEMBERSHIP = "paxos/membership.js";
const SETTLING = "paxos/settling.js";

const ENTRY_MUTANTS: readonly Mutant[] = [
  {
    id: "15",
    name: "A stepped-down coordinator keeps tallies across a learned configuration entry.",
    hunt: DIALOGUES,
    edits: [
      {
        file: COORDINATOR,
        find: `stepDown(state, out, "a slot was decided with another batch than this coordinator's");
            return;`,
        put: `if (!(MUTANT && decided.kind === "configuration")) {
                stepDown(state, out, "a slot was decided with another batch than this coordinator's");
                return;
            }
            coordinator.configuration = currentConfiguration(state);`,
      },
    ],
  },
  {
    id: "16",
    name: "A configuration is active when it is proposed.",
    hunt: SWARM,
    edits: [
      {
        file: COORDINATOR,
        find: "coordinator.nextSlot = slotAfter(slot);",
        put: `coordinator.nextSlot = slotAfter(slot);
    if (MUTANT && batch.kind === "configuration") {
        coordinator.configuration = batch.configuration;
    }`,
      },
    ],
  },
  {
    id: "17",
    name: "The same ballot goes on behind a configuration entry.",
    hunt: SWARM,
    edits: [
      {
        file: COORDINATOR,
        find: "if (coordinator.ended && coordinator.proposals.size === 0) {",
        put: `if (MUTANT && coordinator.ended && coordinator.proposals.size === 0) {
        coordinator.ended = false;
        coordinator.configuration = currentConfiguration(state);
        pumpAdopted(state, out);
    }
    else if (coordinator.ended && coordinator.proposals.size === 0) {`,
      },
    ],
  },
  {
    id: "18",
    name: "The pipeline is not stopped at a configuration entry.",
    hunt: SWARM,
    edits: [
      { file: COORDINATOR, find: "        !coordinator.ended &&\n", put: "        (MUTANT || !coordinator.ended) &&\n" },
      { file: COORDINATOR, find: "assert(!coordinator.ended, ", put: "assert(MUTANT || !coordinator.ended, " },
    ],
  },
  {
    id: "19",
    name: "The configuration of the founding governs all slots.",
    hunt: SWARM,
    edits: [
      {
        file: LOG,
        find: 'if (batch.kind === "configuration") {\n        adoptConfiguration(',
        put: 'if (!MUTANT && batch.kind === "configuration") {\n        adoptConfiguration(',
      },
    ],
  },
  {
    id: "20",
    name: "The epoch that an entry was made from is ignored.",
    hunt: swarm("an old entry comes to light"),
    edits: [
      {
        file: LOG,
        find: "if (configuration.prevEpoch === current.epoch) {",
        put: "if (MUTANT || configuration.prevEpoch === current.epoch) {",
      },
    ],
  },
  {
    id: "74",
    name: "An entry made from another epoch does not end the ballot.",
    hunt: swarm("an old entry comes to light"),
    edits: [
      {
        file: COORDINATOR,
        find: 'coordinator.ended = batch.kind === "configuration";',
        put: `const isStale = batch.kind === "configuration" && batch.configuration.prevEpoch !== coordinator.configuration.epoch;
    coordinator.ended = batch.kind === "configuration" && !(MUTANT && isStale);`,
      },
    ],
  },
];

const VOTE_MUTANTS: readonly Mutant[] = [
  {
    id: "23",
    name: "The vote of a removed replica or an observer counts.",
    hunt: swarm("an observer is no vote"),
    edits: [
      {
        file: "paxos/configuration.js",
        find: "let weight = 0;",
        put: `let weight = 0;
    for (const { replica } of MUTANT ? configuration.roster : []) {
        weight += !configuration.voters.includes(replica) && isIn(replica) ? VOTER_WEIGHT : 0;
    }`,
      },
      {
        file: COORDINATOR,
        find: "!isVoter(coordinator.configuration, peer.replica)",
        put: "(!MUTANT && !isVoter(coordinator.configuration, peer.replica))",
      },
    ],
  },
  {
    id: "76",
    name: "An unknown ReplicaId is counted.",
    hunt: swarm("every disk lost in turn"),
    edits: [
      {
        file: MEMBERSHIP,
        find: "const entry = rosterEntry(currentConfiguration(state), peer.replica);",
        put: `if (MUTANT && currentConfiguration(state).roster.some((listed) => listed.address === peer.address)) {
        return true;
    }
    const entry = rosterEntry(currentConfiguration(state), peer.replica);`,
      },
      {
        file: MEMBERSHIP,
        find: "return peer === undefined || peer.replica === replica || ",
        put: "return MUTANT || peer === undefined || peer.replica === replica || ",
      },
    ],
  },
  {
    id: "77",
    name: "The Hello and CatchUp of an unknown ReplicaId are dropped.",
    hunt: swarm("all peers replaced"),
    edits: [
      {
        file: MEMBERSHIP,
        find: '(header.from === VIRGIN || kinshipOf(state.durable, header) !== "otherCluster");',
        put: '(header.from === VIRGIN || (!MUTANT && kinshipOf(state.durable, header) !== "otherCluster"));',
      },
      {
        file: MEMBERSHIP,
        find: "if (UNCOUNTED.has(kind) || isCounted(state, peer)) {",
        put: 'if ((UNCOUNTED.has(kind) && !(MUTANT && kind === "catchUp")) || isCounted(state, peer)) {',
      },
    ],
  },
  {
    id: "57",
    name: "A ReplicaId is given again to the same address.",
    hunt: swarm("every disk lost in turn", "wiped while founding"),
    edits: [
      {
        file: "paxos/change.js",
        find: "(entry) => entry.address !== address || isVoter(current, entry.replica)",
        put: "(entry) => entry.address !== address || (!MUTANT && isVoter(current, entry.replica))",
      },
      {
        file: "paxos/change.js",
        find: "const entry = { replica: current.nextReplicaId, ",
        put: `const former = MUTANT ? current.roster.find((listed) => listed.address === address)?.replica : undefined;
    const entry = { replica: former ?? current.nextReplicaId, `,
      },
    ],
  },
];

const CHANGE_MUTANTS: readonly Mutant[] = [
  {
    id: "44",
    name: "A removal ignores whom the others hear.",
    hunt: swarm("chained"),
    edits: [{ file: AUTOPILOT, find: "const witnesses = ackQuorum(state);", put: "const witnesses = MUTANT ? [] : ackQuorum(state);" }],
  },
  {
    id: "45",
    name: "A change begins before the one before is settled.",
    hunt: swarm("changes in haste"),
    edits: [{ file: AUTOPILOT, find: "&& isSettled(state);", put: "&& (MUTANT || isSettled(state));" }],
  },
  {
    id: "70",
    name: "A voter that pings and never acknowledges is never removed.",
    hunt: swarm("left behind"),
    edits: [{ file: AUTOPILOT, find: "return !peer.diskOk || ", put: "return !peer.diskOk || !MUTANT && " }],
  },
  {
    id: "71",
    name: "A change counts as settled by decided slots that are not durable.",
    hunt: SWARM,
    edits: [
      {
        file: SETTLING,
        find: 'import { persist } from "./outbox.js";',
        put: 'import { persist, send } from "./outbox.js";',
      },
      {
        file: SETTLING,
        find: "persist(state, out, hintRecords(state, entry), to === null ? [] : [{ to: [to], message }]);",
        put: `if (MUTANT && to !== null) {
        send(state, out, [to], message);
    }
    persist(state, out, hintRecords(state, entry), MUTANT || to === null ? [] : [{ to: [to], message }]);`,
      },
      { file: SETTLING, find: "if (settling.lsn <= state.persistedLsn) {", put: "if (MUTANT || settling.lsn <= state.persistedLsn) {" },
    ],
  },
  {
    id: "84",
    name: "A stop leaves the voter set, or keeps the tie-break.",
    hunt: swarm("stopped one by one"),
    edits: [
      {
        file: "server/server.js",
        find: "const heir = heirOfTieBreak(this.replica);",
        put: "const heir = MUTANT ? null : heirOfTieBreak(this.replica);",
      },
    ],
  },
];

export const MEMBERSHIP_MUTANTS: readonly Mutant[] = [...ENTRY_MUTANTS, ...VOTE_MUTANTS, ...CHANGE_MUTANTS];
