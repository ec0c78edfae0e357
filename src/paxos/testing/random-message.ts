/**
 * Messages at random, of every kind and with every optional field present and absent, for tests of codecs and
 * descriptions. Must never make a message that a correct server would refuse to encode.
 */
import { unreachable } from "../../base/assert.js";
import { type Hash64, hash64 } from "../../base/hash64.js";
import { nextChance, nextInt, nextU32, type Prng } from "../../base/prng.js";
import { type Ballot, ballot } from "../ballot.js";
import { type Batch, commandsBatch, configurationBatch, NOOP_BATCH } from "../batch.js";
import type { MembershipChange } from "../change.js";
import { type Configuration, genesisConfiguration } from "../configuration.js";
import { type Address, address, type ClusterId, clusterId, type DiskId, diskId, type Lineage, replicaId, type Slot, slot } from "../ids.js";
import { type Header, type InformPart, type Message, type NackReason, PEER_VERSION, type SnapshotMeta } from "../message.js";

const EDGES = [0, 1, 127, 128, 16_383, 16_384, 2 ** 31, 2 ** 32, 2 ** 32 + 1, 2 ** 45, Number.MAX_SAFE_INTEGER];
const NACK_REASONS: readonly NackReason[] = ["ballot", "granted", "noSpace", "behind", "quarantine", "failing"];

function pick<T>(prng: Prng, from: readonly T[]): T {
  return from[nextInt(prng, 0, from.length)] as T;
}

function randomNumber(prng: Prng): number {
  return nextChance(prng, 0.5) ? nextInt(prng, 0, 1000) : pick(prng, EDGES);
}

function randomHex(prng: Prng, digits: number): string {
  let text = "";
  while (text.length < digits) {
    text += nextU32(prng).toString(16).padStart(8, "0");
  }
  return text.slice(0, digits);
}

function randomBig(prng: Prng): bigint {
  return (BigInt(nextU32(prng)) << 32n) | BigInt(nextU32(prng));
}

function randomList<T>(prng: Prng, max: number, make: () => T): T[] {
  return Array.from({ length: nextInt(prng, 0, max + 1) }, make);
}

const randomSlot = (prng: Prng): Slot => slot(randomNumber(prng));
const randomBallot = (prng: Prng): Ballot => ballot(randomNumber(prng), nextInt(prng, 0, 9));
const randomHash = (prng: Prng): Hash64 => hash64(randomHex(prng, 16));
const randomAddress = (prng: Prng): Address => address(`10.0.${nextInt(prng, 0, 256)}.1:${nextInt(prng, 1, 65_536)}`);
const randomDisk = (prng: Prng): DiskId => diskId(randomHex(prng, 32));
const randomCluster = (prng: Prng): ClusterId => clusterId(randomBig(prng));
const randomLineage = (prng: Prng): Lineage => ({ number: nextInt(prng, 1, 9), random: randomBig(prng) });
const orNull = <T>(prng: Prng, make: (prng: Prng) => T): T | null => (nextChance(prng, 0.3) ? null : make(prng));

export function randomBytes(prng: Prng, max: number): Uint8Array {
  return Uint8Array.from({ length: nextInt(prng, 0, max + 1) }, () => nextInt(prng, 0, 256));
}

export function randomConfiguration(prng: Prng): Configuration {
  const members = Array.from({ length: nextInt(prng, 1, 8) }, (_, i) => ({ address: address(`h${i}:9000`), diskId: randomDisk(prng) }));
  const first = genesisConfiguration(members);
  return { ...first, epoch: nextInt(prng, 1, 300), prevEpoch: nextInt(prng, 0, 300) };
}

function randomChange(prng: Prng): MembershipChange {
  const replica = replicaId(nextInt(prng, 0, 9));
  const kind = pick(prng, ["join", "promote", "remove", "suspend", "moveTieBreak"] as const);
  return kind === "join"
    ? { kind, address: randomAddress(prng), diskId: randomDisk(prng), electable: nextChance(prng, 0.5) }
    : { kind, replica };
}

export function randomBatch(prng: Prng): Batch {
  const kind = nextInt(prng, 0, 4);
  return kind === 0 ? NOOP_BATCH : kind === 1 ? configurationBatch(randomConfiguration(prng)) : commandsBatch(randomBytes(prng, 300));
}

function randomInform(prng: Prng): InformPart {
  return { ballot: randomBallot(prng), decided: randomSlot(prng), chain: randomHash(prng) };
}

function randomMeta(prng: Prng): SnapshotMeta {
  return {
    index: randomSlot(prng),
    chain: randomHash(prng),
    stateHash: randomHash(prng),
    configuration: randomConfiguration(prng),
    chunks: nextInt(prng, 0, 1000),
    bytes: randomNumber(prng),
    hash: randomHash(prng),
  };
}

export function randomHeader(prng: Prng): Header {
  return {
    clusterId: randomCluster(prng),
    lineage: randomLineage(prng),
    from: replicaId(nextInt(prng, 0, 300)),
    epoch: randomNumber(prng),
  };
}

/** A message of `kind`. */
export function randomMessage(prng: Prng, kind: Message["kind"]): Message {
  switch (kind) {
    case "hello":
    case "ping":
    case "pong":
      return randomLiveness(prng, kind);
    case "prepare":
    case "promise":
    case "propose":
    case "accepted":
    case "nack":
    case "inform":
    case "handover":
    case "settleAck":
      return randomAgreement(prng, kind);
    default:
      return randomOther(prng, kind);
  }
}

