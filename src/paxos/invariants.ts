/**
 * The invariants that no replica can check alone (PROTOCOL §7.1, sort S), over everything that any replica of a simulated
 * cluster wrote, sent and decided, across crashes. A simulator tells it what happened, in order; it must never be told by,
 * nor tell anything to, a replica: the check must not share the code's mistakes.
 */
import { chainHash, type Hash64, ZERO_HASH } from "../base/hash64.js";
import { BALLOT_ZERO, type Ballot, compareBallots, formatBallot } from "./ballot.js";
import { type Batch, NOOP_BATCH } from "./batch.js";
import type { Configuration } from "./configuration.js";
import type { PledgeSend } from "./effect.js";
import type { Address, ReplicaId, Slot } from "./ids.js";
import { configurationFault, diskOf, type Fault, isQuorumOf, isSameConfiguration, settledFault } from "./invariants-configuration.js";
import type { PromiseEntry, PromiseReply, SnapshotMeta } from "./message.js";
import type { Durable, WalRecord } from "./record.js";

/** A cluster broke a promise of the protocol; `invariant` is its number in PROTOCOL §7.1. */
export class InvariantViolation extends Error {
  override readonly name = "InvariantViolation";
  readonly invariant: number;

  constructor(invariant: number, message: string) {
    super(`invariant ${invariant}: ${message}`);
    this.invariant = invariant;
  }
}

type Vote = { readonly ballot: Ballot; readonly digest: Hash64; readonly acceptors: Set<ReplicaId> };
type BallotUse = { readonly replica: ReplicaId; readonly boot: number };
/** The epoch that a ballot proposed under, the last slot it proposed at, and that of its configuration entry. */
type ProposalUse = { epoch: number | null; last: number; entry: number | null };

/** All that the checks remember of one cluster. Make it with `createHistory`, and change it through the functions below alone. */
export type History = {
  /** By slot, from slot 1 at index 0: the decided values in order, and the chain over them. */
  readonly decided: Batch[];
  readonly chains: Hash64[];
  /** C(x) = the newest whose `from` is at most x. */
  readonly configurations: Array<{ readonly from: number; readonly configuration: Configuration }>;
  /** Who ever synced an acceptance of what, by slot and ballot: later lives and higher ballots do not undo it. */
  readonly votes: Map<Slot, Map<string, Vote>>;
  /** What each ballot proposes at each slot. */
  readonly proposals: Map<string, Hash64>;
  readonly ballots: Map<string, BallotUse>;
  readonly uses: Map<string, ProposalUse>;
  /** The disk and address that each ReplicaId was given to. */
  readonly members: Map<ReplicaId, string>;
  /** The highest slot that the disk of each replica ever held as decided. */
  readonly durable: Map<ReplicaId, Slot>;
  /** Entries that took effect nowhere because they were made from another epoch. */
  staleEntries: number;
  /** The highest ballot each replica pledged itself to on the wire. */
  readonly pledged: Map<ReplicaId, Ballot>;
  /** The value each active ballot had to propose at the slots its promises reported. */
  readonly obligations: Map<string, Hash64>;
  /** Addresses that ever held Genesis durably. */
  readonly founded: Set<Address>;
  /** Batches of which a replica said that it never proposed them. */
  readonly refused: Set<Hash64>;
};

export function createHistory(): History {
  return {
    decided: [],
    chains: [ZERO_HASH],
    configurations: [],
    votes: new Map(),
    proposals: new Map(),
    ballots: new Map(),
    uses: new Map(),
    members: new Map(),
    durable: new Map(),
    staleEntries: 0,
    pledged: new Map(),
    obligations: new Map(),
    founded: new Set(),
    refused: new Set(),
  };
}

/** The history of the lineage that a forced recovery begins (PROTOCOL §4.7): its log is `decided`, whatever else the lineage of `before` had decided. */
export function historyAfterRecovery(before: History, decided: readonly Batch[]): History {
  const history = createHistory();
  const [founding] = before.configurations;
  if (founding !== undefined) {
    takeEffect(history, founding.from, founding.configuration);
  }
  for (const address of before.founded) {
    history.founded.add(address);
  }
  for (const batch of decided) {
    if (isNext(history, batch)) {
      takeEffect(history, history.decided.length + 2, batch.configuration);
    }
    addDecided(history, batch);
  }
  return history;
}

