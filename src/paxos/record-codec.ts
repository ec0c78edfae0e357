/**
 * Log records as bytes: a kind byte and the fields in the order of record.ts. Used by the log alone; a record says nothing
 * of its own length, so records follow one another and whoever stores them knows how many there are. A reader throws
 * MalformedBytes on anything else, and must never judge what a record means: that is applyRecord's part.
 */
import { unreachable } from "../base/assert.js";
import { type ByteReader, type ByteWriter, MalformedBytes } from "../base/bytes.js";
import { readConfiguration, writeConfiguration } from "./configuration.js";
import { replicaId } from "./ids.js";
import {
  readBallot,
  readBatch,
  readClusterId,
  readDiskId,
  readHash,
  readLineage,
  readSlot,
  readSnapshotMeta,
  writeBallot,
  writeBatch,
  writeDiskId,
  writeHash,
  writeLineage,
  writeSnapshotMeta,
} from "./message-fields.js";
import type { WalRecord } from "./record.js";

/** The number of each kind on disk. A number is never given to another kind; a new kind takes a new one and a new format version. */
export const RECORD_KIND = {
  boot: 1,
  identity: 2,
  promise: 3,
  accept: 4,
  learn: 5,
  decided: 6,
  snapshot: 7,
  snapshotInstalled: 8,
  trim: 9,
} as const satisfies Record<WalRecord["kind"], number>;

/** Appends `record`. The payload of a batch is copied into the writer: its one copy on the way to the disk. */
export function writeRecord(writer: ByteWriter, record: WalRecord): void {
  writer.u8(RECORD_KIND[record.kind]);
  switch (record.kind) {
    case "boot":
      writeDiskId(writer, record.diskId);
      writer.varint(record.boot);
      return;
    case "identity":
      writer.big64(record.clusterId);
      writeLineage(writer, record.lineage);
      writer.varint(record.replica);
      writeConfiguration(writer, record.configuration);
      return;
    case "promise":
      writeBallot(writer, record.ballot);
      return;
    case "accept":
      writeBallot(writer, record.ballot);
      writer.varint(record.slot);
      writeBatch(writer, record.batch);
      return;
    case "learn":
      writer.varint(record.slot);
      writeBatch(writer, record.batch);
      return;
    case "decided":
      writer.varint(record.slot);
      return;
    case "snapshot":
    case "snapshotInstalled":
      writeSnapshotMeta(writer, record.meta);
      return;
    case "trim":
      writer.varint(record.slot);
      writeHash(writer, record.chain);
      writeConfiguration(writer, record.configuration);
      return;
    default:
      unreachable(record);
  }
}

/** The next record; payloads are views into the input. Throws MalformedBytes. */
export function readRecord(reader: ByteReader): WalRecord {
  const kind = reader.u8();
  switch (kind) {
    case RECORD_KIND.boot:
      return { kind: "boot", diskId: readDiskId(reader), boot: reader.varint() };
    case RECORD_KIND.identity:
      return {
        kind: "identity",
        clusterId: readClusterId(reader),
        lineage: readLineage(reader),
        replica: replicaId(reader.varint()),
        configuration: readConfiguration(reader),
      };
    case RECORD_KIND.promise:
      return { kind: "promise", ballot: readBallot(reader) };
    case RECORD_KIND.accept:
      return { kind: "accept", ballot: readBallot(reader), slot: readSlot(reader), batch: readBatch(reader) };
    case RECORD_KIND.learn:
      return { kind: "learn", slot: readSlot(reader), batch: readBatch(reader) };
    case RECORD_KIND.decided:
      return { kind: "decided", slot: readSlot(reader) };
    case RECORD_KIND.snapshot:
      return { kind: "snapshot", meta: readSnapshotMeta(reader) };
    case RECORD_KIND.snapshotInstalled:
      return { kind: "snapshotInstalled", meta: readSnapshotMeta(reader) };
    case RECORD_KIND.trim:
      return { kind: "trim", slot: readSlot(reader), chain: readHash(reader), configuration: readConfiguration(reader) };
    default:
      throw new MalformedBytes(`log record of kind ${kind}`);
  }
}
