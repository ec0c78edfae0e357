/**
 * Messages between servers as bytes, by hand: a kind byte, the header, the fields in the order of message.ts. Payloads
 * that are read are views into the input. Whatever the input, a reader throws MalformedBytes or returns a message; it must
 * never judge a message: that is the core's part.
 */
import { assert, unreachable } from "../base/assert.js";
import { ByteReader, ByteWriter, MalformedBytes } from "../base/bytes.js";
import { readConfiguration, writeConfiguration } from "./configuration.js";
import { replicaId } from "./ids.js";
import { readChange, readChangeReply, readJoinReply, writeChange, writeChangeReply, writeJoinReply } from "./membership-bodies.js";
import { type Header, type Message, PEER_VERSION } from "./message.js";
import {
  FORWARD_BYTES_MAX,
  readAccepted,
  readCatchUpReply,
  readForwardReply,
  readHello,
  readNack,
  readPing,
  readPong,
  readPromise,
  writeAccepted,
  writeCatchUpReply,
  writeForwardReply,
  writeHello,
  writeNack,
  writePing,
  writePong,
  writePromise,
} from "./message-bodies.js";
import {
  readAddress,
  readBallot,
  readBatch,
  readBoundedBytes,
  readClusterId,
  readDiskId,
  readInform,
  readLineage,
  readOptionalBallot,
  readSlot,
  readSnapshotMeta,
  writeBallot,
  writeBatch,
  writeDiskId,
  writeInform,
  writeLineage,
  writeOptionalBallot,
  writeSnapshotMeta,
} from "./message-fields.js";

/** The number of each kind on the wire. A number is never given to another kind; a new kind takes a new one. */
export const MESSAGE_KIND = {
  hello: 1,
  ping: 2,
  pong: 3,
  prepare: 4,
  promise: 5,
  propose: 6,
  accepted: 7,
  nack: 8,
  inform: 9,
  catchUp: 10,
  catchUpReply: 11,
  snapshotOffer: 12,
  snapshotRequest: 13,
  snapshotChunk: 14,
  snapshotAck: 15,
  forward: 16,
  forwardReply: 17,
  readIndex: 18,
  readIndexReply: 19,
  handover: 20,
  genesis: 21,
  genesisAck: 22,
  join: 23,
  joinReply: 24,
  settleAck: 25,
  change: 26,
  changeReply: 27,
} as const satisfies Record<Message["kind"], number>;

/** Largest snapshot chunk, in bytes. */
export const CHUNK_BYTES_MAX = 4 * 1024 * 1024;
/** One message as it goes over the wire. */
export type Envelope = { readonly header: Header; readonly message: Message };

/** Header, small fields and lengths of a message without payloads fit into this. */
const ENVELOPE_CAPACITY = 96;

/** The bytes of one message, in a buffer of its own that nobody else writes to. */
export function encodeEnvelope(header: Header, message: Message): Uint8Array {
  const writer = new ByteWriter(ENVELOPE_CAPACITY + payloadBytes(message));
  writer.u8(MESSAGE_KIND[message.kind]);
  if (message.kind === "hello") {
    writer.varint(message.peerVersion); // before all else: every version must be able to read every other's
  }
  writer.big64(header.clusterId);
  writeLineage(writer, header.lineage);
  writer.varint(header.from).varint(header.epoch);
  writeMessage(writer, message);
  return writer.finish();
}

/** The message in `bytes`; payloads are views into them. Throws MalformedBytes, also for the Hello of another version. */
export function decodeEnvelope(bytes: Uint8Array): Envelope {
  const version = peekHelloVersion(bytes);
  if (version !== null && version !== PEER_VERSION) {
    throw new MalformedBytes(`Hello of protocol version ${version}, this server speaks ${PEER_VERSION}`);
  }
  const reader = new ByteReader(bytes);
  const kind = reader.u8();
  const peerVersion = kind === MESSAGE_KIND.hello ? reader.varint() : PEER_VERSION;
  const header: Header = {
    clusterId: readClusterId(reader),
    lineage: readLineage(reader),
    from: replicaId(reader.varint()),
    epoch: reader.varint(),
  };
  const message = readMessage(reader, kind, peerVersion);
  reader.end();
  return { header, message };
}

