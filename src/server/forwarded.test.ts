/** What a coordinator does with writes that other servers ask of it more than once; the log and the network are the test's. */
import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { BatchBuilder, BatchCursor } from "../kv/batch.js";
import { encodePlainPut } from "../kv/command.js";
import { revision, type SessionId, sessionId } from "../kv/model.js";
import { type Address, address } from "../paxos/ids.js";
import { FORWARDED_WAITING_MAX, ForwardedWrites, readForwardedReplies } from "./forwarded.js";
import { isKept } from "./testing/is-kept.js";

const b = address("127.0.0.1:9001");
const ours = sessionId(3);
const CAPS = { bytes: 1 << 20, commands: 100_000 };

/** A Forward of these numbers of one session. */
function forwardOf(session: SessionId, seqs: readonly number[]): Uint8Array {
  const builder = new BatchBuilder();
  for (const seq of seqs) {
    builder.add(session, seq, 1, encodePlainPut(Uint8Array.of(seq % 256), Uint8Array.of(1)));
  }
  return builder.finish();
}

function numbers(from: number, count: number): readonly number[] {
  return Array.from({ length: count }, (_, i) => from + i);
}

function harness() {
  const replies: string[] = [];
  const forwarded = new ForwardedWrites({
    coordinator: () => null,
    reply: (to: Address, { id, refused, payload }) => {
      equal(to, b);
      const seqs = readForwardedReplies(payload).map(({ seq }) => seq);
      replies.push(refused ? `refuse ${id}` : `answer ${id}: ${seqs.join(" ")}`);
    },
  });
  /** The numbers of the next batch. */
  const propose = (commands = CAPS.commands): readonly number[] => {
    const builder = new BatchBuilder();
    forwarded.fill(builder, { ...CAPS, commands });
    const seqs: number[] = [];
    const cursor = new BatchCursor(builder.finish());
    while (cursor.nextGroup()) {
      while (cursor.nextCommand()) {
        seqs.push(cursor.seq);
      }
    }
    return seqs;
  };
  const apply = (seqs: readonly number[]): void => {
    for (const seq of seqs) {
      forwarded.onApplied(ours, seq, { kind: "put", revision: revision(2) });
    }
  };
  return { forwarded, replies, propose, apply };
}

test("what is asked again while it waits is proposed once, and answered to whoever asked last", () => {
  const { forwarded, replies, propose, apply } = harness();
  forwarded.add(b, 10, forwardOf(ours, [1, 2, 3]));
  deepEqual(propose(1), [1]);
  forwarded.add(b, 11, forwardOf(ours, [2, 3, 4]));
  forwarded.add(b, 12, forwardOf(ours, [2, 3, 4]));
  deepEqual(propose(), [2, 3, 4]);
  apply([1, 2, 3, 4]);
  deepEqual(replies, ["answer 11: ", "answer 10: 1", "answer 12: 2 3 4"]);
});

test("what was proposed already, or answered, is proposed when it is asked again", () => {
  const { forwarded, replies, propose, apply } = harness();
  forwarded.add(b, 10, forwardOf(ours, [1, 2]));
  deepEqual(propose(), [1, 2]);
  apply([1]);
  forwarded.add(b, 11, forwardOf(ours, [1, 2]));
  deepEqual(propose(), [1, 2]);
  apply([1, 2]);
  deepEqual(replies, ["answer 10: 1", "answer 11: 1 2"]);
});

test("another session's command under the same number is another one", () => {
  const { forwarded, propose } = harness();
  forwarded.add(b, 10, forwardOf(ours, [1]));
  forwarded.add(b, 11, forwardOf(sessionId(4), [1]));
  deepEqual(propose(), [1, 1]);
});

test("a full queue refuses what is new, and takes note of what it holds, however often it is asked", () => {
  const { forwarded, replies, propose } = harness();
  const all = forwardOf(ours, numbers(1, FORWARDED_WAITING_MAX));
  for (const id of [10, 11, 12]) {
    forwarded.add(b, id, all);
  }
  forwarded.add(b, 13, forwardOf(ours, [FORWARDED_WAITING_MAX, FORWARDED_WAITING_MAX + 1]));
  deepEqual(replies, ["answer 10: ", "answer 11: ", "refuse 13"]);
  deepEqual(propose(), numbers(1, FORWARDED_WAITING_MAX));
});

test("a coordinator that steps down refuses the Forward that asked last", () => {
  const { forwarded, replies } = harness();
  forwarded.add(b, 10, forwardOf(ours, [1]));
  forwarded.add(b, 11, forwardOf(ours, [1]));
  forwarded.stepDown();
  deepEqual(replies, ["answer 10: ", "refuse 11"]);
});

test("under a load that never leaves the queue empty, what was answered is not kept", async () => {
  const { forwarded, propose, apply } = harness();
  const keptAfter = (count: number, from: number): Promise<boolean> =>
    isKept(() => {
      const payload = forwardOf(ours, [from]);
      forwarded.add(b, from, payload);
      forwarded.add(b, from + 1, forwardOf(ours, numbers(from + 1, count)));
      for (let k = 0; k < count; k++) {
        apply(propose(1));
      }
      return new WeakRef(payload.buffer);
    });
  equal(await keptAfter(0, 1), true);
  equal(await keptAfter(10, 2), false);
});
