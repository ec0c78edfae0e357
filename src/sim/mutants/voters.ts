/** Planted bugs in this project's own code around who votes: requests and their answers, the autopilot's pace, snapshots of configurations. */
import { DIALOGUES, type Hunt, type Mutant, SWARM, swarm } from "./mutant.js";

const AUTOPILOT = "paxos/autopilot.js";
const CHANGE = "paxos/change.js";
const CHANGE_REQUESTS = "paxos/change-requests.js";
const COORDINATOR = "paxos/coordinator.js";
const LOG = "paxos/log.js";
const RECONFIGURATION = "paxos/reconfiguration.js";
const SETTLING = "paxos/settling.js";

/** Changes as pure functions have tests of their own. */
const CHANGES: Hunt = { by: "test", folder: "paxos", files: ["change"] };

const REQUEST_MUTANTS: readonly Mutant[] = [
  {
    id: "s25",
    name: "A change is settled by as many acknowledgements as a quorum has, whoever sent them.",
    hunt: DIALOGUES,
    edits: [
      {
        file: SETTLING,
        find: "settling.isDone =\n        isQuorum(configuration",
        put: "settling.isDone = MUTANT\n        ? 2 * settling.acks.size > configuration.voters.length\n        : isQuorum(configuration",
      },
    ],
  },
  {
    id: "s26",
    name: "A SettleAck leaves without the record that makes it true.",
    hunt: SWARM,
    edits: [
      { file: SETTLING, find: "return state.durable.hint >= entry ? [] : ", put: "return MUTANT || state.durable.hint >= entry ? [] : " },
    ],
  },
  {
    id: "s27",
    name: "A new coordinator takes the newest configuration for settled.",
    hunt: swarm("changes in haste"),
    edits: [
      {
        file: SETTLING,
        find: "if (currentConfiguration(state).epoch === FOUNDING_EPOCH) {",
        put: "if (MUTANT || currentConfiguration(state).epoch === FOUNDING_EPOCH) {",
      },
    ],
  },
  {
    id: "s28",
    name: "A change that may yet be made is called not made.",
    hunt: DIALOGUES,
    edits: [
      {
        file: CHANGE_REQUESTS,
        find: "answer(state, out, membership.proposed, { refusal: openText(state), isOpen: true });",
        put: "answer(state, out, membership.proposed, { refusal: MUTANT ? waitingFor(state) : openText(state), isOpen: !MUTANT });",
      },
    ],
  },
  {
    id: "s29",
    name: "An operator's change that leaves no live quorum is made.",
    hunt: DIALOGUES,
    edits: [{ file: CHANGE_REQUESTS, find: "if (hasLiveQuorum(state, next)) {", put: "if (MUTANT || hasLiveQuorum(state, next)) {" }],
  },
  {
    id: "s30",
    name: "A coordinator that its own entry removed stands again, and hands over to nobody.",
    hunt: DIALOGUES,
    edits: [
      {
        file: COORDINATOR,
        find: "if (handover !== null || !votes(state)) {",
        put: "if (handover !== null || (!MUTANT && !votes(state))) {",
      },
    ],
  },
  {
    id: "s31",
    name: "The handover of a coordinator that was removed is not listened to.",
    hunt: DIALOGUES,
    edits: [{ file: "paxos/membership.js", find: 'return kind === "handover" && ', put: 'return !MUTANT && kind === "handover" && ' }],
  },
  {
    id: "s32",
    name: "A request whose ballot ended with its entry open is forgotten.",
    hunt: DIALOGUES,
    edits: [
      {
        file: CHANGE_REQUESTS,
        find: "membership.requests = [proposed, ...membership.requests]",
        put: "membership.requests = [MUTANT ? null : proposed, ...membership.requests]",
      },
    ],
  },
];

