/**
 * Faults, deaths, pauses and restarts at random, many at a time. In the end everything is mended, and then every server must reach every
 * other, exactly once and in order; meanwhile only the faults that say so may repeat or reorder.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { nextChance, nextInt, type Prng, seedPrng } from "../../base/prng.js";
import { Tally } from "../engine/tally.js";
import { NETWORK_FAULTS, type NetworkFault } from "../scenario/faults.js";
import { numbers, ping, SmallWorld } from "./testing/small-world.js";

const SEEDS = 25;
const STEPS = 150;
const SERVERS = 4;
const AGITATORS: readonly NetworkFault["kind"][] = ["duplicate", "replay", "reorder"];

function randomFault(prng: Prng, kind: NetworkFault["kind"]): NetworkFault {
  const some = (): number[] => numbers(0, SERVERS).filter(() => nextChance(prng, 0.6));
  const links = { from: some(), to: some() };
  const byMs = nextInt(prng, 1, 400);
  const chance = nextInt(prng, 1, 10) / 10;
  const order = [2, 0, 3, 1].slice(nextInt(prng, 0, 2));
  const groups = [[0, nextInt(prng, 1, 3)], [3]];
  return { at: 0, forMs: 0, kind, links, byMs, chance, order, groups, bytes: nextInt(prng, 20, 80) };
}

/** The log of a run that ends mended, and its world. */
async function play(seed: number, kinds: readonly NetworkFault["kind"][]): Promise<SmallWorld> {
  const prng = seedPrng(seed);
  const world = new SmallWorld(SERVERS, { seed });
  const ends: (() => void)[] = [];
  world.startAll();
  world.pingAll(20);
  for (let step = 0; step < STEPS; step++) {
    const index = nextInt(prng, 0, SERVERS);
    const host = world.hosts[index] ?? null;
    switch (nextInt(prng, 0, 6)) {
      case 0:
        ends.push(world.begin(randomFault(prng, kinds[nextInt(prng, 0, kinds.length)] ?? "cut")));
        break;
      case 1:
      case 2:
        ends.splice(nextInt(prng, 0, ends.length + 1), 1)[0]?.();
        break;
      case 3:
        if (host !== null) {
          world.kill(index);
        }
        break;
      case 4:
        if (host === null) {
          world.start(index);
        }
        break;
      default:
        if (host?.isPaused) {
          host.resume();
        } else if (nextChance(prng, 0.3)) {
          host?.pause();
        }
    }
    await world.run(nextInt(prng, 0, nextChance(prng, 0.1) ? 3000 : 60));
  }
  for (const end of ends) {
    end();
  }
  for (const index of numbers(0, SERVERS)) {
    world.hosts[index]?.resume();
    if (world.hosts[index] === null) {
      world.start(index);
    }
  }
  await world.run(6000);
  return world;
}

test("whatever happened, a mended network is whole again", async () => {
  const seen = new Tally();
  for (const seed of numbers(1, SEEDS)) {
    const world = await play(seed, NETWORK_FAULTS);
    seen.addAll(world.tally);
    const { sent, delivered } = world.network.traffic;
    ok(sent > 100 && delivered > 100, `seed ${seed} sends and hears`);
    world.log.length = 0;
    world.send(0, [1, 2, 3], ping(1_000_000));
    world.send(3, [0], ping(1_000_001));
    await world.run(5);
    for (const to of [1, 2, 3]) {
      equal(world.heard(to, 0).filter((no) => no >= 1_000_000).length, 1, `seed ${seed}: server ${to}`);
    }
    equal(world.heard(0, 3).filter((no) => no >= 1_000_000).length, 1, `seed ${seed}`);
  }
  for (const kind of NETWORK_FAULTS) {
    ok(seen.of(`net ${kind}`) > 0, `the seeds have seen the effect of ${kind}`);
  }
  for (const name of ["net gone", "net redialled", "net given up", "net under way", "net closed", "net unnamed"]) {
    ok(seen.of(name) > 0, name);
  }
});

test("without faults that repeat or reorder, each stream of messages stays in order and nothing comes twice", async () => {
  const kinds = NETWORK_FAULTS.filter((kind) => !AGITATORS.includes(kind));
  for (const seed of numbers(100, SEEDS)) {
    const world = await play(seed, kinds);
    for (const to of numbers(0, SERVERS)) {
      for (const from of numbers(0, SERVERS)) {
        const heard = world.heard(to, from);
        ok(
          heard.every((no, i) => i === 0 || no > (heard[i - 1] ?? 0)),
          `seed ${seed}: ${from} to ${to}`,
        );
      }
    }
  }
});

test("a run with everything in it is the same again from the same seed", async () => {
  for (const seed of numbers(200, 5)) {
    const [once, again] = [await play(seed, NETWORK_FAULTS), await play(seed, NETWORK_FAULTS)];
    deepEqual(again.log, once.log);
    deepEqual([...again.tally.counts], [...once.tally.counts]);
  }
});
