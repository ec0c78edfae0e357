/**
 * What a start makes of the log: which files are segments, which of them count, and the state that their records add up to,
 * by the same `applyRecord` that a running replica uses. It reads and decides; it never writes. Anything that cannot be
 * explained by a crash is a StorageFailure: what was acknowledged is never cut off.
 */
import { ByteReader, MalformedBytes } from "../base/bytes.js";
import { compareBallots, equalBallots } from "../paxos/ballot.js";
import { applyRecord, type Durable, type WalRecord } from "../paxos/record.js";
import { readRecord } from "../paxos/record-codec.js";
import type { File, FileSystem } from "../ports/file.js";
import { newerFormat, pathIn, segmentName } from "./layout.js";
import { SEGMENT_HEADER_MAX } from "./limits.js";
import { decodeSegmentHeader, type SegmentHeader } from "./segment-header.js";
import { greatestGeneration, type ScannedBatch, type SegmentScan, scanSegment } from "./segment-scan.js";
import { type DamagedRange, failureOf, REMEDY_CORRUPT, StorageFailure } from "./storage-failure.js";

/** A file of the log on disk, whatever it holds. */
export type SegmentFile = { readonly path: string; readonly number: number; readonly bytes: number };

export type RecoveredLog = {
  readonly durable: Durable;
  /** Segments that hold what `durable` was made from, in order, with their generations. */
  readonly live: ReadonlyArray<SegmentFile & { readonly generation: number }>;
  /** Files that hold nothing needed: to be used again or removed. */
  readonly dead: readonly SegmentFile[];
  readonly generation: number;
  readonly lastLsn: number;
  /** The newest segment: where the next one goes on. */
  readonly newest: SegmentEnd;
  readonly oldestLive: number;
  /** The last thing written, the only one whose sync may not have returned. */
  readonly lastItem: { readonly path: string; readonly position: number; readonly bytes: number };
};

/** Where a segment's content ends, and what an item behind it must carry. `previousEnd` is `position` without padding. */
export type SegmentEnd = {
  readonly path: string;
  readonly bytes: number;
  readonly generation: number;
  readonly salt: number;
  readonly position: number;
  readonly previousEnd: number;
};

type Opened = { readonly file: File; readonly at: SegmentFile; readonly header: SegmentHeader | null };
type OpenedSegment = Opened & { readonly header: SegmentHeader };

/** Recovers the log of `directory` from the segment files with these numbers; null where none of them is a segment and none ever was. */
export async function recoverLog(fileSystem: FileSystem, directory: string, numbers: readonly number[]): Promise<RecoveredLog | null> {
  const opened: Opened[] = [];
  try {
    for (const number of numbers) {
      opened.push(await openSegment(fileSystem, pathIn(directory, segmentName(number)), number));
    }
    return await recoverFrom(opened, directory);
  } catch (error) {
    throw failureOf(error, directory, "read the log");
  } finally {
    await Promise.all(opened.map(({ file }) => file.close()));
  }
}

async function openSegment(fileSystem: FileSystem, path: string, number: number): Promise<Opened> {
  const file = await fileSystem.open(path, { mode: "read", durable: false });
  const at = { path, number, bytes: await file.size() };
  const header = decodeSegmentHeader(await file.read(0, SEGMENT_HEADER_MAX));
  if (header !== null && "newerVersion" in header) {
    await file.close();
    throw newerFormat(path, header.newerVersion);
  }
  return { file, at, header };
}

async function recoverFrom(opened: readonly Opened[], directory: string): Promise<RecoveredLog | null> {
  const segments = opened.filter(isSegment).sort((a, b) => a.header.generation - b.header.generation);
  const newest = segments.at(-1);
  await refuseLostHeaders(opened, newest?.header.generation ?? 0);
  if (newest === undefined) {
    return null;
  }
  refuseShort(newest);
  const newestScan = await scanSegment(newest.file, newest.header, null);
  refuseDamage(newest, newestScan);
  if (newestScan.continued) {
    throw corrupt(newest.at.path, `goes on in a segment of generation ${newest.header.generation + 1}, which is gone or damaged`);
  }
  const chain = chainOf(segments, newestScan.oldestLive, directory);
  const durable = await replayChain(chain, newestScan);
  return {
    durable,
    live: chain.map(({ at, header }) => ({ ...at, generation: header.generation })),
    dead: opened.filter((one) => !chain.some((live) => live === one)).map(({ at }) => at),
    generation: newest.header.generation,
    lastLsn: newestScan.lastLsn,
    newest: {
      path: newest.at.path,
      bytes: newest.at.bytes,
      generation: newest.header.generation,
      salt: newest.header.salt,
      position: newestScan.end,
      previousEnd: newestScan.previousEnd,
    },
    oldestLive: newestScan.oldestLive,
    lastItem: { path: newest.at.path, position: newestScan.lastItem, bytes: newestScan.end - newestScan.lastItem },
  };
}