/** The last slot that any replica ever decided. */
export function lastDecided(history: History): number {
  return history.decided.length;
}

function demand(condition: boolean, invariant: number, message: () => string): void {
  if (!condition) {
    throw new InvariantViolation(invariant, message());
  }
}

function demandNone(fault: Fault | null): void {
  if (fault !== null) {
    throw new InvariantViolation(fault.invariant, fault.text);
  }
}

const voteKey = (ballot: Ballot, slot: Slot): string => `${ballot.round}.${ballot.replica}/${slot}`;

/** C(slot), as far as the decided prefix tells. */
export function governing(history: History, slot: number): Configuration | undefined {
  return history.configurations.findLast((entry) => entry.from <= slot)?.configuration;
}

/** The votes of a slot, one for each ballot, that a quorum of C(slot) cast. */
export function chosenVotes(history: History, slot: Slot): readonly Vote[] {
  const configuration = governing(history, slot);
  return configuration === undefined
    ? []
    : [...(history.votes.get(slot)?.values() ?? [])].filter(({ acceptors }) => isQuorumOf(configuration, (voter) => acceptors.has(voter)));
}

/** `record` is synced on the disk of the replica at `address`. */
export function checkSynced(history: History, at: { readonly address: Address; readonly replica: ReplicaId }, record: WalRecord): void {
  if (record.kind === "accept") {
    recordVote(history, at.replica, record);
  } else if (record.kind === "identity") {
    history.founded.add(at.address);
    if (history.configurations.length === 0) {
      takeEffect(history, 1, record.configuration);
    }
  }
}

function takeEffect(history: History, from: number, configuration: Configuration): void {
  history.configurations.push({ from, configuration });
  for (const entry of configuration.roster) {
    history.members.set(entry.replica, diskOf(entry));
  }
}

function recordVote(history: History, replica: ReplicaId, { ballot, slot, batch }: Extract<WalRecord, { kind: "accept" }>): void {
  let bySlot = history.votes.get(slot);
  if (bySlot === undefined) {
    bySlot = new Map();
    history.votes.set(slot, bySlot);
  }
  const key = formatBallot(ballot);
  const vote = bySlot.get(key);
  if (vote === undefined) {
    bySlot.set(key, { ballot, digest: batch.digest, acceptors: new Set([replica]) });
    return;
  }
  demand(vote.digest === batch.digest, 6, () => `two values were accepted at ${key} in slot ${slot}`);
  vote.acceptors.add(replica);
}

/** Records are handed to the disk whose state before them is `before` (promise and acceptances only are looked at): 3 and 4. */
export function checkRecords(promisedBefore: Ballot, records: readonly WalRecord[]): void {
  let promised = promisedBefore;
  for (const record of records) {
    if (record.kind === "accept") {
      demand(
        compareBallots(record.ballot, promised) >= 0,
        4,
        () => `accepts ${formatBallot(record.ballot)} below ${formatBallot(promised)}`,
      );
      promised = record.ballot;
    } else if (record.kind === "promise") {
      demand(
        compareBallots(record.ballot, promised) >= 0,
        3,
        () => `promises ${formatBallot(record.ballot)} below ${formatBallot(promised)}`,
      );
      promised = record.ballot;
    }
  }
}