const AUTOPILOT_MUTANTS: readonly Mutant[] = [
  {
    id: "s57",
    name: "A voter whose disk does not answer is given time whenever it learns something.",
    hunt: swarm("left behind"),
    edits: [{ file: AUTOPILOT, find: "const goesOn = !peer.diskOk ||", put: "const goesOn = (!MUTANT && !peer.diskOk) ||" }],
  },
  {
    id: "s33",
    name: "The wait before a vote is given back does not grow with each loss.",
    hunt: DIALOGUES,
    edits: [
      {
        file: AUTOPILOT,
        find: "membership.flaps.get(replica)?.times ?? 1",
        put: "(MUTANT ? 1 : membership.flaps.get(replica)?.times) ?? 1",
      },
    ],
  },
  {
    id: "s34",
    name: "The autopilot removes voters below min-voters.",
    hunt: SWARM,
    edits: [
      {
        file: AUTOPILOT,
        find: "if (configuration.voters.length <= state.options.minVoters) {",
        put: "if (!MUTANT && configuration.voters.length <= state.options.minVoters) {",
      },
    ],
  },
  {
    id: "s35",
    name: "The autopilot's changes follow each other without a pause.",
    hunt: DIALOGUES,
    edits: [
      {
        file: AUTOPILOT,
        find: "state.now - state.membership.changedAt < micros(state.options.removeAfterMs / 2)",
        put: "(!MUTANT && state.now - state.membership.changedAt < micros(state.options.removeAfterMs / 2))",
      },
    ],
  },
  {
    id: "s36",
    name: "A voter gets its vote back before it has caught up.",
    hunt: DIALOGUES,
    edits: [{ file: AUTOPILOT, find: "peer.lag <= state.options.windowSlots", put: "(MUTANT || peer.lag <= state.options.windowSlots)" }],
  },
  {
    id: "s37",
    name: "An observer that no operator wanted as a voter becomes one.",
    hunt: DIALOGUES,
    edits: [{ file: AUTOPILOT, find: "fitSince == null || !entry.electable", put: "fitSince == null || (!MUTANT && !entry.electable)" }],
  },
  {
    id: "s38",
    name: "A voter that catches up slowly counts as one that is stuck.",
    hunt: DIALOGUES,
    edits: [
      {
        file: AUTOPILOT,
        find: "watched.unfitSince !== null && goesOn ?",
        put: "watched.unfitSince !== null && (MUTANT || goesOn) ?",
      },
    ],
  },
  {
    id: "s39",
    name: "A coordinator goes on with what it had watched when it coordinated before.",
    hunt: DIALOGUES,
    edits: [{ file: COORDINATOR, find: "if (!isSameCoordinator) {", put: "if (!MUTANT && !isSameCoordinator) {" }],
  },
];

const CONFIGURATION_MUTANTS: readonly Mutant[] = [
  {
    id: "s40",
    name: "The tie-break stays where it was, whoever proposes the change.",
    hunt: swarm("coordinators killed one by one"),
    edits: [
      { file: CHANGE, find: "parts.voters.includes(by) ? by : fallback", put: "!MUTANT && parts.voters.includes(by) ? by : fallback" },
    ],
  },
  {
    id: "s41",
    name: "A virgin that asks again gets one more ReplicaId.",
    hunt: CHANGES,
    edits: [
      {
        file: CHANGE,
        find: "if (current.roster.some((entry) => entry.diskId === diskId)) {",
        put: "if (!MUTANT && current.roster.some((entry) => entry.diskId === diskId)) {",
      },
    ],
  },
  {
    id: "s42",
    name: "The replica of a disk that was lost can be promoted in place of the newer one.",
    hunt: CHANGES,
    edits: [
      {
        file: CHANGE,
        find: "other.address === entry.address && other.replica > replica",
        put: "!MUTANT && other.address === entry.address && other.replica > replica",
      },
    ],
  },
  {
    id: "s43",
    name: "A snapshot names the oldest configuration that is held.",
    hunt: swarm("every disk lost in turn"),
    edits: [
      {
        file: LOG,
        find: "configuration: configurationAt(state, slotAfter(slot)) };",
        put: "configuration: MUTANT ? state.configurations[0].configuration : configurationAt(state, slotAfter(slot)) };",
      },
    ],
  },
  {
    id: "s44",
    name: "A replica takes a configuration of before it joined for its removal.",
    hunt: swarm("every disk lost in turn"),
    edits: [
      {
        file: RECONFIGURATION,
        find: "return state.durable.replica < configuration.nextReplicaId && ",
        put: "return (MUTANT || state.durable.replica < configuration.nextReplicaId) && ",
      },
    ],
  },
  {
    id: "s45",
    name: "A replica that was removed for good goes on.",
    hunt: DIALOGUES,
    edits: [
      {
        file: RECONFIGURATION,
        find: "    takeLeave(state, out, state.now);\n",
        put: "    if (!MUTANT) {\n        takeLeave(state, out, state.now);\n    }\n",
      },
    ],
  },
  {
    id: "s51",
    name: "A candidate that catches up over a change goes on asking the voters of before.",
    hunt: DIALOGUES,
    edits: [
      {
        file: RECONFIGURATION,
        find: "    turnCandidate(state, out);\n",
        put: "    if (!MUTANT) {\n        turnCandidate(state, out);\n    }\n",
      },
    ],
  },
];

export const VOTER_MUTANTS: readonly Mutant[] = [...REQUEST_MUTANTS, ...AUTOPILOT_MUTANTS, ...CONFIGURATION_MUTANTS];
