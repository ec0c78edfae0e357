/**
 * Each fault of a disk, against the real storage: it waits, refuses or blames the disk, and never gives back a state that is not
 * the one after some number of commits, no fewer than were acknowledged, unless the disk itself is another one.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { nextInt, seedPrng } from "../../base/prng.js";
import { StorageFailure } from "../../storage/storage-failure.js";
import type { DiskFault } from "../scenario/faults.js";
import { Inode } from "./inode.js";
import { DiskWorld, fingerprint, pause } from "./testing/disk-world.js";

const window = { at: 0, forMs: 1000, server: 0 } as const;

test("a stalled disk ends nothing, and everything once it goes on", async () => {
  const world = new DiskWorld(1);
  const { life, storage } = await world.reopen("new");
  await world.during(life, world.scribble(life, storage, 3));
  const end = world.disk.begin({ ...window, kind: "stall" });
  let over = false;
  const more = world.scribble(life, storage, 30).then(() => {
    over = true;
  });
  const operations = (): number => world.disk.operations;
  // Free space is looked at every two seconds, and then waited for.
  await world.engine.run(world.engine.now + 3_000_000);
  const stuckAt = operations();
  await world.engine.run(world.engine.now + 30_000_000);
  assert.equal(operations(), stuckAt);
  assert.equal(over, false);
  assert.ok(world.tally.of("disk stall") >= 1);
  end();
  end();
  await world.during(life, more);
  assert.equal(over, true);
});

test("a slow disk takes longer, as long as it is slow", async () => {
  const world = new DiskWorld(2);
  const { life, storage } = await world.reopen("new");
  const take = async (): Promise<number> => {
    const before = world.engine.now;
    const { operations } = world.disk;
    await world.during(life, world.scribble(life, storage, 40));
    await world.during(life, pause(life, 50));
    return (world.engine.now - before) / (world.disk.operations - operations);
  };
  const fast = await take();
  const end = world.disk.begin({ ...window, kind: "slow", byMs: 50 });
  const slow = await take();
  end();
  const again = await take();
  assert.ok(slow > 5 * fast && again < slow / 3, `${fast} ${slow} ${again}`);
});

test("a full disk refuses growth alone, and the storage says so; nothing acknowledged is lost", async () => {
  const world = new DiskWorld(3);
  const { life, storage } = await world.reopen("new");
  await world.during(life, world.scribble(life, storage, 3));
  const end = world.disk.begin({ ...window, kind: "full" });
  await world.during(life, world.scribble(life, storage, 200));
  assert.equal(life.failures[0]?.kind, "full");
  assert.ok(world.disk.faulty && !world.disk.damaged);
  assert.ok(world.tally.of("disk full") > 0);
  world.end(life.host, true);
  end();
  await world.reopen("after the fault");
  assert.equal(world.disk.faulty, false);
});

test("a small disk is full when its files fill it", async () => {
  const world = new DiskWorld(4, { capacity: 300 * 1024 });
  const { life, storage } = await world.reopen("new");
  await world.during(life, world.scribble(life, storage, 3000));
  assert.equal(life.failures[0]?.kind, "full");
  const used = [...world.disk.copy().values()].flatMap((names) => [...names.values()]).reduce((sum, { length }) => sum + length, 0);
  assert.ok(used <= 300 * 1024 && used > 200 * 1024, `${used}`);
});

test("a failed sync ends the life; what was acknowledged before is there, whatever the cache shows", async () => {
  for (let seed = 1; seed <= 60; seed++) {
    const world = new DiskWorld(seed);
    const prng = seedPrng(seed);
    const { life, storage } = await world.reopen("new");
    await world.during(life, world.scribble(life, storage, nextInt(prng, 0, 30)));
    world.disk.begin({ ...window, kind: "failSync" });
    await world.during(life, world.scribble(life, storage, 30));
    if (life.failures.length === 0) {
      continue; // no sync came any more
    }
    assert.equal(life.failures[0]?.kind, "io");
    world.end(life.host, seed % 3 === 0);
    const second = world.begin({ boundary: null, count: nextInt(prng, 1, 20), after: seed % 2 === 0 });
    assert.ok(!((await world.during(second, world.open(second))) instanceof StorageFailure), `seed ${seed}`);
    world.end(second.host, true);
    const third = await world.reopen(`seed ${seed}`);
    await world.during(third.life, world.scribble(third.life, third.storage, 10));
    world.end(third.life.host, true);
    await world.reopen(`seed ${seed}, again`);
  }
});

/** Lives with a fault in the middle of one: what the opening after it says. */
async function afterDamage(seed: number, fault: DiskFault): Promise<"whole" | "refused" | "none"> {
  const world = new DiskWorld(seed);
  const prng = seedPrng(seed);
  const { life, storage } = await world.reopen("new");
  await world.during(life, world.scribble(life, storage, nextInt(prng, 1, 30)));
  const end = world.disk.begin(fault);
  await world.during(life, world.scribble(life, storage, nextInt(prng, 1, 10)));
  end();
  if (!world.disk.damaged) {
    return "none";
  }
  await world.during(life, world.scribble(life, storage, nextInt(prng, 0, 3)));
  world.end(life.host, seed % 2 === 0);
  for (let later = 0; later < 2; later++) {
    const next = world.begin();
    const opened = await world.during(next, world.open(next));
    assert.ok(opened !== null);
    if (opened instanceof StorageFailure) {
      assert.equal(opened.kind, "corrupt", `seed ${seed}`);
      return "refused";
    }
    world.check(opened, `seed ${seed}`, fault.kind !== "rot" || fault.what === "snapshot");
    await world.during(next, world.scribble(next, opened, 5));
    world.end(next.host, seed % 3 === 0);
  }
  return "whole";
}

