/**
 * The one buffer in which commits are made: records are encoded into it behind room for their header, and it is what the
 * disk is given. So a payload is copied once and a commit allocates nothing. Never touch it while a write is under way.
 */
import { ByteWriter } from "../base/bytes.js";
import { crc32c } from "../base/crc32c.js";
import { compareBallots } from "../paxos/ballot.js";
import type { WalRecord } from "../paxos/record.js";
import { writeRecord } from "../paxos/record-codec.js";
import { BATCH_HEADER_BYTES, type BatchHeader, encodeBatchHeader } from "./batch-header.js";
import { alignUp } from "./block.js";
import { COMMIT_BUFFER_KEPT } from "./limits.js";
import { type BatchSummary, emptySummary, summarize } from "./live-tail.js";

const INITIAL_BYTES = 64 * 1024;

/** What the log knows of a batch besides its records; `promised` before it. */
export type BatchPlace = Pick<
  BatchHeader,
  "salt" | "generation" | "lsn" | "previousEnd" | "promised" | "hardMs" | "oldestLive" | "continued"
>;

export class CommitBuffer {
  private writer: ByteWriter;
  private records = 0;
  private summary: BatchSummary = emptySummary();

  /** `bytes`: what is set aside at first; it grows where that is not enough. */
  constructor(bytes: number = INITIAL_BYTES) {
    this.writer = new ByteWriter(bytes);
  }

  /** Begins a batch with `records`; none make a seal. */
  start(records: readonly WalRecord[]): void {
    if (this.writer.length > COMMIT_BUFFER_KEPT) {
      this.writer = new ByteWriter(INITIAL_BYTES);
    }
    this.writer.rewind().zeros(BATCH_HEADER_BYTES);
    this.records = 0;
    this.summary = emptySummary();
    this.append(records);
  }

  append(records: readonly WalRecord[]): void {
    for (const record of records) {
      writeRecord(this.writer, record);
      summarize(this.summary, record);
    }
    this.records += records.length;
  }

  /** Bytes of header and body, without padding. */
  get contentBytes(): number {
    return this.writer.length;
  }

  /** Bytes that the batch takes in the file. */
  get paddedBytes(): number {
    return alignUp(this.writer.length);
  }

  /** The greatest slot accepted or learned in the batch; 0 where there is none. */
  get lastSlot(): number {
    return this.summary.last;
  }

  /** The bytes to write, padded to whole blocks: a view of the buffer, good until the next start. */
  finish(place: BatchPlace): Uint8Array {
    const { summary } = this;
    const { salt, generation, lsn, previousEnd, promised, hardMs, oldestLive, continued } = place;
    const content = this.writer.length;
    this.writer.zeros(alignUp(content) - content);
    const bytes = this.writer.finish();
    encodeBatchHeader(bytes, {
      salt,
      generation,
      lsn,
      previousEnd,
      hardMs,
      oldestLive,
      continued,
      bodyBytes: content - BATCH_HEADER_BYTES,
      bodyCrc: crc32c(bytes, BATCH_HEADER_BYTES, content),
      records: this.records,
      holdsState: summary.holdsState,
      promised: compareBallots(summary.promised, promised) > 0 ? summary.promised : promised,
      first: summary.first,
      last: summary.last,
    });
    return bytes;
  }
}