/** A pledge leaves a server in its `boot`th life; `synced` is what its disk holds at that moment (7, 14, 39). */
export function checkPledge(history: History, send: PledgeSend, life: { readonly boot: number; readonly synced: Durable }): void {
  const { message, header } = send;
  if (message.kind !== "prepare" && message.kind !== "promise" && message.kind !== "accepted") {
    return;
  }
  const key = formatBallot(message.ballot);
  demand(
    compareBallots(life.synced.promised, message.ballot) >= 0,
    14,
    () => `${message.kind} ${key} leaves replica ${header.from} before its promise is synced`,
  );
  if (compareBallots(message.ballot, history.pledged.get(header.from) ?? BALLOT_ZERO) > 0) {
    history.pledged.set(header.from, message.ballot);
  }
  if (message.kind === "accepted") {
    for (const slot of message.slots) {
      const voted = history.votes.get(slot)?.get(key)?.acceptors.has(header.from) === true;
      demand(
        voted || slot <= lastDecided(history),
        14,
        () => `accepted ${key} slot ${slot} leaves ${header.from} before the record is synced`,
      );
    }
  } else if (message.kind === "prepare") {
    checkPrepare(history, message.ballot, { replica: header.from, boot: life.boot });
  }
}

function checkPrepare(history: History, ballot: Ballot, use: BallotUse): void {
  const key = formatBallot(ballot);
  const held = history.ballots.get(key);
  demand(ballot.replica === use.replica, 7, () => `replica ${use.replica} uses ballot ${key}`);
  demand(
    held === undefined || held.boot === use.boot,
    7,
    () => `ballot ${key} is used in life ${held?.boot}, and again in life ${use.boot}`,
  );
  history.ballots.set(key, use);
  for (const listed of history.configurations[0]?.configuration.roster ?? []) {
    demand(history.founded.has(listed.address), 39, () => `prepare ${key} leaves before ${listed.address} holds Genesis`);
  }
}

/**
 * A coordinator proposes, under the configuration of `epoch` (6 to 9, 11, and the claim of PROTOCOL §4.4: what a lower ballot decided stays).
 * A ballot asks for promises under the epochs it catches up over, and proposes under one.
 */
export function checkProposal(history: History, { ballot, slot, batch, epoch }: Proposal): void {
  checkUse(history, { ballot, slot, batch, epoch });
  const key = voteKey(ballot, slot);
  const held = history.proposals.get(key);
  demand(held === undefined || held === batch.digest, 6, () => `ballot ${formatBallot(ballot)} proposes two values in slot ${slot}`);
  if (held !== undefined) {
    return;
  }
  history.proposals.set(key, batch.digest);
  const obliged = history.obligations.get(key);
  demand(
    obliged === undefined || obliged === batch.digest,
    11,
    () => `${formatBallot(ballot)} proposes in slot ${slot} what no promise asks for`,
  );
  // A lower ballot than the deciding one may still propose another value, late: no quorum can accept it any more.
  for (const vote of chosenVotes(history, slot)) {
    demand(
      compareBallots(vote.ballot, ballot) >= 0 || vote.digest === batch.digest,
      11,
      () => `${formatBallot(ballot)} proposes another value in slot ${slot} than ${formatBallot(vote.ballot)}, which a quorum accepted`,
    );
  }
}

export type Proposal = { readonly ballot: Ballot; readonly slot: Slot; readonly batch: Batch; readonly epoch: number };

function checkUse(history: History, { ballot, slot, batch, epoch }: Proposal): void {
  const key = formatBallot(ballot);
  const use = history.uses.get(key) ?? { epoch, last: 0, entry: null };
  history.uses.set(key, use);
  demand(use.epoch === epoch, 7, () => `${key} proposes in epoch ${use.epoch}, and in epoch ${epoch}`);
  demand(use.entry === null || slot <= use.entry, 9, () => `${key} proposes in slot ${slot} above its configuration entry in ${use.entry}`);
  if (batch.kind === "configuration") {
    demand(use.last <= slot, 9, () => `${key} proposes a configuration in slot ${slot}, below its proposal in ${use.last}`);
    use.entry = slot;
  }
  use.last = Math.max(use.last, slot);
}

/**
 * A candidate became active in `ballot` by the replies in `counted`, the newest complete one of each replica, and by what
 * its own acceptor holds. Remembers what it must propose (11); checks that no parts were mixed (32). Returns how many slots it must adopt.
 */
