/**
 * What every implementation of the File port must do, as tests: the disk in memory, the faulty one and the real one run the
 * same. `make` gives an empty place: a file system and a directory in it that does not exist yet.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { File, FileSystem } from "../../ports/file.js";

export type Place = { readonly fileSystem: FileSystem; readonly directory: string };

const bytesOf = (...values: number[]): Uint8Array => Uint8Array.from(values);

function write(file: File, position: number, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    let inside = true;
    file.write(position, bytes, (error) => {
      assert.equal(inside, false, "the callback is not called from inside the call");
      return error === null ? resolve() : reject(error);
    });
    inside = false;
  });
}

const hasCode = (code: string) => (error: unknown) => error instanceof Error && "code" in error && error.code === code;

export function fileSystemConformance(name: string, make: () => Promise<Place>): void {
  const begin = async (): Promise<Place & { readonly path: (file: string) => string }> => {
    const place = await make();
    await place.fileSystem.makeDirectory(place.directory);
    return { ...place, path: (file) => `${place.directory}/${file}` };
  };

  for (const durable of [false, true]) {
    test(`${name}: reads back what was written, durable=${durable}`, async () => {
      const { fileSystem, path } = await begin();
      const file = await fileSystem.open(path("a"), { mode: "create", durable });
      await write(file, 0, bytesOf(1, 2, 3, 4));
      await write(file, 2, bytesOf(9));
      await write(file, 6, bytesOf(7, 8));
      await file.sync();
      assert.deepEqual(await file.read(0, 100), bytesOf(1, 2, 9, 4, 0, 0, 7, 8));
      assert.deepEqual(await file.read(5, 2), bytesOf(0, 7));
      assert.deepEqual(await file.read(8, 10), bytesOf());
      assert.deepEqual(await file.read(100, 10), bytesOf());
      assert.equal(await file.size(), 8);
      await file.close();
      await file.close();
    });
  }

  test(`${name}: a large write arrives whole`, async () => {
    const { fileSystem, path } = await begin();
    const file = await fileSystem.open(path("a"), { mode: "create", durable: true });
    const large = Uint8Array.from({ length: 3_000_001 }, (_, i) => (i * 31) % 251);
    await write(file, 4096, large);
    assert.deepEqual(await file.read(4096, large.length), large);
    await file.close();
  });

  test(`${name}: truncate cuts and extends with zeros`, async () => {
    const { fileSystem, path } = await begin();
    const file = await fileSystem.open(path("a"), { mode: "create", durable: false });
    await write(file, 0, bytesOf(1, 2, 3, 4));
    await file.truncate(2);
    await file.truncate(5);
    assert.deepEqual(await file.read(0, 10), bytesOf(1, 2, 0, 0, 0));
    await file.close();
  });

  test(`${name}: open modes`, async () => {
    const { fileSystem, path } = await begin();
    await assert.rejects(fileSystem.open(path("a"), { mode: "read", durable: false }), hasCode("ENOENT"));
    await assert.rejects(fileSystem.open(path("a"), { mode: "update", durable: true }), hasCode("ENOENT"));
    const file = await fileSystem.open(path("a"), { mode: "create", durable: false });
    await write(file, 0, bytesOf(5));
    await file.close();
    await assert.rejects(fileSystem.open(path("a"), { mode: "create", durable: false }), hasCode("EEXIST"));
    const reader = await fileSystem.open(path("a"), { mode: "read", durable: false });
    await assert.rejects(write(reader, 0, bytesOf(1)), hasCode("EBADF"));
    const writer = await fileSystem.open(path("a"), { mode: "update", durable: true });
    await write(writer, 1, bytesOf(6));
    assert.deepEqual(await reader.read(0, 9), bytesOf(5, 6));
    await reader.close();
    await writer.close();
  });

  test(`${name}: names: list, rename over, remove, sync`, async () => {
    const { fileSystem, directory, path } = await begin();
    await fileSystem.makeDirectory(directory);
    assert.deepEqual(await fileSystem.list(directory), []);
    for (const [name, value] of [
      ["a", 1],
      ["b", 2],
    ] as const) {
      const file = await fileSystem.open(path(name), { mode: "create", durable: false });
      await write(file, 0, bytesOf(value));
      await file.close();
    }
    await fileSystem.rename(path("a"), path("b"));
    await fileSystem.syncDirectory(directory);
    assert.deepEqual(await fileSystem.list(directory), ["b"]);
    const file = await fileSystem.open(path("b"), { mode: "read", durable: false });
    assert.deepEqual(await file.read(0, 9), bytesOf(1));
    await file.close();
    await fileSystem.remove(path("b"));
    assert.deepEqual(await fileSystem.list(directory), []);
    await assert.rejects(fileSystem.remove(path("b")), hasCode("ENOENT"));
    await assert.rejects(fileSystem.rename(path("b"), path("c")), hasCode("ENOENT"));
    await assert.rejects(fileSystem.list(`${directory}/none`), hasCode("ENOENT"));
  });

  test(`${name}: free space is a number of bytes`, async () => {
    const { fileSystem, directory } = await begin();
    const free = await fileSystem.freeBytes(directory);
    assert.ok(Number.isSafeInteger(free) && free > 0);
  });

  test(`${name}: one lock per directory, free again after its release`, async () => {
    const { fileSystem, directory } = await begin();
    const lock = await fileSystem.lock(directory);
    await assert.rejects(fileSystem.lock(directory), hasCode("ELOCKED"));
    await lock.release();
    const again = await fileSystem.lock(directory);
    await again.release();
  });

  test(`${name}: two that want the lock at once: exactly one has it`, async () => {
    const { fileSystem, directory } = await begin();
    for (let round = 0; round < 10; round++) {
      const results = await Promise.allSettled([fileSystem.lock(directory), fileSystem.lock(directory), fileSystem.lock(directory)]);
      const held = results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
      assert.equal(held.length, 1);
      await held[0]?.release();
    }
  });
}
