/**
 * One replica of the protocol as a pure function: `step(state, event)` returns the effects to run, in order. No clock, no
 * I/O, no randomness but the generator in the state. This file only routes; the rules live in the modules it names.
 */
import { assert, unreachable } from "../base/assert.js";
import { onPrepare, onPropose } from "./acceptor.js";
import { compareBallots, equalBallots } from "./ballot.js";
import { evaluatePromises, onPromise } from "./candidate.js";
import {
  forgetQuestion,
  onCatchUp,
  onCatchUpReply,
  onChunkStored,
  onSnapshotChunk,
  onSnapshotLoaded,
  onSnapshotOffer,
  onSnapshotRequest,
  onSnapshotTaken,
  tickCatchUp,
} from "./catch-up.js";
import { onChange, onChangeReply, onChangeRequest, pumpChanges } from "./change-requests.js";
import { onCheckpoint } from "./checkpoint.js";
import { beginHandover, canPropose, countOwnAcceptances, onAccepted, propose, stepDownIfBelow, tickCoordinator } from "./coordinator.js";
import type { Effect, Event } from "./effect.js";
import { nominationDue, onHandover, onNominate, onPrepareRefused, scheduleFirstNomination, tickElection } from "./election.js";
import { HELLO_MS, onGenesis, onGenesisAck, onHello, resendGenesis, sayHello, tryFound } from "./founding.js";
import { followedCoordinator, voidGrantOfGone } from "./grant.js";
import { type Address, SLOT_ZERO, VIRGIN } from "./ids.js";
import { answerVirgin, askToJoin, onJoin, onJoinReply } from "./joining.js";
import { onInform } from "./learner.js";
import { recoverLog } from "./log.js";
import { admitStranger, allPeers, forgetStrangers, hasIdentity, isAdmitted, isKin } from "./membership.js";
import type { Header, Message, Nack } from "./message.js";
import { notice, type Outbox, persist } from "./outbox.js";
import { onPing, onPong, sendPing } from "./ping.js";
import { onRead, onReadCancel, onReadIndex, onReadIndexReply, redispatchReads, tickReads, voidRounds } from "./read-index.js";
import { hearSettled, leaveWhenDue, noteConfiguration, takeLeave } from "./reconfiguration.js";
import { durableDecided } from "./record.js";
import { hastenResend, onFailing, resendDue, tickResend } from "./resend.js";
import { onSettleAck } from "./settling.js";
import { micros, NEVER, NOT_DUE, type Peer, type ReplicaState } from "./state.js";
import { blockedSentence } from "./status.js";

export { heirOfTieBreak } from "./change-requests.js";
export { CHECKPOINT_SLOTS } from "./checkpoint.js";
export { canPropose, isActiveCoordinator } from "./coordinator.js";
export { snapshotBase } from "./log.js";
export { isKnownPeer } from "./membership.js";
export { headerOf, isNamed } from "./outbox.js";
export { createReplica, type ReplicaOptions, type ReplicaState } from "./state.js";
export { blockedSentence, lastVoterSentence, type ReplicaStatus, statusOf } from "./status.js";

/** Advances the replica by one event. `event.now` never goes back. Throws AssertionFailure where an invariant does not hold. */
export function step(state: ReplicaState, event: Event): readonly Effect[] {
  const out: Outbox = [];
  assert(event.now >= state.now, "time does not go back within one life");
  assert(state.started === (event.kind !== "start"), "start is the first event, and comes once");
  state.now = event.now;
  handle(state, out, event);
  announceCoordination(state, out);
  keepHint(state, out);
  checkState(state);
  requestWake(state, out);
  return out;
}

function handle(state: ReplicaState, out: Outbox, event: Event): void {
  switch (event.kind) {
    case "start":
      return onStart(state, out, event.durable);
    case "receive":
      return onReceive(state, out, event);
    case "tick":
      return onTick(state, out);
    case "persisted":
      return onPersisted(state, out, event.lsn);
    case "propose":
      if (canPropose(state)) {
        propose(state, out, event.batch);
      } else {
        out.push({ kind: "refused", batch: event.batch });
      }
      return;
    case "read":
      return onRead(state, out, event.id);
    case "readCancel":
      return onReadCancel(state, event.id);
    case "connected":
      return onConnected(state, out, event.address);
    case "peerGone":
      return onPeerGone(state, event.address);
    case "space":
      state.spaceLow = event.low;
      return;
    case "clockGap":
      return voidRounds(state);
    case "handover":
      return beginHandover(state, out, { heir: event.heir, asked: true });
    case "nominate":
      return onNominate(state, out);
    case "change":
      return onChangeRequest(state, out, event);
    case "snapshotTaken":
      return onSnapshotTaken(state, out, event.meta);
    case "chunkStored":
      return onChunkStored(state, out, event);
    case "snapshotLoaded":
      return onSnapshotLoaded(state, out, event.meta, event.ok);
    case "checkpoint":
      return onCheckpoint(state, event.slot, event.stateHash);
    default:
      unreachable(event);
  }
}

