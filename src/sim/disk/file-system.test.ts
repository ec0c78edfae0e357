/**
 * The simulated disk as a File port: the conformance tests that the real file system passes too, run in virtual time; what a
 * process may not see once it is dead; and that the same seed gives the same disk.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { DirectoryLock, File, FileSystem, OpenOptions } from "../../ports/file.js";
import { fileSystemConformance } from "../../storage/testing/file-system-conformance.js";
import type { Engine } from "../engine/engine.js";
import { DiskWorld, fingerprint, type Life } from "./testing/disk-world.js";

/** Runs virtual time whenever somebody waits, for tests that know nothing of it. */
class RunningFileSystem implements FileSystem {
  private readonly engine: Engine;
  private readonly inner: FileSystem;
  private waiting = 0;
  private running = false;

  constructor(engine: Engine, inner: FileSystem) {
    this.engine = engine;
    this.inner = inner;
  }

  list(directory: string): Promise<readonly string[]> {
    return this.during(this.inner.list(directory));
  }

  makeDirectory(directory: string): Promise<void> {
    return this.during(this.inner.makeDirectory(directory));
  }

  async open(path: string, options: OpenOptions): Promise<File> {
    const file = await this.during(this.inner.open(path, options));
    return {
      write: (position, bytes, done) => {
        const written = new Promise<Error | null>((resolve) => file.write(position, bytes, resolve));
        this.during(written).then(done);
      },
      read: (position, length) => this.during(file.read(position, length)),
      sync: () => this.during(file.sync()),
      size: () => this.during(file.size()),
      truncate: (size) => this.during(file.truncate(size)),
      close: () => this.during(file.close()),
    };
  }

  rename(from: string, to: string): Promise<void> {
    return this.during(this.inner.rename(from, to));
  }

  remove(path: string): Promise<void> {
    return this.during(this.inner.remove(path));
  }

  syncDirectory(directory: string): Promise<void> {
    return this.during(this.inner.syncDirectory(directory));
  }

  freeBytes(path: string): Promise<number> {
    return this.during(this.inner.freeBytes(path));
  }

  async lock(directory: string): Promise<DirectoryLock> {
    const lock = await this.during(this.inner.lock(directory));
    return { release: () => this.during(lock.release()) };
  }

  private async during<T>(work: Promise<T>): Promise<T> {
    this.waiting++;
    this.run().catch((error: unknown) => {
      throw error;
    });
    try {
      return await work;
    } finally {
      this.waiting--;
    }
  }

  private async run(): Promise<void> {
    if (this.running) {
      return;
    }
    this.running = true;
    while (this.waiting > 0) {
      await this.engine.run(this.engine.now + 1000, () => this.waiting === 0);
    }
    this.running = false;
  }
}

fileSystemConformance("simulated disk", async () => {
  const world = new DiskWorld(1);
  return { fileSystem: new RunningFileSystem(world.engine, world.begin().fileSystem), directory: "/d" };
});

async function fileIn(world: DiskWorld, life: Life, durable: boolean): Promise<File> {
  const file = await world.during(
    life,
    life.fileSystem.makeDirectory("/d").then(() => life.fileSystem.open("/d/a", { mode: "create", durable })),
  );
  assert.ok(file !== null && "write" in file);
  return file;
}

test("operations of one file end in their order, of several files beside each other", async () => {
  const world = new DiskWorld(2);
  const life = world.begin();
  const file = await fileIn(world, life, true);
  const other = await world.during(life, life.fileSystem.open("/d/b", { mode: "create", durable: true }));
  assert.ok(other !== null && "write" in other);
  const begun = world.engine.now;
  const ends: { readonly i: number; readonly at: number }[] = [];
  for (let i = 0; i < 5; i++) {
    file.write(0, Uint8Array.of(i), () => ends.push({ i, at: world.engine.now }));
  }
  let otherAt = 0;
  other.write(0, Uint8Array.of(1), () => {
    otherAt = world.engine.now;
  });
  await world.engine.run(begun + 10_000);
  assert.deepEqual(
    ends.map(({ i }) => i),
    [0, 1, 2, 3, 4],
  );
  assert.ok(ends.every(({ at }, i) => at - (ends[i - 1]?.at ?? begun) >= 50));
  assert.ok(otherAt > 0 && otherAt - begun <= 400);
});

