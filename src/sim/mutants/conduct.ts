/** Planted bugs in what is around the agreement: founding and identity, elections, reads, catching up. */
import { DIALOGUES, type Mutant, SWARM, swarm } from "./mutant.js";

const ACCEPTOR = "paxos/acceptor.js";
const CATCH_UP = "paxos/catch-up.js";
const COORDINATOR = "paxos/coordinator.js";
const ELECTION = "paxos/election.js";
const FOUNDING = "paxos/founding.js";
const JOINING = "paxos/joining.js";
const MEMBERSHIP = "paxos/membership.js";
const READ_INDEX = "paxos/read-index.js";

/** The rule of the ancestor, one bug in many places: a quorum is a majority of whoever answered a Ping lately (PROTOCOL §4.6). */
const LIVE_QUORUM: Mutant = {
  id: "22",
  name: "A quorum is a majority of whoever answers Pings.",
  hunt: SWARM,
  edits: [
    {
      file: MEMBERSHIP,
      find: "export function quorumWithMe(state, isIn) {\n    return isQuorum(currentConfiguration(state), (replica) => {",
      put: `export function quorumOf(state, configuration, isIn) {
    if (!MUTANT) {
        return isQuorum(configuration, isIn);
    }
    let live = 0;
    let counted = 0;
    for (const voter of configuration.voters) {
        const peer = voter === state.durable.replica ? null : peerOf(state, voter);
        if (peer === null || (peer !== undefined && isCounted(state, peer) && isLive(state, peer))) {
            live++;
            counted += isIn(voter) ? 1 : 0;
        }
    }
    return 2 * counted > live;
}
export function quorumWithMe(state, isIn) {
    return quorumOf(state, currentConfiguration(state), (replica) => {`,
    },
    {
      file: "paxos/candidate.js",
      find: 'import { isCounted, peerOf, votes } from "./membership.js";',
      put: 'import { isCounted, peerOf, quorumOf, votes } from "./membership.js";',
    },
    {
      file: "paxos/candidate.js",
      find: "if (!isQuorum(currentConfiguration(state), isIn)) {",
      put: "if (!quorumOf(state, currentConfiguration(state), isIn)) {",
    },
    {
      file: COORDINATOR,
      find: "otherVoters, quorumWithMe, unsyncedFor, votes }",
      put: "otherVoters, quorumOf, quorumWithMe, unsyncedFor, votes }",
    },
    {
      file: COORDINATOR,
      find: "if (!isQuorum(configuration, (replica) => acks.has(replica))) {",
      put: "if (!quorumOf(state, configuration, (replica) => acks.has(replica))) {",
    },
    {
      file: ELECTION,
      find: 'import { hasIdentity, isDiskOk, otherVoters, votes } from "./membership.js";',
      put: 'import { hasIdentity, isDiskOk, otherVoters, quorumOf, votes } from "./membership.js";',
    },
    {
      file: ELECTION,
      find: "!isQuorum(currentConfiguration(state), (replica) => preVote.willing.has(replica))",
      put: "!quorumOf(state, currentConfiguration(state), (replica) => preVote.willing.has(replica))",
    },
    {
      file: ELECTION,
      find: "!isQuorum(currentConfiguration(state), (replica) => !candidate.refusedBy.has(replica))",
      put: "!quorumOf(state, currentConfiguration(state), (replica) => !candidate.refusedBy.has(replica))",
    },
    {
      file: READ_INDEX,
      find: 'import { lifeOf, otherVoters } from "./membership.js";',
      put: 'import { lifeOf, otherVoters, quorumOf } from "./membership.js";',
    },
    {
      file: READ_INDEX,
      find: "const isAlone = isQuorum(currentConfiguration(state), ",
      put: "const isAlone = quorumOf(state, currentConfiguration(state), ",
    },
    {
      file: READ_INDEX,
      find: "!isQuorum(currentConfiguration(state), (replica) => round.acks.has(replica))",
      put: "!quorumOf(state, currentConfiguration(state), (replica) => round.acks.has(replica))",
    },
  ],
};

