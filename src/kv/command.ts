/**
 * Commands as bytes: what clients ask of the state machine and what servers ask on their own account. Written by hand because
 * every write passes here once on each replica. A plain put is read in place by the applier; this file must stay the only
 * other place that knows the layout. Decoding never trusts a length and throws MalformedBytes.
 */
import { assert, unreachable } from "../base/assert.js";
import { ByteReader, ByteWriter, MalformedBytes } from "../base/bytes.js";
import { type DeleteRangeRequest, NO_LEASE, type PutRequest, type SessionId, sessionId, type TxnRequest } from "./model.js";
import { readDeleteRange, readInteger, readPut, readTxn, writeDeleteRange, writePut, writeTxn } from "./operation-codec.js";

/** A command, decoded. `put` with no option has a shorter form of its own on the wire. */
export type Command =
  | ({ readonly kind: "put" } & PutRequest)
  | ({ readonly kind: "deleteRange" } & DeleteRangeRequest)
  | ({ readonly kind: "txn" } & TxnRequest)
  | { readonly kind: "compact"; readonly revision: number }
  /** `nonce`: 64 bits drawn by the server that asks, by which it knows its reply. */
  | { readonly kind: "registerSession"; readonly nonce: bigint }
  /** Expires every session that was last used in a slot below `usedBelowSlot`. */
  | { readonly kind: "expireSessions"; readonly usedBelowSlot: number }
  /** Its client is done with the session: it expires now; nothing where it is gone already. */
  | { readonly kind: "closeSession"; readonly session: SessionId }
  | { readonly kind: "setQuota"; readonly bytes: number }
  /** The revision moves forward by `by` (1 to SKIP_REVISIONS_MAX) and all history is compacted: what a recovery or a restore begins with, so that nobody takes it for the state before. */
  | { readonly kind: "skipRevisions"; readonly by: number };

/** First byte of a command: what follows. Only add. */
export const COMMAND_TAG = {
  /** A put without options: varint key length, key, then the value to the end of the command. */
  plainPut: 1,
  put: 2,
  deleteRange: 3,
  txn: 4,
  compact: 5,
  registerSession: 6,
  expireSessions: 7,
  setQuota: 8,
  closeSession: 9,
  skipRevisions: 10,
} as const;

/** The most revisions that one command may skip: far from the end of the safe integers, however often it is done. */
export const SKIP_REVISIONS_MAX = 2 ** 40;

const newArray = (length: number): Uint8Array => new Uint8Array(length);

/** The hot one: a put without options. Copies key and value once, into what `allocate` gives for the command's length. */
export function encodePlainPut(key: Uint8Array, value: Uint8Array, allocate: (length: number) => Uint8Array = newArray): Uint8Array {
  const lengthBytes = key.length < 0x80 ? 1 : key.length < 0x4000 ? 2 : 3;
  assert(key.length < 0x20_0000, "a key length of at most three varint bytes");
  const command = allocate(1 + lengthBytes + key.length + value.length);
  command[0] = COMMAND_TAG.plainPut;
  let at = 1;
  let rest = key.length;
  while (rest >= 0x80) {
    command[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  command[at++] = rest;
  command.set(key, at);
  command.set(value, at + key.length);
  return command;
}

function isPlainPut(put: PutRequest): boolean {
  return put.prevKv !== true && put.ignoreValue !== true && put.ignoreLease !== true && (put.lease ?? NO_LEASE) === NO_LEASE;
}

/** The command as bytes for a BatchBuilder. */
export function encodeCommand(command: Command): Uint8Array {
  if (command.kind === "put" && isPlainPut(command)) {
    return encodePlainPut(command.key, command.value);
  }
  const writer = new ByteWriter(64);
  writer.u8(COMMAND_TAG[command.kind]);
  switch (command.kind) {
    case "put":
      writePut(writer, command);
      break;
    case "deleteRange":
      writeDeleteRange(writer, command);
      break;
    case "txn":
      writeTxn(writer, command);
      break;
    case "compact":
      writer.f64(command.revision);
      break;
    case "registerSession":
      writer.big64(command.nonce);
      break;
    case "expireSessions":
      writer.varint(command.usedBelowSlot);
      break;
    case "setQuota":
      writer.varint(command.bytes);
      break;
    case "closeSession":
      writer.varint(command.session);
      break;
    case "skipRevisions":
      writer.varint(command.by);
      break;
    default:
      unreachable(command);
  }
  return writer.finish();
}

function readBody(tag: number, reader: ByteReader): Command {
  switch (tag) {
    case COMMAND_TAG.plainPut: {
      const key = reader.bytes();
      return { kind: "put", key, value: reader.raw(reader.remaining) };
    }
    case COMMAND_TAG.put:
      return { kind: "put", ...readPut(reader) };
    case COMMAND_TAG.deleteRange:
      return { kind: "deleteRange", ...readDeleteRange(reader) };
    case COMMAND_TAG.txn:
      return { kind: "txn", ...readTxn(reader) };
    case COMMAND_TAG.compact:
      return { kind: "compact", revision: readInteger(reader) };
    case COMMAND_TAG.registerSession:
      return { kind: "registerSession", nonce: reader.big64() };
    case COMMAND_TAG.expireSessions:
      return { kind: "expireSessions", usedBelowSlot: reader.varint() };
    case COMMAND_TAG.setQuota:
      return { kind: "setQuota", bytes: reader.varint() };
    case COMMAND_TAG.closeSession:
      return { kind: "closeSession", session: sessionId(reader.varint()) };
    case COMMAND_TAG.skipRevisions:
      return { kind: "skipRevisions", by: readSkip(reader) };
    default:
      throw new MalformedBytes(`command of kind ${tag}`);
  }
}

function readSkip(reader: ByteReader): number {
  const by = reader.varint();
  if (by < 1 || by > SKIP_REVISIONS_MAX) {
    throw new MalformedBytes(`${by} revisions to skip, allowed are 1 to ${SKIP_REVISIONS_MAX}`);
  }
  return by;
}

/** The command of `bytes`, its byte fields being views into them; throws MalformedBytes. */
export function decodeCommand(bytes: Uint8Array): Command {
  const reader = new ByteReader(bytes);
  const command = readBody(reader.u8(), reader);
  reader.end();
  return command;
}