function isSegment(opened: Opened): opened is OpenedSegment {
  return opened.header !== null;
}

/**
 * A file without a valid header is a spare one, or one whose header was being written when the power went: no batch of that
 * segment was ever written. Batches of a generation that no header names mean that a header was lost, and with it a segment.
 */
async function refuseLostHeaders(opened: readonly Opened[], newest: number): Promise<void> {
  for (const { file, at, header } of opened) {
    if (header === null && (await greatestGeneration(file, at.bytes)) > newest) {
      throw corrupt(at.path, "the header of the newest segment is damaged (at byte 0)");
    }
  }
}

/** A segment has its full size before its header is written. */
function refuseShort({ at, header }: OpenedSegment): void {
  if (at.bytes < header.segmentBytes) {
    throw corrupt(at.path, `cut off at byte ${at.bytes} of ${header.segmentBytes}`);
  }
}

function refuseDamage({ at }: OpenedSegment, scan: SegmentScan): void {
  const first = scan.damage[0];
  if (first === undefined) {
    return;
  }
  const damaged = scan.damage.flatMap(({ position, header }): DamagedRange[] =>
    header === null || header.holdsState
      ? []
      : [{ offset: position, first: header.first, last: header.last, promised: header.promised, hardMs: header.hardMs }],
  );
  const lost = damaged.length === scan.damage.length ? damaged : [];
  const slots = lost.map((range) => `${range.first} to ${range.last}`).join(", ");
  const what = lost.length > 0 ? `the values of slots ${slots} are lost` : "nobody can tell what was promised or accepted there";
  throw corrupt(at.path, `damaged at byte ${first.position}, before later valid data: ${what}`, lost);
}

function corrupt(path: string, message: string, damaged: readonly DamagedRange[] = []): StorageFailure {
  return new StorageFailure("corrupt", message, { path, remedy: REMEDY_CORRUPT, damaged });
}

/** The segments from generation `oldestLive` to the newest, all of them. */
function chainOf(segments: readonly OpenedSegment[], oldestLive: number, directory: string): readonly OpenedSegment[] {
  const chain = segments.filter(({ header }) => header.generation >= oldestLive);
  const newest = chain.at(-1)?.header.generation ?? 0;
  for (let generation = oldestLive; generation <= newest; generation++) {
    const found = chain.filter(({ header }) => header.generation === generation);
    if (found.length !== 1) {
      throw corrupt(directory, `the log has ${found.length} segments of generation ${generation} where it must have one`);
    }
  }
  return chain;
}

async function replayChain(chain: readonly OpenedSegment[], newestScan: SegmentScan): Promise<Durable> {
  let durable: Durable | null = null;
  for (const [i, segment] of chain.entries()) {
    refuseShort(segment);
    const next = chain[i + 1]?.header;
    const scan =
      next === undefined
        ? newestScan
        : await scanSegment(segment.file, segment.header, { end: next.previousEnd, lastLsn: next.firstLsn - 1 });
    refuseDamage(segment, scan);
    durable ??= segment.header.base;
    refuseContradiction(segment, durable);
    for (const batch of scan.batches) {
      replayBatch(durable, batch, segment.at.path);
    }
  }
  if (durable === null) {
    throw new Error("a chain has at least one segment");
  }
  return durable;
}

/** The header of a segment repeats what the segments before add up to. */
function refuseContradiction({ at, header }: OpenedSegment, durable: Durable): void {
  const { base } = header;
  const agrees =
    base.diskId === durable.diskId &&
    base.replica === durable.replica &&
    base.clusterId === durable.clusterId &&
    base.boot >= durable.boot &&
    equalBallots(base.promised, durable.promised) &&
    base.hint === durable.hint &&
    base.hardMs === durable.hardMs &&
    base.trimmed === durable.trimmed;
  if (!agrees) {
    throw corrupt(at.path, "the segment's header contradicts the segments before it (at byte 0)");
  }
}

function replayBatch(durable: Durable, { header, body, position }: ScannedBatch, path: string): void {
  for (const record of decodeRecords(body, header.records, path, position)) {
    applyRecord(durable, record);
  }
  if (compareBallots(durable.promised, header.promised) !== 0) {
    throw corrupt(path, `the batch at byte ${position} states another promise than its records make`);
  }
}

function decodeRecords(body: Uint8Array, count: number, path: string, position: number): readonly WalRecord[] {
  try {
    const reader = new ByteReader(body);
    const records: WalRecord[] = [];
    for (let i = 0; i < count; i++) {
      records.push(readRecord(reader));
    }
    reader.end();
    return records;
  } catch (error) {
    if (error instanceof MalformedBytes) {
      throw corrupt(path, `the batch at byte ${position} holds what this version cannot read: ${error.message}`);
    }
    throw error;
  }
}