export function checkActivation(
  history: History,
  phase1: {
    readonly ballot: Ballot;
    readonly decided: Slot;
    readonly own: readonly PromiseEntry[];
    readonly counted: ReadonlyMap<ReplicaId, readonly PromiseReply[]>;
  },
): number {
  const { ballot, decided } = phase1;
  const key = formatBallot(ballot);
  const configuration = governing(history, decided + 1);
  const isIn = (replica: ReplicaId): boolean => replica === ballot.replica || phase1.counted.has(replica);
  demand(configuration === undefined || isQuorumOf(configuration, isIn), 11, () => `${key} becomes active without a quorum of promises`);
  const best = new Map<Slot, PromiseEntry>();
  let last = decided;
  // Whom the configuration of the next slot does not list is not listened to, whatever it promised before.
  const isListed = (replica: ReplicaId): boolean => configuration?.roster.some((entry) => entry.replica === replica) !== false;
  const counted = [...phase1.counted].flatMap(([replica, parts]) => (isListed(replica) ? [parts] : []));
  for (const parts of counted) {
    checkParts(key, parts);
    demand(
      parts.every((part) => part.decided <= decided),
      11,
      () => `${key} becomes active below a decided slot its promises name`,
    );
  }
  for (const entry of [...phase1.own, ...counted.flat().flatMap((part) => part.entries)]) {
    if (entry.slot > decided) {
      last = entry.slot > last ? entry.slot : last;
      const held = best.get(entry.slot);
      if (held === undefined || outranks(entry, held)) {
        best.set(entry.slot, entry);
      }
    }
  }
  for (let at = decided + 1; at <= last; at++) {
    const entry = best.get(at as Slot);
    history.obligations.set(voteKey(ballot, at as Slot), (entry?.batch ?? NOOP_BATCH).digest);
    if (entry?.batch.kind === "configuration") {
      break;
    }
  }
  return best.size;
}

/** What an acceptor that holds `durable` would report, written down here once more so that the check does not rest on the code it checks. */
export function entriesOf(durable: Durable): PromiseEntry[] {
  const entries: PromiseEntry[] = [...durable.accepted].map(([slot, { ballot, batch }]) => ({ slot, acceptedAt: ballot, batch }));
  return [...entries, ...[...durable.learned].map(([slot, batch]): PromiseEntry => ({ slot, acceptedAt: "decided", batch }))];
}

function checkParts(key: string, parts: readonly PromiseReply[]): void {
  const first = parts[0];
  const alike = (part: PromiseReply): boolean =>
    first !== undefined &&
    part.replyId.boot === first.replyId.boot &&
    part.replyId.counter === first.replyId.counter &&
    part.decided === first.decided &&
    part.parts === first.parts;
  const numbers = new Set(parts.map((part) => part.part));
  demand(parts.every(alike) && numbers.size === first?.parts, 32, () => `${key} counts parts of different promises, or not all of one`);
}

function outranks(entry: PromiseEntry, held: PromiseEntry): boolean {
  if (entry.acceptedAt === "decided" || held.acceptedAt === "decided") {
    return entry.acceptedAt === "decided";
  }
  return compareBallots(entry.acceptedAt, held.acceptedAt) > 0;
}

/** All parts of one Promise, at the moment they are made out of `durable` (34). */
export function checkPromise(durable: Durable, parts: readonly PromiseReply[]): void {
  const decided = parts[0]?.decided ?? 0;
  const reported = new Map(parts.flatMap((part) => part.entries.map((entry) => [entry.slot, entry] as const)));
  for (const [slot, held] of durable.accepted) {
    const entry = reported.get(slot);
    const same = entry?.acceptedAt === "decided" || (entry !== undefined && compareBallots(entry.acceptedAt, held.ballot) === 0);
    demand(slot <= decided || same, 34, () => `a Promise leaves out the acceptance of slot ${slot}, or its ballot`);
  }
  for (const slot of durable.learned.keys()) {
    demand(slot <= decided || reported.get(slot)?.acceptedAt === "decided", 34, () => `a Promise leaves out the learned slot ${slot}`);
  }
}

