/** Each fault of the network by itself, begun and ended by hand on servers that ping each other, and faults that overlap. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import type { Links, NetworkFault } from "../scenario/faults.js";
import { REDIAL_MS_LAST } from "./peer-stream.js";
import { bulk, connected, numbers, pair, ping, type SmallWorld } from "./testing/small-world.js";

const THERE: Links = { from: [0], to: [1] };
const BOTH: Links = { from: [0, 1], to: [0, 1] };
const WHEN = { at: 0, forMs: 0 };
const COUNT = 400;

/** Sends COUNT numbered messages from 0 to 1, one each half millisecond, under `fault`; ends it, and lets what is late come. */
async function under(world: SmallWorld, fault: NetworkFault, count = COUNT): Promise<readonly number[]> {
  const end = world.begin(fault);
  for (const i of numbers(1, count)) {
    world.send(0, [1], ping(i));
    await world.run(0.5);
  }
  end();
  await world.run(1500);
  const heard = world.heard(1, 0);
  for (const i of numbers(count + 1, 10)) {
    world.send(0, [1], ping(i));
  }
  await world.run(10);
  deepEqual(world.heard(1, 0).slice(heard.length), numbers(count + 1, 10), "all is well after the fault");
  return heard;
}

const increasing = (list: readonly number[]): boolean => list.every((value, i) => i === 0 || value >= (list[i - 1] ?? 0));

test("drop loses about as many as its chance says, in order", async () => {
  const world = await pair();
  const heard = await under(world, { ...WHEN, kind: "drop", links: THERE, chance: 0.3 });
  ok(heard.length > 0.6 * COUNT && heard.length < 0.8 * COUNT, `${heard.length}`);
  ok(increasing(heard));
  equal(world.tally.of("net drop"), COUNT - heard.length);
  equal(world.lost.length, COUNT - heard.length);
});

test("duplicate brings second copies a moment later", async () => {
  const world = await pair();
  const heard = await under(world, { ...WHEN, kind: "duplicate", links: THERE, chance: 0.3 });
  equal(new Set(heard).size, COUNT);
  equal(heard.length, COUNT + world.tally.of("net duplicate"));
  ok(world.tally.of("net duplicate") > 0.2 * COUNT);
});

test("replay brings copies much later", async () => {
  const world = await pair();
  world.pingAll(1000); // so that the streams stay
  const heard = await under(world, { ...WHEN, kind: "replay", links: THERE, chance: 0.2, byMs: 1000 });
  ok(world.tally.of("net replay") > 0.1 * COUNT);
  const [last] = heard.slice(-1);
  ok(last !== undefined && last < COUNT, "long after the last one an older one comes");
});

test("a replayed message reaches a later life, on a later stream", async () => {
  const world = await pair();
  const end = world.begin({ ...WHEN, kind: "replay", links: THERE, chance: 1, byMs: 1500 });
  for (const i of numbers(1, 20)) {
    world.send(0, [1], ping(i));
  }
  await world.run(5);
  end();
  world.kill(1);
  world.start(1);
  await world.run(30);
  world.kill(0);
  world.start(0);
  world.log.length = 0;
  await world.run(1500);
  ok(world.heard(1, 0).length > 10, "from a former life, to a later one");
});

test("reorder brings messages out of order and loses none", async () => {
  const world = await pair();
  const heard = await under(world, { ...WHEN, kind: "reorder", links: THERE, chance: 0.3, byMs: 20 });
  equal(heard.length, COUNT);
  equal(new Set(heard).size, COUNT);
  ok(!increasing(heard));
});

test("delay keeps the order", async () => {
  const world = await pair();
  const end = world.begin({ ...WHEN, kind: "delay", links: THERE, byMs: 50 });
  world.send(0, [1], ping(1));
  const begun = world.engine.now;
  await world.run(60);
  end();
  ok(Number(world.log[0]?.split(" ")[0]) - begun > 1000);
  const heard = await under(world, { ...WHEN, kind: "delay", links: THERE, byMs: 50 });
  deepEqual(heard, [1, ...numbers(1, COUNT)]);
  ok(world.tally.of("net delay") > COUNT);
});

test("large loses only messages above its size", async () => {
  const world = await pair();
  const end = world.begin({ ...WHEN, kind: "large", links: THERE, bytes: 200 });
  world.send(0, [1], bulk(1, 500));
  world.send(0, [1], ping(2));
  await world.run(5);
  end();
  world.send(0, [1], bulk(3, 500));
  await world.run(5);
  deepEqual(world.heard(1, 0), [2, 3]);
  equal(world.tally.of("net large"), 1);
});

