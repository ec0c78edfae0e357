/**
 * Writes under sessions of clients, as a queue: what is sent under which number, who is told what and when. The state machine's part
 * is played by the test; that all parts together execute once is shown in exactly-once.test.ts.
 */
import { deepEqual, equal, match } from "node:assert/strict";
import { test } from "node:test";
import { utf8Encode } from "../base/utf8.js";
import { BatchBuilder, BatchCursor } from "../kv/batch.js";
import { encodePlainPut } from "../kv/command.js";
import { type KvErrorKind, kvError } from "../kv/error.js";
import { revision, type SessionId, sessionId } from "../kv/model.js";
import type { Reply } from "../kv/reply.js";
import { ClientWrites } from "./client-writes.js";
import { WRITES_WAITING_BYTES_MAX, WRITES_WAITING_MAX } from "./writes.js";

const CAPS = { bytes: 1 << 20, commands: 3 };
const COMMAND = encodePlainPut(utf8Encode("k"), utf8Encode("v"));
const ONE = sessionId(1);
const TWO = sessionId(2);
const put = (at: number): Reply => ({ kind: "put", revision: revision(at) });
const refusal = (kind: KvErrorKind): Reply => ({ kind: "error", revision: revision(1), error: kvError(kind) });

type Call = { readonly session?: SessionId; readonly seq: number; readonly firstUnacked?: number; readonly deadline?: number };

class World {
  readonly writes = new ClientWrites();
  /** What callers were told, in order: the name of the call and its answer. */
  readonly told: string[] = [];

  ask(name: string, { session = ONE, seq, firstUnacked = 1, deadline = 1000 }: Call, command: Uint8Array = COMMAND): void {
    this.writes.add({ session, seq, firstUnacked }, command, {
      deadline,
      done: (reply, isDoubtful) => {
        const what = reply.kind === "error" ? reply.error.kind : `${reply.kind} ${reply.revision}`;
        this.told.push(`${name}: ${what}${isDoubtful === true ? ", doubtful" : ""}`);
      },
      fail: ({ code, outcome, message }) => this.told.push(`${name}: ${code}, ${outcome}: ${message}`),
    });
  }

  /** The next batch, as session.seq/firstUnacked of each command. */
  sent(): string {
    const builder = new BatchBuilder();
    this.writes.fill(builder, CAPS);
    const cursor = new BatchCursor(builder.finish());
    const sent: string[] = [];
    while (cursor.nextGroup()) {
      while (cursor.nextCommand()) {
        sent.push(`${cursor.session}.${cursor.seq}/${cursor.firstUnacked}`);
      }
    }
    return sent.join(" ");
  }
}

test("writes are sent under the clients' own numbers, within the caps, and again under the same", () => {
  const world = new World();
  world.ask("a", { seq: 7, firstUnacked: 5 });
  world.ask("b", { seq: 8, firstUnacked: 7 });
  world.ask("c", { session: TWO, seq: 1 });
  world.ask("d", { seq: 9, firstUnacked: 7 });
  equal(world.sent(), "1.7/7 1.8/7 2.1/1");
  equal(world.sent(), "1.9/7");
  equal(world.sent(), "");
  world.writes.onApplied(ONE, 8, put(2));
  world.writes.requeueAll();
  world.writes.requeueNumber(TWO, 1);
  equal(world.sent(), "1.7/5 1.9/7 2.1/1");
  world.writes.requeueNumber(ONE, 9);
  world.writes.requeueNumber(ONE, 8);
  equal(world.sent(), "1.9/7");
  deepEqual(world.told, ["b: put 2"]);
});

test("who asks while the same write is under way waits for the same answer, and is told once", () => {
  const world = new World();
  world.ask("first", { seq: 1 });
  equal(world.sent(), "1.1/1");
  world.ask("second", { seq: 1, deadline: 2000 });
  equal(world.sent(), "", "it is not sent twice");
  equal(world.writes.count, 2);
  world.writes.expire(1000, () => "No quorum.");
  deepEqual(world.told, ["first: unavailable, unknown: No quorum. The write may still be applied."]);
  world.writes.onApplied(ONE, 1, put(4));
  world.writes.onApplied(ONE, 1, put(4));
  deepEqual(world.told.slice(1), ["second: put 4"]);
  equal(world.writes.count, 0);
});

test("an expired session proves that nothing was applied, unless slots were skipped since the write was sent", () => {
  const world = new World();
  world.ask("seen", { seq: 1 });
  world.sent();
  world.writes.onApplied(ONE, 1, refusal("session-expired"));
  world.ask("skipped", { seq: 2 });
  world.sent();
  world.ask("unsent", { seq: 3 });
  world.writes.onGap();
  equal(world.sent(), "1.3/1 1.2/1");
  world.writes.onApplied(ONE, 2, refusal("session-expired"));
  world.writes.onApplied(ONE, 3, refusal("session-expired"));
  deepEqual(world.told, ["seen: session-expired", "skipped: session-expired, doubtful", "unsent: session-expired"]);
});

test("the coordinator's word settles a write where it is definite", () => {
  const world = new World();
  world.ask("a", { seq: 1 });
  world.ask("b", { seq: 2 });
  world.sent();
  world.writes.onForwarded(ONE, 1, refusal("session-expired"));
  world.writes.onForwarded(ONE, 1, refusal("stale-sequence"));
  deepEqual(world.told, []);
  world.writes.onForwarded(ONE, 1, refusal("quota-exceeded"));
  world.writes.onForwarded(ONE, 2, put(3));
  world.writes.onForwarded(TWO, 2, put(3));
  deepEqual(world.told, ["a: quota-exceeded", "b: put 3"]);
});

test("what was never sent is known not to be applied; a stopping server tells everybody", () => {
  const world = new World();
  world.ask("late", { seq: 1, deadline: 10 });
  world.writes.expire(9, () => "Never.");
  world.writes.expire(10, () => "No coordinator.");
  world.ask("sent", { seq: 2 });
  equal(world.sent(), "1.2/1", "what is over is not sent any more");
  world.ask("waits", { seq: 3 });
  world.writes.failAll("This server is stopping.");
  deepEqual(world.told, [
    "late: unavailable, not-applied: No coordinator. Nothing was written.",
    "sent: unavailable, unknown: This server is stopping. The write may still be applied.",
    "waits: unavailable, not-applied: This server is stopping. Nothing was written.",
  ]);
  equal(world.writes.count, 0);
});

test("waiting writes are bounded in number and in bytes", () => {
  const world = new World();
  for (let seq = 1; seq <= WRITES_WAITING_MAX; seq++) {
    world.ask("many", { seq });
  }
  world.ask("one more", { seq: 1 });
  match(world.told.join(), /^one more: overloaded, not-applied: At most 65536 writes or \d+ bytes of them may wait, and 65536 do/);
  const large = new World();
  const half = new Uint8Array(WRITES_WAITING_BYTES_MAX / 2);
  large.ask("a", { seq: 1 }, half);
  large.ask("b", { seq: 2 }, half);
  large.ask("c", { seq: 3 });
  match(large.told.join(), /^c: overloaded/);
  large.sent();
  large.writes.onApplied(ONE, 1, put(2));
  large.ask("d", { seq: 4 }, half);
  deepEqual(large.told.slice(1), ["a: put 2"]);
});
