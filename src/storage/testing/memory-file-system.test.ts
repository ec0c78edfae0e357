/** The disk in memory and the faulty one against the conformance suite of the File port; and what a power cut leaves. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { seedPrng } from "../../base/prng.js";
import { writeAt } from "../layout.js";
import { fileSystemConformance } from "./file-system-conformance.js";
import { drain } from "./manual-clock.js";
import { MemoryDisk } from "./memory-disk.js";
import { MemoryFileSystem, type Step } from "./memory-file-system.js";

fileSystemConformance("memory", async () => ({ fileSystem: new MemoryFileSystem(new MemoryDisk()), directory: "/data" }));
fileSystemConformance("stalling", async () => ({
  fileSystem: new MemoryFileSystem(new MemoryDisk(), ({ number }) => (number % 3 === 0 ? drain() : "go")),
  directory: "/data",
}));

async function withFile(durable: boolean): Promise<{ disk: MemoryDisk; fileSystem: MemoryFileSystem }> {
  const disk = new MemoryDisk();
  const fileSystem = new MemoryFileSystem(disk);
  await fileSystem.makeDirectory("/d");
  const file = await fileSystem.open("/d/a", { mode: "create", durable });
  await file.truncate(4096);
  await file.sync();
  await fileSystem.syncDirectory("/d");
  await writeAt(file, 0, new Uint8Array(4096).fill(7));
  return { disk, fileSystem };
}

test("a cut loses any subset of sectors that were not synced, and none that were", async () => {
  const survivors = new Set<number>();
  for (let seed = 0; seed < 20; seed++) {
    const { disk } = await withFile(false);
    disk.crash(seedPrng(seed));
    const { data } = disk.inode("/d/a");
    const sectors = Array.from({ length: 8 }, (_, i) => data.subarray(i * 512, i * 512 + 512));
    assert.ok(sectors.every((sector) => sector.every((byte) => byte === sector[0])));
    survivors.add(sectors.filter((sector) => sector[0] === 7).length);
    const synced = await withFile(true);
    synced.disk.crash(seedPrng(seed));
    assert.ok(synced.disk.inode("/d/a").data.every((byte) => byte === 7));
  }
  assert.ok(survivors.size > 3);
});

test("names that were not synced may be gone", async () => {
  const seen = new Set<string>();
  for (let seed = 0; seed < 20; seed++) {
    const { disk, fileSystem } = await withFile(true);
    await fileSystem.rename("/d/a", "/d/b");
    disk.crash(seedPrng(seed));
    seen.add((await new MemoryFileSystem(disk).list("/d")).join());
  }
  assert.deepEqual([...seen].sort(), ["a", "b"]);
});

test("after a cut nothing completes; a failed step says so; a full disk says so", async () => {
  const steps: Step[] = [];
  const disk = new MemoryDisk();
  const fileSystem = new MemoryFileSystem(disk, (step) => {
    steps.push(step);
    return step.number === 2 ? "fail" : step.number === 3 ? "cut" : "go";
  });
  await fileSystem.makeDirectory("/d");
  const file = await fileSystem.open("/d/a", { mode: "create", durable: true });
  await assert.rejects(writeAt(file, 0, Uint8Array.of(1)), { code: "EIO" });
  disk.capacity = 10;
  await assert.rejects(writeAt(file, 0, new Uint8Array(11)), { code: "ENOSPC" });
  let completed = false;
  const complete = (): void => {
    completed = true;
  };
  file.sync().then(complete, complete);
  await fileSystem.whenCut;
  fileSystem.list("/d").then(complete, complete);
  await drain();
  assert.equal(completed, false);
  assert.deepEqual(
    steps.map(({ kind }) => kind),
    ["create", "write", "sync"],
  );
});
