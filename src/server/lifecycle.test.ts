/** How a server ends: by a bug, by its disk, by a halt; each once, with its own status, and nothing runs after it. */
import { deepEqual, equal, match } from "node:assert/strict";
import { test } from "node:test";
import { assert } from "../base/assert.js";
import { StorageFailure } from "../storage/storage-failure.js";
import { EventRing } from "./event-ring.js";
import { EXIT_STATUS } from "./exit-status.js";
import { CLOSE_MS, Lifecycle } from "./lifecycle.js";
import { VirtualClock } from "./testing/virtual-clock.js";

function harness(close: () => Promise<void> = async () => {}) {
  const lines: string[] = [];
  const statuses: number[] = [];
  const ring = new EventRing();
  const clock = new VirtualClock();
  ring.add({ kind: "tick", now: 7 }, []);
  const life = new Lifecycle({
    clock,
    log: { log: (level, code, text) => lines.push(`${level} ${code} ${text}`) },
    ring,
    close: async (why) => {
      lines.push(`close ${why}`);
      await close();
    },
    onStuck: () => lines.push("stuck"),
    onFatal: (status) => statuses.push(status),
  });
  return { clock, lines, statuses, life, settled: () => new Promise((resolve) => setImmediate(resolve)) };
}

test("a failed assertion dumps the last steps and ends the server as a bug, once", async () => {
  const { lines, statuses, life, settled } = harness();
  life.advance("running");
  life.guard(() => assert(false, "invariant 3: promised never falls"));
  life.guard(() => lines.push("ran"));
  life.fatal(new Error("later"));
  await settled();
  deepEqual(statuses, [EXIT_STATUS.bug]);
  match(lines[0] ?? "", /^fatal assertion-failed .*invariant 3/);
  match(lines[1] ?? "", /^error last-steps .*"tick"/);
  equal(lines.length, 3);
  equal(life.serves, false);
});

test("a broken disk has a status of its own, and a close that fails as well changes nothing", async () => {
  const { lines, statuses, life, settled } = harness(() => Promise.reject(new Error("stuck")));
  life.advance("running");
  life.fatal(new StorageFailure("io", "cannot sync", { path: "/data", remedy: "Check the disk." }));
  await settled();
  deepEqual(statuses, [EXIT_STATUS.storage]);
  match(lines.at(-1) ?? "", /close-failed .*stuck/);
});

test("a disk that never lets go is not waited for: the process is told to end by force, once", async () => {
  for (const begin of ["end", "fatal"] as const) {
    const { clock, lines, statuses, life, settled } = harness(() => new Promise(() => {}));
    life.advance("running");
    const ended = begin === "end" ? life.end("stopping") : life.fatal(new Error("bug"));
    clock.advance(CLOSE_MS - 1);
    await settled();
    equal(lines.includes("stuck"), false);
    clock.advance(1);
    await ended;
    await settled();
    match(lines.at(-2) ?? "", /^fatal close-stuck/);
    equal(lines.at(-1), "stuck");
    deepEqual(statuses, begin === "end" ? [] : [EXIT_STATUS.bug]);
    clock.advance(CLOSE_MS);
    await settled();
    equal(lines.filter((line) => line === "stuck").length, 1);
  }
});

test("phases follow each other, and requests are taken from the start to the end of a stop", async () => {
  const { life } = harness();
  equal(life.advance("stopping"), false);
  match(life.absence().message, /is starting/);
  equal(life.advance("running"), true);
  equal(life.advance("running"), false);
  equal(life.advance("stopping"), true);
  equal(life.serves, true);
  await life.end("done");
  match(life.absence().message, /is stopping/);
  equal(life.advance("running"), false);
});
