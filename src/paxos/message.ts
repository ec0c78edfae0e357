/**
 * Every message between replicas, with a sentence for each field (PROTOCOL §1.3). The split into pledges and notices at
 * the end is the rule of durability made a type: a pledge speaks of our own disk and can leave only behind its record.
 */
import type { Hash64 } from "../base/hash64.js";
import type { Ballot } from "./ballot.js";
import type { Batch } from "./batch.js";
import type { MembershipChange } from "./change.js";
import type { Configuration } from "./configuration.js";
import type { Address, ClusterId, DiskId, Lineage, ReplicaId, Slot } from "./ids.js";

/** The version of this message format; a Hello that names another is refused. It is the first field of every Hello, for ever. */
export const PEER_VERSION = 2;

/** Goes with every message. Fixed in the step that emits the message, never when it leaves. */
export type Header = {
  readonly clusterId: ClusterId;
  readonly lineage: Lineage;
  /** The sender; VIRGIN while it has no identity. */
  readonly from: ReplicaId;
  /** The newest configuration's epoch at the sender. */
  readonly epoch: number;
};

/** First on every connection, and again when the sender gets an identity. */
export type Hello = {
  readonly kind: "hello";
  readonly peerVersion: number;
  readonly diskId: DiskId;
  /** How often the server started on this disk. */
  readonly boot: number;
  /** Paxos address of the sender, as the lists name it. */
  readonly address: Address;
  /** Where clients reach the sender: "host:port", for people and `status` only. */
  readonly clientAddress: string;
  /** The sorted list of replicas the sender was started with; empty where it was told to join a cluster. */
  readonly list: readonly Address[];
  readonly decided: Slot;
  readonly highestRound: number;
};

/** "`decided` is decided, and chain(decided) = chain, says the coordinator of `ballot`." */
export type InformPart = { readonly ballot: Ballot; readonly decided: Slot; readonly chain: Hash64 };

/** All-to-all liveness; from a coordinator also the read-index round and the renewal of grants. */
export type Ping = {
  readonly kind: "ping";
  /** Never reused in one life of the sender. */
  readonly seq: number;
  /** Present only from an active coordinator. */
  readonly coordinator: {
    readonly inform: InformPart;
    readonly wantGrant: boolean;
    readonly hardMs: number;
    /** The newest configuration entry, while it is not settled: asks for a SettleAck. */
    readonly settling: Slot | null;
  } | null;
  /** Marks the round of a would-be candidate. */
  readonly preVote: boolean;
  readonly decided: Slot;
  /** State at the sender's newest checkpoint slot, for comparison; slot 0 before the first. */
  readonly checkpoint: { readonly slot: Slot; readonly chain: Hash64; readonly stateHash: Hash64 } | null;
  /** Replicas heard within suspectMs. */
  readonly hears: readonly ReplicaId[];
};

/** To the pinger only. */
export type Pong = {
  readonly kind: "pong";
  readonly seq: number;
  /** The coordinator ballot of the Ping, echoed; zero where it had none. */
  readonly ballot: Ballot;
  readonly promised: Ballot;
  /** promised <= ballot, when this was sent. */
  readonly okFor: boolean;
  /** The ballot this acceptor's unexpired grant is for. */
  readonly granting: Ballot | null;
  readonly hardMs: number;
  readonly decided: Slot;
  readonly hears: readonly ReplicaId[];
  readonly highestRound: number;
  /** False while a sync of the sender's own log is outstanding for longer than suspectMs. */
  readonly diskOk: boolean;
};

/** 1a, for all slots >= from at once. */
export type Prepare = { readonly kind: "prepare"; readonly ballot: Ballot; readonly from: Slot; readonly handoverOf: Ballot | null };

/** One thing an acceptor knows about a slot: a decided value, or what it accepted and at which ballot. */
export type PromiseEntry = { readonly slot: Slot; readonly acceptedAt: Ballot | "decided"; readonly batch: Batch };

/** 1b: everything above the sender's decided slot. Counted only when all parts of one reply are in. */
export type PromiseReply = {
  readonly kind: "promise";
  readonly ballot: Ballot;
  /** Names one answer at one moment: parts of different replies are never combined. */
  readonly replyId: { readonly boot: number; readonly counter: number };
  readonly decided: Slot;
  readonly trimmed: Slot;
  /** From 0 to parts - 1. */
  readonly part: number;
  readonly parts: number;
  readonly entries: readonly PromiseEntry[];
};

/** 2a. One (ballot, slot) pair never carries two batches: invariant 6. */
export type Propose = {
  readonly kind: "propose";
  readonly ballot: Ballot;
  readonly slot: Slot;
  readonly batch: Batch;
  readonly inform: InformPart;
};

/** 2b, for each of `slots`. */
export type Accepted = { readonly kind: "accepted"; readonly ballot: Ballot; readonly slots: readonly Slot[] };

/**
 * Refusal of a Prepare or Propose of `ballot`. ballot: a higher promise; granted: another coordinator holds the grant; noSpace: the disk
 * is full; behind: the slot is too far above our decided slot; quarantine: our disk is damaged; failing: the fail_rate option, means nothing about our state.
 */
export type NackReason = "ballot" | "granted" | "noSpace" | "behind" | "quarantine" | "failing";
export type Nack = {
  readonly kind: "nack";
  readonly ballot: Ballot;
  readonly reason: NackReason;
  readonly promised: Ballot;
  readonly decided: Slot;
  readonly slot: Slot;
};