test("clog holds everything until it ends, then all comes in order", async () => {
  const world = await pair();
  world.send(0, [1], ping(1));
  const end = world.begin({ ...WHEN, kind: "clog", links: THERE });
  const again = world.begin({ ...WHEN, kind: "clog", links: BOTH });
  world.send(0, [1], ping(2));
  await world.run(500);
  end();
  await world.run(10);
  deepEqual(world.log, []);
  equal(world.network.reaches(0, 1), false);
  again();
  world.send(0, [1], ping(3));
  await world.run(10);
  deepEqual(world.heard(1, 0), [1, 2, 3]);
  equal(world.tally.of("net clog"), 2);
});

test("cut loses silently in one direction; the stream is used again where the cut was short", async () => {
  const world = await pair();
  world.send(0, [1], ping(1)); // under way when the cut comes
  const end = world.begin({ ...WHEN, kind: "cut", links: THERE });
  world.send(0, [1], ping(2));
  world.send(1, [0], ping(3));
  equal(world.network.reaches(0, 1), false);
  equal(world.network.reaches(1, 0), true);
  await world.run(200);
  end();
  world.send(0, [1], ping(4));
  await world.run(10);
  deepEqual(world.heard(1, 0), [4]);
  deepEqual(world.heard(0, 1), [3]);
  equal(world.tally.of("net cut"), 2);
  deepEqual(world.of(0, "connected"), []);
});

test("a long cut ends in the watch on silence: streams are opened anew once it is over, and nobody was gone", async () => {
  const world = await pair();
  world.pingAll(100);
  const end = world.begin({ ...WHEN, kind: "cut", links: BOTH });
  await world.run(10_000);
  deepEqual(world.log, []);
  end();
  await world.run(3000);
  deepEqual(world.of(0, "connected"), ["connected 1"]);
  ok(world.heard(1, 0).length > 0 && world.heard(0, 1).length > 0);
  equal(world.tally.of("net gone"), 0);
});

test("a process that dies behind a cut is found gone when the cut is over", async () => {
  const world = await pair();
  const end = world.begin({ ...WHEN, kind: "cut", links: BOTH });
  world.kill(1);
  await world.run(1000);
  deepEqual(world.log, []);
  end();
  world.send(0, [1], ping(1)); // answered: there is no such stream
  await world.run(10);
  deepEqual(world.of(0), ["gone 1"]);
});

test("a stream whose Hello was lost to a cut is opened anew", async () => {
  const world = await pair();
  world.begin({ ...WHEN, kind: "reset", links: THERE });
  while (world.of(0, "connected").length === 0) {
    await world.run(0.01);
  }
  const end = world.begin({ ...WHEN, kind: "cut", links: THERE });
  await world.run(5);
  end();
  world.send(0, [1], ping(1));
  await world.run(20);
  equal(world.tally.of("net unnamed"), 1);
  deepEqual(world.of(0, "connected").length, 2);
  world.send(0, [1], ping(2));
  await world.run(5);
  deepEqual(world.heard(1, 0), [2]);
});

test("flap cuts and mends by turns, and leaves the link whole", async () => {
  const world = await pair();
  const heard = await under(world, { ...WHEN, kind: "flap", links: THERE, byMs: 20 });
  ok(heard.length > 0.4 * COUNT && heard.length < 0.6 * COUNT, `${heard.length}`);
  equal(world.tally.of("net flap"), COUNT - heard.length);
  const end = world.begin({ ...WHEN, kind: "flap", links: THERE, byMs: 20 });
  await world.run(25);
  end();
  await world.run(25);
  equal(world.network.reaches(0, 1), true);
});

test("reset closes streams in mid-message; they open again and the peer is not gone", async () => {
  const left = new Set<number>();
  for (const seed of numbers(1, 20)) {
    const world = await pair({ seed });
    for (const i of numbers(1, 3)) {
      world.send(0, [1], ping(i));
    }
    world.begin({ ...WHEN, kind: "reset", links: THERE })();
    world.send(0, [1], ping(4)); // nobody knows yet
    await world.run(20);
    deepEqual(world.of(0), ["connected 1"]);
    equal(world.of(1, "hears 0 hello").length, 1);
    const heard = world.heard(1, 0);
    deepEqual(heard, numbers(1, heard.length));
    ok(heard.length < 4);
    left.add(heard.length);
    equal(world.tally.of("net reset"), 1);
  }
  ok(left.size > 2);
});

