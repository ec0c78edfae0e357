/**
 * Writes that a disk puts in a wrong place, and bits that change while nobody looks. Both stay within what checksums can notice:
 *
 * - a write that lands elsewhere as well may destroy any item of the log before the last one on disk, any snapshot, any other file;
 * - a write of the log that is missing from its own place lands further back in the same segment, where its header shows that
 *   something was lost. A write of any other file may be missing altogether: snapshots are read back before they count.
 *
 * No single disk can notice these, and they are never done (PROTOCOL §6, "Residual"): damage to the last item of the log, which
 * looks torn; the last batch missing without a trace, which looks as if it had never been written.
 */
import { nextChance, nextInt, type Prng } from "../../base/prng.js";
import { type Inode, PAGE_BYTES } from "./inode.js";
import { isSegmentName, type LogItem, type LogMap, mapLog } from "./log-map.js";

/** A write about to happen. `name`: of the file in its directory; "" where it has none any more. */
export type WriteRequest = {
  readonly inode: Inode;
  readonly name: string;
  readonly position: number;
  readonly bytes: Uint8Array;
  readonly durable: boolean;
};

/** What a fault hit: nothing at all, only files that are not the log, or the log. */
export type Hit = "nothing" | "other" | "log";

type Place = { readonly inode: Inode; readonly from: number; readonly end: number };

const alignDown = (position: number): number => position - (position % PAGE_BYTES);
const alignUp = (position: number): number => Math.ceil(position / PAGE_BYTES) * PAGE_BYTES;

/**
 * Carries out `request` wrongly. `mayHitLog`: false once the log was damaged, where its map can no longer be trusted.
 * "nothing": there was no place, and the request was carried out as it should be.
 */
export function misdirect(prng: Prng, names: ReadonlyMap<string, Inode>, request: WriteRequest, mayHitLog: boolean): Hit {
  const isLog = isSegmentName(request.name);
  if (isLog && mayHitLog && nextChance(prng, 0.5) && misplaceInSegment(prng, request)) {
    return "log";
  }
  const log = mapLog(names);
  const missing = !isLog && nextChance(prng, 0.5);
  if (missing) {
    keepSize(request);
  } else {
    request.inode.write(request.position, request.bytes, request.durable);
  }
  const others = otherPlaces(names, log, request, mayHitLog);
  const items = mayHitLog ? mapLog(names).provable.map(placeOf) : [];
  const places = others.length === 0 || (items.length > 0 && nextChance(prng, 0.5)) ? items : others;
  if (places.length === 0) {
    return missing ? "other" : "nothing";
  }
  land(prng, places[nextInt(prng, 0, places.length)] as Place, request);
  return places === items ? "log" : "other";
}

/** Flips `flips` bits of what is synced: in items of the log before the last one on disk, or in a snapshot. Whether there was anything to flip. */
export function rot(prng: Prng, names: ReadonlyMap<string, Inode>, what: "log" | "snapshot", flips: number): boolean {
  const places: LogItem[] = what === "log" ? [...mapLog(names).provable] : [];
  if (what === "snapshot") {
    for (const [name, inode] of names) {
      if (name.endsWith(".snap") && inode.size > 0) {
        places.push({ inode, position: 0, bytes: inode.size });
      }
    }
  }
  const synced = places.filter(({ inode, position, bytes }) => inode.isSynced(position, position + bytes));
  if (synced.length === 0) {
    return false;
  }
  for (let i = 0; i < flips; i++) {
    const { inode, position, bytes } = synced[nextInt(prng, 0, synced.length)] as LogItem;
    inode.flip(position + nextInt(prng, 0, bytes), nextInt(prng, 0, 8));
  }
  return true;
}

/** The write lands further back in its own segment instead. False where there is no room for its first page. */
function misplaceInSegment(prng: Prng, { inode, position, bytes, durable }: WriteRequest): boolean {
  const from = alignUp(position + bytes.length);
  const pages = Math.floor((inode.size - from) / PAGE_BYTES);
  if (pages <= 0) {
    return false;
  }
  const at = from + nextInt(prng, 0, pages) * PAGE_BYTES;
  inode.write(at, bytes.subarray(0, inode.size - at), durable);
  return true;
}

/** The file has the size that the write gives it, although its bytes went elsewhere. */
function keepSize({ inode, position, bytes, durable }: WriteRequest): void {
  inode.truncate(Math.max(inode.size, position + bytes.length));
  if (durable) {
    inode.sync();
  }
}

/** Files that hold no records, whole, and the rest of the file of the request. */
function otherPlaces(names: ReadonlyMap<string, Inode>, log: LogMap, request: WriteRequest, mayHitLog: boolean): readonly Place[] {
  const places: Place[] = [];
  for (const [name, inode] of names) {
    const isDead = mayHitLog ? !log.live.has(inode) : !isSegmentName(name);
    if (inode !== request.inode && isDead && inode.size > 0) {
      places.push({ inode, from: 0, end: inode.size });
    }
  }
  if (!isSegmentName(request.name) && alignDown(request.position) > 0) {
    places.push({ inode: request.inode, from: 0, end: alignDown(request.position) });
  }
  return places;
}

function placeOf({ inode, position, bytes }: LogItem): Place {
  return { inode, from: alignDown(position), end: alignUp(position + bytes) };
}

function land(prng: Prng, { inode, from, end }: Place, { bytes, durable }: WriteRequest): void {
  const at = from + nextInt(prng, 0, Math.max(1, Math.ceil((end - from) / PAGE_BYTES))) * PAGE_BYTES;
  inode.write(at, bytes.subarray(0, end - at), durable);
}