/** The protocol version a Hello names, whatever else it holds; null where `bytes` are no Hello. Throws MalformedBytes when cut short. */
export function peekHelloVersion(bytes: Uint8Array): number | null {
  if (bytes.length > 0 && bytes[0] !== MESSAGE_KIND.hello) {
    return null;
  }
  const reader = new ByteReader(bytes);
  reader.u8();
  return reader.varint();
}

/** What the payloads of `message` need, so that the hot ones are written into a buffer that never grows. */
function payloadBytes(message: Message): number {
  switch (message.kind) {
    case "propose":
      return message.batch.payload.length;
    case "snapshotChunk":
      return message.bytes.length;
    case "forward":
    case "forwardReply":
      return message.payload.length;
    case "promise":
      return message.entries.reduce((sum, entry) => sum + entry.batch.payload.length + 32, 0);
    case "catchUpReply":
      return message.entries.reduce((sum, batch) => sum + batch.payload.length + 8, 0);
    default:
      return 0;
  }
}

function writeMessage(writer: ByteWriter, message: Message): void {
  switch (message.kind) {
    case "propose":
      writeBallot(writer, message.ballot);
      writer.varint(message.slot);
      writeInform(writer, message.inform);
      writeBatch(writer, message.batch);
      return;
    case "accepted":
      writeAccepted(writer, message);
      return;
    case "ping":
      writePing(writer, message);
      return;
    case "pong":
      writePong(writer, message);
      return;
    case "inform":
      writeInform(writer, message.inform);
      return;
    case "prepare":
      writeBallot(writer, message.ballot);
      writer.varint(message.from);
      writeOptionalBallot(writer, message.handoverOf);
      return;
    case "promise":
      writePromise(writer, message);
      return;
    case "nack":
      writeNack(writer, message);
      return;
    case "hello":
      writeHello(writer, message);
      return;
    case "handover":
      writeBallot(writer, message.ballot);
      return;
    case "settleAck":
      writer.varint(message.epoch).varint(message.slot);
      return;
    default:
      writeOther(writer, message);
      return;
  }
}

/** Those outside agreement itself: catch-up, snapshots, forwarding, founding. */
type OtherMessage = Exclude<
  Message,
  { kind: "propose" | "accepted" | "ping" | "pong" | "inform" | "prepare" | "promise" | "nack" | "hello" | "handover" | "settleAck" }
>;

function writeOther(writer: ByteWriter, message: OtherMessage): void {
  switch (message.kind) {
    case "catchUp":
      writer.varint(message.from).varint(message.maxBytes);
      return;
    case "catchUpReply":
      writeCatchUpReply(writer, message);
      return;
    case "snapshotOffer":
      writeSnapshotMeta(writer, message.meta);
      return;
    case "snapshotRequest":
      writer.varint(message.index).varint(message.chunk);
      return;
    case "snapshotChunk":
      assert(message.bytes.length <= CHUNK_BYTES_MAX, "a snapshot chunk is within CHUNK_BYTES_MAX");
      writer.varint(message.index).varint(message.chunk).u32(message.crc).bytes(message.bytes);
      return;
    case "snapshotAck":
      writer.varint(message.index);
      return;
    case "forward":
      assert(message.payload.length <= FORWARD_BYTES_MAX, "a forwarded request is within FORWARD_BYTES_MAX");
      writer.varint(message.id).bytes(message.payload);
      return;
    case "forwardReply":
      writeForwardReply(writer, message);
      return;
    case "readIndex":
      writer.varint(message.life).varint(message.id);
      return;
    case "readIndexReply":
      writer.varint(message.life).varint(message.id);
      writeBallot(writer, message.ballot);
      writer.varint(message.index);
      return;
    case "genesis":
      writer.big64(message.clusterId);
      writeLineage(writer, message.lineage);
      writeConfiguration(writer, message.configuration);
      return;
    case "genesisAck":
      writer.big64(message.clusterId);
      return;
    case "join":
      writer.text(message.address);
      writeDiskId(writer, message.diskId);
      writer.boolean(message.electable);
      return;
    case "joinReply":
      writeJoinReply(writer, message);
      return;
    case "change":
      writeChange(writer, message);
      return;
    case "changeReply":
      writeChangeReply(writer, message);
      return;
    default:
      unreachable(message);
  }
}

