/**
 * Everything one replica knows, as one value: what is on its disk (`durable`, changed by `applyRecord` alone) and what a
 * crash forgets. The modules beside this one are functions over it; none of them keeps anything of its own.
 */
import { assert } from "../base/assert.js";
import type { Hash64 } from "../base/hash64.js";
import { ZERO_HASH } from "../base/hash64.js";
import { type Prng, seedPrng } from "../base/prng.js";
import { BALLOT_ZERO, type Ballot } from "./ballot.js";
import type { Batch } from "./batch.js";
import type { MembershipChange } from "./change.js";
import type { Configuration } from "./configuration.js";
import {
  type Address,
  type ClusterId,
  diskId,
  type Lineage,
  type Micros,
  NO_CLUSTER,
  NO_LINEAGE,
  type ReplicaId,
  SLOT_ZERO,
  type Slot,
  VIRGIN,
} from "./ids.js";
import type { Hello, InformPart, PromiseReply, SnapshotMeta } from "./message.js";
import { type Durable, virginDurable } from "./record.js";

/** How a replica is told to behave. Times in milliseconds, sizes in bytes. */
export type ReplicaOptions = {
  /** Our Paxos address, as the lists name it. */
  readonly address: Address;
  /** Where clients reach this server; only announced. */
  readonly clientAddress: string;
  /** All servers that found the cluster, this one included, in any order. */
  readonly list: readonly Address[];
  /** Seeds the replica's generator; from true randomness outside tests. */
  readonly seed: number;
  /** h: rhythm of the all-to-all Ping. Default 100. */
  readonly pingMs: number;
  /** L: how long a grant lasts. Default 600. */
  readonly grantMs: number;
  /** S: a peer silent for so long is suspected. Default 600. */
  readonly suspectMs: number;
  /** W: undecided proposals at most, slots and bytes. Defaults 64 and 8 MiB. */
  readonly windowSlots: number;
  readonly windowBytes: number;
  /** What the log keeps below the snapshot for replicas that lag. Defaults 10,000 slots and 64 MiB. */
  readonly keepSlots: number;
  readonly keepBytes: number;
  /** T: a voter unheard or unfit for so long is made an observer; 0 leaves that to the operator. Default 5,000. */
  readonly removeAfterMs: number;
  /** An electable observer that was fit for so long is made a voter again; doubles with each time it lost its vote. Default 3,000. */
  readonly stableMs: number;
  /** The autopilot leaves at least so many voters. Default 1. */
  readonly minVoters: number;
  /** Members of a cluster that this server joins where its disk is empty; then it founds none. `list` is this server alone. */
  readonly join: readonly Address[];
  /** Whether, joining, it asks to be made a voter when it has caught up. */
  readonly electable: boolean;
};

/** What is known of another server. Durations and times are microseconds of our clock; NEVER where it did not happen. */
export type Peer = {
  readonly address: Address;
  /** The Hello of its newest life that reached us, and the identity that Hello came under. */
  hello: Hello | null;
  replica: ReplicaId;
  clusterId: ClusterId;
  lineage: Lineage;
  /** Its disk is not the one this identity belongs to, or it went back in time: it is never counted. */
  foreign: boolean;
  /** Its last Hello was of an older life than one before: since when none came of the newer, and whether it was repeated, so that it is not just late. */
  wentBack: { readonly since: Micros; readonly isSure: boolean } | null;
  /** Its process is gone: the connection closed and a new one was refused. */
  gone: boolean;
  /** When this replica heard of it for the first time. */
  readonly heardOf: Micros;
  lastHeard: Micros;
  lastPong: Micros;
  decided: Slot;
  diskOk: boolean;
  /** Smoothed time from a Ping to its Pong. */
  roundTrip: Micros;
  /** Smoothed time from a Propose to its Accepted, the peer's sync included. */
  acceptTime: Micros;
  /** Sending time of our newest Ping that it answered okFor our ballot. */
  okSentAt: Micros;
  /** When what it owes (Promise or Accepted) is asked for again, and the wait after that. */
  resendAt: Micros;
  resendWait: Micros;
  /** Slots it refused with Nack(failing) (slot 0: the Prepare), and when they are asked for again. */
  readonly failing: Set<Slot>;
  failingAt: Micros;
  failingWait: Micros;
  /** Since when it was asked to accept something without any answer; null when it owes none. Kept when slots are decided without it. */
  owesSince: Micros | null;
  /** Our newest Ping that it answered. */
  pongSeq: number;
  /** Whom it heard, as its answer to that said. */
  hears: readonly ReplicaId[];
  /** Slots that it did not know at its last Pong although they were decided here a rhythm of Pings before. */
  lag: number;
};