test("refuse has a living peer reported gone, until it ends", async () => {
  const world = await pair();
  const end = world.begin({ ...WHEN, kind: "refuse", links: THERE });
  await world.run(3000);
  deepEqual(world.of(0, "gone"), ["gone 1"]);
  deepEqual(world.of(1, "gone"), []);
  ok(world.tally.of("net refuse") > 3);
  world.log.length = 0;
  end();
  await world.run(REDIAL_MS_LAST + 10);
  deepEqual(world.of(0, "connected"), ["connected 1"]);
});

test("unnoticed: a dead peer is not reported gone while it lasts", async () => {
  const world = await pair();
  const end = world.begin({ ...WHEN, kind: "unnoticed", links: THERE });
  world.kill(1);
  world.send(0, [1], ping(1));
  await world.run(8000);
  deepEqual(world.log, []);
  ok(world.tally.of("net unnoticed") > 0);
  end();
  await world.run(3000);
  deepEqual(world.of(0), ["gone 1"]);
  world.start(1);
  await world.run(REDIAL_MS_LAST);
  deepEqual(world.of(0, "connected"), ["connected 1"]);
});

test("unnoticed: a peer that is back is met again, though nobody saw it go", async () => {
  const world = await pair();
  world.begin({ ...WHEN, kind: "unnoticed", links: THERE });
  world.kill(1);
  await world.run(200);
  world.start(1);
  world.send(0, [1], ping(1)); // the new process knows no such stream
  await world.run(20);
  deepEqual(world.of(0, "gone"), []);
  deepEqual(world.of(0, "connected"), ["connected 1"]);
});

test("the forms of partitions cut what they say, both ways, and overlap", async () => {
  const world = await connected(5);
  const matrix = (): string[] =>
    numbers(0, 5).map((from) =>
      numbers(0, 5)
        .filter((to) => world.network.reaches(from, to))
        .join(""),
    );
  const whole = ["01234", "01234", "01234", "01234", "01234"];
  const split = world.begin({
    ...WHEN,
    kind: "split",
    groups: [
      [0, 1],
      [2, 3],
    ],
  });
  deepEqual(matrix(), ["014", "014", "234", "234", "01234"]);
  const star = world.begin({ ...WHEN, kind: "star", order: [2, 0, 1, 3, 4] });
  deepEqual(matrix(), ["0", "1", "234", "23", "24"]);
  split();
  deepEqual(matrix(), ["02", "12", "01234", "23", "24"]);
  star();
  const chain = world.begin({ ...WHEN, kind: "chain", order: [4, 0, 2, 1, 3] });
  deepEqual(matrix(), ["024", "123", "012", "13", "04"]);
  chain();
  const ring = world.begin({ ...WHEN, kind: "ring", order: [4, 0, 2, 1, 3] });
  deepEqual(matrix(), ["024", "123", "012", "134", "034"]);
  world.send(0, [1, 2, 3, 4], ping(1));
  await world.run(5);
  equal(world.tally.of("net ring"), 2);
  ring();
  ring(); // again: nothing happens
  deepEqual(matrix(), whole);
});

test("overlapping faults of one kind add up, and end one by one", async () => {
  const world = await pair();
  const first = world.begin({ ...WHEN, kind: "cut", links: THERE });
  const second = world.begin({ ...WHEN, kind: "split", groups: [[0], [1]] });
  first();
  equal(world.network.reaches(0, 1), false);
  world.send(0, [1], ping(1));
  second();
  equal(world.network.reaches(0, 1), true);
  deepEqual([world.tally.of("net cut"), world.tally.of("net split")], [0, 1]);
  const large = world.begin({ ...WHEN, kind: "large", links: THERE, bytes: 50 });
  const larger = world.begin({ ...WHEN, kind: "large", links: THERE, bytes: 1000 });
  large();
  world.send(0, [1], bulk(2, 50));
  world.send(0, [1], bulk(3, 2000));
  larger();
  await world.run(5);
  deepEqual(world.heard(1, 0), [2]);
});

test("one way cut for long: the other way goes on, over streams that are replaced", async () => {
  const world = await pair();
  world.pingAll(50);
  world.begin({ ...WHEN, kind: "cut", links: THERE });
  await world.run(20_000);
  deepEqual(world.heard(1, 0), []);
  ok(world.heard(0, 1).length > 350, `${world.heard(0, 1).length} of 400`);
});
