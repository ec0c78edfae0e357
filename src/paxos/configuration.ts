/**
 * Configurations: who votes on a slot, and the roster of all members. They are log entries; the configuration of a slot
 * is the fold of the decided prefix below it. Quorums are counted here and nowhere else, and only over the logged voters:
 * never over whoever happens to answer.
 */
import { assert } from "../base/assert.js";
import { type ByteReader, ByteWriter, MalformedBytes } from "../base/bytes.js";
import { type Address, address, type DiskId, diskId, isDiskId, type ReplicaId, replicaId } from "./ids.js";

/** A member: `electable` ones may be made voters without an operator. */
export type RosterEntry = {
  readonly replica: ReplicaId;
  readonly address: Address;
  readonly diskId: DiskId;
  readonly electable: boolean;
};

export type Configuration = {
  /** Rises by one with each change that takes effect. */
  readonly epoch: number;
  /** The epoch this one was made from; an entry whose prevEpoch is not the current epoch changes nothing. */
  readonly prevEpoch: number;
  /** Ascending. */
  readonly voters: readonly ReplicaId[];
  /** Weighs 3 where the other voters weigh 2, so that exactly one of two halves is a quorum. */
  readonly tieBreak: ReplicaId;
  readonly roster: readonly RosterEntry[];
  /** Ids below it that the roster lacks are removed for good. */
  readonly nextReplicaId: ReplicaId;
};

/** Largest number of members a configuration may list; bounds what a decoder allocates. */
export const MEMBERS_MAX = 64;

const VOTER_WEIGHT = 2;
const TIE_BREAK_WEIGHT = 3;

/**
 * Whether the replicas for which `isIn` holds are a quorum: more than half of the total weight 2n + 1. Odd n: the plain
 * majority; even n: a majority, or half with the tie-break. Any two quorums of one configuration share a voter.
 */
export function isQuorum(configuration: Configuration, isIn: (replica: ReplicaId) => boolean): boolean {
  let weight = 0;
  for (const voter of configuration.voters) {
    if (isIn(voter)) {
      weight += voter === configuration.tieBreak ? TIE_BREAK_WEIGHT : VOTER_WEIGHT;
    }
  }
  return 2 * weight > VOTER_WEIGHT * configuration.voters.length + 1;
}

export function isVoter(configuration: Configuration, replica: ReplicaId): boolean {
  return configuration.voters.includes(replica);
}

export function rosterEntry(configuration: Configuration, replica: ReplicaId): RosterEntry | undefined {
  // The hot one of this file: asked several times per message.
  for (const entry of configuration.roster) {
    if (entry.replica === replica) {
      return entry;
    }
  }
  return undefined;
}

/** The first configuration: all listed servers vote, ids follow the order of their addresses, the lowest breaks ties (PROTOCOL §4.8). */
export function genesisConfiguration(members: ReadonlyArray<{ readonly address: Address; readonly diskId: DiskId }>): Configuration {
  assert(members.length > 0 && members.length <= MEMBERS_MAX, "a cluster has 1 to MEMBERS_MAX members");
  const sorted = [...members].sort((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : 0));
  const roster = sorted.map((member, i) => ({
    replica: replicaId(i + 1),
    address: member.address,
    diskId: member.diskId,
    electable: true,
  }));
  return {
    epoch: 1,
    prevEpoch: 0,
    voters: roster.map((entry) => entry.replica),
    tieBreak: replicaId(1),
    roster,
    nextReplicaId: replicaId(roster.length + 1),
  };
}

export function writeConfiguration(writer: ByteWriter, configuration: Configuration): void {
  writer.varint(configuration.epoch).varint(configuration.prevEpoch).varint(configuration.voters.length);
  for (const voter of configuration.voters) {
    writer.varint(voter);
  }
  writer.varint(configuration.tieBreak).varint(configuration.roster.length);
  for (const entry of configuration.roster) {
    writer.varint(entry.replica).text(entry.address).text(entry.diskId).boolean(entry.electable);
  }
  writer.varint(configuration.nextReplicaId);
}

export function readConfiguration(reader: ByteReader): Configuration {
  const epoch = reader.varint();
  const prevEpoch = reader.varint();
  const voters = Array.from({ length: readCount(reader) }, () => replicaId(reader.varint()));
  const tieBreak = replicaId(reader.varint());
  const roster = Array.from({ length: readCount(reader) }, () => ({
    replica: replicaId(reader.varint()),
    address: readRosterAddress(reader),
    diskId: readRosterDiskId(reader),
    electable: reader.boolean(),
  }));
  return { epoch, prevEpoch, voters, tieBreak, roster, nextReplicaId: replicaId(reader.varint()) };
}

export function encodeConfiguration(configuration: Configuration): Uint8Array {
  const writer = new ByteWriter();
  writeConfiguration(writer, configuration);
  return writer.finish();
}

function readCount(reader: ByteReader): number {
  const count = reader.varint();
  if (count > MEMBERS_MAX) {
    throw new MalformedBytes(`${count} members, at most ${MEMBERS_MAX} are allowed`);
  }
  return count;
}

function readRosterAddress(reader: ByteReader): Address {
  const text = reader.text();
  if (text.length === 0) {
    throw new MalformedBytes("empty address of a member");
  }
  return address(text);
}

function readRosterDiskId(reader: ByteReader): DiskId {
  const text = reader.text();
  if (!isDiskId(text)) {
    throw new MalformedBytes("disk id of a member that is not 32 hexadecimal digits");
  }
  return diskId(text);
}
