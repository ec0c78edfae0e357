/**
 * Phase 2: proposing in slot order inside a window, counting acceptances, deciding the contiguous prefix, and giving up
 * (PROTOCOL §1.5, §1.6). Its own acceptance counts only behind its own sync; it never proposes above a configuration entry,
 * and never counts anyone the configuration of its ballot does not list.
 */
import { assert, present } from "../base/assert.js";
import { forgetWatched, tickAutopilot } from "./autopilot.js";
import { type Ballot, compareBallots, equalBallots } from "./ballot.js";
import type { Batch } from "./batch.js";
import { returnChanges } from "./change-requests.js";
import { isQuorum, isVoter } from "./configuration.js";
import { failAttempt, nominateAfterStepDown, startCandidacy } from "./election.js";
import { endOwnGrant, renewGrant } from "./grant.js";
import { type Micros, type Slot, slotAfter } from "./ids.js";
import { isLoading } from "./learner.js";
import { advance, currentConfiguration } from "./log.js";
import { hasIdentity, isCounted, isDiskOk, isHeard, isLame, otherVoters, quorumWithMe, unsyncedFor, votes } from "./membership.js";
import type { Accepted } from "./message.js";
import { type Outbox, persist, send } from "./outbox.js";
import { informPart, sendPing, smoothed } from "./ping.js";
import { afterAdvance } from "./progress.js";
import { pumpReads, returnReads } from "./read-index.js";
import { noteConfiguration } from "./reconfiguration.js";
import { expectAnswer, forgetResends, settleResend } from "./resend.js";
import { beginSettling } from "./settling.js";
import { micros, NOT_DUE, type Peer, type Proposal, type ReplicaState } from "./state.js";

/** Without progress of the oldest proposal for so long, or with a sync of our own outstanding for so long: step down. Milliseconds, at least. */
const STUCK_MS = 2000;

/** Whoever is mute counts as lame first, which lets the tie-break half decide, and whose disk hangs hands over first: both wait for suspectMs. */
function stuckAfter({ options }: ReplicaState): Micros {
  return micros(Math.max(STUCK_MS, options.suspectMs + options.pingMs));
}

export function isActiveCoordinator(state: ReplicaState): boolean {
  return state.coordinator !== null;
}

/** Whether a `propose` event will be taken: phase 1 is proposed, the window has room, the ballot goes on, the disk answers. */
export function canPropose(state: ReplicaState): boolean {
  const { coordinator, options } = state;
  return (
    coordinator !== null &&
    coordinator.adopted.length === 0 &&
    coordinator.handover === null &&
    !coordinator.ended &&
    coordinator.proposals.size < options.windowSlots &&
    coordinator.proposedBytes < options.windowBytes &&
    isDiskOk(state) &&
    !state.spaceLow
  );
}

/** Phase 1 is complete: `adopted` are the values of D + 1 onwards that must be proposed before any other. */
export function activate(
  state: ReplicaState,
  out: Outbox,
  phase1: { readonly ballot: Ballot; readonly adopted: Batch[]; readonly recovered: Slot; readonly handoverOf: Ballot | null },
): void {
  assert(equalBallots(state.durable.promised, phase1.ballot), "a coordinator's own acceptor has promised its ballot");
  assert(!isLoading(state), "no replica coordinates while it loads a snapshot");
  state.coordinator = {
    ballot: phase1.ballot,
    configuration: currentConfiguration(state),
    adopted: phase1.adopted,
    recovered: phase1.recovered,
    nextSlot: slotAfter(state.decided),
    proposals: new Map(),
    newest: null,
    proposedBytes: 0,
    ended: false,
    informDue: NOT_DUE,
    lastProgress: state.now,
    handover: null,
  };
  state.election.attempts = 0;
  state.election.preVote = null;
  state.grant = null;
  const isSameCoordinator = phase1.handoverOf?.replica === state.durable.replica;
  for (const peer of state.peers.values()) {
    peer.okSentAt = state.now;
    peer.owesSince = null;
  }
  if (!isSameCoordinator) {
    forgetWatched(state);
  }
  forgetResends(state);
  beginSettling(state, out);
  sendPing(state, out, false);
  pumpAdopted(state, out);
  pumpReads(state, out);
}

/** Proposes what phase 1 found, as far as the window allows. */
export function pumpAdopted(state: ReplicaState, out: Outbox): void {
  const { coordinator, options } = state;
  while (coordinator !== null && coordinator.adopted.length > 0 && coordinator.proposals.size < options.windowSlots) {
    propose(state, out, present(coordinator.adopted.shift(), "there is a value to propose"));
  }
}

