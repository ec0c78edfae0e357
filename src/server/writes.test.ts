/** The life of a write: numbering, asking again, deadlines, bounds and a session that expired, with the sender played by the test. */
import { deepEqual, equal, match } from "node:assert/strict";
import { test } from "node:test";
import { BatchBuilder, BatchCursor } from "../kv/batch.js";
import { encodePlainPut } from "../kv/command.js";
import { kvError } from "../kv/error.js";
import { SESSION_OUTSTANDING_MAX } from "../kv/limits.js";
import { revision, sessionId } from "../kv/model.js";
import type { Reply } from "../kv/reply.js";
import { GONE_WAITING_MIN } from "./gone-look.js";
import { isKept } from "./testing/is-kept.js";
import { WRITES_WAITING_MAX, Writes } from "./writes.js";

const caps = { bytes: 1 << 20, commands: 1000 };
const ok: Reply = { kind: "put", revision: revision(2) };
const expired: Reply = { kind: "error", revision: revision(2), error: kvError("session-expired") };
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

function harness(session = 7) {
  const writes = new Writes();
  if (session !== 0) {
    writes.onRegistered(sessionId(session));
  }
  const seen: string[] = [];
  const gone = new Set<string>();
  const add = (name: string, deadline = 1000): void =>
    writes.add(encodePlainPut(bytes(name), bytes("v")), {
      deadline,
      isGone: () => gone.has(name),
      done: (reply) => seen.push(`${name} ${reply.kind}`),
      fail: (error) => seen.push(`${name} ${error.code} ${error.outcome}: ${error.message}`),
    });
  /** What leaves now, as "session/seq>firstUnacked". */
  const send = (limits = caps): readonly string[] => {
    const builder = new BatchBuilder();
    writes.fill(builder, limits);
    const sent: string[] = [];
    const cursor = new BatchCursor(builder.finish());
    while (cursor.nextGroup()) {
      while (cursor.nextCommand()) {
        sent.push(`${cursor.session}/${cursor.seq}>${cursor.firstUnacked}`);
      }
    }
    return sent;
  };
  return { gone, writes, seen, add, send };
}

test("writes leave in order under rising numbers, and are answered once by what is applied", () => {
  const { writes, seen, add, send } = harness();
  add("a");
  add("b");
  deepEqual(send(), ["7/1>1", "7/2>1"]);
  deepEqual(send(), []);
  writes.onApplied(2, ok);
  writes.onApplied(2, ok);
  add("c");
  deepEqual(send(), ["7/3>1"]);
  writes.onApplied(1, ok);
  writes.onApplied(3, ok);
  add("d");
  deepEqual(send(), ["7/4>4"]);
  deepEqual(seen, ["b put", "a put", "c put"]);
  equal(writes.count, 1);
});

test("what is asked again keeps its number and goes first; what was answered meanwhile does not go again", () => {
  const { writes, seen, add, send } = harness();
  add("a");
  add("b");
  send();
  add("c");
  writes.requeueAll();
  writes.requeueAll();
  writes.onForwarded(1, ok);
  deepEqual(send(), ["7/2>2", "7/3>2"]);
  deepEqual(seen, ["a put"]);
});

test("a batch is full at its number of commands and at its bytes, but takes one command of any size", () => {
  const { add, send } = harness();
  for (let i = 0; i < 5; i++) {
    add(`k${i}`);
  }
  equal(send({ bytes: 1 << 20, commands: 2 }).length, 2);
  equal(send({ bytes: 55, commands: 1000 }).length, 2);
  equal(send({ bytes: 1, commands: 1000 }).length, 1);
});

test("nothing leaves without a session", () => {
  const { writes, add, send } = harness(0);
  add("a");
  equal(writes.hasWork, false);
  deepEqual(send(), []);
  writes.onRegistered(sessionId(9));
  deepEqual(send(), ["9/1>1"]);
});

test("a deadline ends a write that was never sent as not applied, one that was sent as unknown", () => {
  const { writes, seen, add, send } = harness();
  add("sent", 10);
  send();
  add("queued", 10);
  add("patient", 20);
  writes.expire(9, () => "nobody answers.");
  equal(seen.length, 0);
  writes.expire(10, () => "nobody answers.");
  deepEqual(seen, [
    "sent unavailable unknown: nobody answers. The write may still be applied.",
    "queued unavailable not-applied: nobody answers. Nothing was written.",
  ]);
  deepEqual(send(), ["7/2>2"]);
});

test("no more writes have numbers than a session may have outstanding; the rest waits", () => {
  const { writes, add, send } = harness();
  for (let i = 0; i < SESSION_OUTSTANDING_MAX + 10; i++) {
    add("k");
  }
  const many = { bytes: 1 << 30, commands: 1 << 20 };
  equal(send(many).length, SESSION_OUTSTANDING_MAX);
  equal(writes.hasWork, false);
  writes.onApplied(2, ok);
  equal(send(many).length, 0);
  writes.onApplied(1, ok);
  equal(send(many).length, 2);
});

test("more writes than may wait are refused with the limit", () => {
  const { seen, add } = harness(0);
  for (let i = 0; i <= WRITES_WAITING_MAX; i++) {
    add("k");
  }
  equal(seen.length, 1);
  match(seen[0] ?? "", /overloaded not-applied: At most 65536 writes/);
});

test("an expired session is replaced: what was not answered goes again under the new one, under new numbers", () => {
  const { writes, seen, add, send } = harness();
  add("a");
  add("b");
  send();
  add("c");
  writes.onApplied(1, expired);
  writes.onApplied(2, expired);
  equal(writes.hasWork, false);
  writes.onRegistered(sessionId(8));
  deepEqual(send(), ["8/1>1", "8/2>1", "8/3>1"]);
  deepEqual(seen, []);
});

test("after slots were skipped by a snapshot an expired session leaves the outcome unknown", () => {
  const { writes, seen, add, send } = harness();
  add("a");
  send();
  writes.onGap();
  deepEqual(send(), ["7/1>1"]);
  writes.onApplied(1, expired);
  match(seen[0] ?? "", /a unavailable unknown/);
  equal(writes.count, 0);
});

test("where many wait, writes that were never sent and nobody waits for lose their places; sent ones keep theirs", () => {
  const { gone, writes, seen, add, send } = harness();
  add("sent", 1e12);
  send();
  for (let i = 1; i < GONE_WAITING_MIN; i++) {
    add(`w${i}`, 1e12);
    gone.add(`w${i}`);
  }
  gone.add("sent").delete("w5");
  writes.expire(1, () => "no quorum.");
  equal(writes.count, 2);
  match(seen[0] ?? "", /^w1 unavailable not-applied/);
  deepEqual(send(), ["7/2>1"]);
});

test("under a load that never leaves the queue empty, what was answered is not kept", async () => {
  const { writes, add, send } = harness();
  const kept = await isKept(() => {
    const command = encodePlainPut(bytes("large"), new Uint8Array(1000));
    writes.add(command, { deadline: 1000, done: () => {}, fail: () => {} });
    return new WeakRef(command);
  });
  equal(kept, true);
  const keptLater = await isKept(() => {
    const command = encodePlainPut(bytes("larger"), new Uint8Array(1000));
    writes.add(command, { deadline: 1000, done: () => {}, fail: () => {} });
    for (let seq = 1; seq <= 10; seq++) {
      add(`k${seq}`);
      send({ ...caps, commands: 1 });
      writes.onApplied(seq, ok);
    }
    return new WeakRef(command);
  });
  equal(writes.count, 2);
  equal(keptLater, false);
});