const DAMAGES: readonly DiskFault[] = [
  { ...window, kind: "misdirect" },
  { ...window, kind: "rot", what: "log", flips: 1 },
  { ...window, kind: "rot", what: "log", flips: 50 },
  { ...window, kind: "rot", what: "snapshot", flips: 2 },
];

for (const fault of DAMAGES) {
  const name = fault.kind === "rot" ? `rot of ${fault.flips} bits, ${fault.what}` : fault.kind;
  test(`${name}: the disk is refused, or nothing acknowledged is missing`, async () => {
    const seen = { whole: 0, refused: 0, none: 0 };
    for (let seed = 1; seed <= 70; seed++) {
      seen[await afterDamage(seed, fault)]++;
    }
    assert.ok(seen.refused > 2 && seen.whole > 0, JSON.stringify(seen));
  });
}

test("a wiped disk is empty at the next death, not before, and as good as new", async () => {
  const world = new DiskWorld(5);
  const { life, storage } = await world.reopen("new");
  await world.during(life, world.scribble(life, storage, 5));
  world.disk.begin({ ...window, kind: "rot", what: "log", flips: 1 });
  assert.equal(world.disk.damaged, true);
  world.disk.begin({ ...window, kind: "wipe" })();
  assert.notEqual(fingerprint(world.disk), "");
  assert.equal(world.disk.past.wiped, false);
  world.end(life.host, false);
  assert.equal(fingerprint(world.disk), "");
  assert.equal(world.disk.past.wiped, true);
  assert.equal(world.disk.damaged, false);
  const second = world.begin();
  const opened = await world.during(second, world.open(second));
  assert.ok(opened !== null && !(opened instanceof StorageFailure) && opened.isNew);
});

test("an old copy comes back at the next death, and it is the state of its moment", async () => {
  const world = new DiskWorld(6);
  const fault = { ...window, kind: "restoreOld", of: 30 } as const;
  world.disk.announce(fault);
  const { life, storage } = await world.reopen("new");
  await world.during(life, world.scribble(life, storage, 5));
  await world.engine.run(30_000);
  const then = fingerprint(world.disk);
  const { issued } = world.commits;
  await world.during(life, world.scribble(life, storage, 20));
  world.disk.begin(fault);
  assert.equal(world.disk.damaged, false);
  world.end(life.host, false);
  assert.equal(fingerprint(world.disk), then);
  assert.equal(world.disk.damaged, true);
  world.disk.losePower();
  assert.equal(fingerprint(world.disk), then);
  world.commits.acknowledged = issued;
  await world.reopen("from the copy");
  assert.equal(world.commits.acknowledged, issued);
});

test("an inode against a plain model: what is synced survives, each other sector is old or new", () => {
  for (let seed = 1; seed <= 300; seed++) {
    const prng = seedPrng(seed);
    const inode = new Inode();
    let seen = new Uint8Array(0);
    let disk = new Uint8Array(0);
    const resize = (bytes: Uint8Array, size: number): Uint8Array<ArrayBuffer> => {
      const resized = new Uint8Array(size);
      resized.set(bytes.subarray(0, size));
      return resized;
    };
    for (let i = 0; i < 12; i++) {
      const at = nextInt(prng, 0, 8) * 512;
      switch (nextInt(prng, 0, 5)) {
        case 0:
          inode.sync();
          disk = seen.slice();
          break;
        case 1:
          inode.truncate(at);
          seen = resize(seen, at);
          break;
        default: {
          const bytes = new Uint8Array(512 * nextInt(prng, 1, 4)).fill(nextInt(prng, 1, 256));
          const durable = nextInt(prng, 0, 3) === 0;
          inode.write(at, bytes, durable);
          seen = resize(seen, Math.max(seen.length, at + bytes.length));
          seen.set(bytes, at);
          if (durable) {
            disk = resize(disk, Math.max(Math.min(disk.length, seen.length), at + bytes.length));
            disk.set(bytes, at);
          }
        }
      }
      assert.deepEqual(inode.read(0, 10_000), seen);
    }
    inode.losePower(prng);
    const left = inode.read(0, 10_000);
    assert.ok(left.length >= Math.min(seen.length, disk.length) && left.length <= Math.max(seen.length, disk.length));
    for (let at = 0; at < left.length; at += 512) {
      const byte = left[at];
      assert.ok(byte === (seen[at] ?? 0) || byte === (disk[at] ?? 0), `seed ${seed}, byte ${at}`);
    }
  }
});