function readMessage(reader: ByteReader, kind: number, peerVersion: number): Message {
  switch (kind) {
    case MESSAGE_KIND.propose: {
      const ballot = readBallot(reader);
      const slot = readSlot(reader);
      const inform = readInform(reader);
      return { kind: "propose", ballot, slot, batch: readBatch(reader), inform };
    }
    case MESSAGE_KIND.accepted:
      return readAccepted(reader);
    case MESSAGE_KIND.ping:
      return readPing(reader);
    case MESSAGE_KIND.pong:
      return readPong(reader);
    case MESSAGE_KIND.inform:
      return { kind: "inform", inform: readInform(reader) };
    case MESSAGE_KIND.prepare:
      return { kind: "prepare", ballot: readBallot(reader), from: readSlot(reader), handoverOf: readOptionalBallot(reader) };
    case MESSAGE_KIND.promise:
      return readPromise(reader);
    case MESSAGE_KIND.nack:
      return readNack(reader);
    case MESSAGE_KIND.hello:
      return readHello(reader, peerVersion);
    case MESSAGE_KIND.handover:
      return { kind: "handover", ballot: readBallot(reader) };
    case MESSAGE_KIND.settleAck:
      return { kind: "settleAck", epoch: reader.varint(), slot: readSlot(reader) };
    default:
      return readOther(reader, kind);
  }
}

function readOther(reader: ByteReader, kind: number): Message {
  switch (kind) {
    case MESSAGE_KIND.catchUp:
      return { kind: "catchUp", from: readSlot(reader), maxBytes: reader.varint() };
    case MESSAGE_KIND.catchUpReply:
      return readCatchUpReply(reader);
    case MESSAGE_KIND.snapshotOffer:
      return { kind: "snapshotOffer", meta: readSnapshotMeta(reader) };
    case MESSAGE_KIND.snapshotRequest:
      return { kind: "snapshotRequest", index: readSlot(reader), chunk: reader.varint() };
    case MESSAGE_KIND.snapshotChunk: {
      const index = readSlot(reader);
      const chunk = reader.varint();
      const crc = reader.u32();
      return { kind: "snapshotChunk", index, chunk, bytes: readBoundedBytes(reader, CHUNK_BYTES_MAX, "a snapshot chunk"), crc };
    }
    case MESSAGE_KIND.snapshotAck:
      return { kind: "snapshotAck", index: readSlot(reader) };
    case MESSAGE_KIND.forward:
      return { kind: "forward", id: reader.varint(), payload: readBoundedBytes(reader, FORWARD_BYTES_MAX, "a forwarded request") };
    case MESSAGE_KIND.forwardReply:
      return readForwardReply(reader);
    case MESSAGE_KIND.readIndex:
      return { kind: "readIndex", life: reader.varint(), id: reader.varint() };
    case MESSAGE_KIND.readIndexReply:
      return {
        kind: "readIndexReply",
        life: reader.varint(),
        id: reader.varint(),
        ballot: readBallot(reader),
        index: readSlot(reader),
      };
    case MESSAGE_KIND.genesis:
      return { kind: "genesis", clusterId: readClusterId(reader), lineage: readLineage(reader), configuration: readConfiguration(reader) };
    case MESSAGE_KIND.genesisAck:
      return { kind: "genesisAck", clusterId: readClusterId(reader) };
    case MESSAGE_KIND.join:
      return { kind: "join", address: readAddress(reader), diskId: readDiskId(reader), electable: reader.boolean() };
    case MESSAGE_KIND.joinReply:
      return readJoinReply(reader);
    case MESSAGE_KIND.change:
      return readChange(reader);
    case MESSAGE_KIND.changeReply:
      return readChangeReply(reader);
    default:
      throw new MalformedBytes(`message kind ${kind}`);
  }
}