function onStart(state: ReplicaState, out: Outbox, durable: ReplicaState["durable"]): void {
  state.started = true;
  state.durable = durable;
  assert(durable.boot > 0, "the boot count was raised before the core starts");
  state.highestRound = durable.promised.round;
  state.nextPingAt = state.now;
  state.nextHelloAt = state.now + micros(HELLO_MS);
  if (!hasIdentity(state)) {
    tryFound(state, out);
    return;
  }
  recoverLog(state, out);
  assert(state.decided >= durableDecided(durable), "a restart knows at least what was durably decided");
  noteConfiguration(state, out);
  takeLeave(state, out, NEVER);
  scheduleFirstNomination(state);
}

function onTick(state: ReplicaState, out: Outbox): void {
  if (state.now >= state.wakeAt) {
    state.wakeAt = NOT_DUE;
  }
  if (state.now >= state.nextHelloAt) {
    state.nextHelloAt = state.now + micros(HELLO_MS);
    sayHello(state, out, allPeers(state));
    askToJoin(state, out, allPeers(state));
    tellFounding(state, out);
    forgetStrangers(state, out);
  }
  if (!hasIdentity(state)) {
    return;
  }
  if (state.now >= state.nextPingAt) {
    resendGenesis(state, out);
    sendPing(state, out, false);
  }
  tickCoordinator(state, out);
  tickElection(state, out);
  tickResend(state, out);
  tickReads(state, out);
  tickCatchUp(state, out);
  pumpChanges(state, out);
  leaveWhenDue(state, out);
}

/** While the cluster is being founded the log names who is awaited, whenever that changes. */
function tellFounding(state: ReplicaState, out: Outbox): void {
  const sentence = state.highestRound === 0 ? blockedSentence(state) : null;
  if (sentence !== null) {
    notice(state, out, "info", "founding", sentence);
  }
}

function onPersisted(state: ReplicaState, out: Outbox, lsn: number): void {
  assert(lsn > state.persistedLsn && lsn <= state.lsn, "syncs are reported in order, and only of what was persisted");
  state.persistedLsn = lsn;
  const oldest = state.unsynced[0];
  if (oldest !== undefined) {
    state.syncTime = Math.max(state.now - oldest.at, Math.floor((state.syncTime * 7) / 8));
  }
  while (state.unsynced[0] !== undefined && state.unsynced[0].lsn <= lsn) {
    state.unsyncedBytes -= state.unsynced[0].bytes;
    state.unsynced.shift();
  }
  if (state.founding.identityLsn !== null && state.founding.identityLsn <= lsn) {
    state.founding.identityLsn = null;
    resendGenesis(state, out);
  }
  countOwnAcceptances(state, out);
  evaluatePromises(state, out);
}

function onConnected(state: ReplicaState, out: Outbox, address: Address): void {
  const peer = state.peers.get(address);
  if (peer !== undefined) {
    peer.gone = false;
    sayHello(state, out, [address]);
    hastenResend(state, peer); // what was asked while there was no stream is lost
    forgetQuestion(state, address);
    if (hasIdentity(state) && peer.replica === VIRGIN && peer.hello !== null) {
      answerVirgin(state, out, peer, peer.hello); // it knocked before there was a stream to answer on
    }
  }
}

function onPeerGone(state: ReplicaState, address: Address): void {
  const peer = state.peers.get(address);
  if (peer !== undefined && !peer.gone) {
    peer.gone = true; // said again, it must not begin the wait for our nomination anew
    voidGrantOfGone(state, peer);
  }
}

function onReceive(
  state: ReplicaState,
  out: Outbox,
  { address, header, message }: { address: Address; header: Header; message: Message },
): void {
  const peer = state.peers.get(address) ?? (message.kind === "hello" ? admitStranger(state, out, address, header) : undefined);
  if (peer === undefined) {
    if (state.options.join.length > 0) {
      return; // the members of the cluster that it joins speak first; it knows them when it is one of them
    }
    notice(state, out, "warn", "unlisted-peer", `${address} speaks to this server, but is not in its list of replicas: check both lists.`);
    return;
  }
  peer.lastHeard = state.now;
  peer.gone = false;
  if (message.kind === "hello") {
    onHello(state, out, peer, header, message);
  } else if (isAdmitted(state, header, peer, message.kind)) {
    dispatch(state, out, { peer, header, message });
  }
}

