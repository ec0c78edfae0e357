/** Virtual time and the lives of processes: order, turns, promises that settle within an event, death and pause. By hand-made schedules. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { drain } from "../testing/drain.js";
import { Engine } from "./engine.js";
import { Host } from "./host.js";

test("events run in order of time, and of scheduling where times are equal", async () => {
  const engine = new Engine(drain);
  const seen: string[] = [];
  engine.after(20, () => seen.push(`c${engine.now}`));
  engine.after(10, () => seen.push(`a${engine.now}`));
  engine.after(10, () => seen.push(`b${engine.now}`));
  const cancelled = engine.after(15, () => seen.push("never"));
  cancelled.cancel();
  await engine.run(100);
  deepEqual(seen, ["a10", "b10", "c20"]);
  equal(engine.now, 100);
});

test("what a promise sets off belongs to the event, however deep, and turns end after it", async () => {
  const engine = new Engine(drain);
  const seen: string[] = [];
  engine.after(10, () => {
    engine.endOfTurn(() => seen.push("turn"));
    engine.stir();
    const deep = async (): Promise<void> => {
      for (let i = 0; i < 50; i++) {
        await null;
      }
      seen.push(`promise at ${engine.now}`);
    };
    void deep();
  });
  engine.after(11, () => seen.push("next"));
  await engine.run(100);
  deepEqual(seen, ["promise at 10", "turn", "next"]);
});

test("what the end of a turn sets off belongs to the turn, however deep", async () => {
  const engine = new Engine(drain);
  const seen: string[] = [];
  engine.after(10, () => {
    engine.endOfTurn(() => {
      const deep = async (): Promise<void> => {
        for (let i = 0; i < 50; i++) {
          await null;
        }
        seen.push(`promise at ${engine.now}`);
      };
      void deep();
    });
  });
  engine.after(11, () => seen.push("next"));
  await engine.run(100);
  deepEqual(seen, ["promise at 10", "next"]);
});

test("a run stops when it is told to, and goes on from there", async () => {
  const engine = new Engine(drain);
  let count = 0;
  for (let i = 1; i <= 5; i++) {
    engine.after(i * 10, () => count++);
  }
  await engine.run(1000, () => count === 2);
  equal(engine.now, 20);
  await engine.run(1000);
  equal(count, 5);
});

test("a dead process hears nothing, a paused one later and in order", async () => {
  const engine = new Engine(drain);
  const host = new Host(engine, { index: 0, life: 1 }, () => {});
  const seen: string[] = [];
  host.after(10, () => seen.push(`a${engine.now}`));
  host.after(12, () => seen.push(`b${engine.now}`));
  host.after(40, () => seen.push("never"));
  engine.after(5, () => host.pause());
  engine.after(6, () => host.pause());
  engine.after(20, () => host.resume());
  engine.after(21, () => equal(host.isPaused, true));
  engine.after(30, () => host.resume());
  engine.after(35, () => host.kill());
  await engine.run(100);
  deepEqual(seen, ["a30", "b30"]);
});

test("a planned crash happens at its boundary: before it the effect is not made, after it nobody hears", () => {
  const engine = new Engine(drain);
  let crashes = 0;
  const host = new Host(engine, { index: 0, life: 1 }, () => crashes++);
  host.planCrash({ boundary: "write", count: 2, after: false });
  ok(host.crosses("write"));
  host.crossed("write");
  ok(host.crosses("send"));
  equal(host.crosses("write"), false);
  equal(host.alive, false);
  const other = new Host(engine, { index: 0, life: 2 }, () => crashes++);
  other.planCrash({ boundary: null, count: 1, after: true });
  ok(other.crosses("rename"));
  other.crossed("rename");
  equal(other.alive, false);
  equal(crashes, 2);
  const spared = new Host(engine, { index: 0, life: 3 }, () => crashes++);
  spared.planCrash({ boundary: null, count: 1, after: false });
  spared.planCrash(null);
  ok(spared.crosses("send"));
});