test("a dead process hears nothing, a paused one later, and its locks go with it", async () => {
  const world = new DiskWorld(3);
  const life = world.begin();
  const file = await fileIn(world, life, true);
  await world.during(life, life.fileSystem.lock("/d"));
  let heard = 0;
  const write = (): void => file.write(0, Uint8Array.of(1), () => heard++);
  life.host.pause();
  write();
  await world.engine.run(world.engine.now + 10_000);
  assert.equal(heard, 0);
  life.host.resume();
  await world.engine.run(world.engine.now + 10_000);
  assert.equal(heard, 1);
  write();
  write();
  world.end(life.host, false);
  write();
  await world.engine.run(world.engine.now + 10_000);
  assert.equal(heard, 1);
  const next = world.begin();
  const lock = await world.during(next, next.fileSystem.lock("/d"));
  assert.ok(lock !== null && "release" in lock);
});

test("a write cut off by a death is there, not there, or there in part; never more than was asked", async () => {
  const seen = new Set<number>();
  for (let seed = 0; seed < 60; seed++) {
    const world = new DiskWorld(seed);
    const life = world.begin();
    const file = await fileIn(world, life, true);
    file.write(0, new Uint8Array(16_384).fill(7), () => assert.fail("nobody is told"));
    world.end(life.host, false);
    const content = world.disk.copy().get("/d")?.get("a") ?? new Uint8Array(0);
    assert.ok(content.every((byte) => byte === 7));
    seen.add(content.length);
  }
  assert.deepEqual(
    [...seen].sort((a, b) => a - b),
    [0, 4096, 8192, 12_288, 16_384],
  );
});

test("names that were not synced are lost from some change on, each of them with its content", async () => {
  const seen = new Set<string>();
  for (let seed = 0; seed < 60; seed++) {
    const world = new DiskWorld(seed);
    const life = world.begin();
    const { fileSystem } = life;
    const file = await fileIn(world, life, true);
    await world.during(life, fileSystem.syncDirectory("/d"));
    await world.during(life, new Promise((resolve) => file.write(0, Uint8Array.of(1), resolve)));
    await world.during(life, fileSystem.open("/d/b", { mode: "create", durable: false }));
    await world.during(life, fileSystem.rename("/d/a", "/d/c"));
    await world.during(life, fileSystem.remove("/d/b"));
    world.end(life.host, true);
    const names = world.disk.copy().get("/d") ?? new Map<string, Uint8Array>();
    assert.deepEqual(names.get("a") ?? names.get("c"), Uint8Array.of(1));
    seen.add([...names.keys()].sort().join(" "));
  }
  assert.deepEqual([...seen].sort(), ["a", "a b", "b c", "c"]);
});

test("a sync of names covers what was changed before it began, and no more", async () => {
  let lost = 0;
  for (let seed = 0; seed < 40; seed++) {
    const world = new DiskWorld(seed);
    const life = world.begin();
    const { fileSystem } = life;
    await fileIn(world, life, false);
    const both = [fileSystem.syncDirectory("/d"), fileSystem.open("/d/late", { mode: "create", durable: false })];
    await world.during(life, Promise.all(both));
    world.end(life.host, true);
    const names = world.disk.copy().get("/d");
    assert.ok(names?.has("a"));
    lost += names?.has("late") ? 0 : 1;
  }
  assert.ok(lost > 5 && lost < 35, `${lost}`);
});

test("the same seed gives the same disk, another seed another", async () => {
  const run = async (seed: number): Promise<string> => {
    const world = new DiskWorld(seed);
    const life = world.begin({ boundary: null, count: 60, after: false }, true);
    assert.equal(await world.during(life, world.script(life)), null);
    return `${world.engine.now} ${world.disk.operations} ${JSON.stringify([...world.tally.counts])}\n${fingerprint(world.disk)}`;
  };
  const first = await run(7);
  assert.equal(await run(7), first);
  assert.notEqual(await run(8), first);
});
