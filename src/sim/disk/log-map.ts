/**
 * Where the items of the log lie on a disk: headers of segments, batches and seals, read with the storage layer's own
 * decoders. Faults that damage the disk need it to stay within what a log with checksums can notice: a batch that lies before
 * an intact later one. It only reads.
 */
import { BATCH_HEADER_BYTES, type BatchHeader, decodeBatchHeader } from "../../storage/batch-header.js";
import { alignUp } from "../../storage/block.js";
import { decodeSegmentHeader, type SegmentHeader } from "../../storage/segment-header.js";
import type { Inode } from "./inode.js";

/** One header, batch or seal: `bytes` of it from `position`, padding left out where it is known. */
export type LogItem = { readonly inode: Inode; readonly position: number; readonly bytes: number };

export type LogMap = {
  /** The files that a recovery would read records from. */
  readonly live: ReadonlySet<Inode>;
  /** In the order in which they were written, all before the last one that is on disk: damage to any of them can be noticed. */
  readonly provable: readonly LogItem[];
};

type Segment = { readonly inode: Inode; readonly header: SegmentHeader };

export function isSegmentName(name: string): boolean {
  return name.startsWith("wal-");
}

/** Reads the log among `names`. */
export function mapLog(names: ReadonlyMap<string, Inode>): LogMap {
  const segments: Segment[] = [];
  for (const [name, inode] of names) {
    const header = isSegmentName(name) ? decodeSegmentHeader(inode.view()) : null;
    if (header !== null && !("newerVersion" in header)) {
      segments.push({ inode, header });
    }
  }
  segments.sort((a, b) => a.header.generation - b.header.generation);
  const walks = segments.map(walk);
  const oldestLive = walks.at(-1)?.oldestLive ?? 0;
  const live = new Set<Inode>();
  const items: LogItem[] = [];
  for (const [i, { inode, header }] of segments.entries()) {
    if (header.generation >= oldestLive) {
      live.add(inode);
      items.push(...(walks[i]?.items ?? []));
    }
  }
  const last = items.findLastIndex(({ inode, position, bytes }) => inode.isSynced(position, position + bytes));
  return { live, provable: items.slice(0, Math.max(0, last)) };
}

/** The items of one segment, and what the last of them says is the oldest segment needed. */
function walk({ inode, header }: Segment): { readonly items: readonly LogItem[]; readonly oldestLive: number } {
  const view = inode.view();
  const items: LogItem[] = [{ inode, position: 0, bytes: header.bytes }];
  let { oldestLive } = header;
  let position = header.bytes;
  let lsn = header.firstLsn;
  for (;;) {
    const next = decodeBatchHeader(view.subarray(position));
    if (next === null || !isOf(next, header) || next.lsn !== lsn || next.continued) {
      return { items, oldestLive };
    }
    const bytes = BATCH_HEADER_BYTES + next.bodyBytes;
    items.push({ inode, position, bytes });
    oldestLive = next.oldestLive;
    position = alignUp(position + bytes);
    lsn++;
  }
}

function isOf(batch: BatchHeader, segment: SegmentHeader): boolean {
  return batch.generation === segment.generation && batch.salt === segment.salt;
}