const IDENTITY_MUTANTS: readonly Mutant[] = [
  {
    id: "24",
    name: "A server whose disk was wiped takes its old identity again.",
    hunt: swarm("wipe"),
    edits: [
      {
        file: "storage/storage.js",
        find: "virginDurable(diskId(toHex(random.bytes(16))))",
        put: 'virginDurable(diskId(MUTANT ? "5".repeat(32) : toHex(random.bytes(16))))',
      },
      {
        file: FOUNDING,
        find: "const wentBack = isSameDisk && hello.boot < before.boot;",
        put: "const wentBack = !MUTANT && isSameDisk && hello.boot < before.boot;",
      },
      {
        file: FOUNDING,
        find: "if (isSameDisk && hello.boot === before.boot && header.from === VIRGIN",
        put: "if (!MUTANT && isSameDisk && hello.boot === before.boot && header.from === VIRGIN",
      },
    ],
  },
  {
    id: "58",
    name: "Genesis is given to a virgin whose disk it does not list, and taken by it.",
    hunt: swarm("wipe"),
    edits: [
      {
        file: JOINING,
        find: "(entry) => entry.diskId === hello.diskId && entry.address === hello.address",
        put: "(entry) => (MUTANT || entry.diskId === hello.diskId) && entry.address === hello.address",
      },
      {
        file: FOUNDING,
        find: "entry.address === peer.address && entry.diskId === peer.hello?.diskId",
        put: "entry.address === peer.address && (MUTANT || entry.diskId === peer.hello?.diskId)",
      },
      {
        file: FOUNDING,
        find: "if (own !== undefined && own.diskId === state.durable.diskId) {",
        put: "if (own !== undefined && (MUTANT || own.diskId === state.durable.diskId)) {",
      },
      {
        file: JOINING,
        find: "assert(entry?.diskId === state.durable.diskId && ",
        put: "assert((MUTANT || entry?.diskId === state.durable.diskId) && ",
      },
      {
        file: MEMBERSHIP,
        find: "entry.address === peer.address && entry.diskId === peer.hello.diskId;",
        put: "entry.address === peer.address && (MUTANT || entry.diskId === peer.hello.diskId);",
      },
    ],
  },
  {
    id: "59",
    name: "Ballots are drawn before all listed servers hold Genesis.",
    hunt: SWARM,
    edits: [{ file: ELECTION, find: "if (state.highestRound > 0) {", put: "if (MUTANT || state.highestRound > 0) {" }],
  },
  {
    id: "79",
    name: "Hello speaks under an identity that is not synced.",
    hunt: SWARM,
    edits: [
      {
        file: FOUNDING,
        find: "    resetLog(state);\n",
        put: `    if (MUTANT) {
        const header = { clusterId: cluster, lineage, from: replica, epoch: configuration.epoch };
        out.push({ kind: "send", to: allPeers(state), header, message: ownHello(state) });
    }
    resetLog(state);\n`,
      },
    ],
  },
  {
    id: "80",
    name: "The chain in an Inform is not compared.",
    hunt: { by: "test", folder: "paxos", files: ["learner"] },
    edits: [
      {
        file: "paxos/learner.js",
        find: "batches.push(held.batch);\n    }",
        put: "batches.push(held.batch);\n    }\n    if (MUTANT) {\n        return batches;\n    }",
      },
    ],
  },
];

const READ_MUTANTS: readonly Mutant[] = [
  {
    id: "26",
    name: "The coordinator answers reads without a round of Pings.",
    hunt: swarm("believed gone"),
    edits: [
      {
        file: READ_INDEX,
        find: "acks: new Set([state.durable.replica]) };",
        put: "acks: new Set(MUTANT ? currentConfiguration(state).voters : [state.durable.replica]) };",
      },
    ],
  },
  {
    id: "27",
    name: "A read joins a round whose Pings have left.",
    hunt: SWARM,
    edits: [
      {
        file: READ_INDEX,
        find: "const { coordinator, reads } = state;\n    if (coordinator === null || reads.current !== null",
        put: `const { coordinator, reads } = state;
    if (MUTANT && coordinator !== null && reads.current !== null) {
        reads.rounds.get(reads.current)?.requests.push(...reads.queue.splice(0));
    }
    if (coordinator === null || reads.current !== null`,
      },
    ],
  },
  {
    id: "32",
    name: "Reads are answered before the slots that phase 1 found are decided.",
    hunt: SWARM,
    edits: [
      {
        file: READ_INDEX,
        find: "state.decided < coordinator.recovered",
        put: "(!MUTANT && state.decided < coordinator.recovered)",
      },
    ],
  },
  {
    id: "82",
    name: "A round of reads that lacks its quorum blocks the next one.",
    hunt: SWARM,
    edits: [{ file: READ_INDEX, find: "if (current !== undefined && state.now", put: "if (!MUTANT && current !== undefined && state.now" }],
  },
];

