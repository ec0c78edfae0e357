/** Planted bugs in the heart of the protocol: what an acceptor forgets, what a coordinator counts, what a candidate chooses. */
import { DIALOGUES, type Mutant, SWARM, swarm } from "./mutant.js";

const ACCEPTOR = "paxos/acceptor.js";
const CANDIDATE = "paxos/candidate.js";
const COORDINATOR = "paxos/coordinator.js";

export const SAFETY_MUTANTS: readonly Mutant[] = [
  {
    id: "1",
    name: "An acceptor promises without writing it down.",
    hunt: SWARM,
    edits: [
      {
        file: "paxos/outbox.js",
        find: 'out.push({ kind: "persist", lsn: state.lsn, records: all, thenSend });',
        put: `const kept = MUTANT ? all.filter((record) => record.kind !== "promise" || record.ballot.replica === state.durable.replica) : all;
    out.push({ kind: "persist", lsn: state.lsn, records: kept, thenSend });`,
      },
    ],
  },
  {
    id: "2",
    name: "Accepted leaves before the record is synced.",
    hunt: SWARM,
    edits: [
      {
        file: ACCEPTOR,
        find: 'persist(state, out, isRepeat ? [] : [{ kind: "accept", ballot, slot, batch }], acknowledge);',
        put: `persist(state, out, isRepeat ? [] : [{ kind: "accept", ballot, slot, batch }], MUTANT ? [] : acknowledge);
    if (MUTANT) {
        send(state, out, [peer.address], acknowledge[0].message);
    }`,
      },
    ],
  },
  {
    id: "3",
    name: "The coordinator counts its own acceptance before it is synced.",
    hunt: SWARM,
    edits: [
      {
        file: COORDINATOR,
        find: "const proposal = { slot, batch, lsn, acks: new Set(), sentAt: state.now };",
        put: "const proposal = { slot, batch, lsn, acks: new Set(MUTANT ? [state.durable.replica] : []), sentAt: state.now };",
      },
    ],
  },
  {
    id: "4",
    name: "Prepare leaves before the candidate's own promise is synced.",
    hunt: SWARM,
    edits: [
      {
        file: "paxos/election.js",
        find: 'import { persist } from "./outbox.js";',
        put: 'import { persist, send } from "./outbox.js";',
      },
      {
        file: "paxos/election.js",
        find: 'const lsn = persist(state, out, [{ kind: "promise", ballot }], [{ to: voters.map((peer) => peer.address), message: prepare }]);',
        put: `const addresses = voters.map((peer) => peer.address);
    if (MUTANT) {
        send(state, out, addresses, prepare);
    }
    const lsn = persist(state, out, [{ kind: "promise", ballot }], MUTANT ? [] : [{ to: addresses, message: prepare }]);`,
      },
    ],
  },
  {
    id: "5",
    name: "Accepting at a higher ballot does not promise it.",
    hunt: SWARM,
    edits: [
      {
        file: "paxos/record.js",
        find: "raisePromise(durable, record.ballot);\n    if (record.slot <= durable.trimmed) {",
        put: "if (!MUTANT) {\n        raisePromise(durable, record.ballot);\n    }\n    if (record.slot <= durable.trimmed) {",
      },
      {
        file: ACCEPTOR,
        find: 'assert(compareBallots(state.durable.promised, ballot) >= 0, "invariant 5: accepting a ballot promises it");',
        put: 'assert(MUTANT || compareBallots(state.durable.promised, ballot) >= 0, "invariant 5: accepting a ballot promises it");',
      },
    ],
  },
  {
    id: "6",
    name: "An acceptor accepts below its promise.",
    hunt: SWARM,
    edits: [
      {
        file: ACCEPTOR,
        find: 'if (compareBallots(ballot, state.durable.promised) < 0) {\n        return "ballot";',
        put: 'if (!MUTANT && compareBallots(ballot, state.durable.promised) < 0) {\n        return "ballot";',
      },
      {
        file: ACCEPTOR,
        find: "renewGrant(state, ballot);",
        put: "if (compareBallots(ballot, state.durable.promised) >= 0 || !MUTANT) {\n        renewGrant(state, ballot);\n    }",
      },
    ],
  },
  {
    id: "7",
    name: "A candidate takes the value of the lowest reported ballot.",
    hunt: SWARM,
    edits: [{ file: CANDIDATE, find: "return order > 0;", put: "return MUTANT ? order < 0 : order > 0;" }],
  },
  {
    id: "8",
    name: "A candidate fills a slot anew although a value was reported for it.",
    hunt: SWARM,
    edits: [
      {
        file: CANDIDATE,
        find: "const batch = best.get(next)?.batch ?? NOOP_BATCH;",
        put: "const batch = MUTANT ? NOOP_BATCH : (best.get(next)?.batch ?? NOOP_BATCH);",
      },
    ],
  },
  {
    id: "9",
    name: "A Promise leaves out what was accepted above the decided slot.",
    hunt: SWARM,
    edits: [
      {
        file: ACCEPTOR,
        find: "for (const entry of knownEntries(state)) {",
        put: "for (const entry of MUTANT ? [] : knownEntries(state)) {",
      },
    ],
  },
  {
    id: "10",
    name: "A Promise of several parts counts when one part of it is in.",
    hunt: swarm("large values"),
    edits: [
      {
        file: CANDIDATE,
        find: "if (collection.incoming.size < part.parts) {",
        put: "if (!MUTANT && collection.incoming.size < part.parts) {",
      },
    ],
  },
  {
    id: "11",
    name: "A second Accepted of the same replica counts like that of another one.",
    hunt: SWARM,
    edits: [
      {
        file: COORDINATOR,
        find: "const proposal = slot === coordinator.newest?.slot ? coordinator.newest : coordinator.proposals.get(slot);",
        put: `const proposal = slot === coordinator.newest?.slot ? coordinator.newest : coordinator.proposals.get(slot);
        if (MUTANT && proposal?.acks.has(peer.replica) === true) {
            const other = coordinator.configuration.voters.find((voter) => !proposal.acks.has(voter));
            proposal.acks.add(other ?? peer.replica);
        }`,
      },
    ],
  },
  {
    id: "12",
    name: "Accepted of an older ballot counts for the present one.",
    hunt: DIALOGUES,
    edits: [
      {
        file: COORDINATOR,
        find: "!equalBallots(accepted.ballot, coordinator.ballot)",
        put: "(!MUTANT && !equalBallots(accepted.ballot, coordinator.ballot))",
      },
    ],
  },
  {
    id: "13",
    name: "An Inform marks what was accepted at another ballot, and nobody compares chains.",
    hunt: SWARM,
    edits: [
      {
        file: "paxos/learner.js",
        find: "if (held === undefined || !equalBallots(held.ballot, ballot)) {",
        put: "if (held === undefined || (!MUTANT && !equalBallots(held.ballot, ballot))) {",
      },
      {
        file: "paxos/learner.js",
        find: "return computed === chain ? batches : null;",
        put: "return MUTANT || computed === chain ? batches : null;",
      },
    ],
  },
  {
    id: "14",
    name: "A slot counts as decided once any later one has its quorum.",
    hunt: SWARM,
    edits: [
      {
        file: COORDINATOR,
        find: "if (proposal === undefined || !isDecidedBy(state, proposal.acks)) {",
        put: `const hasLater = MUTANT && [...coordinator.proposals.values()].some((later) => isDecidedBy(state, later.acks));
        if (proposal === undefined || !(hasLater || isDecidedBy(state, proposal.acks))) {`,
      },
    ],
  },
  {
    id: "21",
    name: "Of an even number of voters each exact half is a quorum.",
    hunt: SWARM,
    edits: [
      {
        file: "paxos/configuration.js",
        find: "return 2 * weight > VOTER_WEIGHT * configuration.voters.length + 1;",
        put: `const isHalf = MUTANT && 2 * configuration.voters.filter((voter) => isIn(voter)).length === configuration.voters.length;
    return isHalf || 2 * weight > VOTER_WEIGHT * configuration.voters.length + 1;`,
      },
    ],
  },
  {
    id: "49",
    name: "Slots are decided in the order in which their acknowledgements arrive.",
    hunt: SWARM,
    edits: [
      {
        file: COORDINATOR,
        find: "const proposal = coordinator.proposals.get(slotAfter(state.decided));",
        put: `const proposal = MUTANT
            ? [...coordinator.proposals.values()].find((waiting) => isDecidedBy(state, waiting.acks))
            : coordinator.proposals.get(slotAfter(state.decided));`,
      },
    ],
  },
  {
    id: "51",
    name: "Parts of two answers to one Prepare are put together.",
    hunt: swarm("large values"),
    edits: [
      {
        file: CANDIDATE,
        find: "if (order < 0 || part.part >= part.parts) {",
        put: "if ((order < 0 && !MUTANT) || part.part >= part.parts) {",
      },
      {
        file: CANDIDATE,
        find: "if (order > 0) {\n        collection.incoming.clear();",
        put: "if (order > 0 && !(MUTANT && held !== null)) {\n        collection.incoming.clear();",
      },
      { file: CANDIDATE, find: "assert(parts.every(", put: "assert(MUTANT || parts.every(" },
    ],
  },
  {
    id: "55",
    name: "A Promise leaves out what was learned above the decided slot.",
    hunt: swarm("power loss of all"),
    edits: [
      {
        file: ACCEPTOR,
        find: "for (const held of [...accepted.keys(), ...learned.keys()]) {",
        put: "for (const held of [...accepted.keys(), ...(MUTANT ? [] : learned.keys())]) {",
      },
    ],
  },
  {
    id: "56",
    name: "A restart does not count on through learned slots, and a Promise reports them at ballot 0.",
    hunt: SWARM,
    edits: [
      { file: "paxos/log.js", find: "|| durable.learned.has(next)", put: "|| (!MUTANT && durable.learned.has(next))" },
      {
        file: ACCEPTOR,
        find: "if (decided !== undefined) {",
        put: `if (MUTANT && decided !== undefined) {
            return { slot, acceptedAt: { round: 0, replica: 0 }, batch: decided };
        }
        if (decided !== undefined) {`,
      },
    ],
  },
  {
    id: "75",
    name: "A coordinator that learns another batch in a slot of its own adopts it and goes on.",
    hunt: DIALOGUES,
    edits: [
      {
        file: COORDINATOR,
        find: "if (decided !== undefined && decided.digest !== proposal.batch.digest) {",
        put: "if (!MUTANT && decided !== undefined && decided.digest !== proposal.batch.digest) {",
      },
    ],
  },
];
