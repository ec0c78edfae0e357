/**
 * The bodies of the longer peer messages as bytes, a writer and a reader for each, in the order of message.ts. Used by the
 * message codec alone. The bounds asserted when writing are those checked when reading.
 */
import { assert } from "../base/assert.js";
import { type ByteReader, type ByteWriter, MalformedBytes } from "../base/bytes.js";
import { BATCH_PAYLOAD_MAX } from "./batch.js";
import { MEMBERS_MAX } from "./configuration.js";
import { type Address, type ReplicaId, replicaId, type Slot } from "./ids.js";
import type { Accepted, CatchUpReply, ForwardReply, Hello, Nack, NackReason, Ping, Pong, PromiseEntry, PromiseReply } from "./message.js";
import {
  ADDRESS_BYTES_MAX,
  readAddress,
  readBallot,
  readBatch,
  readBoundedBytes,
  readCount,
  readDiskId,
  readHash,
  readInform,
  readOptionalBallot,
  readSlot,
  writeBallot,
  writeBatch,
  writeCount,
  writeDiskId,
  writeHash,
  writeInform,
  writeOptionalBallot,
} from "./message-fields.js";

const NACK_REASON = { ballot: 0, granted: 1, noSpace: 2, behind: 3, quarantine: 4, failing: 5 } as const satisfies Record<
  NackReason,
  number
>;
const nackReasons: ReadonlyMap<number, NackReason> = new Map(
  (Object.keys(NACK_REASON) as NackReason[]).map((reason) => [NACK_REASON[reason], reason]),
);

/** Most slots one Accepted names: far above what an acceptor can have in flight. */
export const ACCEPTED_SLOTS_MAX = 4096;
/** Most entries one part of a Promise carries; what is more goes into further parts. */
export const PROMISE_ENTRIES_MAX = 1024;
/** Most parts of one Promise. */
export const PROMISE_PARTS_MAX = 4096;
/** Most entries one CatchUpReply carries, however small they are. */
export const CATCH_UP_ENTRIES_MAX = 4096;
/** Largest payload of a Forward or its reply, in bytes. */
export const FORWARD_BYTES_MAX = BATCH_PAYLOAD_MAX;

export function writeHello(writer: ByteWriter, hello: Hello): void {
  writeDiskId(writer, hello.diskId);
  writer.varint(hello.boot).text(hello.address).text(hello.clientAddress);
  writeCount(writer, hello.list.length, MEMBERS_MAX);
  for (const listed of hello.list) {
    writer.text(listed);
  }
  writer.varint(hello.decided).varint(hello.highestRound);
}

export function readHello(reader: ByteReader, peerVersion: number): Hello {
  const diskId = readDiskId(reader);
  const boot = reader.varint();
  const address = readAddress(reader);
  const clientAddress = reader.text();
  if (clientAddress.length > ADDRESS_BYTES_MAX) {
    throw new MalformedBytes(`client address of ${clientAddress.length} characters, at most ${ADDRESS_BYTES_MAX} are allowed`);
  }
  const list: Address[] = [];
  for (let left = readCount(reader, MEMBERS_MAX, "listed addresses"); left > 0; left--) {
    list.push(readAddress(reader));
  }
  const decided = readSlot(reader);
  return { kind: "hello", peerVersion, diskId, boot, address, clientAddress, list, decided, highestRound: reader.varint() };
}

export function writePing(writer: ByteWriter, ping: Ping): void {
  writer.varint(ping.seq).boolean(ping.coordinator !== null);
  if (ping.coordinator !== null) {
    writeInform(writer, ping.coordinator.inform);
    const { wantGrant, hardMs, settling } = ping.coordinator;
    writer
      .boolean(wantGrant)
      .varint(hardMs)
      .boolean(settling !== null);
    if (settling !== null) {
      writer.varint(settling);
    }
  }
  writer
    .boolean(ping.preVote)
    .varint(ping.decided)
    .boolean(ping.checkpoint !== null);
  if (ping.checkpoint !== null) {
    writer.varint(ping.checkpoint.slot);
    writeHash(writer, ping.checkpoint.chain);
    writeHash(writer, ping.checkpoint.stateHash);
  }
  writeHears(writer, ping.hears);
}

export function readPing(reader: ByteReader): Ping {
  const seq = reader.varint();
  const coordinator = reader.boolean()
    ? {
        inform: readInform(reader),
        wantGrant: reader.boolean(),
        hardMs: reader.varint(),
        settling: reader.boolean() ? readSlot(reader) : null,
      }
    : null;
  const preVote = reader.boolean();
  const decided = readSlot(reader);
  const checkpoint = reader.boolean() ? { slot: readSlot(reader), chain: readHash(reader), stateHash: readHash(reader) } : null;
  return { kind: "ping", seq, coordinator, preVote, decided, checkpoint, hears: readHears(reader) };
}

export function writePong(writer: ByteWriter, pong: Pong): void {
  writer.varint(pong.seq);
  writeBallot(writer, pong.ballot);
  writeBallot(writer, pong.promised);
  writer.boolean(pong.okFor);
  writeOptionalBallot(writer, pong.granting);
  writer.varint(pong.hardMs).varint(pong.decided);
  writeHears(writer, pong.hears);
  writer.varint(pong.highestRound).boolean(pong.diskOk);
}