/** What the coordinator's autopilot saw of one member, see autopilot.ts; null while it is not so. */
export type Watched = {
  absentSince: Micros | null;
  unfitSince: Micros | null;
  unfitDecided: Slot;
  fitSince: Micros | null;
};

export const NEVER: Micros = Number.NEGATIVE_INFINITY;
export const NOT_DUE: Micros = Number.POSITIVE_INFINITY;

/** What an acceptor owes the owner of `ballot`: to refuse other replicas' Prepares for a while (PROTOCOL §2.2). */
export type Grant = { readonly owner: ReplicaId; readonly ballot: Ballot; until: Micros; hardUntil: Micros };

/** One acceptor's answers to our Prepare: the newest complete one counts, a newer one may be coming in. */
export type PromiseCollection = {
  complete: readonly PromiseReply[] | null;
  readonly incoming: Map<number, PromiseReply>;
  incomingId: PromiseReply["replyId"] | null;
};

/** Phase 1 in progress. */
export type Candidate = {
  readonly ballot: Ballot;
  readonly handoverOf: Ballot | null;
  /** Our own promise counts once this is synced. */
  readonly lsn: number;
  readonly promises: Map<ReplicaId, PromiseCollection>;
  readonly refusedBy: Set<ReplicaId>;
  lastProgress: Micros;
};

/** One undecided proposal. */
export type Proposal = {
  readonly slot: Slot;
  readonly batch: Batch;
  readonly lsn: number;
  readonly acks: Set<ReplicaId>;
  readonly sentAt: Micros;
};

/** Phase 2: this replica coordinates. One ballot, one configuration. */
export type Coordinator = {
  readonly ballot: Ballot;
  readonly configuration: Configuration;
  /** Values found in phase 1 that still wait for a place in the window, in slot order from nextSlot on. */
  readonly adopted: Batch[];
  /** M: reads wait until this is decided (PROTOCOL §1.4, step 5). */
  readonly recovered: Slot;
  nextSlot: Slot;
  readonly proposals: Map<Slot, Proposal>;
  /** The last one proposed, decided or not: who owes an answer is asked about it even when nothing is open any more. */
  newest: Proposal | null;
  proposedBytes: number;
  /** A configuration entry was proposed: nothing may follow it in this ballot. */
  ended: boolean;
  /** The decided slot moved, and no Propose or Ping has said so yet: when an Inform goes by itself. */
  informDue: Micros;
  lastProgress: Micros;
  /** asked: somebody waits to hear that it is done. */
  handover: { readonly heir: Address | null; readonly deadline: Micros; readonly asked: boolean } | null;
};

/** A wish to change the configuration that waits for its turn, or for the coordinator's answer. Idempotent: asking twice changes nothing twice. */
export type ChangeRequest = {
  /** Of the asker: this server (null), or another with the life that asked; a Join has none to answer. */
  readonly from: { readonly address: Address; readonly life: number } | null;
  readonly id: number;
  readonly change: MembershipChange;
  /** When it is given up with the reason why it had to wait. */
  readonly deadline: Micros;
  /** When a coordinator was asked last, or this one proposed it; NEVER: nothing can have come of it. */
  askedAt: Micros;
};

/** What is known of the newest configuration beyond the log. */
export type Membership = {
  /** The configuration whose consequences were drawn, to see when it changes; null without an identity. */
  noted: Configuration | null;
  /** Who has said that its durable decided slot covers the newest entry; `lsn`: our own is behind it. Coordinator only. */
  settling: { readonly slot: Slot; readonly lsn: number; readonly since: Micros; readonly acks: Set<ReplicaId>; isDone: boolean } | null;
  /** When the configuration changed last. */
  changedAt: Micros;
  /** How often each member lost its vote lately, and when it got it back: a flapping one waits longer each time. */
  readonly flaps: Map<ReplicaId, { times: number; votesSince: Micros | null }>;
  /** By id, never by address: two members may have one, and only the newer of them speaks. Coordinator only. */
  readonly watched: Map<ReplicaId, Watched>;
  requests: ChangeRequest[];
  /** The request whose entry is proposed and not yet decided. */
  proposed: ChangeRequest | null;
  /** This replica was removed for good: since when it knows, and whether the others can do without it: it stops then, not before. */
  removal: { since: Micros; isSettled: boolean } | null;
};