/** A replica hands `batch` out as decided in `slot` (1, 10, 15). */
export function checkApply(history: History, slot: Slot, batch: Batch): void {
  const known = history.decided[slot - 1];
  if (known !== undefined) {
    demand(known.digest === batch.digest, 1, () => `slot ${slot} is decided with two values`);
    return;
  }
  demand(slot === history.decided.length + 1, 12, () => `slot ${slot} is decided before slot ${history.decided.length + 1}`);
  demand(!history.refused.has(batch.digest), 22, () => `slot ${slot} holds a batch that its proposer said it never proposed`);
  const voted = chosenVotes(history, slot).some(({ digest }) => digest === batch.digest);
  demand(voted, 10, () => `slot ${slot} is decided without a quorum that has it on disk in one ballot`);
  addDecided(history, batch);
  const current = history.configurations.at(-1)?.configuration;
  if (isNext(history, batch) && current !== undefined) {
    demandNone(configurationFault(current, batch.configuration, history.members));
    takeEffect(history, slot + 1, batch.configuration);
  } else if (batch.kind === "configuration") {
    history.staleEntries++;
  }
}

function addDecided(history: History, batch: Batch): void {
  history.decided.push(batch);
  history.chains.push(chainHash(history.chains.at(-1) ?? ZERO_HASH, batch.digest));
}

/** Whether a decided batch makes the next configuration: one that was made from another epoch changes nothing. */
function isNext(history: History, batch: Batch): batch is Extract<Batch, { readonly kind: "configuration" }> {
  const current = history.configurations.at(-1)?.configuration;
  return batch.kind === "configuration" && batch.configuration.prevEpoch === current?.epoch;
}

/** The coordinator of `configuration` calls its entry, at `slot`, settled (29). */
export function checkSettled(history: History, configuration: Configuration, slot: Slot): void {
  demandNone(settledFault(configuration, slot, history.durable));
}

/** A replica's belief about its decided prefix (36) and the voters of the next slot (21), and what it must not have forgotten (3). */
export function checkReplica(
  history: History,
  replica: ReplicaId,
  belief: { readonly decided: Slot; readonly chain: Hash64; readonly promised: Ballot; readonly configuration: Configuration },
): void {
  const { decided, chain, promised, configuration } = belief;
  demand(history.chains[decided] === chain, 36, () => `replica ${replica} has another history up to slot ${decided}`);
  // Who has just joined knows its own listing, and nothing of the log that led there.
  const due = decided === 0 ? undefined : governing(history, decided + 1);
  demand(
    due === undefined || isSameConfiguration(due, configuration),
    21,
    () => `replica ${replica} believes in epoch ${configuration.epoch} after slot ${decided}, and the log makes it ${due?.epoch}`,
  );
  const floor = history.pledged.get(replica) ?? BALLOT_ZERO;
  demand(compareBallots(promised, floor) >= 0, 3, () => `replica ${replica} forgot its promise ${formatBallot(floor)}`);
}

/** A snapshot is about to replace a state (1, 21, 36; mutant 54). */
export function checkInstall(history: History, applied: Slot, meta: SnapshotMeta): void {
  demand(meta.index > applied, 12, () => `snapshot ${meta.index} is installed over the state of slot ${applied}`);
  demand(history.chains[meta.index] === meta.chain, 36, () => `snapshot ${meta.index} belongs to another history`);
  const due = governing(history, meta.index + 1);
  demand(
    due === undefined || isSameConfiguration(due, meta.configuration),
    21,
    () => `snapshot ${meta.index} names other voters than the log`,
  );
}

/** The slot that a read which begins now must see: everything that anyone has decided. */
export function readFloor(history: History): number {
  return lastDecided(history);
}

/** A read that began at `floor` is answered from the state of `index` or a later one (18; PROTOCOL §3.1). */
export function checkRead(floor: number, index: Slot, id: number): void {
  demand(index >= floor, 18, () => `read ${id} is answered at slot ${index}, but slot ${floor} was decided before it began`);
}

/** A replica says that it did not and will not propose `batch`. */
export function checkRefused(history: History, batch: Batch): void {
  demand(!history.decided.some((known) => known.digest === batch.digest), 22, () => "a refused batch is decided");
  history.refused.add(batch.digest);
}