/** Phase 2a for the next slot. The message leaves at once; our own acceptance counts when our disk has it. */
export function propose(state: ReplicaState, out: Outbox, batch: Batch): void {
  const coordinator = present(state.coordinator, "only a coordinator proposes");
  const { ballot } = coordinator;
  const slot = coordinator.nextSlot;
  assert(!coordinator.ended, "invariant 9: nothing is proposed above a configuration entry in its ballot");
  assert(coordinator.configuration === currentConfiguration(state), "invariant 8: a ballot proposes under one configuration");
  assert(equalBallots(state.durable.promised, ballot), "a coordinator that promised a higher ballot has stepped down");
  assert(coordinator.proposals.size < state.options.windowSlots, "invariant 26: the window bounds undecided proposals");
  renewGrant(state, ballot);
  const voters = otherVoters(state);
  send(
    state,
    out,
    voters.map((peer) => peer.address),
    { kind: "propose", ballot, slot, batch, inform: informPart(state) },
  );
  coordinator.informDue = NOT_DUE;
  const lsn = persist(state, out, [{ kind: "accept", ballot, slot, batch }], []);
  const isFirst = coordinator.proposals.size === 0;
  if (isFirst) {
    coordinator.lastProgress = state.now;
  }
  const proposal: Proposal = { slot, batch, lsn, acks: new Set(), sentAt: state.now };
  coordinator.proposals.set(slot, proposal);
  coordinator.newest = proposal;
  coordinator.proposedBytes += batch.payload.length;
  coordinator.nextSlot = slotAfter(slot);
  coordinator.ended = batch.kind === "configuration";
  for (const peer of voters) {
    peer.resendAt = isFirst ? NOT_DUE : peer.resendAt; // what is decided is asked about less eagerly
    expectAnswer(state, peer);
    peer.owesSince ??= state.now;
  }
}

/** Phase 2b from a peer. Acceptances of another ballot, or of slots already decided, say nothing any more. */
export function onAccepted(state: ReplicaState, out: Outbox, peer: Peer, accepted: Accepted): void {
  const { coordinator } = state;
  if (coordinator === null || !equalBallots(accepted.ballot, coordinator.ballot) || !isVoter(coordinator.configuration, peer.replica)) {
    return;
  }
  for (const slot of accepted.slots) {
    peer.failing.delete(slot);
    const proposal = slot === coordinator.newest?.slot ? coordinator.newest : coordinator.proposals.get(slot);
    if (proposal !== undefined && !proposal.acks.has(peer.replica)) {
      proposal.acks.add(peer.replica);
      peer.acceptTime = smoothed(peer.acceptTime, state.now - proposal.sentAt);
    }
  }
  settleResend(state, peer);
  peer.owesSince = peer.resendAt === NOT_DUE ? null : state.now;
  decideReady(state, out);
}

/** Everything up to `persistedLsn` is synced: our own acceptances up to there count now (invariant 15). */
export function countOwnAcceptances(state: ReplicaState, out: Outbox): void {
  const { coordinator } = state;
  if (coordinator === null) {
    return;
  }
  for (const proposal of coordinator.proposals.values()) {
    if (proposal.lsn > state.persistedLsn) {
      break;
    }
    proposal.acks.add(state.durable.replica);
  }
  decideReady(state, out);
}

/** Decides, in slot order, whatever a quorum has accepted in this ballot. */
function decideReady(state: ReplicaState, out: Outbox): void {
  const coordinator = present(state.coordinator, "only a coordinator decides");
  const before = state.decided;
  for (;;) {
    const proposal = coordinator.proposals.get(slotAfter(state.decided));
    if (proposal === undefined || !isDecidedBy(state, proposal.acks)) {
      break;
    }
    coordinator.proposals.delete(proposal.slot);
    coordinator.proposedBytes -= proposal.batch.payload.length;
    advance(state, out, proposal.batch);
  }
  if (state.decided === before) {
    return;
  }
  continueBehindDecided(state, out);
  afterAdvance(state, out);
  finishHandover(state, out);
}

/** The decided slot moved under this coordinator, whichever way: it informs, proposes what waits, or ends its ballot. */
function continueBehindDecided(state: ReplicaState, out: Outbox): void {
  const coordinator = present(state.coordinator, "only a coordinator goes on proposing");
  noteConfiguration(state, out);
  coordinator.lastProgress = state.now;
  coordinator.informDue = Math.min(coordinator.informDue, state.now + micros(INFORM_PATIENCE_MS));
  for (const peer of otherVoters(state)) {
    settleResend(state, peer);
  }
  if (coordinator.ended && coordinator.proposals.size === 0) {
    endBallot(state, out);
  } else {
    pumpAdopted(state, out);
  }
}