/** Sent by itself only when no Propose or Ping is about to carry it. */
export type Inform = { readonly kind: "inform"; readonly inform: InformPart };

/** Asks for decided entries from `from` on, at most `maxBytes` of payload. Any replica may serve. */
export type CatchUp = { readonly kind: "catchUp"; readonly from: Slot; readonly maxBytes: number };
export type CatchUpReply = {
  readonly kind: "catchUpReply";
  /** Slot of the first entry; the others follow without a gap. */
  readonly from: Slot;
  readonly entries: readonly Batch[];
  readonly decided: Slot;
  /** chain(from + entries.length - 1). */
  readonly chain: Hash64;
  readonly highestRound: number;
};

/** What a snapshot is: the state after `index`. The same record describes it on disk, on the wire and in the core. */
export type SnapshotMeta = {
  readonly index: Slot;
  /** chain(index). */
  readonly chain: Hash64;
  /** Hash of the state machine's state. */
  readonly stateHash: Hash64;
  /** The configuration that governs index + 1. */
  readonly configuration: Configuration;
  readonly chunks: number;
  readonly bytes: number;
  /** Hash over all chunks in order. */
  readonly hash: Hash64;
};
/** Answers a CatchUp from below the trim point. */
export type SnapshotOffer = { readonly kind: "snapshotOffer"; readonly meta: SnapshotMeta };
/** Asks for one chunk (0 to chunks - 1) of the snapshot at `index`. */
export type SnapshotRequest = { readonly kind: "snapshotRequest"; readonly index: Slot; readonly chunk: number };
export type SnapshotChunk = {
  readonly kind: "snapshotChunk";
  readonly index: Slot;
  readonly chunk: number;
  readonly bytes: Uint8Array;
  readonly crc: number;
};
/** "The snapshot at `index` is installed, durably." */
export type SnapshotAck = { readonly kind: "snapshotAck"; readonly index: Slot };

/** Commands of one session for the coordinator to propose, encoded by the state machine's codec. `id` names the request in one life of the sender. */
export type Forward = { readonly kind: "forward"; readonly id: number; readonly payload: Uint8Array };
/** Replies to a Forward, encoded by the server layer; refused: nothing of it was or will be proposed by this receiver; `coordinator` is the one it knows. */
export type ForwardReply = {
  readonly kind: "forwardReply";
  readonly id: number;
  readonly refused: boolean;
  readonly coordinator: Address | null;
  readonly payload: Uint8Array;
};

/** Asks the coordinator for the slot that a read must wait for. Ids are unique in one life of the asker, so `life` goes with them. */
export type ReadIndex = { readonly kind: "readIndex"; readonly life: number; readonly id: number };
/** `life` and `id` are those of the question: a reply to a former life says nothing about a read of the present one. */
export type ReadIndexReply = {
  readonly kind: "readIndexReply";
  readonly life: number;
  readonly id: number;
  readonly ballot: Ballot;
  readonly index: Slot;
};

/** The sender has retired `ballot`; the receiver may take over at once, naming it. */
export type Handover = { readonly kind: "handover"; readonly ballot: Ballot };

/** Names the first configuration to a virgin that it lists. */
export type Genesis = {
  readonly kind: "genesis";
  readonly clusterId: ClusterId;
  readonly lineage: Lineage;
  readonly configuration: Configuration;
};
export type GenesisAck = { readonly kind: "genesisAck"; readonly clusterId: ClusterId };

/** From a virgin that was told that the cluster exists without it, or passed on to the coordinator by the member that it asked. */
export type Join = { readonly kind: "join"; readonly address: Address; readonly diskId: DiskId; readonly electable: boolean };
/**
 * To a virgin: a cluster exists. `configuration`, where there is one, is decided and lists its disk: the virgin takes its ReplicaId
 * from it. `listed` says whether its address is in the roster, with this disk or another.
 */
export type JoinReply = {
  readonly kind: "joinReply";
  readonly clusterId: ClusterId;
  readonly lineage: Lineage;
  readonly configuration: Configuration | null;
  readonly listed: boolean;
};

/** An operator's wish, passed on to the coordinator. `life` and `id` name the request in the life of the sender, and come back with the answer. */
export type Change = { readonly kind: "change"; readonly life: number; readonly id: number; readonly change: MembershipChange };
/** slot: where the change was decided, 0 where nothing had to be changed. refusal: why it was not, in a sentence. */
export type ChangeReply = {
  readonly kind: "changeReply";
  readonly life: number;
  readonly id: number;
  readonly slot: Slot;
  readonly refusal: string | null;
};

/** "My durable decided slot covers the configuration entry at `slot`" (PROTOCOL §4.2). */
export type SettleAck = { readonly kind: "settleAck"; readonly epoch: number; readonly slot: Slot };

/** Statements about our own disk: they leave only once it has them (PROTOCOL §1.1, §1.8). The whole list is here. */
export type Pledge = Hello | Prepare | PromiseReply | Accepted | GenesisAck | SettleAck | SnapshotAck;
/** Statements that hold whatever our disk says. */
export type Notice =
  | Ping
  | Pong
  | Propose
  | Nack
  | Inform
  | CatchUp
  | CatchUpReply
  | SnapshotOffer
  | SnapshotRequest
  | SnapshotChunk
  | Forward
  | ForwardReply
  | ReadIndex
  | ReadIndexReply
  | Handover
  | Genesis
  | Join
  | JoinReply
  | Change
  | ChangeReply;
export type Message = Pledge | Notice;