function randomLiveness(prng: Prng, kind: "hello" | "ping" | "pong"): Message {
  const hears = randomList(prng, 7, () => replicaId(nextInt(prng, 1, 300)));
  switch (kind) {
    case "hello":
      return {
        kind,
        peerVersion: PEER_VERSION,
        diskId: randomDisk(prng),
        boot: randomNumber(prng),
        address: randomAddress(prng),
        clientAddress: nextChance(prng, 0.2) ? "" : randomAddress(prng),
        list: randomList(prng, 7, () => randomAddress(prng)),
        decided: randomSlot(prng),
        highestRound: randomNumber(prng),
      };
    case "ping":
      return {
        kind,
        seq: randomNumber(prng),
        coordinator: orNull(prng, () => ({
          inform: randomInform(prng),
          wantGrant: nextChance(prng, 0.5),
          hardMs: nextInt(prng, 0, 2000),
          settling: orNull(prng, randomSlot),
        })),
        preVote: nextChance(prng, 0.5),
        decided: randomSlot(prng),
        checkpoint: orNull(prng, () => ({ slot: randomSlot(prng), chain: randomHash(prng), stateHash: randomHash(prng) })),
        hears,
      };
    case "pong":
      return {
        kind,
        seq: randomNumber(prng),
        ballot: randomBallot(prng),
        promised: randomBallot(prng),
        okFor: nextChance(prng, 0.5),
        granting: orNull(prng, randomBallot),
        hardMs: nextInt(prng, 0, 2000),
        decided: randomSlot(prng),
        hears,
        highestRound: randomNumber(prng),
        diskOk: nextChance(prng, 0.5),
      };
    default:
      return unreachable(kind);
  }
}

type AgreementKind = "prepare" | "promise" | "propose" | "accepted" | "nack" | "inform" | "handover" | "settleAck";

function randomAgreement(prng: Prng, kind: AgreementKind): Message {
  const drawn = randomBallot(prng);
  switch (kind) {
    case "prepare":
      return { kind, ballot: drawn, from: randomSlot(prng), handoverOf: orNull(prng, randomBallot) };
    case "promise": {
      const parts = nextInt(prng, 1, 5);
      return {
        kind,
        ballot: drawn,
        replyId: { boot: randomNumber(prng), counter: randomNumber(prng) },
        decided: randomSlot(prng),
        trimmed: randomSlot(prng),
        part: nextInt(prng, 0, parts),
        parts,
        entries: randomList(prng, 4, () => ({
          slot: randomSlot(prng),
          acceptedAt: nextChance(prng, 0.3) ? ("decided" as const) : randomBallot(prng),
          batch: randomBatch(prng),
        })),
      };
    }
    case "propose":
      return { kind, ballot: drawn, slot: randomSlot(prng), batch: randomBatch(prng), inform: randomInform(prng) };
    case "accepted":
      return { kind, ballot: drawn, slots: randomList(prng, 20, () => randomSlot(prng)) };
    case "nack":
      return {
        kind,
        ballot: drawn,
        reason: pick(prng, NACK_REASONS),
        promised: randomBallot(prng),
        decided: randomSlot(prng),
        slot: randomSlot(prng),
      };
    case "inform":
      return { kind, inform: randomInform(prng) };
    case "handover":
      return { kind, ballot: drawn };
    case "settleAck":
      return { kind, epoch: randomNumber(prng), slot: randomSlot(prng) };
    default:
      return unreachable(kind);
  }
}

type OtherKind = Exclude<Message["kind"], AgreementKind | "hello" | "ping" | "pong">;

function randomOther(prng: Prng, kind: OtherKind): Message {
  const id = randomNumber(prng);
  const index = randomSlot(prng);
  switch (kind) {
    case "catchUp":
      return { kind, from: index, maxBytes: randomNumber(prng) };
    case "catchUpReply":
      return {
        kind,
        from: index,
        entries: randomList(prng, 4, () => randomBatch(prng)),
        decided: randomSlot(prng),
        chain: randomHash(prng),
        highestRound: randomNumber(prng),
      };
    case "snapshotOffer":
      return { kind, meta: randomMeta(prng) };
    case "snapshotRequest":
      return { kind, index, chunk: nextInt(prng, 0, 1000) };
    case "snapshotChunk":
      return { kind, index, chunk: nextInt(prng, 0, 1000), bytes: randomBytes(prng, 500), crc: nextU32(prng) };
    case "snapshotAck":
      return { kind, index };
    case "forward":
      return { kind, id, payload: randomBytes(prng, 200) };
    case "forwardReply":
      return { kind, id, refused: nextChance(prng, 0.5), coordinator: orNull(prng, randomAddress), payload: randomBytes(prng, 200) };
    case "readIndex":
      return { kind, life: randomNumber(prng), id };
    case "readIndexReply":
      return { kind, life: randomNumber(prng), id, ballot: randomBallot(prng), index };
    case "genesis":
      return { kind, clusterId: randomCluster(prng), lineage: randomLineage(prng), configuration: randomConfiguration(prng) };
    case "genesisAck":
      return { kind, clusterId: randomCluster(prng) };
    case "join":
      return { kind, address: randomAddress(prng), diskId: randomDisk(prng), electable: nextChance(prng, 0.5) };
    case "joinReply":
      return {
        kind,
        clusterId: randomCluster(prng),
        lineage: randomLineage(prng),
        configuration: orNull(prng, randomConfiguration),
        listed: nextChance(prng, 0.5),
      };
    case "change":
      return { kind, life: randomNumber(prng), id, change: randomChange(prng) };
    case "changeReply":
      return { kind, life: randomNumber(prng), id, slot: index, refusal: orNull(prng, () => "Replica 3 does not answer.") };
    default:
      return unreachable(kind);
  }
}
