/**
 * The fields that peer messages are made of, as bytes: ballots, hashes, batches, bounded lists. Used by the message codec
 * alone. A reader here never trusts a length and never throws anything but MalformedBytes, whatever it is given.
 */
import { assert } from "../base/assert.js";
import { type ByteReader, type ByteWriter, MalformedBytes } from "../base/bytes.js";
import { type Hash64, hashOfWords, highWord, lowWord } from "../base/hash64.js";
import type { Ballot } from "./ballot.js";
import { BATCH_KIND, type Batch, decodeBatch } from "./batch.js";
import { readConfiguration, writeConfiguration } from "./configuration.js";
import { type Address, address, type ClusterId, clusterId, type DiskId, diskId, type Lineage, replicaId, type Slot, slot } from "./ids.js";
import type { InformPart, SnapshotMeta } from "./message.js";

/** Longest address, in bytes of UTF-8: a DNS name of 255 and a port. */
export const ADDRESS_BYTES_MAX = 300;

/** A list length of at most `max`; `what` names the list in the error. */
export function readCount(reader: ByteReader, max: number, what: string): number {
  const count = reader.varint();
  if (count > max) {
    throw new MalformedBytes(`${count} ${what}, at most ${max} are allowed`);
  }
  return count;
}

/** Our own bounds hold for what we send as well: a message that the peers would refuse is a bug here. */
export function writeCount(writer: ByteWriter, count: number, max: number): void {
  assert(count <= max, "a list we send is within the bound its reader checks");
  writer.varint(count);
}

export function writeBallot(writer: ByteWriter, ballot: Ballot): void {
  writer.varint(ballot.round).varint(ballot.replica);
}

export function readBallot(reader: ByteReader): Ballot {
  const round = reader.varint();
  return { round, replica: replicaId(reader.varint()) };
}

/** Null is written as one byte. */
export function writeOptionalBallot(writer: ByteWriter, ballot: Ballot | null): void {
  writer.boolean(ballot !== null);
  if (ballot !== null) {
    writeBallot(writer, ballot);
  }
}

export function readOptionalBallot(reader: ByteReader): Ballot | null {
  return reader.boolean() ? readBallot(reader) : null;
}

export function readSlot(reader: ByteReader): Slot {
  return slot(reader.varint());
}

export function writeHash(writer: ByteWriter, hash: Hash64): void {
  writer.u32(highWord(hash)).u32(lowWord(hash));
}

export function readHash(reader: ByteReader): Hash64 {
  const high = reader.u32();
  return hashOfWords(high, reader.u32());
}

export function writeInform(writer: ByteWriter, inform: InformPart): void {
  writeBallot(writer, inform.ballot);
  writer.varint(inform.decided);
  writeHash(writer, inform.chain);
}

export function readInform(reader: ByteReader): InformPart {
  return { ballot: readBallot(reader), decided: readSlot(reader), chain: readHash(reader) };
}

/** Kind and payload; the digest is computed again by the reader. */
export function writeBatch(writer: ByteWriter, batch: Batch): void {
  writer.u8(BATCH_KIND[batch.kind]).bytes(batch.payload);
}

/** The payload is a view into the input. */
export function readBatch(reader: ByteReader): Batch {
  const kind = reader.u8();
  return decodeBatch(kind, reader.bytes());
}

/** Bytes behind their length, at most `max` of them: a view into the input. */
export function readBoundedBytes(reader: ByteReader, max: number, what: string): Uint8Array {
  return reader.raw(readCount(reader, max, `bytes of ${what}`));
}

export function readAddress(reader: ByteReader): Address {
  const text = reader.text();
  if (text.length === 0 || text.length > ADDRESS_BYTES_MAX) {
    throw new MalformedBytes(`address of ${text.length} characters, 1 to ${ADDRESS_BYTES_MAX} are allowed`);
  }
  return address(text);
}

/** A disk id as the 16 bytes it stands for. */
export function writeDiskId(writer: ByteWriter, disk: DiskId): void {
  for (let at = 0; at < disk.length; at += 8) {
    writer.u32(Number.parseInt(disk.slice(at, at + 8), 16));
  }
}

export function readDiskId(reader: ByteReader): DiskId {
  const first = readHash(reader);
  return diskId(first + readHash(reader));
}

export function writeLineage(writer: ByteWriter, lineage: Lineage): void {
  writer.varint(lineage.number).big64(lineage.random);
}

export function readLineage(reader: ByteReader): Lineage {
  const number = reader.varint();
  return { number, random: reader.big64() };
}

export function readClusterId(reader: ByteReader): ClusterId {
  return clusterId(reader.big64());
}

export function writeSnapshotMeta(writer: ByteWriter, meta: SnapshotMeta): void {
  writer.varint(meta.index);
  writeHash(writer, meta.chain);
  writeHash(writer, meta.stateHash);
  writeConfiguration(writer, meta.configuration);
  writer.varint(meta.chunks).varint(meta.bytes);
  writeHash(writer, meta.hash);
}

export function readSnapshotMeta(reader: ByteReader): SnapshotMeta {
  return {
    index: readSlot(reader),
    chain: readHash(reader),
    stateHash: readHash(reader),
    configuration: readConfiguration(reader),
    chunks: reader.varint(),
    bytes: reader.varint(),
    hash: readHash(reader),
  };
}
