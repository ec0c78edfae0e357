/**
 * Random lives of one disk with every fault that damages nothing, and then with those that do: the storage never blames a disk
 * that did nothing to it, never gives back less than was acknowledged, and refuses what it cannot trust. A run that never saw
 * one of the faults at work fails; and the same seed tells the same story.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { nextChance, nextInt, type Prng, seedPrng } from "../../base/prng.js";
import { StorageFailure } from "../../storage/storage-failure.js";
import { Tally } from "../engine/tally.js";
import type { DiskFault } from "../scenario/faults.js";
import { DiskWorld, fingerprint, type Life } from "./testing/disk-world.js";

const window = { at: 0, forMs: 1000, server: 0 } as const;
const LIVES = 6;

const HARMLESS: readonly DiskFault[] = [
  { ...window, kind: "stall" },
  { ...window, kind: "slow", byMs: 10 },
  { ...window, kind: "full" },
  { ...window, kind: "failSync" },
  { ...window, kind: "failSync" },
];

const DAMAGING: readonly DiskFault[] = [
  { ...window, kind: "misdirect" },
  { ...window, kind: "rot", what: "log", flips: 3 },
  { ...window, kind: "rot", what: "snapshot", flips: 2 },
];

function plan(world: DiskWorld, prng: Prng, faults: readonly DiskFault[]): void {
  for (let left = nextInt(prng, 0, 3); left > 0; left--) {
    const fault = faults[nextInt(prng, 0, faults.length)] as DiskFault;
    world.engine.after(nextInt(prng, 0, 50_000), () => {
      world.engine.after(nextInt(prng, 1, 50_000), world.disk.begin(fault));
    });
  }
}

/** One life; false where the disk cannot be used any more. */
async function live(world: DiskWorld, prng: Prng, life: Life, what: string): Promise<boolean> {
  const opened = await world.during(life, world.open(life));
  if (opened instanceof StorageFailure) {
    assert.ok(world.disk.faulty, `${what} blames a disk without faults: ${opened.message}`);
    assert.ok(opened.kind !== "corrupt" || world.disk.damaged, `${what} finds damage where there is none: ${opened.message}`);
    return opened.kind !== "corrupt";
  }
  if (opened !== null) {
    world.check(opened, what, world.disk.damaged);
    const failure = await world.during(life, world.scribble(life, opened, nextInt(prng, 0, 60)));
    assert.ok(world.disk.faulty || (life.failures.length === 0 && !(failure instanceof StorageFailure)), `${what}: ${failure}`);
  }
  return true;
}

async function liveAll(seed: number, faults: readonly DiskFault[]): Promise<DiskWorld> {
  const prng = seedPrng(seed);
  const speeds = { diskMin: 20, diskMax: nextInt(prng, 21, 3000) };
  const segmentBytes = nextInt(prng, 8, 17) * 4096;
  const world = new DiskWorld(seed, { speeds, segmentBytes, ...(nextChance(prng, 0.1) ? { capacity: 400 * 1024 } : {}) });
  for (let number = 1; number <= LIVES; number++) {
    const crash = nextChance(prng, 0.3) ? { boundary: null, count: nextInt(prng, 1, 200), after: nextChance(prng, 0.5) } : null;
    const power = nextChance(prng, 0.5);
    const life = world.begin(crash, power);
    world.engine.after(nextInt(prng, 0, 100_000), () => world.end(life.host, power));
    plan(world, prng, faults);
    const usable = await live(world, prng, life, `seed ${seed}, life ${number}`);
    world.end(life.host, power);
    if (!usable) {
      break;
    }
  }
  return world;
}

test("lives with faults that damage nothing", async () => {
  const tally = new Tally();
  for (let seed = 1; seed <= 80; seed++) {
    const world = await liveAll(seed, HARMLESS);
    assert.equal(world.disk.damaged, false);
    tally.addAll(world.tally);
  }
  for (const name of ["disk lost sector", "disk torn", "disk lost name", "disk stall", "disk full", "disk failed sync"]) {
    assert.ok(tally.of(name) > 10, `${name}: ${JSON.stringify([...tally.counts])}`);
  }
});

test("lives with damage as well", async () => {
  const tally = new Tally();
  for (let seed = 1; seed <= 80; seed++) {
    tally.addAll((await liveAll(seed, [...HARMLESS, ...DAMAGING])).tally);
  }
  assert.ok(tally.of("disk rot") > 10 && tally.of("disk misdirect") > 10, JSON.stringify([...tally.counts]));
});

test("the same seed tells the same story", async () => {
  for (const seed of [3, 11, 12]) {
    const story = async (): Promise<string> => {
      const { engine, disk, tally } = await liveAll(seed, [...HARMLESS, ...DAMAGING]);
      return `${engine.now} ${engine.events} ${disk.operations} ${JSON.stringify([...tally.counts])}\n${fingerprint(disk)}`;
    };
    assert.equal(await story(), await story());
  }
});
