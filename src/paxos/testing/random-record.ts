/** Random log records for the tests of codecs and of storage: any value the types allow, not only those a replica would write. */
import { hashBytes } from "../../base/hash64.js";
import { nextInt, nextU32, type Prng } from "../../base/prng.js";
import { ballot } from "../ballot.js";
import { clusterId, diskId, replicaId, type Slot, slot } from "../ids.js";
import type { SnapshotMeta } from "../message.js";
import type { WalRecord } from "../record.js";
import { randomBatch, randomBytes, randomConfiguration } from "./random-message.js";

export const RECORD_KINDS: ReadonlyArray<WalRecord["kind"]> = [
  "boot",
  "identity",
  "promise",
  "accept",
  "learn",
  "decided",
  "snapshot",
  "snapshotInstalled",
  "trim",
];

const randomSlot = (prng: Prng): Slot => slot(nextInt(prng, 0, 2) === 0 ? nextInt(prng, 0, 300) : nextU32(prng) * 2 ** 20);
const randomBallot = (prng: Prng) => ballot(nextU32(prng), nextInt(prng, 0, 100));
const random64 = (prng: Prng): bigint => (BigInt(nextU32(prng)) << 32n) | BigInt(nextU32(prng));

export function randomSnapshotMeta(prng: Prng): SnapshotMeta {
  return {
    index: randomSlot(prng),
    chain: hashBytes(randomBytes(prng, 8)),
    stateHash: hashBytes(randomBytes(prng, 8)),
    configuration: randomConfiguration(prng),
    chunks: nextInt(prng, 0, 1000),
    bytes: nextU32(prng),
    hash: hashBytes(randomBytes(prng, 8)),
  };
}

export function randomRecord(prng: Prng, kind: WalRecord["kind"]): WalRecord {
  switch (kind) {
    case "boot":
      return { kind, diskId: diskId(nextU32(prng).toString(16).padStart(32, "7")), boot: nextInt(prng, 0, 1e6) };
    case "identity":
      return {
        kind,
        clusterId: clusterId(random64(prng)),
        lineage: { number: nextInt(prng, 0, 9), random: random64(prng) },
        replica: replicaId(nextInt(prng, 0, 200)),
        configuration: randomConfiguration(prng),
      };
    case "promise":
      return { kind, ballot: randomBallot(prng) };
    case "accept":
      return { kind, ballot: randomBallot(prng), slot: randomSlot(prng), batch: randomBatch(prng) };
    case "learn":
      return { kind, slot: randomSlot(prng), batch: randomBatch(prng) };
    case "decided":
      return { kind, slot: randomSlot(prng) };
    case "snapshot":
    case "snapshotInstalled":
      return { kind, meta: randomSnapshotMeta(prng) };
    case "trim":
      return { kind, slot: randomSlot(prng), chain: hashBytes(randomBytes(prng, 8)), configuration: randomConfiguration(prng) };
  }
}
