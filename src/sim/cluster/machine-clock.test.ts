/** The clocks of a machine: rates, jumps and suspensions, also when they overlap; the monotonic one never goes back. With a seeded walk. */
import { equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { nextInt, seedPrng } from "../../base/prng.js";
import { Engine } from "../engine/engine.js";
import { Host } from "../engine/host.js";
import { drain } from "../testing/drain.js";
import { MachineClock } from "./machine-clock.js";

test("a fast clock is fast, a suspended one stands still, the wall clock jumps alone", async () => {
  const engine = new Engine(drain);
  const clock = new MachineClock(engine, { mono: 1000, wall: 0 });
  clock.setRate(500_000);
  await engine.run(100);
  equal(clock.now(), 1150);
  clock.suspend();
  await engine.run(200);
  equal(clock.now(), 1150);
  clock.wake();
  clock.setRate(0);
  await engine.run(300);
  equal(clock.now(), 1250);
  const port = clock.portOf(new Host(engine, { index: 0, life: 1 }, () => {}));
  clock.jumpWall(7);
  equal(port.wallMillis(), 7);
  equal(port.nowMicros(), 1250);
});

test("whatever overlaps, time does not go back", async () => {
  const prng = seedPrng(1);
  const engine = new Engine(drain);
  const clock = new MachineClock(engine, { mono: 5, wall: 5 });
  let suspended = 0;
  for (let i = 0, before = 0; i < 2000; i++) {
    await engine.run(engine.now + nextInt(prng, 0, 50));
    const act = nextInt(prng, 0, 3);
    if (act === 0) {
      clock.setRate(nextInt(prng, -300_000, 300_000));
    } else if (act === 1) {
      clock.suspend();
      suspended++;
    } else if (suspended > 0) {
      clock.wake();
      suspended--;
    }
    ok(clock.now() >= before, `step ${i}`);
    before = clock.now();
  }
});