/** A snapshot that comes in, chunk by chunk. */
export type Receiving = {
  readonly meta: SnapshotMeta;
  source: Address;
  next: number;
  readonly stored: Set<number>;
  loading: boolean;
  /** The source fell silent, any usable offer may take its place. */
  stalled: boolean;
  /** Since the last chunk the source was asked what it has now. */
  isAskedAnew: boolean;
  at: Micros;
  /** How long the source may be silent before it is asked again. */
  wait: Micros;
};

export type PreVote = { readonly seq: number; readonly deadline: Micros; readonly willing: Set<ReplicaId> };

/** A read waiting at the coordinator: ours (from = null) or a peer's. */
export type ReadRequest = { readonly life: number; readonly id: number; readonly from: Address | null; done: boolean };
/** One Ping round that reads rest on. */
export type ReadRound = {
  readonly seq: number;
  readonly index: Slot;
  readonly startedAt: Micros;
  readonly requests: readonly ReadRequest[];
  readonly acks: Set<ReplicaId>;
};

export type ReplicaState = {
  readonly options: ReplicaOptions;
  readonly prng: Prng;
  now: Micros;
  started: boolean;
  durable: Durable;
  /** The last lsn handed out, and the last one known to be synced. */
  lsn: number;
  persistedLsn: number;
  /** When each persist that is not yet synced was handed out, oldest first. */
  readonly unsynced: { readonly lsn: number; readonly at: Micros; readonly bytes: number }[];
  /** Payload bytes in them: bounds what a hung disk may pile up in memory. */
  unsyncedBytes: number;
  /** How long a sync takes lately: candidates on slow disks are given time for theirs. */
  syncTime: Micros;
  spaceLow: boolean;
  /** Set once this replica is known to hold another state than the others: it votes and serves no more. */
  quarantined: boolean;

  /** D: everything up to here is decided, and was handed out for applying. */
  decided: Slot;
  chain: Hash64;
  /** chain(x) for trimmed < x <= decided. */
  readonly chains: Map<Slot, Hash64>;
  /** Ascending; the last one that begins at or below a slot governs it. */
  configurations: { readonly from: Slot; readonly configuration: Configuration }[];
  /** Payload bytes of the decided entries that are held. */
  heldBytes: number;

  readonly peers: Map<Address, Peer>;
  highestRound: number;
  pingSeq: number;
  nextPingAt: Micros;
  nextHelloAt: Micros;
  /** Sending times of recent Pings, by seq. */
  readonly pingsSent: Map<number, Micros>;
  /** What was decided when the Ping of the present rhythm was sent, and one rhythm before: whoever knows that does not lag. */
  rhythm: { at: Micros; decided: Slot; decidedBefore: Slot };
  replyCounter: number;

  grant: Grant | null;
  election: { waitUntil: Micros; attempts: number; coordinatorGone: boolean; preVote: PreVote | null };
  candidate: Candidate | null;
  coordinator: Coordinator | null;
  /** What the last `coordination` effect said. */
  announced: { coordinator: Address | null; ballot: Ballot; active: boolean };
  wakeAt: Micros;

  /** The newest inform that could not be followed yet. */
  remembered: InformPart | null;
  /** Others know more than D is, since when D last moved. */
  lagging: { readonly decided: Slot; readonly since: Micros } | null;
  catchUp: {
    asked: { readonly peer: Address; readonly at: Micros } | null;
    /** How long an answer may take; doubles while answers fail to come. */
    wait: Micros;
    /** The peer that failed us last; another is asked first. */
    avoid: Address | null;
    /** Who asked for a snapshot while this replica had none: the next one is offered to them. */
    readonly waiting: Set<Address>;
    receiving: Receiving | null;
  };

  readonly reads: {
    /** Reads of this server: the slot they must see once known, and when the coordinator was asked. */
    readonly local: Map<number, { index: Slot | null; askedAt: Micros }>;
    queue: ReadRequest[];
    readonly rounds: Map<number, ReadRound>;
    /** The round that holds up the next one. */
    current: number | null;
  };

  readonly founding: {
    /** Replicas known to hold Genesis durably. */
    readonly holders: Set<ReplicaId>;
    /** Our own identity record; Genesis is sent once it is synced. */
    identityLsn: number | null;
    /** A cluster exists that does not know this disk yet, as `via` said: this virgin asks to join it. */
    joining: { readonly via: Address; readonly listed: boolean } | null;
  };
  readonly membership: Membership;
  /** Codes and subjects of notices already given, so that each is given once. */
  readonly noticed: Set<string>;
  checkpoint: { readonly slot: Slot; readonly chain: Hash64; readonly stateHash: Hash64 } | null;
  /** The snapshot before the newest one: a peer that is receiving it may finish. */
  previousSnapshot: SnapshotMeta | null;
  readonly disagreeing: Set<ReplicaId>;
};

