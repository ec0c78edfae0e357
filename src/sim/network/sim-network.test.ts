/** A calm network and the lives of processes on it: order, streams that open, close and come back, who is found gone. Servers that only note what they hear. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import * as waits from "./peer-stream.js";
import { CONNECT_TIMEOUT_MS, REDIAL_MS_LAST, SILENCE_MS_MIN } from "./peer-stream.js";
import { FAREWELL_MICROS } from "./port.js";
import { bulk, connected, HEADER, numbers, pair, ping, SmallWorld } from "./testing/small-world.js";

test("every server opens a stream to every other, and says Hello on it", async () => {
  const world = new SmallWorld(3);
  world.startAll();
  await world.run(50);
  for (let i = 0; i < 3; i++) {
    const others = [0, 1, 2].filter((other) => other !== i);
    deepEqual(
      world.of(i).sort(),
      [...others.map((other) => `connected ${other}`), ...others.map((other) => `hears ${other} hello`)].sort(),
    );
  }
});

test("what is sent on a stream arrives in order, each way by itself, and not before the link's speed allows", async () => {
  const world = await pair();
  const begun = world.engine.now;
  for (const i of numbers(1, 50)) {
    world.send(0, [1], ping(i));
    world.send(1, [0], ping(100 + i));
  }
  equal(world.log.length, 0); // nothing from inside `send`
  await world.run(10);
  deepEqual(world.heard(1, 0), numbers(1, 50));
  deepEqual(world.heard(0, 1), numbers(101, 50));
  for (const line of world.log) {
    const took = Number(line.split(" ")[0]) - begun;
    ok(took >= 100 && took <= 500, line);
  }
  deepEqual(world.network.traffic, { sent: 102, delivered: 102 });
});

test("before a stream is open, and on it before Hello, nothing is sent", async () => {
  const world = new SmallWorld(2);
  world.startAll();
  world.send(0, [1], ping(1));
  await world.run(20);
  deepEqual(world.heard(1, 0), []);
  equal(world.network.traffic.sent, 2);
});

test("no two receivers, and no sender and receiver, share an object", async () => {
  const world = await connected(3);
  const message = ping(1);
  world.send(0, [1, 2], message);
  await world.run(5);
  const [one, other] = world.messages.slice(-2);
  deepEqual([one, other], [message, message]);
  ok(one !== other && one !== message && other !== message);
});

test("a server that is not started refuses, and is met soon after it starts, without ever having been gone", async () => {
  const world = new SmallWorld(2);
  world.start(0);
  await world.run(3000);
  deepEqual(world.of(0), []);
  world.start(1);
  await world.run(20);
  // Its own Hello makes the other dial at once.
  deepEqual(world.of(0).sort(), ["connected 1", "hears 1 hello"]);
  equal(world.tally.of("net gone"), 0);
});

test("a process that dies is found gone, once, and met again in its next life", async () => {
  const world = await pair();
  world.kill(1);
  await world.run(5000);
  deepEqual(world.of(0), ["gone 1"]);
  const [line] = world.log;
  ok(Number(line?.split(" ")[0]) - 100_000 <= 3 * 500, "the refusal comes at once");
  world.start(1);
  await world.run(REDIAL_MS_LAST);
  deepEqual(world.of(0).slice(1).sort(), ["connected 1", "hears 1 hello"]);
  equal(world.tally.of("net redialled"), 1);
  world.send(0, [1], ping(1));
  await world.run(5);
  deepEqual(world.heard(1, 0), [1]);
});

test("a process that is back before the others dial again is not gone, but connected anew", async () => {
  const world = await pair();
  world.kill(1);
  world.start(1);
  await world.run(100);
  deepEqual(world.of(0, "gone"), []);
  deepEqual(world.of(0, "connected"), ["connected 1"]);
});

test("what is on its way to a process when it dies is lost, also for its next life", async () => {
  const world = await pair();
  world.send(0, [1], ping(1));
  world.kill(1);
  world.start(1);
  await world.run(100);
  deepEqual(world.heard(1, 0), []);
  deepEqual(world.lost, ["0>1 no 1"]);
});

test("what a process had sent when it died arrives up to some message, and whole at times", async () => {
  const arrived = new Set<number>();
  for (const seed of numbers(1, 40)) {
    const world = await pair({ seed });
    for (const i of numbers(1, 3)) {
      world.send(0, [1], ping(i));
    }
    world.kill(0);
    await world.run(100);
    const heard = world.heard(1, 0);
    deepEqual(heard, numbers(1, heard.length));
    equal(heard.length + world.lost.length, 3);
    arrived.add(heard.length);
  }
  deepEqual([...arrived].sort(), [0, 1, 2, 3]);
});

test("a crash planned at a send leaves the others without the message, or just with it", async () => {
  const before = await connected(3);
  before.planCrash(0, { boundary: "send", count: 2, after: false });
  before.send(0, [1, 2], ping(1));
  equal(before.hosts[0], null);
  await before.run(20);
  deepEqual(before.heard(2, 0), []);
  equal(before.network.traffic.sent, 6 + 1);
  const after = await connected(3);
  after.planCrash(0, { boundary: "send", count: 1, after: true });
  after.send(0, [1, 2], ping(1));
  equal(after.network.traffic.sent, 6 + 1);
});

test("a dead process sends nothing and hears nothing", async () => {
  const world = await pair();
  const port = world.port(0);
  const host = world.host(0);
  world.send(1, [0], ping(1));
  host.kill(); // and nobody has told the network yet
  port.send(world.addresses.slice(1), HEADER, ping(2));
  await world.run(20);
  deepEqual(world.heard(0, 1), []);
  deepEqual(world.heard(1, 0), []);
});

test("a paused process gets what came meanwhile when it goes on, in order", async () => {
  const world = await pair();
  world.host(1).pause();
  for (const i of numbers(1, 5)) {
    world.send(0, [1], ping(i));
    await world.run(10);
  }
  deepEqual(world.log, []);
  world.host(1).resume();
  await world.run(0);
  deepEqual(world.heard(1, 0), numbers(1, 5));
});

test("a long pause has the others give up their streams, but finds nobody gone", async () => {
  const world = await connected(3);
  world.pingAll(100);
  world.host(2).pause();
  await world.run(20_000);
  equal(world.of(0, "gone").length, 0);
  ok(world.tally.of("net given up") >= 2);
  world.log.length = 0;
  world.host(2).resume();
  await world.run(CONNECT_TIMEOUT_MS + REDIAL_MS_LAST);
  ok(world.heard(2, 0).length >= 20, "what came before the stream was given up is heard, and what is sent now");
  deepEqual(world.of(0, "connected"), ["connected 2"]);
  ok(world.heard(0, 2).length > 0);
});

test("a stream whose peer says nothing is replaced, not before the limit of silence", async () => {
  const world = await pair();
  await world.run(SILENCE_MS_MIN - 100);
  deepEqual(world.log, []);
  await world.run(1000);
  ok(world.of(0, "connected").length >= 1);
});

test("streams of servers that speak stay", async () => {
  const world = await connected(3);
  world.pingAll(100);
  await world.run(10_000);
  equal(world.log.filter((line) => line.includes("connected")).length, 0);
  equal(world.tally.of("net given up"), 0);
  equal(world.heard(0, 1).length, 100);
});

test("stopping lets queued messages leave, and then tells nobody anything", async () => {
  const world = await pair();
  const port = world.port(0);
  world.send(0, [1], ping(1));
  let stopped = -1;
  const begun = world.engine.now;
  void port.stop().then(() => {
    stopped = world.engine.now;
  });
  world.send(0, [1], ping(2));
  world.send(1, [0], ping(3));
  await world.run(1000);
  deepEqual(world.heard(1, 0), [1]);
  deepEqual(world.heard(0, 1), []);
  equal(stopped - begun, FAREWELL_MICROS);
  world.kill(0);
  await world.run(1000);
  deepEqual(world.of(1, "gone"), ["gone 0"]);
});

test("messages for a full queue are dropped; a large one still finds an empty one", async () => {
  const world = await pair({ queueBytesMax: 100 });
  for (const i of numbers(1, 20)) {
    world.send(0, [1], bulk(i, 100));
  }
  await world.run(10);
  deepEqual(world.heard(1, 0), [1]);
  equal(world.tally.of("net full"), 19);
});

test("the same seed gives the same log, another seed another", async () => {
  const logOf = async (seed: number): Promise<readonly string[]> => {
    const world = await connected(4, { seed });
    world.pingAll(20);
    const links = { from: [0, 1, 2, 3], to: [0, 1, 2, 3] };
    world.begin({ kind: "drop", at: 0, forMs: 0, links, chance: 0.1 });
    world.begin({ kind: "reorder", at: 0, forMs: 0, links, chance: 0.2, byMs: 50 });
    world.begin({ kind: "flap", at: 0, forMs: 0, links: { from: [0], to: [1, 2] }, byMs: 70 });
    await world.run(500);
    world.kill(3);
    await world.run(300);
    world.start(3);
    await world.run(500);
    return world.log;
  };
  const log = await logOf(5);
  ok(log.length > 500);
  deepEqual(await logOf(5), log);
  ok((await logOf(6)).join() !== log.join());
});

test("faults of one link move nothing on another", async () => {
  const logOf = async (faulty: boolean): Promise<readonly string[]> => {
    const world = await connected(3);
    if (faulty) {
      world.begin({ kind: "drop", at: 0, forMs: 0, links: { from: [0], to: [1] }, chance: 0.5 });
    }
    world.pingAll(20);
    await world.run(500);
    return world.log.filter((line) => !line.includes(" 1 hears 0 "));
  };
  deepEqual(await logOf(true), await logOf(false));
});

test("the waits are those of production", () => {
  const production = readFileSync(new URL("../../../../src/adapters/peer-link.ts", import.meta.url), "utf8");
  const names = Object.entries(waits).filter(([, value]) => typeof value === "number");
  equal(names.length, 7);
  for (const [name, value] of names) {
    ok(production.includes(`export const ${name} = ${value};`), name);
  }
});
