/** Sharing, order and deadlines of linearizable reads, with a replica played by the test. */
import { deepEqual, equal, match } from "node:assert/strict";
import { test } from "node:test";
import { slot } from "../paxos/ids.js";
import { GONE_LOOK_MS, GONE_WAITING_MIN } from "./gone-look.js";
import { Reads } from "./reads.js";

function harness() {
  const seen: string[] = [];
  let applied = slot(0);
  const reads = new Reads({
    begin: (id) => seen.push(`begin ${id}`),
    cancel: (id) => seen.push(`cancel ${id}`),
    applied: () => applied,
    wantTurn: () => seen.push("turn"),
    explain: () => "no server coordinates.",
  });
  const gone = new Set<string>();
  const read = (name: string, deadline = 100): void =>
    reads.read({
      deadline,
      isGone: () => gone.has(name),
      answer: () => seen.push(`answer ${name}`),
      fail: (error) => seen.push(`fail ${name}: ${error.code} ${error.message}`),
    });
  const apply = (to: number): void => {
    applied = slot(to);
    reads.onApplied(applied);
  };
  return { gone, seen, reads, read, apply };
}

test("reads of one turn share one id; those of the next turn get another", () => {
  const { seen, reads, read } = harness();
  read("a");
  read("b");
  reads.flush();
  read("c");
  reads.flush();
  reads.flush();
  reads.onReady([1], slot(0));
  reads.onReady([2], slot(0));
  deepEqual(seen, ["turn", "begin 1", "turn", "begin 2", "answer a", "answer b", "answer c"]);
  equal(reads.count, 0);
});

test("a read waits until its index is applied", () => {
  const { seen, reads, read, apply } = harness();
  read("a");
  reads.flush();
  reads.onReady([1], slot(5));
  apply(4);
  deepEqual(seen, ["turn", "begin 1"]);
  apply(5);
  deepEqual(seen.slice(2), ["answer a"]);
});

test("a read past its deadline fails with the reason, wherever it waits, and the replica is told when nobody is left", () => {
  const { seen, reads, read, apply } = harness();
  read("asked", 10);
  reads.flush();
  read("ready", 10);
  read("patient", 50);
  reads.flush();
  reads.onReady([2], slot(9));
  read("open", 10);
  reads.expire(9);
  equal(reads.count, 4);
  reads.expire(10);
  const failed = seen.filter((line) => line.startsWith("fail"));
  deepEqual(failed.map((line) => line.split(":")[0]).sort(), ["fail asked", "fail open", "fail ready"]);
  match(failed[0] ?? "", /unavailable The read was not answered in time: no server coordinates\./);
  deepEqual(
    seen.filter((line) => line.startsWith("cancel")),
    ["cancel 1"],
  );
  apply(9);
  equal(seen.at(-1), "answer patient");
  reads.onReady([1], slot(0));
  equal(reads.count, 0);
});

test("where many wait, reads that nobody waits for lose their places long before their deadlines", () => {
  const { gone, reads, read } = harness();
  for (let i = 1; i < GONE_WAITING_MIN; i++) {
    read(`r${i}`, 1e12);
    gone.add(`r${i}`);
  }
  reads.flush();
  reads.expire(1);
  equal(reads.count, GONE_WAITING_MIN - 1); // few: not worth a look
  read("kept", 1e12);
  reads.expire(2);
  equal(reads.count, 1);
  gone.add("kept");
  for (let i = 1; i < GONE_WAITING_MIN; i++) {
    read(`r${i}`, 1e12);
  }
  reads.expire(3);
  equal(reads.count, GONE_WAITING_MIN); // looked at a moment ago
  reads.expire(2 + GONE_LOOK_MS * 1000);
  equal(reads.count, 0);
});
