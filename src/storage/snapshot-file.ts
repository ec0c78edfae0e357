/**
 * The format of a snapshot file: a short head, the chunks as they came, a footer with the facts and the place and hash of
 * each chunk, and a tail of fixed size that finds the footer. A file without a good tail is no snapshot. Layout in docs/STORAGE.md.
 */
import { ByteReader, ByteWriter, MalformedBytes } from "../base/bytes.js";
import { crc32c } from "../base/crc32c.js";
import { chainHash, type Hash64, hashBytes, ZERO_HASH } from "../base/hash64.js";
import type { SnapshotMeta } from "../paxos/message.js";
import { readHash, readSnapshotMeta, writeHash, writeSnapshotMeta } from "../paxos/message-fields.js";
import type { File } from "../ports/file.js";
import { setU64, viewOf } from "./block.js";
import { newerFormat } from "./layout.js";
import { FORMAT_VERSION, SNAPSHOT_CHUNK_MAX, SNAPSHOT_CHUNKS_MAX } from "./limits.js";
import { REMEDY_CORRUPT, StorageFailure } from "./storage-failure.js";

/** Where a chunk lies in the file, and its hash. */
export type ChunkPlace = { readonly offset: number; readonly bytes: number; readonly hash: Hash64 };

export type SnapshotContent = { readonly meta: SnapshotMeta; readonly chunks: readonly ChunkPlace[] };

const MAGIC = 0x4e53_5953; // "SYSN" in the file
/** The magic, which a file begins and ends with. */
const MARK_BYTES = 4;
const TAIL_BYTES = 32;
const CHUNK_SEED = 2;

/** Bytes before the first chunk (format): magic, version, zeros. */
export const SNAPSHOT_HEAD_BYTES = 16;

/** The hash of one chunk. */
export function hashChunk(chunk: Uint8Array): Hash64 {
  return hashBytes(chunk, CHUNK_SEED);
}

/** `SnapshotMeta.hash`: the chain of the hashes of all chunks in order, from ZERO_HASH on. */
export function hashChunks(hashes: Iterable<Hash64>): Hash64 {
  let hash = ZERO_HASH;
  for (const next of hashes) {
    hash = chainHash(hash, next);
  }
  return hash;
}

/** The first bytes of a file, for people who look at it: recovery relies on the tail. */
export function encodeHead(): Uint8Array {
  return new ByteWriter().u32(MAGIC).u32(FORMAT_VERSION).u64(0).finish();
}

/** Whether the file bears the mark of a snapshot at either end: else it was never one. */
export async function isMarked(file: File): Promise<boolean> {
  const size = await file.size();
  for (const at of [0, size - MARK_BYTES]) {
    const mark = at < 0 ? new Uint8Array(0) : await file.read(at, MARK_BYTES);
    if (mark.length === MARK_BYTES && new ByteReader(mark).u32() === MAGIC) {
      return true;
    }
  }
  return false;
}

/** Footer and tail of a file whose chunks end at `offset`. */
export function encodeEnd(content: SnapshotContent, offset: number): Uint8Array {
  const writer = new ByteWriter();
  writeSnapshotMeta(writer, content.meta);
  writer.varint(content.chunks.length);
  for (const { offset: at, bytes, hash } of content.chunks) {
    writer.varint(at).varint(bytes);
    writeHash(writer, hash);
  }
  const footer = writer.finish().slice();
  const end = new Uint8Array(footer.length + TAIL_BYTES);
  end.set(footer);
  const tail = viewOf(end.subarray(footer.length));
  setU64(tail, 0, offset);
  tail.setUint32(8, footer.length, true);
  tail.setUint32(12, crc32c(footer), true);
  tail.setUint32(16, 0, true);
  tail.setUint32(20, FORMAT_VERSION, true);
  tail.setUint32(24, crc32c(end, footer.length, footer.length + 24), true);
  tail.setUint32(28, MAGIC, true);
  return end;
}

/** Reads footer and tail of the file at `path`. Throws a StorageFailure (corrupt, newer-format), or what the disk said. */
export async function readContent(file: File, path: string): Promise<SnapshotContent> {
  const size = await file.size();
  const tailBytes = size < TAIL_BYTES ? new Uint8Array(0) : await file.read(size - TAIL_BYTES, TAIL_BYTES);
  if (tailBytes.length < TAIL_BYTES) {
    throw damaged(path, "too short for a snapshot");
  }
  const tail = new ByteReader(tailBytes);
  const footerAt = viewOf(tailBytes).getUint32(4, true) * 2 ** 32 + tail.u32();
  tail.u32();
  const footerBytes = tail.u32();
  const footerCrc = tail.u32();
  tail.u32();
  const version = tail.u32();
  if (tail.u32() !== crc32c(tailBytes, 0, 24) || tail.u32() !== MAGIC) {
    throw damaged(path, `the tail is damaged (at byte ${size - TAIL_BYTES})`);
  }
  if (version > FORMAT_VERSION) {
    throw newerFormat(path, version);
  }
  if (footerAt + footerBytes + TAIL_BYTES !== size) {
    throw damaged(path, "cut off or grown");
  }
  const footer = await file.read(footerAt, footerBytes);
  if (footer.length !== footerBytes || crc32c(footer) !== footerCrc) {
    throw damaged(path, `the footer is damaged (at byte ${footerAt})`);
  }
  return decodeFooter(footer, path);
}

/** One chunk, its hash checked. */
export async function readPlace(file: File, path: string, place: ChunkPlace): Promise<Uint8Array> {
  const chunk = await file.read(place.offset, place.bytes);
  if (chunk.length !== place.bytes || hashChunk(chunk) !== place.hash) {
    throw damaged(path, `the chunk at byte ${place.offset} is damaged`);
  }
  return chunk;
}

/** Whether places and facts agree: count, bytes and the hash of the whole. */
export function isWhole({ meta, chunks }: SnapshotContent): boolean {
  const bytes = chunks.reduce((sum, place) => sum + place.bytes, 0);
  return chunks.length === meta.chunks && bytes === meta.bytes && hashChunks(chunks.map((place) => place.hash)) === meta.hash;
}

/** The failure of a snapshot that is not what was written. */
export function damaged(path: string, message: string): StorageFailure {
  return new StorageFailure("corrupt", message, { path, remedy: REMEDY_CORRUPT });
}

function decodeFooter(footer: Uint8Array, path: string): SnapshotContent {
  try {
    const reader = new ByteReader(footer);
    const meta = readSnapshotMeta(reader);
    const count = reader.varint();
    if (count > SNAPSHOT_CHUNKS_MAX) {
      throw new MalformedBytes(`${count} chunks`);
    }
    const chunks: ChunkPlace[] = [];
    for (let i = 0; i < count; i++) {
      chunks.push({ offset: reader.varint(), bytes: reader.varint(), hash: readHash(reader) });
    }
    reader.end();
    const content = { meta, chunks };
    if (chunks.some((place) => place.bytes > SNAPSHOT_CHUNK_MAX) || !isWhole(content)) {
      throw new MalformedBytes("chunks that do not make up the snapshot");
    }
    return content;
  } catch (error) {
    if (error instanceof MalformedBytes) {
      throw damaged(path, `the footer cannot be read: ${error.message}`);
    }
    throw error;
  }
}
