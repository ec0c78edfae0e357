/** How much is applied in one turn of the event loop, with a real state machine and turns that the test ends by hand. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { BatchBuilder } from "../kv/batch.js";
import { encodePlainPut } from "../kv/command.js";
import { NO_SESSION } from "../kv/model.js";
import { Store } from "../kv/store.js";
import { type Batch, commandsBatch } from "../paxos/batch.js";
import { slot } from "../paxos/ids.js";
import { Applier, TURN_UNITS } from "./applier.js";

const LOG = 400;
const VALUE = new Uint8Array(4096);

/** One put, too small for more than a small part of a turn. */
function batchOf(n: number): Batch {
  const builder = new BatchBuilder();
  builder.add(NO_SESSION, 0, 0, encodePlainPut(Uint8Array.of(n % 256), VALUE));
  return commandsBatch(builder.finish());
}

function harness() {
  const applied: number[] = [];
  const later: (() => void)[] = [];
  const applier = new Applier({
    store: Store.empty(),
    sink: { onReply: () => {} },
    onApplied: (at) => applied.push(at),
    later: (callback) => later.push(callback),
  });
  let next = 1;
  const add = (count: number): void => {
    for (const end = next + count; next < end; next++) {
      applier.add(slot(next), batchOf(next));
    }
  };
  return { applied, later, applier, add };
}

test("a log that is replayed at once takes as many turns as it needs, in order", () => {
  const { applied, later, applier, add } = harness();
  add(LOG);
  const perTurn = applied.length;
  ok(perTurn > 1 && perTurn <= TURN_UNITS / 16, `${perTurn} batches in the first turn`);
  let turns = 1;
  for (let resume = later.shift(); resume !== undefined; resume = later.shift()) {
    equal(later.length, 0, "one callback is under way at a time");
    resume();
    turns++;
    ok(applied.length <= turns * perTurn);
  }
  deepEqual(
    applied,
    Array.from({ length: LOG }, (_, i) => i + 1),
  );
  equal(applier.backlog, 0);
});

test("the budget is the turn's, and whole again in the next", () => {
  const { applied, later, applier, add } = harness();
  add(LOG);
  const perTurn = applied.length;
  const second = harness();
  second.add(perTurn - 1);
  second.applier.endTurn();
  second.add(perTurn);
  equal(second.applied.length, 2 * perTurn - 1);
  equal(second.later.length, 0);
  second.add(1);
  equal(second.applied.length, 2 * perTurn - 1);
  equal(second.later.length, 1);
  equal(later.length, 1);
  equal(applier.backlog, LOG - perTurn);
});