/**
 * A quorum of the ballot's configuration. Durability on top, which safety does not need: exactly half with the tie-break
 * counts only while every voter outside it is unheard or lame, so that two healthy voters both hold each write (PROTOCOL §1.5).
 */
function isDecidedBy(state: ReplicaState, acks: ReadonlySet<number>): boolean {
  const { configuration } = present(state.coordinator, "only a coordinator decides");
  if (!isQuorum(configuration, (replica) => acks.has(replica))) {
    return false;
  }
  if (acks.size * 2 > configuration.voters.length) {
    return true;
  }
  return configuration.voters.every((voter) => acks.has(voter) || isLame(state, voter));
}

/**
 * A configuration entry was decided, in effect or not: one ballot, one configuration, so a new ballot at once, without wait or
 * pre-vote (PROTOCOL §4.3). Who is no voter any more, or was about to hand over, leaves that to another voter.
 */
function endBallot(state: ReplicaState, out: Outbox): void {
  const { ballot, handover } = present(state.coordinator, "only a coordinator ends its ballot");
  beginSettling(state, out); // before any Ping could say that the newest entry is settled
  sendPing(state, out, false); // everybody learns at once that it is decided, also who was removed by it
  if (handover !== null || !votes(state)) {
    passOn(state, out);
  }
  if (state.coordinator === null) {
    return;
  }
  state.coordinator = null;
  returnChanges(state);
  returnReads(state);
  forgetResends(state);
  startCandidacy(state, out, ballot);
}

/** Retires the ballot, which proposes nothing any more, in favour of the heir asked for or the most advanced voter, if there is one. */
function passOn(state: ReplicaState, out: Outbox): void {
  const { ballot, handover } = present(state.coordinator, "only a coordinator passes its ballot on");
  const heir = chooseHeir(state, handover?.heir ?? null);
  if (heir !== null) {
    retireFor(state, out, heir, ballot);
  } else if (!votes(state)) {
    stepDown(state, out, "this replica does not vote any more");
  } else if (handover?.asked === true) {
    out.push({ kind: "handoverDone", heir: null });
  }
}

function retireFor(state: ReplicaState, out: Outbox, heir: Peer, ballot: Ballot): void {
  const coordinator = present(state.coordinator, "only a coordinator retires its ballot");
  if (coordinator.handover?.asked === true) {
    out.push({ kind: "handoverDone", heir: heir.address });
  }
  coordinator.handover = null;
  send(state, out, [heir.address], { kind: "handover", ballot });
  stepDown(state, out, `handed over to ${heir.address}`);
  state.election.waitUntil = state.now + micros(state.options.grantMs);
}

/**
 * Slots up to D were learned from others, not by our own tally. If they are what we proposed we adopt the decision and go
 * on; anything else means that someone else coordinates (PROTOCOL §1.6).
 */
export function reconcileLearned(state: ReplicaState, out: Outbox): void {
  const { coordinator } = state;
  if (coordinator === null) {
    return;
  }
  if (coordinator.nextSlot <= state.decided) {
    stepDown(state, out, "slots were decided that this coordinator has not proposed");
    return;
  }
  for (const proposal of [...coordinator.proposals.values()]) {
    if (proposal.slot > state.decided) {
      break;
    }
    const decided = state.durable.learned.get(proposal.slot);
    if (decided !== undefined && decided.digest !== proposal.batch.digest) {
      stepDown(state, out, "a slot was decided with another batch than this coordinator's");
      return;
    }
    coordinator.proposals.delete(proposal.slot);
    coordinator.proposedBytes -= proposal.batch.payload.length;
  }
  continueBehindDecided(state, out);
}

/** Steps down, or gives up an attempt, if `ballot` is above ours; from a peer only if that peer votes (PROTOCOL §1.6). */
export function stepDownIfBelow(state: ReplicaState, out: Outbox, ballot: Ballot, reason: string, voter?: Peer): void {
  if (voter !== undefined && !(hasIdentity(state) && isVoter(currentConfiguration(state), voter.replica))) {
    return;
  }
  if (state.coordinator !== null && compareBallots(ballot, state.coordinator.ballot) > 0) {
    stepDown(state, out, reason);
  } else if (state.candidate !== null && compareBallots(ballot, state.candidate.ballot) > 0) {
    failAttempt(state);
  }
}

