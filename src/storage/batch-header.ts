/**
 * The header before each batch of the log, and alone as a seal: 104 bytes with a checksum of their own, so that a damaged
 * body still leaves known what was promised and which slots were lost (PROTOCOL §6). Layout in docs/STORAGE.md.
 */
import { crc32c } from "../base/crc32c.js";
import { type Ballot, ballot } from "../paxos/ballot.js";
import { type Slot, slot } from "../paxos/ids.js";
import { getU64, setU64, viewOf } from "./block.js";

/** Bytes of a batch header (format). */
export const BATCH_HEADER_BYTES = 104;

const MAGIC = 0x424e5953; // "SYNB" in the file
const CRC_FROM = 8;
const FLAG_STATE = 1;
const FLAG_CONTINUED = 2;

export type BatchHeader = {
  /** Random number of the segment: what a client stores can look like a header, but not like one of this segment. */
  readonly salt: number;
  /** The segment's: a recycled file holds valid batches of older generations. */
  readonly generation: number;
  /** Counts batches and seals from 1 on through all segments. */
  readonly lsn: number;
  /** Where the item before ended, its padding left out: this header begins at the next block. */
  readonly previousEnd: number;
  /** 0 marks a seal. */
  readonly bodyBytes: number;
  readonly bodyCrc: number;
  readonly records: number;
  /** The body holds more than promises, accepts, learned values and hints: it cannot be had again from other replicas. */
  readonly holdsState: boolean;
  /** The mark behind the last batch of a segment: the next segment exists and has its header on disk. */
  readonly continued: boolean;
  /** As they are once this batch is applied. */
  readonly promised: Ballot;
  readonly hardMs: number;
  /** The least and greatest slot accepted or learned in it; both 0 where there is none. */
  readonly first: Slot;
  readonly last: Slot;
  /** Segments of lower generations hold nothing that is needed once this batch is on disk. */
  readonly oldestLive: number;
};

/** Writes the header over the first BATCH_HEADER_BYTES of `bytes`. */
export function encodeBatchHeader(bytes: Uint8Array, header: BatchHeader): void {
  const view = viewOf(bytes);
  view.setUint32(0, MAGIC, true);
  view.setUint32(8, header.salt, true);
  view.setUint32(12, (header.holdsState ? FLAG_STATE : 0) | (header.continued ? FLAG_CONTINUED : 0), true);
  setU64(view, 16, header.generation);
  setU64(view, 24, header.lsn);
  setU64(view, 32, header.previousEnd);
  view.setUint32(40, header.bodyBytes, true);
  view.setUint32(44, header.bodyCrc, true);
  view.setUint32(48, header.records, true);
  view.setUint32(52, 0, true);
  setU64(view, 56, header.promised.round);
  setU64(view, 64, header.promised.replica);
  setU64(view, 72, header.hardMs);
  setU64(view, 80, header.first);
  setU64(view, 88, header.last);
  setU64(view, 96, header.oldestLive);
  view.setUint32(4, crc32c(bytes, CRC_FROM, BATCH_HEADER_BYTES), true);
}

/** The header at the beginning of `bytes`, or null where there is none whose checksum holds. */
export function decodeBatchHeader(bytes: Uint8Array): BatchHeader | null {
  if (bytes.length < BATCH_HEADER_BYTES) {
    return null;
  }
  const view = viewOf(bytes);
  if (view.getUint32(0, true) !== MAGIC || view.getUint32(4, true) !== crc32c(bytes, CRC_FROM, BATCH_HEADER_BYTES)) {
    return null;
  }
  for (const at of [16, 24, 32, 56, 64, 72, 80, 88, 96]) {
    if (!Number.isSafeInteger(getU64(view, at))) {
      return null;
    }
  }
  return {
    salt: view.getUint32(8, true),
    generation: getU64(view, 16),
    lsn: getU64(view, 24),
    previousEnd: getU64(view, 32),
    bodyBytes: view.getUint32(40, true),
    bodyCrc: view.getUint32(44, true),
    records: view.getUint32(48, true),
    holdsState: (view.getUint32(12, true) & FLAG_STATE) !== 0,
    continued: (view.getUint32(12, true) & FLAG_CONTINUED) !== 0,
    promised: ballot(getU64(view, 56), getU64(view, 64)),
    hardMs: getU64(view, 72),
    first: slot(getU64(view, 80)),
    last: slot(getU64(view, 88)),
    oldestLive: getU64(view, 96),
  };
}