export function readPong(reader: ByteReader): Pong {
  const seq = reader.varint();
  const ballot = readBallot(reader);
  const promised = readBallot(reader);
  const okFor = reader.boolean();
  const granting = readOptionalBallot(reader);
  const hardMs = reader.varint();
  const decided = readSlot(reader);
  const hears = readHears(reader);
  const highestRound = reader.varint();
  return { kind: "pong", seq, ballot, promised, okFor, granting, hardMs, decided, hears, highestRound, diskOk: reader.boolean() };
}

function writeHears(writer: ByteWriter, hears: Ping["hears"]): void {
  writeCount(writer, hears.length, MEMBERS_MAX);
  for (const heard of hears) {
    writer.varint(heard);
  }
}

function readHears(reader: ByteReader): Ping["hears"] {
  const hears = new Array<ReplicaId>(readCount(reader, MEMBERS_MAX, "replicas heard"));
  for (let i = 0; i < hears.length; i++) {
    hears[i] = replicaId(reader.varint());
  }
  return hears;
}

export function writePromise(writer: ByteWriter, promise: PromiseReply): void {
  assert(promise.parts <= PROMISE_PARTS_MAX && promise.part < promise.parts, "a part of a Promise is one of its parts");
  writeBallot(writer, promise.ballot);
  writer.varint(promise.replyId.boot).varint(promise.replyId.counter).varint(promise.decided).varint(promise.trimmed);
  writer.varint(promise.part).varint(promise.parts);
  writeCount(writer, promise.entries.length, PROMISE_ENTRIES_MAX);
  for (const { slot, acceptedAt, batch } of promise.entries) {
    writer.varint(slot);
    writeOptionalBallot(writer, acceptedAt === "decided" ? null : acceptedAt);
    writeBatch(writer, batch);
  }
}

export function readPromise(reader: ByteReader): PromiseReply {
  const ballot = readBallot(reader);
  const replyId = { boot: reader.varint(), counter: reader.varint() };
  const decided = readSlot(reader);
  const trimmed = readSlot(reader);
  const part = reader.varint();
  const parts = readCount(reader, PROMISE_PARTS_MAX, "parts of a Promise");
  if (part >= parts) {
    throw new MalformedBytes(`part ${part} of ${parts}`);
  }
  const entries = Array.from(
    { length: readCount(reader, PROMISE_ENTRIES_MAX, "entries of a Promise") },
    (): PromiseEntry => ({ slot: readSlot(reader), acceptedAt: readOptionalBallot(reader) ?? "decided", batch: readBatch(reader) }),
  );
  return { kind: "promise", ballot, replyId, decided, trimmed, part, parts, entries };
}

export function writeAccepted(writer: ByteWriter, accepted: Accepted): void {
  writeBallot(writer, accepted.ballot);
  writeCount(writer, accepted.slots.length, ACCEPTED_SLOTS_MAX);
  for (const slot of accepted.slots) {
    writer.varint(slot);
  }
}

export function readAccepted(reader: ByteReader): Accepted {
  const ballot = readBallot(reader);
  const slots: Slot[] = [];
  for (let left = readCount(reader, ACCEPTED_SLOTS_MAX, "accepted slots"); left > 0; left--) {
    slots.push(readSlot(reader));
  }
  return { kind: "accepted", ballot, slots };
}

export function writeNack(writer: ByteWriter, nack: Nack): void {
  writeBallot(writer, nack.ballot);
  writer.u8(NACK_REASON[nack.reason]);
  writeBallot(writer, nack.promised);
  writer.varint(nack.decided).varint(nack.slot);
}

export function readNack(reader: ByteReader): Nack {
  const ballot = readBallot(reader);
  const code = reader.u8();
  const reason = nackReasons.get(code);
  if (reason === undefined) {
    throw new MalformedBytes(`reason ${code} of a Nack`);
  }
  return { kind: "nack", ballot, reason, promised: readBallot(reader), decided: readSlot(reader), slot: readSlot(reader) };
}

export function writeCatchUpReply(writer: ByteWriter, reply: CatchUpReply): void {
  writer.varint(reply.from);
  writeCount(writer, reply.entries.length, CATCH_UP_ENTRIES_MAX);
  for (const batch of reply.entries) {
    writeBatch(writer, batch);
  }
  writer.varint(reply.decided);
  writeHash(writer, reply.chain);
  writer.varint(reply.highestRound);
}

export function readCatchUpReply(reader: ByteReader): CatchUpReply {
  const from = readSlot(reader);
  const entries = Array.from({ length: readCount(reader, CATCH_UP_ENTRIES_MAX, "decided entries") }, () => readBatch(reader));
  const decided = readSlot(reader);
  return { kind: "catchUpReply", from, entries, decided, chain: readHash(reader), highestRound: reader.varint() };
}

export function writeForwardReply(writer: ByteWriter, reply: ForwardReply): void {
  assert(reply.payload.length <= FORWARD_BYTES_MAX, "the reply to a forwarded request is within FORWARD_BYTES_MAX");
  writer
    .varint(reply.id)
    .boolean(reply.refused)
    .boolean(reply.coordinator !== null);
  if (reply.coordinator !== null) {
    writer.text(reply.coordinator);
  }
  writer.bytes(reply.payload);
}

export function readForwardReply(reader: ByteReader): ForwardReply {
  const id = reader.varint();
  const refused = reader.boolean();
  const coordinator = reader.boolean() ? readAddress(reader) : null;
  return { kind: "forwardReply", id, refused, coordinator, payload: readBoundedBytes(reader, FORWARD_BYTES_MAX, "a reply") };
}