function dispatch(state: ReplicaState, out: Outbox, { peer, header, message }: { peer: Peer; header: Header; message: Message }): void {
  switch (message.kind) {
    case "ping":
      onPing(state, out, peer, message);
      return hearSettled(state, peer, header, message);
    case "pong":
      return onPong(state, out, peer, message);
    case "prepare":
      return onPrepare(state, out, peer, message);
    case "promise":
      return onPromise(state, out, peer, message);
    case "propose":
      return onPropose(state, out, peer, message);
    case "accepted":
      return onAccepted(state, out, peer, message);
    case "nack":
      return onNack(state, out, peer, message);
    case "inform":
      return onInform(state, out, message.inform);
    case "catchUp":
      return onCatchUp(state, out, peer, message);
    case "catchUpReply":
      return isKin(state, peer) ? onCatchUpReply(state, out, peer, message) : undefined;
    case "snapshotOffer":
      return isKin(state, peer) ? onSnapshotOffer(state, out, peer, message) : undefined;
    case "snapshotRequest":
      return onSnapshotRequest(state, out, peer, message);
    case "snapshotChunk":
      return onSnapshotChunk(state, out, message);
    case "readIndex":
      return onReadIndex(state, out, peer, message);
    case "readIndexReply":
      return onReadIndexReply(state, out, message);
    case "handover":
      return onHandover(state, out, message);
    case "genesis":
      return onGenesis(state, out, peer, message);
    case "genesisAck":
      return onGenesisAck(state, peer, header);
    case "joinReply":
      return onJoinReply(state, out, peer, message);
    case "join":
      return onJoin(state, out, peer, message);
    case "settleAck":
      return onSettleAck(state, peer, message);
    case "change":
      return onChange(state, out, peer, message);
    case "changeReply":
      return onChangeReply(state, out, message);
    case "hello":
    case "snapshotAck":
    case "forward":
    case "forwardReply":
      return; // Hello was handled before; a SnapshotAck says nothing that Pongs do not; the others belong to the server layer
    default:
      unreachable(message);
  }
}

/** Refusals of what this replica asked in its present ballot (PROTOCOL §1.6). */
function onNack(state: ReplicaState, out: Outbox, peer: Peer, nack: Nack): void {
  const ballot = state.coordinator?.ballot ?? state.candidate?.ballot;
  state.highestRound = Math.max(state.highestRound, nack.promised.round);
  if (ballot === undefined || !equalBallots(nack.ballot, ballot)) {
    return;
  }
  switch (nack.reason) {
    case "failing":
      onFailing(state, peer, state.candidate === null ? nack.slot : SLOT_ZERO);
      return;
    case "ballot":
      assert(compareBallots(nack.promised, ballot) > 0, "a ballot is refused only for a higher one");
      stepDownIfBelow(state, out, nack.promised, "a voter promised a higher ballot", peer);
      return;
    case "behind":
      if (state.coordinator !== null) {
        state.coordinator.informDue = state.now;
      }
      return;
    case "noSpace":
    case "granted":
    case "quarantine":
      peer.diskOk = nack.reason === "granted";
      onPrepareRefused(state, peer, nack);
      return;
    default:
      unreachable(nack.reason);
  }
}

/** The durable decided slot lags the volatile one by less than the window, whichever way D moved (PROTOCOL §1.4, step 2). */
function keepHint(state: ReplicaState, out: Outbox): void {
  if (state.decided - durableDecided(state.durable) >= state.options.windowSlots) {
    persist(state, out, [{ kind: "decided", slot: state.decided }], []);
  }
}

/** Tells the server layer, once, whenever another replica coordinates than it was told of. */
function announceCoordination(state: ReplicaState, out: Outbox): void {
  const followed = followedCoordinator(state);
  const active = state.coordinator !== null;
  const { announced } = state;
  const ballot = followed?.ballot ?? state.durable.promised;
  const address = followed?.address ?? null;
  if (announced.coordinator === address && announced.active === active && (address === null || equalBallots(announced.ballot, ballot))) {
    return;
  }
  state.announced = { coordinator: address, ballot, active };
  out.push({ kind: "coordination", coordinator: address, ballot, active });
  redispatchReads(state, out);
}

/** Asks for a tick at the earliest moment at which something is due, if none was asked for by then. */
function requestWake(state: ReplicaState, out: Outbox): void {
  let due = Math.min(resendDue(state), state.coordinator?.informDue ?? NOT_DUE, state.election.preVote?.deadline ?? NOT_DUE);
  if (hasIdentity(state) && state.coordinator === null && state.candidate === null) {
    const nomination = nominationDue(state);
    if (nomination > state.now) {
      due = Math.min(due, nomination);
    }
  }
  if (due < state.wakeAt) {
    state.wakeAt = Math.max(due, state.now);
    out.push({ kind: "wake", at: state.wakeAt });
  }
}

/** Invariants that hold between any two steps, whatever happened (PROTOCOL §7.1). */
function checkState(state: ReplicaState): void {
  const { durable, coordinator } = state;
  assert(durable.trimmed <= state.decided, "invariant 12: the trim point lies in the decided prefix");
  assert(durable.trimmed <= (durable.snapshot?.index ?? 0), "invariant 12: nothing is trimmed beyond the durable snapshot");
  assert(durable.hint <= state.decided || durable.replica === 0, "the durable hint never exceeds what is decided");
  assert(coordinator === null || equalBallots(coordinator.ballot, durable.promised), "a coordinator's own promise is its ballot");
  assert(coordinator === null || state.candidate === null, "phase 1 is over once phase 2 begins");
  assert(state.reads.current === null || coordinator !== null, "only a coordinator runs read rounds");
}
