/**
 * Reading one segment: batch after batch, until it ends, is torn, or is damaged. Torn and damaged are told apart by what
 * follows (PROTOCOL §6): a batch is never written before the one before it is on disk, so valid data behind a bad place
 * proves that the place was good once. Must never return a batch behind a bad place, and never change the file.
 */
import { crc32c } from "../base/crc32c.js";
import type { File } from "../ports/file.js";
import { BATCH_HEADER_BYTES, type BatchHeader, decodeBatchHeader } from "./batch-header.js";
import { alignUp } from "./block.js";
import { BLOCK_BYTES, COMMIT_BYTES_MAX, READ_WINDOW_BYTES } from "./limits.js";
import type { SegmentHeader } from "./segment-header.js";

/** A batch whose checksums hold. The body is a copy of its own, so that it pins no more than itself. */
export type ScannedBatch = { readonly position: number; readonly header: BatchHeader; readonly body: Uint8Array };

/** A bad place. `header`: of the batch there, where only the body is bad; null where nobody knows what stood there. */
export type Damage = { readonly position: number; readonly header: BatchHeader | null };

export type SegmentScan = {
  /** Without the seals. */
  readonly batches: readonly ScannedBatch[];
  /** Where the content ends, a block boundary. */
  readonly end: number;
  /** lsn of the last batch or seal; firstLsn - 1 where there is none. */
  readonly lastLsn: number;
  /** As the last batch or seal states it, else as the segment header does. */
  readonly oldestLive: number;
  /** Where the last item ends, without padding. */
  readonly previousEnd: number;
  /** The newest segment only: it ends with the mark of a later segment. */
  readonly continued: boolean;
  /** Where the last batch, seal or the segment header begins: the only part whose sync may not have returned. */
  readonly lastItem: number;
  /** Empty, or what stands between us and the valid data behind it. */
  readonly damage: readonly Damage[];
};

/** What the segment after says of this one; null for the newest segment. */
export type KnownEnd = { readonly end: number; readonly lastLsn: number };

/** Reads a file front to back in windows, so that a small batch costs no read of its own. */
export class WindowReader {
  private readonly file: File;
  private window: Uint8Array = new Uint8Array(0);
  private from = 0;

  constructor(file: File) {
    this.file = file;
  }

  /** A view of `length` bytes from `position`, valid until the next call; shorter where the file ends. */
  async view(position: number, length: number): Promise<Uint8Array> {
    const offset = position - this.from;
    if (offset < 0 || offset + length > this.window.length) {
      this.window = await this.file.read(position, Math.max(length, READ_WINDOW_BYTES));
      this.from = position;
      return this.window.subarray(0, length);
    }
    return this.window.subarray(offset, offset + length);
  }
}

type Cursor = { position: number; previousEnd: number; lsn: number; oldestLive: number; lastItem: number };

/** Scans the segment of `file`, whose header was read before. */
export async function scanSegment(file: File, segment: SegmentHeader, known: KnownEnd | null): Promise<SegmentScan> {
  const reader = new WindowReader(file);
  const batches: ScannedBatch[] = [];
  const damage: Damage[] = [];
  const cursor: Cursor = {
    position: segment.bytes,
    previousEnd: segment.bytes,
    lsn: segment.firstLsn,
    oldestLive: segment.oldestLive,
    lastItem: 0,
  };
  let continued = false;
  while (known === null || cursor.position < known.end) {
    const header = decodeBatchHeader(await reader.view(cursor.position, BATCH_HEADER_BYTES));
    if (header === null || !follows(header, segment, cursor)) {
      if (known !== null || (await hasLaterData(reader, segment, cursor.position, cursor.lsn))) {
        damage.push({ position: cursor.position, header: null });
      }
      break;
    }
    if (header.continued && known === null) {
      continued = true;
      break;
    }
    const body = await readBody(reader, cursor.position, header);
    if (body === null) {
      if (known === null && !(await hasLaterData(reader, segment, cursor.position + BLOCK_BYTES, cursor.lsn + 1))) {
        break;
      }
      damage.push({ position: cursor.position, header });
    } else if (damage.length === 0 && header.bodyBytes > 0) {
      batches.push({ position: cursor.position, header, body });
    }
    step(cursor, header);
  }
  if (known !== null && damage.length === 0 && (cursor.position !== known.end || cursor.lsn !== known.lastLsn + 1)) {
    damage.push({ position: cursor.position, header: null });
  }
  const { position, previousEnd, lsn, oldestLive, lastItem } = cursor;
  return { batches, end: position, previousEnd, lastLsn: lsn - 1, oldestLive, lastItem, continued, damage };
}

/** The greatest generation that any intact batch header in `file` names; 0 where there is none. For a file whose own header says nothing. */
export async function greatestGeneration(file: File, size: number): Promise<number> {
  const reader = new WindowReader(file);
  let greatest = 0;
  for (let position = 0; position < size; position += BLOCK_BYTES) {
    const header = decodeBatchHeader(await reader.view(position, BATCH_HEADER_BYTES));
    greatest = header !== null && header.generation > greatest ? header.generation : greatest;
  }
  return greatest;
}

function step(cursor: Cursor, header: BatchHeader): void {
  const end = cursor.position + BATCH_HEADER_BYTES + header.bodyBytes;
  cursor.lastItem = cursor.position;
  cursor.previousEnd = end;
  cursor.position = alignUp(end);
  cursor.lsn = header.lsn + 1;
  cursor.oldestLive = header.oldestLive;
}

function follows(header: BatchHeader, segment: SegmentHeader, cursor: Cursor): boolean {
  return isOf(header, segment) && header.lsn === cursor.lsn && header.previousEnd === cursor.previousEnd;
}

function isOf(header: BatchHeader, segment: SegmentHeader): boolean {
  return header.generation === segment.generation && header.salt === segment.salt && header.bodyBytes <= COMMIT_BYTES_MAX;
}

/** A copy of the body, or null where it is cut off or its checksum does not hold. */
async function readBody(reader: WindowReader, position: number, header: BatchHeader): Promise<Uint8Array | null> {
  const body = await reader.view(position + BATCH_HEADER_BYTES, header.bodyBytes);
  return body.length === header.bodyBytes && crc32c(body) === header.bodyCrc ? body.slice() : null;
}

/**
 * Whether a header of this very segment with at least `lsn` stands at `position` or behind it. A batch written to a wrong
 * place counts: a disk that did that has lost acknowledged data.
 */
async function hasLaterData(reader: WindowReader, segment: SegmentHeader, position: number, lsn: number): Promise<boolean> {
  for (let at = position; ; at += BLOCK_BYTES) {
    const bytes = await reader.view(at, BATCH_HEADER_BYTES);
    if (bytes.length === 0) {
      return false;
    }
    const header = decodeBatchHeader(bytes);
    if (header !== null && isOf(header, segment) && header.lsn >= lsn) {
      return true;
    }
  }
}