/** Stops coordinating: tallies are discarded, what was proposed may still be decided by others. */
export function stepDown(state: ReplicaState, out: Outbox, reason: string, letOthersTry = false): void {
  const { coordinator } = state;
  state.candidate = null;
  if (coordinator === null) {
    return;
  }
  out.push({ kind: "notice", level: "info", code: "stepped-down", text: `Stopped coordinating: ${reason}.` });
  state.coordinator = null;
  endOwnGrant(state);
  forgetResends(state);
  returnReads(state);
  returnChanges(state);
  if (coordinator.handover?.asked === true) {
    out.push({ kind: "handoverDone", heir: null });
  }
  nominateAfterStepDown(state, letOthersTry);
}

/** What only time shows: a lost quorum, a stuck proposal, a hung disk (PROTOCOL §1.6). */
export function tickCoordinator(state: ReplicaState, out: Outbox): void {
  const { coordinator, options } = state;
  if (coordinator === null) {
    return;
  }
  const oldestAnswer = state.now - micros(options.grantMs + options.pingMs);
  if (!quorumWithMe(state, (peer) => peer.okSentAt >= oldestAnswer)) {
    stepDown(state, out, "no quorum of the voters answers");
  } else if (coordinator.proposals.size + coordinator.adopted.length > 0 && state.now - coordinator.lastProgress > stuckAfter(state)) {
    stepDown(state, out, "the oldest proposal makes no progress although Pings pass", true);
  } else if (unsyncedFor(state) > stuckAfter(state)) {
    stepDown(state, out, "this server's disk does not answer", true);
  } else if ((!isDiskOk(state) || state.spaceLow) && coordinator.handover === null && quorumWithMe(state, (peer) => peer.diskOk)) {
    beginHandover(state, out, { heir: null, asked: false });
  }
  flushInform(state, out);
  finishHandover(state, out);
  if (state.coordinator !== null) {
    decideReady(state, out); // a voter may have become lame, which lets the tie-break half decide
  }
  tickAutopilot(state, out);
}

/** How long a handover waits for the window to be decided, ms (PROTOCOL §2.5). */
const HANDOVER_WAIT_MS = 1000;

/** Takes no more proposals; when the window is decided, or after HANDOVER_WAIT_MS, the ballot is retired and an heir named. */
export function beginHandover(
  state: ReplicaState,
  out: Outbox,
  { heir, asked }: { readonly heir: Peer["address"] | null; readonly asked: boolean },
): void {
  const { coordinator } = state;
  if (coordinator === null || heir === state.options.address) {
    out.push({ kind: "handoverDone", heir: coordinator === null ? null : heir });
    return;
  }
  coordinator.handover = { heir, deadline: state.now + micros(HANDOVER_WAIT_MS), asked: asked || coordinator.handover?.asked === true };
  finishHandover(state, out);
}

/** Retires the ballot once nothing of it is open: no proposal, read or grant request under it leaves ever again. */
export function finishHandover(state: ReplicaState, out: Outbox): void {
  const { coordinator } = state;
  const handover = coordinator?.handover ?? null;
  if (coordinator === null || handover === null) {
    return;
  }
  const isOpen = coordinator.proposals.size > 0 || coordinator.adopted.length > 0;
  if (isOpen && state.now < handover.deadline) {
    return;
  }
  const heir = chooseHeir(state, handover.heir);
  if (heir !== null) {
    sendInform(state, out); // the heir must not have to fetch what was decided last
    retireFor(state, out, heir, coordinator.ballot);
    return;
  }
  coordinator.handover = null;
  if (handover.asked) {
    out.push({ kind: "handoverDone", heir: null });
  }
}

/** The voter asked for, if it can; else the most advanced voter that is live and whose disk answers. */
function chooseHeir(state: ReplicaState, wanted: ReplicaState["options"]["address"] | null): Peer | null {
  let best: Peer | null = null;
  for (const peer of otherVoters(state)) {
    if (!isCounted(state, peer) || !isHeard(state, peer) || !peer.diskOk) {
      continue;
    }
    if (peer.address === wanted) {
      return peer;
    }
    if (best === null || peer.decided > best.decided) {
      best = peer;
    }
  }
  return best;
}

/** How long an Inform waits for a Propose or Ping to ride on, ms: with writes under way one always comes. */
const INFORM_PATIENCE_MS = 1;

/** An Inform that found nothing to ride on leaves by itself. */
function flushInform(state: ReplicaState, out: Outbox): void {
  if (state.coordinator !== null && state.now >= state.coordinator.informDue) {
    sendInform(state, out);
  }
}

function sendInform(state: ReplicaState, out: Outbox): void {
  present(state.coordinator, "only a coordinator informs").informDue = NOT_DUE;
  const to = otherVoters(state).map((peer) => peer.address);
  send(state, out, to, { kind: "inform", inform: informPart(state) });
}
