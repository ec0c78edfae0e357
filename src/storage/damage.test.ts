/**
 * Damage to a small log: every byte flipped, everything behind each byte zeroed, the file cut at each length, batches swapped
 * and replayed. Recovery gives exactly what was written, or it without a tail that a crash could have left unwritten, or a
 * StorageFailure: never anything else.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { nextInt, seedPrng } from "../base/prng.js";
import { ballot } from "../paxos/ballot.js";
import { slot } from "../paxos/ids.js";
import type { WalRecord } from "../paxos/record.js";
import { decodeBatchHeader } from "./batch-header.js";
import { BLOCK_BYTES } from "./limits.js";
import { recoverLog } from "./recovery.js";
import { StorageFailure } from "./storage-failure.js";
import { MemoryDisk } from "./testing/memory-disk.js";
import { MemoryFileSystem } from "./testing/memory-file-system.js";
import { accept, commit, DIRECTORY, IDENTITY, Model, openWorld, payload, SMALL_SEGMENT, textOf, trimTo } from "./testing/storage-world.js";

type Log = { readonly disk: MemoryDisk; readonly model: Model; readonly numbers: readonly number[] };

/** A log of several segments and two lives; sealed at its end or not. */
async function smallLog(sealed: boolean): Promise<Log> {
  const disk = new MemoryDisk();
  const prng = seedPrng(4);
  const model = new Model();
  const commits: WalRecord[][] = [
    [IDENTITY],
    [{ kind: "promise", ballot: ballot(2, 2) }],
    ...[1, 2, 3, 4, 5].map((at) => [accept(at, 2, payload(prng, 130 * at))]),
    [{ kind: "learn", slot: slot(6), batch: { ...(accept(6, 1, payload(prng, 40)) as Extract<WalRecord, { kind: "accept" }>).batch } }],
    [{ kind: "decided", slot: slot(4) }, trimTo(1)],
    [accept(7, 5, payload(prng, 90))],
  ];
  for (const half of [commits.slice(0, 6), commits.slice(6)]) {
    disk.kill();
    const { storage } = await openWorld(disk, 1);
    for (const records of half) {
      await commit(storage, records);
      model.apply(records);
    }
    if (sealed) {
      await storage.close();
    }
  }
  disk.kill();
  const names = await new MemoryFileSystem(disk).list(DIRECTORY);
  const numbers = names.flatMap((name) => (name.startsWith("wal-") ? [Number(name.slice(4, -4))] : [])).sort((a, b) => a - b);
  return { disk, model, numbers };
}

const pathOf = (number: number): string => `${DIRECTORY}/wal-${String(number).padStart(8, "0")}.log`;

/** The recovered state as text, or the failure. */
async function recover(log: Log): Promise<string | StorageFailure> {
  try {
    const recovered = await recoverLog(new MemoryFileSystem(log.disk), DIRECTORY, log.numbers);
    return recovered === null ? "nothing" : textOf(recovered.durable);
  } catch (error) {
    assert.ok(error instanceof StorageFailure, `expected a StorageFailure, got ${String(error)}`);
    assert.ok(error.kind === "corrupt" || error.kind === "newer-format");
    return error;
  }
}

/** Bytes of the file that hold anything, and a sample of the rest. */
function interesting(data: Uint8Array): readonly number[] {
  const positions: number[] = [];
  for (let at = 0; at < data.length; at++) {
    const near = data.subarray(Math.max(0, at - 8), at + 8).some((byte) => byte !== 0);
    if (near || at % 509 === 0) {
      positions.push(at);
    }
  }
  return positions;
}

for (const sealed of [true, false]) {
  test(`every byte flipped, the last batch ${sealed ? "" : "not "}sealed`, async () => {
    const log = await smallLog(sealed);
    const full = log.model.texts.at(-1) ?? "";
    const withoutLast = log.model.texts.at(-2) ?? "";
    assert.equal(await recover(log), full);
    const prng = seedPrng(9);
    const seen = { exact: 0, cut: 0, refused: 0 };
    for (const number of log.numbers) {
      const inode = log.disk.inode(pathOf(number));
      for (const at of interesting(inode.data)) {
        const mask = nextInt(prng, 1, 256);
        inode.rot(at, mask);
        const result = await recover(log);
        inode.rot(at, mask);
        if (result instanceof StorageFailure) {
          seen.refused += 1;
        } else if (result === full) {
          seen.exact += 1;
        } else {
          assert.equal(result, withoutLast, `byte ${at} of segment ${number} changed what recovery returns`);
          assert.equal(sealed, false, `byte ${at} of segment ${number} cut off a sealed batch`);
          seen.cut += 1;
        }
      }
    }
    assert.ok(seen.exact > 50 && seen.refused > 1000, JSON.stringify(seen));
    assert.equal(seen.cut > 0, !sealed);
  });
}

test("everything behind each byte of the newest segment zeroed: a prefix of the commits, never less than the older segments hold", async () => {
  const log = await smallLog(false);
  const newest = (await newestNumber(log)) ?? 0;
  const inode = log.disk.inode(pathOf(newest));
  const original = inode.data.slice();
  const seen = new Set<number>();
  for (let cut = 0; cut < original.length; cut += cut % BLOCK_BYTES < 400 ? 1 : 61) {
    inode.data = original.slice();
    inode.data.fill(0, cut);
    if (cut === 0) {
      assert.ok((await recover(log)) instanceof StorageFailure, "the loss of the whole newest segment is noticed");
    }
    const result = await recover(log);
    if (typeof result === "string") {
      const commits = log.model.texts.indexOf(result);
      assert.ok(commits >= 6, `zeros from byte ${cut} gave a state that never was`);
      seen.add(commits);
    }
  }
  assert.ok(seen.size >= 2, `${[...seen]}`);
});