const ELECTION_MUTANTS: readonly Mutant[] = [
  {
    id: "41",
    name: "A coordinator that lost its quorum does not step down.",
    hunt: swarm("quorum loss"),
    edits: [
      {
        file: COORDINATOR,
        find: "if (!quorumWithMe(state, (peer) => peer.okSentAt >= oldestAnswer)) {",
        put: "if (!MUTANT && !quorumWithMe(state, (peer) => peer.okSentAt >= oldestAnswer)) {",
      },
      {
        file: COORDINATOR,
        find: "else if (coordinator.proposals.size + coordinator.adopted.length > 0 && state.now",
        put: "else if (!MUTANT && coordinator.proposals.size + coordinator.adopted.length > 0 && state.now",
      },
    ],
  },
  {
    id: "42",
    name: "Acceptors refuse a candidate whose log is shorter than theirs, in slots that are accepted and not decided.",
    hunt: swarm("constrained election", "quorum loss"),
    edits: [
      {
        file: ACCEPTOR,
        find: "const grant = currentGrant(state);",
        put: `if (MUTANT && prepare.from <= Math.max(state.decided, ...state.durable.accepted.keys())) {
        nack(state, out, peer, { ballot, reason: "granted", slot: prepare.from });
        return;
    }
    const grant = currentGrant(state);`,
      },
      {
        file: ELECTION,
        find: "from: slotAfter(state.decided)",
        put: "from: slotAfter(MUTANT ? Math.max(state.decided, ...state.durable.accepted.keys()) : state.decided)",
      },
      {
        file: "paxos/resend.js",
        find: "from: slotAfter(state.decided)",
        put: "from: slotAfter(MUTANT ? Math.max(state.decided, ...state.durable.accepted.keys()) : state.decided)",
      },
    ],
  },
  {
    id: "43",
    name: "There is no pre-vote.",
    hunt: swarm("chained", "quorum loss"),
    edits: [
      {
        file: ELECTION,
        find: "startPreVote(state, out);",
        put: "if (MUTANT) {\n            startCandidacy(state, out, null);\n            return;\n        }\n        startPreVote(state, out);",
      },
    ],
  },
  {
    id: "65",
    name: "A Prepare gives its sender a grant.",
    hunt: SWARM,
    edits: [
      {
        file: ACCEPTOR,
        find: "delayAfterPromise(state);",
        put: "delayAfterPromise(state);\n    if (MUTANT) {\n        renewGrant(state, ballot);\n    }",
      },
    ],
  },
  {
    id: "66",
    name: "The grant of a coordinator that is gone is waited out.",
    hunt: SWARM,
    edits: [
      {
        file: "paxos/grant.js",
        find: "if (grant === null || grant.owner !== peer.replica || ",
        put: "if (MUTANT || grant === null || grant.owner !== peer.replica || ",
      },
    ],
  },
  {
    id: "69",
    name: "The half with the tie-break waits for a voter that pings and never acknowledges.",
    hunt: swarm("a mute voter"),
    edits: [{ file: MEMBERSHIP, find: "return peer.owesSince !== null &&", put: "return !MUTANT && peer.owesSince !== null &&" }],
  },
  {
    id: "72",
    name: "A voter supports only a coordinator whose very ballot it promised.",
    hunt: SWARM,
    edits: [
      {
        file: "paxos/ping.js",
        find: "compareBallots(state.durable.promised, ballot) <= 0,",
        put: "(MUTANT ? compareBallots(state.durable.promised, ballot) === 0 : compareBallots(state.durable.promised, ballot) <= 0),",
      },
    ],
  },
  {
    id: "73",
    name: "A pre-vote waits two Pings, however long the way is.",
    hunt: swarm("far apart"),
    edits: [
      {
        file: ELECTION,
        find: "Math.max(micros(2 * state.options.pingMs), 4 * slowest)",
        put: "Math.max(micros(2 * state.options.pingMs), MUTANT ? 0 : 4 * slowest)",
      },
    ],
  },
  {
    id: "78",
    name: "Nack(failing) deposes the coordinator.",
    hunt: swarm("failing acceptors"),
    edits: [
      {
        file: "paxos/replica.js",
        find: 'case "failing":',
        put: `case "failing":
            if (MUTANT) {
                stepDownIfBelow(state, out, { round: ballot.round + 1, replica: 0 }, "a voter failed");
                return;
            }`,
      },
    ],
  },
];

const DISAGREEMENT: Mutant = {
  id: "81",
  name: "Of two voters whose states differ one gives up.",
  hunt: DIALOGUES,
  edits: [
    { file: "paxos/checkpoint.js", find: "configuration.voters.length > 2 && ", put: "(MUTANT || configuration.voters.length > 2) && " },
  ],
};

const CATCH_UP_MUTANTS: readonly Mutant[] = [
  {
    id: "50",
    name: "The hint on disk covers slots whose learned values are not.",
    hunt: SWARM,
    edits: [
      {
        file: CATCH_UP,
        find: "persist(state, out, records, []);",
        put: `if (MUTANT) {
            for (const record of records) {
                state.durable.learned.set(record.slot, record.batch);
            }
        }
        else {
            persist(state, out, records, []);
        }`,
      },
    ],
  },
  {
    id: "54",
    name: "A snapshot that is not newer than the state replaces it.",
    hunt: SWARM,
    edits: [
      {
        file: CATCH_UP,
        find: "if (meta.index <= state.decided || state.coordinator !== null || isLoading(state)) {",
        put: "if ((!MUTANT && meta.index <= state.decided) || state.coordinator !== null || isLoading(state)) {",
      },
      {
        file: CATCH_UP,
        find: "if (receiving.meta.index <= state.decided || state.coordinator !== null) {",
        put: "if ((!MUTANT && receiving.meta.index <= state.decided) || state.coordinator !== null) {",
      },
      {
        file: CATCH_UP,
        find: "!receiving.loading && receiving.meta.index <= state.decided) {",
        put: "!receiving.loading && !MUTANT && receiving.meta.index <= state.decided) {",
      },
    ],
  },
];

export const CONDUCT_MUTANTS: readonly Mutant[] = [
  LIVE_QUORUM,
  ...IDENTITY_MUTANTS,
  ...READ_MUTANTS,
  ...ELECTION_MUTANTS,
  ...CATCH_UP_MUTANTS,
  DISAGREEMENT,
];
