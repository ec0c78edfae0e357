/**
 * The bodies of the messages about who is a member as bytes, a writer and a reader for each, in the order of message.ts. Used by
 * the message codec alone; the bounds asserted when writing are those checked when reading.
 */
import { assert, unreachable } from "../base/assert.js";
import { type ByteReader, type ByteWriter, MalformedBytes } from "../base/bytes.js";
import type { MembershipChange } from "./change.js";
import { readConfiguration, writeConfiguration } from "./configuration.js";
import { replicaId } from "./ids.js";
import type { Change, ChangeReply, JoinReply } from "./message.js";
import { readAddress, readClusterId, readDiskId, readLineage, readSlot, writeDiskId, writeLineage } from "./message-fields.js";

/** The number of each kind of change on the wire. Only add. */
const CHANGE_KIND = { join: 1, promote: 2, remove: 3, suspend: 4, moveTieBreak: 5 } as const satisfies Record<
  MembershipChange["kind"],
  number
>;

/** Longest sentence of a refusal, in characters. */
export const REFUSAL_TEXT_MAX = 2000;

export function writeJoinReply(writer: ByteWriter, reply: JoinReply): void {
  writer.big64(reply.clusterId);
  writeLineage(writer, reply.lineage);
  writer.boolean(reply.listed).boolean(reply.configuration !== null);
  if (reply.configuration !== null) {
    writeConfiguration(writer, reply.configuration);
  }
}

export function readJoinReply(reader: ByteReader): JoinReply {
  const clusterId = readClusterId(reader);
  const lineage = readLineage(reader);
  const listed = reader.boolean();
  return { kind: "joinReply", clusterId, lineage, listed, configuration: reader.boolean() ? readConfiguration(reader) : null };
}

export function writeChange(writer: ByteWriter, { life, id, change }: Change): void {
  writer.varint(life).varint(id).u8(CHANGE_KIND[change.kind]);
  switch (change.kind) {
    case "join":
      writer.text(change.address);
      writeDiskId(writer, change.diskId);
      writer.boolean(change.electable);
      return;
    case "promote":
    case "remove":
    case "suspend":
    case "moveTieBreak":
      writer.varint(change.replica);
      return;
    default:
      unreachable(change);
  }
}

export function readChange(reader: ByteReader): Change {
  const life = reader.varint();
  const id = reader.varint();
  return { kind: "change", life, id, change: readMembershipChange(reader) };
}

function readMembershipChange(reader: ByteReader): MembershipChange {
  const kind = reader.u8();
  switch (kind) {
    case CHANGE_KIND.join:
      return { kind: "join", address: readAddress(reader), diskId: readDiskId(reader), electable: reader.boolean() };
    case CHANGE_KIND.promote:
      return { kind: "promote", replica: replicaId(reader.varint()) };
    case CHANGE_KIND.remove:
      return { kind: "remove", replica: replicaId(reader.varint()) };
    case CHANGE_KIND.suspend:
      return { kind: "suspend", replica: replicaId(reader.varint()) };
    case CHANGE_KIND.moveTieBreak:
      return { kind: "moveTieBreak", replica: replicaId(reader.varint()) };
    default:
      throw new MalformedBytes(`change of kind ${kind}`);
  }
}

export function writeChangeReply(writer: ByteWriter, { life, id, slot, refusal }: ChangeReply): void {
  assert(refusal === null || refusal.length <= REFUSAL_TEXT_MAX, "a refusal is one sentence or a few");
  writer
    .varint(life)
    .varint(id)
    .varint(slot)
    .boolean(refusal !== null);
  if (refusal !== null) {
    writer.text(refusal);
  }
}

export function readChangeReply(reader: ByteReader): ChangeReply {
  const life = reader.varint();
  const id = reader.varint();
  const slot = readSlot(reader);
  const refusal = reader.boolean() ? reader.text() : null;
  if (refusal !== null && refusal.length > REFUSAL_TEXT_MAX) {
    throw new MalformedBytes(`a refusal of ${refusal.length} characters, at most ${REFUSAL_TEXT_MAX} are allowed`);
  }
  return { kind: "changeReply", life, id, slot, refusal };
}
