/**
 * The real storage on a disk whose process dies at every boundary of a scripted life, before and after it, by kill -9 and by
 * power loss, and whose next life dies again while it recovers; then random lives. Everything that was acknowledged comes back.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { nextChance, nextInt, seedPrng } from "../../base/prng.js";
import { StorageFailure } from "../../storage/storage-failure.js";
import { Tally } from "../engine/tally.js";
import { DiskWorld } from "./testing/disk-world.js";

/** How many boundaries the scripted life crosses. */
async function boundariesOfScript(): Promise<number> {
  const world = new DiskWorld(1);
  const life = world.begin();
  let crossed = 0;
  const { crosses } = life.host;
  life.host.crosses = (boundary) => {
    crossed++;
    return crosses.call(life.host, boundary);
  };
  assert.equal(await world.during(life, world.script(life)), true);
  return crossed;
}

for (const power of [false, true]) {
  test(`${power ? "power loss" : "kill"} at every boundary, before and after it, and again during recovery`, async () => {
    const total = await boundariesOfScript();
    assert.ok(total > 100, `${total} boundaries`);
    const tally = new Tally();
    for (let count = 1; count <= total; count++) {
      for (const after of [false, true]) {
        const seed = 2 * count + (after ? 1 : 0);
        const what = `boundary ${count}, ${after ? "after" : "before"}`;
        const world = new DiskWorld(1);
        const life = world.begin({ boundary: null, count, after }, power);
        assert.equal(await world.during(life, world.script(life)), null, what);
        assert.equal(life.host.alive, false, what);
        const second = world.begin({ boundary: null, count: 1 + (seed % 23), after: seed % 3 === 0 }, power || seed % 2 === 0);
        const opened = await world.during(second, world.open(second));
        assert.ok(!(opened instanceof StorageFailure), `${what}, second life: ${opened}`);
        world.end(second.host, power);
        await world.reopen(what);
        tally.addAll(world.tally);
      }
    }
    assert.ok(tally.of("disk lost sector") > (power ? 300 : 10), JSON.stringify([...tally.counts]));
  });
}

test("random lives, ended at any instant", async () => {
  const tally = new Tally();
  for (let seed = 1; seed <= 40; seed++) {
    const prng = seedPrng(seed);
    const world = new DiskWorld(seed, { speeds: { diskMin: 20, diskMax: nextInt(prng, 21, 3000) } });
    for (let number = 0; number < 5; number++) {
      const { life, storage } = await world.reopen(`seed ${seed}, life ${number}`);
      const power = nextChance(prng, 0.6);
      world.engine.after(nextInt(prng, 0, 60_000), () => world.end(life.host, power));
      await world.during(life, world.scribble(life, storage, 20));
      assert.deepEqual(life.failures, []);
      world.end(life.host, power);
    }
    assert.equal(world.disk.damaged, false);
    tally.addAll(world.tally);
  }
  for (const name of ["disk lost sector", "disk torn", "disk lost name"]) {
    assert.ok(tally.of(name) > 0, `${name}: ${JSON.stringify([...tally.counts])}`);
  }
});