test("a segment cut at any length is refused: it had its full size before its header", async () => {
  const log = await smallLog(true);
  const newest = (await newestNumber(log)) ?? 0;
  const inode = log.disk.inode(pathOf(newest));
  const original = inode.data.slice();
  for (let length = 4096; length < original.length; length += 97) {
    inode.data = original.slice(0, length);
    assert.ok((await recover(log)) instanceof StorageFailure, `cut at ${length}`);
  }
});

test("a damaged body before later data names the slots that could be fetched again", async () => {
  const log = await smallLog(true);
  const newest = (await newestNumber(log)) ?? 0;
  const inode = log.disk.inode(pathOf(newest));
  let checked = 0;
  for (let at = 0; at < inode.data.length; at += BLOCK_BYTES) {
    const header = decodeBatchHeader(inode.data.subarray(at));
    if (header === null || header.bodyBytes === 0 || header.last === 0) {
      continue;
    }
    inode.rot(at + 110, 1);
    const failure = await recover(log);
    inode.rot(at + 110, 1);
    assert.ok(failure instanceof StorageFailure);
    assert.match(failure.message, new RegExp(`byte ${at}`));
    const repairable = header.holdsState
      ? []
      : [{ offset: at, first: header.first, last: header.last, promised: header.promised, hardMs: 0 }];
    assert.deepEqual(failure.damaged, repairable);
    checked += repairable.length;
  }
  assert.ok(checked > 0);
});

test("blocks written to a wrong place are noticed", async () => {
  const log = await smallLog(true);
  const newest = (await newestNumber(log)) ?? 0;
  const inode = log.disk.inode(pathOf(newest));
  const original = inode.data.slice();
  const full = log.model.texts.at(-1);
  const prng = seedPrng(1);
  for (let round = 0; round < 200; round++) {
    inode.data = original.slice();
    const blocks = SMALL_SEGMENT / BLOCK_BYTES;
    const [from, to] = [nextInt(prng, 0, blocks) * BLOCK_BYTES, nextInt(prng, 0, blocks) * BLOCK_BYTES];
    inode.data.copyWithin(to, from, from + BLOCK_BYTES);
    const result = await recover(log);
    assert.ok(result === full || result instanceof StorageFailure, `block at ${from} written to ${to}`);
  }
});

/** A disk whose second segment begins with the batches of `commits`, and that segment's file. */
async function secondSegment(
  seed: number,
  commits: readonly WalRecord[],
): Promise<{ disk: MemoryDisk; number: number; numbers: number[] }> {
  const disk = new MemoryDisk();
  const { storage } = await openWorld(disk, seed);
  await commit(storage, [IDENTITY]);
  for (const record of commits) {
    await commit(storage, [record]);
  }
  disk.kill();
  const names = (await new MemoryFileSystem(disk).list(DIRECTORY)).filter((name) => name.startsWith("wal-"));
  const numbers = names.map((name) => Number(name.slice(4, -4)));
  return { disk, number: (await newestNumber({ disk, numbers })) ?? 0, numbers };
}

test("a client's value that looks like later batches of the log is none, even in a torn batch", async () => {
  const prng = seedPrng(2);
  // The same life on another disk: the same generation, the same places, later lsns. Only the salt differs.
  const other = await secondSegment(6, [
    accept(1, 1, payload(prng, 5000)),
    accept(2, 1, payload(prng, 50)),
    accept(3, 1, payload(prng, 50)),
  ]);
  const image = other.disk.inode(pathOf(other.number)).data;
  const value = new Uint8Array(3 * BLOCK_BYTES);
  // Header of the batch and of the record before the value: with it the copied blocks lie on block boundaries of the file.
  const before = 111;
  value.set(image.subarray(3 * BLOCK_BYTES, 5 * BLOCK_BYTES), BLOCK_BYTES - before);
  const victim = await secondSegment(5, [accept(1, 1, value)]);
  const inode = victim.disk.inode(pathOf(victim.number));
  assert.ok((decodeBatchHeader(inode.data.subarray(2 * BLOCK_BYTES))?.lsn ?? 0) > 3, "the value does look like a later batch");
  inode.rot(BLOCK_BYTES + 150, 0xff);
  const result = await recover({ disk: victim.disk, model: new Model(), numbers: victim.numbers });
  assert.equal(typeof result, "string", String(result));
});

/** The file of the segment with the highest generation. */
async function newestNumber({ disk, numbers }: Omit<Log, "model">): Promise<number | undefined> {
  let best: { readonly number: number; readonly generation: number } | undefined;
  for (const number of numbers) {
    const { data } = disk.inode(pathOf(number));
    for (let at = 0; at < data.length; at += BLOCK_BYTES) {
      const header = decodeBatchHeader(data.subarray(at));
      if (header !== null && header.generation > (best?.generation ?? 0)) {
        best = { number, generation: header.generation };
      }
    }
  }
  return best?.number;
}
