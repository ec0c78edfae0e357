/**
 * What applying a command answers. Most replies are a revision and a count and are kept as numbers; the others are kept in
 * their encoded form, so that a repeated request gets the very same reply. Never holds views into the store.
 */
import { unreachable } from "../base/assert.js";
import { ByteReader, ByteWriter, MalformedBytes } from "../base/bytes.js";
import { errorKindOf, errorNumber, type KvError } from "./error.js";
import type { DeleteRangeResult, OperationResult, Pair, PutResult, RangeResult, Revision, SessionId, TxnResult } from "./model.js";
import { leaseId, revision, sessionId } from "./model.js";

/** `revision` is the store's after the command. A refusal changed nothing. */
export type Reply =
  | ({ readonly kind: "put" } & PutResult)
  | ({ readonly kind: "deleteRange" } & DeleteRangeResult)
  | ({ readonly kind: "txn" } & TxnResult)
  | { readonly kind: "compact"; readonly revision: Revision }
  /** `nonce` is the one of the command, by which the server that asked knows its reply. */
  | { readonly kind: "registered"; readonly revision: Revision; readonly session: SessionId; readonly nonce: bigint }
  | { readonly kind: "sessionsExpired"; readonly revision: Revision; readonly count: number }
  | { readonly kind: "quotaSet"; readonly revision: Revision }
  | { readonly kind: "error"; readonly revision: Revision; readonly error: KvError };

/** Hears of each reply in the order of application. The reply may be kept. Must not call the store. */
export interface ReplySink {
  /** `seq` is the request's number in its session; under NO_SESSION, as the batch numbered it. */
  onReply(session: SessionId, seq: number, reply: Reply): void;
}

const TAG = { put: 1, deleteRange: 2, txn: 3, compact: 4, registered: 5, sessionsExpired: 6, quotaSet: 7, error: 8, range: 9 } as const;

function writePair(writer: ByteWriter, pair: Pair): void {
  writer.bytes(pair.key).bytes(pair.value);
  writer.varint(pair.createRevision).varint(pair.modRevision).varint(pair.version).big64(pair.lease);
}

function readPair(reader: ByteReader): Pair {
  const key = reader.bytes().slice();
  const value = reader.bytes().slice();
  const createRevision = revision(reader.varint());
  const modRevision = revision(reader.varint());
  return { key, value, createRevision, modRevision, version: reader.varint(), lease: leaseId(reader.big64()) };
}

function writePairs(writer: ByteWriter, pairs: readonly Pair[]): void {
  writer.varint(pairs.length);
  for (const pair of pairs) {
    writePair(writer, pair);
  }
}

function readPairs(reader: ByteReader): readonly Pair[] {
  const pairs: Pair[] = [];
  for (let left = reader.varint(); left > 0; left--) {
    pairs.push(readPair(reader));
  }
  return pairs;
}

/** Nesting is bounded by TXN_OPERATIONS_MAX: each level of a transaction takes from one budget. */
function writeResult(writer: ByteWriter, result: OperationResult): void {
  writer.u8(TAG[result.kind]).varint(result.revision);
  switch (result.kind) {
    case "put":
      writePairs(writer, result.previous === undefined ? [] : [result.previous]);
      return;
    case "deleteRange":
      writer.varint(result.deleted);
      writePairs(writer, result.previous);
      return;
    case "range":
      writer.boolean(result.more).varint(result.count);
      writePairs(writer, result.pairs);
      return;
    case "txn":
      writer.boolean(result.succeeded).varint(result.results.length);
      for (const inner of result.results) {
        writeResult(writer, inner);
      }
      return;
    default:
      unreachable(result);
  }
}

function readPut(reader: ByteReader, at: Revision): PutResult {
  const [previous] = readPairs(reader);
  return previous === undefined ? { revision: at } : { revision: at, previous };
}

function readDelete(reader: ByteReader, at: Revision): DeleteRangeResult {
  const deleted = reader.varint();
  return { revision: at, deleted, previous: readPairs(reader) };
}

function readRange(reader: ByteReader, at: Revision): RangeResult {
  const more = reader.boolean();
  const count = reader.varint();
  return { revision: at, more, count, pairs: readPairs(reader) };
}

function readTxn(reader: ByteReader, at: Revision): TxnResult {
  const succeeded = reader.boolean();
  const results: OperationResult[] = [];
  for (let left = reader.varint(); left > 0; left--) {
    results.push(readResult(reader));
  }
  return { revision: at, succeeded, results };
}

function readResult(reader: ByteReader): OperationResult {
  const tag = reader.u8();
  const at = revision(reader.varint());
  if (tag === TAG.range) {
    return { kind: "range", ...readRange(reader, at) };
  }
  const write = readWrite(reader, tag, at);
  if (write === undefined) {
    throw new MalformedBytes(`result of kind ${tag}`);
  }
  return write;
}

/** What a write came to, alone or in a transaction; undefined where the tag is no write's. */
function readWrite(reader: ByteReader, tag: number, at: Revision): Exclude<OperationResult, { readonly kind: "range" }> | undefined {
  switch (tag) {
    case TAG.put:
      return { kind: "put", ...readPut(reader, at) };
    case TAG.deleteRange:
      return { kind: "deleteRange", ...readDelete(reader, at) };
    case TAG.txn:
      return { kind: "txn", ...readTxn(reader, at) };
    default:
      return undefined;
  }
}

/** The reply as bytes: for the cache, for snapshots, and for a server that forwards it. */
export function encodeReply(reply: Reply): Uint8Array {
  const writer = new ByteWriter(64);
  switch (reply.kind) {
    case "put":
    case "deleteRange":
    case "txn":
      writeResult(writer, reply);
      break;
    case "compact":
    case "quotaSet":
      writer.u8(TAG[reply.kind]).varint(reply.revision);
      break;
    case "registered":
      writer.u8(TAG.registered).varint(reply.revision).varint(reply.session).big64(reply.nonce);
      break;
    case "sessionsExpired":
      writer.u8(TAG.sessionsExpired).varint(reply.revision).varint(reply.count);
      break;
    case "error": {
      const { kind, limit, size } = reply.error;
      writer.u8(TAG.error).varint(reply.revision).u8(errorNumber(kind)).varint(limit).varint(size);
      break;
    }
    default:
      unreachable(reply);
  }
  return writer.finish();
}

/** The reply of `bytes`; throws MalformedBytes. */
export function decodeReply(bytes: Uint8Array): Reply {
  const reader = new ByteReader(bytes);
  const reply = readReply(reader);
  reader.end();
  return reply;
}

function readReply(reader: ByteReader): Reply {
  const tag = reader.u8();
  const at = revision(reader.varint());
  const write = readWrite(reader, tag, at);
  if (write !== undefined) {
    return write;
  }
  switch (tag) {
    case TAG.compact:
      return { kind: "compact", revision: at };
    case TAG.quotaSet:
      return { kind: "quotaSet", revision: at };
    case TAG.registered: {
      const session = sessionId(reader.varint());
      return { kind: "registered", revision: at, session, nonce: reader.big64() };
    }
    case TAG.sessionsExpired:
      return { kind: "sessionsExpired", revision: at, count: reader.varint() };
    case TAG.error: {
      const kind = errorKindOf(reader.u8());
      const limit = reader.varint();
      return { kind: "error", revision: at, error: { kind, limit, size: reader.varint() } };
    }
    default:
      throw new MalformedBytes(`reply of kind ${tag}`);
  }
}
