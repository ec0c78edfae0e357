/**
 * The header of a segment: who we are, what we promised and where the log begins, so that the newest segment alone tells it
 * (PROTOCOL §6), and where the segment before it ended, so that a tail cut by one life is no damage to the next. Layout in
 * docs/STORAGE.md; magic, version, length and checksum stay where they are in every later format.
 */
import { assert } from "../base/assert.js";
import { ByteReader, ByteWriter, MalformedBytes } from "../base/bytes.js";
import { crc32c } from "../base/crc32c.js";
import { ballot } from "../paxos/ballot.js";
import { readConfiguration, writeConfiguration } from "../paxos/configuration.js";
import { replicaId, slot } from "../paxos/ids.js";
import {
  readClusterId,
  readDiskId,
  readHash,
  readSnapshotMeta,
  writeDiskId,
  writeHash,
  writeSnapshotMeta,
} from "../paxos/message-fields.js";
import { type Durable, virginDurable } from "../paxos/record.js";
import { alignUp, viewOf } from "./block.js";
import { FORMAT_VERSION, SEGMENT_HEADER_MAX } from "./limits.js";

const MAGIC = Uint8Array.from([0x53, 0x59, 0x4e, 0x4f, 0x44, 0x57, 0x41, 0x4c]); // "SYNODWAL"
const LENGTH_AT = 12;
const CRC_AT = 16;
const CRC_END = 20;

export type SegmentHeader = {
  /** Rises by one with every segment begun, whatever file it is in. */
  readonly generation: number;
  readonly salt: number;
  /** The file is never shorter than this. */
  readonly segmentBytes: number;
  readonly firstLsn: number;
  /** Where the content of the segment of the generation before ends, a block boundary; 0 in the first segment. */
  readonly previousEnd: number;
  /** Segments of lower generations were not needed when this one began. */
  readonly oldestLive: number;
  /** The durable state when it began, without entries. */
  readonly base: Durable;
  /** Bytes of the header, padding included: where the first batch begins. */
  readonly bytes: number;
};

/** The header as it stands in the file, padded to whole blocks. The entries of `base` are left out. */
export function encodeSegmentHeader(header: Omit<SegmentHeader, "bytes">): Uint8Array {
  const { base } = header;
  const writer = new ByteWriter().raw(MAGIC).u32(FORMAT_VERSION).u32(0).u32(0).u32(header.salt);
  writer.u64(header.generation).u64(header.segmentBytes).u64(header.firstLsn).u64(header.previousEnd).u64(header.oldestLive);
  writer.big64(base.clusterId).u64(base.lineage.number).big64(base.lineage.random).u64(base.replica);
  writeDiskId(writer, base.diskId);
  writer.u64(base.boot).u64(base.promised.round).u64(base.promised.replica).u64(base.hint).u64(base.hardMs).u64(base.trimmed);
  writeHash(writer, base.trimmedChain);
  writer.boolean(base.trimmedConfiguration !== null);
  if (base.trimmedConfiguration !== null) {
    writeConfiguration(writer, base.trimmedConfiguration);
  }
  writer.boolean(base.snapshot !== null);
  if (base.snapshot !== null) {
    writeSnapshotMeta(writer, base.snapshot);
  }
  const content = writer.finish();
  assert(content.length <= SEGMENT_HEADER_MAX, "a segment header stays below SEGMENT_HEADER_MAX");
  const padded = new Uint8Array(alignUp(content.length));
  padded.set(content);
  const view = viewOf(padded);
  view.setUint32(LENGTH_AT, content.length, true);
  view.setUint32(CRC_AT, checksum(padded, content.length), true);
  return padded;
}

/** What the first bytes of a file are: a header, one of a later format (its version), or neither (null). */
export function decodeSegmentHeader(bytes: Uint8Array): SegmentHeader | { readonly newerVersion: number } | null {
  if (bytes.length < CRC_END || MAGIC.some((byte, i) => bytes[i] !== byte)) {
    return null;
  }
  const view = viewOf(bytes);
  const length = view.getUint32(LENGTH_AT, true);
  if (length > SEGMENT_HEADER_MAX || length > bytes.length || view.getUint32(CRC_AT, true) !== checksum(bytes, length)) {
    return null;
  }
  const version = view.getUint32(8, true);
  if (version > FORMAT_VERSION) {
    return { newerVersion: version };
  }
  return readFields(new ByteReader(bytes.subarray(CRC_END, length)), length);
}

function readFields(reader: ByteReader, length: number): SegmentHeader | null {
  try {
    const salt = reader.u32();
    const generation = reader.u64();
    const segmentBytes = reader.u64();
    const firstLsn = reader.u64();
    const previousEnd = reader.u64();
    const oldestLive = reader.u64();
    const base = readBase(reader);
    reader.end();
    return { generation, salt, segmentBytes, firstLsn, previousEnd, oldestLive, base, bytes: alignUp(length) };
  } catch (error) {
    if (error instanceof MalformedBytes) {
      return null;
    }
    throw error;
  }
}

function readBase(reader: ByteReader): Durable {
  const clusterId = readClusterId(reader);
  const lineage = { number: reader.u64(), random: reader.big64() };
  const replica = replicaId(reader.u64());
  return {
    ...virginDurable(readDiskId(reader)),
    clusterId,
    lineage,
    replica,
    boot: reader.u64(),
    promised: ballot(reader.u64(), reader.u64()),
    hint: slot(reader.u64()),
    hardMs: reader.u64(),
    trimmed: slot(reader.u64()),
    trimmedChain: readHash(reader),
    trimmedConfiguration: reader.boolean() ? readConfiguration(reader) : null,
    snapshot: reader.boolean() ? readSnapshotMeta(reader) : null,
  };
}

/** Over all of the header but the checksum itself. */
function checksum(bytes: Uint8Array, length: number): number {
  return crc32c(bytes, CRC_END, length, crc32c(bytes, 0, CRC_AT));
}