export function newPeer(address: Address, heardOf: Micros = 0): Peer {
  return {
    address,
    hello: null,
    replica: VIRGIN,
    clusterId: NO_CLUSTER,
    lineage: NO_LINEAGE,
    foreign: false,
    wentBack: null,
    gone: false,
    heardOf,
    lastHeard: NEVER,
    lastPong: NEVER,
    decided: SLOT_ZERO,
    diskOk: true,
    roundTrip: 0,
    acceptTime: 0,
    okSentAt: NEVER,
    resendAt: NOT_DUE,
    resendWait: 0,
    failing: new Set(),
    failingAt: NOT_DUE,
    failingWait: 0,
    owesSince: null,
    pongSeq: 0,
    hears: [],
    lag: Number.POSITIVE_INFINITY,
  };
}

/** A replica that has not seen its `start` event. Throws AssertionFailure on options that config validation must have refused. */
export function createReplica(options: ReplicaOptions): ReplicaState {
  assert(options.list.includes(options.address), "the list of replicas names this server");
  assert(new Set(options.list).size === options.list.length, "the list of replicas names each server once");
  assert(
    options.pingMs > 0 && options.grantMs > options.pingMs && options.suspectMs > options.pingMs,
    "pingMs is below grantMs and suspectMs",
  );
  assert(options.join.length === 0 || options.list.length === 1, "who joins a cluster founds none");
  const known = new Set([...options.list, ...options.join]);
  known.delete(options.address);
  const peers = new Map([...known].map((listed) => [listed, newPeer(listed)]));
  return {
    options,
    prng: seedPrng(options.seed),
    now: 0,
    started: false,
    durable: virginDurable(diskId("0".repeat(32))),
    lsn: 0,
    persistedLsn: 0,
    unsynced: [],
    unsyncedBytes: 0,
    syncTime: 0,
    spaceLow: false,
    quarantined: false,
    decided: SLOT_ZERO,
    chain: ZERO_HASH,
    chains: new Map(),
    configurations: [],
    heldBytes: 0,
    peers,
    highestRound: 0,
    pingSeq: 0,
    nextPingAt: 0,
    nextHelloAt: 0,
    pingsSent: new Map(),
    rhythm: { at: NEVER, decided: SLOT_ZERO, decidedBefore: SLOT_ZERO },
    replyCounter: 0,
    grant: null,
    election: { waitUntil: NOT_DUE, attempts: 0, coordinatorGone: false, preVote: null },
    candidate: null,
    coordinator: null,
    announced: { coordinator: null, ballot: BALLOT_ZERO, active: false },
    wakeAt: NOT_DUE,
    remembered: null,
    lagging: null,
    catchUp: { asked: null, wait: 0, avoid: null, waiting: new Set(), receiving: null },
    reads: { local: new Map(), queue: [], rounds: new Map(), current: null },
    founding: { holders: new Set(), identityLsn: null, joining: null },
    membership: {
      noted: null,
      settling: null,
      changedAt: NEVER,
      flaps: new Map(),
      watched: new Map(),
      requests: [],
      proposed: null,
      removal: null,
    },
    noticed: new Set(),
    checkpoint: null,
    previousSnapshot: null,
    disagreeing: new Set(),
  };
}

/** Milliseconds as the core counts time. */
export function micros(millis: number): Micros {
  return millis * 1000;
}
