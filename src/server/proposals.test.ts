/** When batches are cut, where commands go, and what happens when the coordinator changes, with replica and network played by the test. */
import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { present } from "../base/assert.js";
import { ByteWriter } from "../base/bytes.js";
import { BatchBuilder, BatchCursor } from "../kv/batch.js";
import { encodePlainPut } from "../kv/command.js";
import { NO_LEASE, NO_SESSION, revision, sessionId } from "../kv/model.js";
import { encodeReply, type Reply } from "../kv/reply.js";
import type { Batch } from "../paxos/batch.js";
import { type Address, address } from "../paxos/ids.js";
import type { Forward, ForwardReply } from "../paxos/message.js";
import { REPLY_BYTES_MAX } from "./forwarded.js";
import { FORWARD_RETRY_MS, Proposals } from "./proposals.js";

const a = address("127.0.0.1:9000");
const b = address("127.0.0.1:9001");
const ok: Reply = { kind: "put", revision: revision(2) };
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** The commands of a payload as "session/seq". */
function commandsOf(payload: Uint8Array): readonly string[] {
  const found: string[] = [];
  const cursor = new BatchCursor(payload);
  while (cursor.nextGroup()) {
    while (cursor.nextCommand()) {
      found.push(`${cursor.session}/${cursor.seq}`);
    }
  }
  return found;
}

function harness(nonce = 5n) {
  const seen: string[] = [];
  const batches: Batch[] = [];
  const sent: { readonly to: Address; readonly message: Forward | ForwardReply }[] = [];
  const state = { now: 0, room: 1000 };
  const proposals = new Proposals({
    caps: { bytes: 1 << 20, commands: 4 },
    now: () => state.now,
    canPropose: () => state.room > 0,
    propose: (batch) => {
      state.room--;
      batches.push(batch);
      seen.push(`propose ${commandsOf(batch.payload).join(" ")}`);
    },
    send: (to, message) => {
      sent.push({ to, message });
      seen.push(
        message.kind === "forward"
          ? `forward ${to} ${commandsOf(message.payload).join(" ")}`
          : `${message.refused ? "refuse" : "answer"} ${to} ${message.id}`,
      );
    },
    wantTurn: () => {},
    nonce: () => nonce,
    onMalformed: () => seen.push("malformed"),
  });
  const put = (name: string): void =>
    proposals.write(encodePlainPut(bytes(name), bytes("v")), {
      deadline: Number.POSITIVE_INFINITY,
      done: () => seen.push(`done ${name}`),
      fail: (error) => seen.push(`fail ${name} ${error.message}`),
    });
  const register = (): void =>
    proposals.onReply(NO_SESSION, 0, { kind: "registered", revision: revision(1), session: sessionId(3), nonce: 5n });
  return { seen, batches, sent, state, proposals, put, register };
}

test("the coordinator cuts when the disk is idle, in batches within the caps, while the window has room", () => {
  const { seen, state, proposals, put, register } = harness();
  proposals.onCoordination(a, true);
  proposals.cut(true);
  register();
  deepEqual(seen, ["propose 0/0"]);
  for (let i = 0; i < 9; i++) {
    put(`k${i}`);
  }
  proposals.cut(false);
  equal(seen.length, 1);
  state.room = 2;
  proposals.cut(true);
  deepEqual(seen.slice(1), ["propose 3/1 3/2 3/3 3/4", "propose 3/5 3/6 3/7 3/8"]);
  state.room = 1;
  proposals.cut(true);
  deepEqual(seen.slice(3), ["propose 3/9"]);
});

test("another server forwards a turn's commands as one, at once, and answers its clients from what is applied", () => {
  const { seen, proposals, put, register } = harness();
  proposals.onCoordination(b, false);
  proposals.cut(false);
  register();
  put("x");
  put("y");
  proposals.cut(false);
  deepEqual(seen, [`forward ${b} 0/0`, `forward ${b} 3/1 3/2`]);
  proposals.onReply(sessionId(3), 1, ok);
  proposals.onReply(sessionId(3), 2, ok);
  deepEqual(seen.slice(2), ["done x", "done y"]);
});

test("the coordinator's reply answers too; a later application of the same command changes nothing", () => {
  const origin = harness();
  origin.proposals.onCoordination(b, false);
  origin.register();
  origin.put("x");
  origin.proposals.cut(true);
  const forward = origin.sent[0]?.message as Forward;
  const coordinator = harness();
  coordinator.proposals.onCoordination(b, true);
  coordinator.proposals.cut(true);
  coordinator.proposals.onForward(a, forward);
  coordinator.proposals.cut(true);
  equal(coordinator.seen.at(-1), "propose 3/1");
  coordinator.proposals.onReply(sessionId(3), 1, ok);
  equal(coordinator.seen.at(-1), `answer ${a} ${forward.id}`);
  origin.proposals.onForwardReply(b, coordinator.sent.at(-1)?.message as ForwardReply);
  origin.proposals.onReply(sessionId(3), 1, ok);
  deepEqual(origin.seen.slice(1), ["done x"]);
});

test("a reply that names another session settles nothing, whatever the numbers", () => {
  const { seen, proposals, put, register } = harness();
  proposals.onCoordination(b, false);
  register();
  put("x");
  proposals.cut(true);
  const replyTo = (session: number): ForwardReply => ({
    kind: "forwardReply",
    id: 77, // of a former life
    refused: false,
    coordinator: null,
    payload: new ByteWriter().varint(session).varint(1).bytes(encodeReply(ok)).finish(),
  });
  proposals.onForwardReply(b, replyTo(2));
  equal(proposals.writes.count, 1);
  proposals.onForwardReply(b, replyTo(3)); // late, but to this very write
  deepEqual(seen.slice(1), ["done x"]);
});

test("a refusal of a Forward that is not ours, or answered already, changes nothing", () => {
  const { seen, sent, proposals, put, register } = harness();
  proposals.onCoordination(b, false);
  register();
  put("x");
  proposals.cut(true);
  const { id } = present(sent[0], "a Forward was sent").message;
  proposals.onForwardReply(b, { kind: "forwardReply", id: id + 1, refused: true, coordinator: null, payload: new Uint8Array(0) });
  put("y");
  proposals.cut(true);
  deepEqual(seen, [`forward ${b} 3/1`, `forward ${b} 3/2`]); // no pause, and nothing twice
});

test("the ids of Forwards begin where a former life's are not", () => {
  const [first, second] = [0x1234_5678_9abc_def0n, 0x0fed_cba9_8765_4321n].map((nonce) => {
    const { sent, proposals } = harness(nonce);
    proposals.onCoordination(b, false);
    proposals.cut(true);
    return present(sent[0], "the registration was sent").message.id;
  });
  deepEqual([first, second], [0x5678_9abc_def0, 0xcba9_8765_4321]);
});

test("a command that is asked again in another Forward does not hold back the other replies of the first", () => {
  const origin = harness();
  origin.proposals.onCoordination(b, false);
  origin.register();
  origin.put("x");
  origin.put("y");
  origin.proposals.cut(true);
  const both = origin.sent[0]?.message as Forward;
  const builder = new BatchBuilder();
  builder.add(sessionId(3), 2, 1, encodePlainPut(bytes("y"), bytes("v")));
  const coordinator = harness();
  coordinator.proposals.onCoordination(b, true);
  coordinator.proposals.onForward(a, both);
  coordinator.proposals.onForward(a, { kind: "forward", id: both.id + 1, payload: builder.finish() });
  coordinator.proposals.onReply(sessionId(3), 1, ok);
  coordinator.proposals.onReply(sessionId(3), 2, ok);
  deepEqual(coordinator.seen, [`answer ${a} ${both.id}`, `answer ${a} ${both.id + 1}`]);
  for (const { message } of coordinator.sent) {
    origin.proposals.onForwardReply(b, message as ForwardReply);
  }
  deepEqual(origin.seen.slice(1), ["done x", "done y"]);
});

test("a reply too large for a message is left to the other server's own application", () => {
  const origin = harness();
  origin.proposals.onCoordination(b, false);
  origin.register();
  origin.put("x");
  origin.put("y");
  origin.proposals.cut(true);
  const coordinator = harness();
  coordinator.proposals.onCoordination(b, true);
  coordinator.proposals.onForward(a, origin.sent[0]?.message as Forward);
  const previous = {
    key: bytes("x"),
    value: new Uint8Array(REPLY_BYTES_MAX),
    createRevision: revision(2),
    modRevision: revision(2),
    version: 1,
    lease: NO_LEASE,
  };
  coordinator.proposals.onReply(sessionId(3), 1, { kind: "put", revision: revision(3), previous });
  coordinator.proposals.onReply(sessionId(3), 2, ok);
  origin.proposals.onForwardReply(b, coordinator.sent.at(-1)?.message as ForwardReply);
  deepEqual(origin.seen.slice(1), ["done y"]);
  origin.proposals.onReply(sessionId(3), 1, ok);
  deepEqual(origin.seen.slice(2), ["done x"]);
});

test("a Forward with a command that cannot be read is turned down whole: decided, it would stop every server", () => {
  const { seen, proposals } = harness();
  proposals.onCoordination(a, true);
  proposals.cut(true);
  seen.length = 0;
  const builder = new BatchBuilder();
  builder.add(sessionId(7), 1, 1, encodePlainPut(bytes("x"), bytes("v")));
  builder.add(sessionId(7), 2, 1, Uint8Array.of(250, 1, 2));
  proposals.onForward(b, { kind: "forward", id: 1, payload: builder.finish() });
  proposals.cut(true);
  deepEqual(seen, ["malformed"]);
});

test("when the coordinator changes, everything unanswered is asked of the next one under the same numbers", () => {
  const { seen, proposals, put, register } = harness();
  proposals.onCoordination(a, true);
  proposals.cut(true);
  register();
  put("x");
  proposals.cut(true);
  put("y");
  proposals.onCoordination(null, false);
  proposals.cut(true);
  proposals.onCoordination(b, false);
  proposals.cut(true);
  deepEqual(seen, ["propose 0/0", "propose 3/1", `forward ${b} 3/1 3/2`]);
});

test("a Forward that is refused, lost with its stream or never answered goes again", () => {
  const { seen, sent, state, proposals, put, register } = harness();
  proposals.onCoordination(b, false);
  register();
  put("x");
  proposals.cut(true);
  const { id } = present(sent[0], "a Forward was sent").message;
  proposals.onForwardReply(b, { kind: "forwardReply", id, refused: true, coordinator: null, payload: new Uint8Array(0) });
  proposals.cut(true);
  equal(seen.length, 1);
  state.now += 20_000;
  proposals.cut(true);
  equal(seen.length, 2);
  proposals.onConnected(b);
  proposals.cut(true);
  equal(seen.length, 3);
  state.now += FORWARD_RETRY_MS * 1000;
  proposals.tick(state.now);
  proposals.cut(true);
  deepEqual(
    seen,
    Array.from({ length: 4 }, () => `forward ${b} 3/1`),
  );
});

test("a server that does not coordinate refuses; one that steps down refuses what it has not proposed", () => {
  const { seen, proposals } = harness();
  const origin = harness();
  origin.proposals.onCoordination(b, false);
  origin.register();
  origin.put("x");
  origin.proposals.cut(true);
  const forward = origin.sent[0]?.message as Forward;
  proposals.onForward(a, forward);
  deepEqual(seen, [`refuse ${a} ${forward.id}`]);
  proposals.onCoordination(b, true);
  proposals.onForward(a, forward);
  proposals.onCoordination(null, false);
  deepEqual(seen.slice(1), [`refuse ${a} ${forward.id}`]);
  proposals.onCoordination(b, true);
  proposals.onForward(a, { ...forward, payload: Uint8Array.of(99) });
  equal(seen.at(-1), "malformed");
});

test("a batch that the replica refused is proposed again", () => {
  const { seen, batches, proposals, put, register } = harness();
  proposals.onCoordination(a, true);
  proposals.cut(true);
  register();
  put("x");
  proposals.cut(true);
  proposals.onRefused(batches[1] as Batch);
  proposals.cut(true);
  deepEqual(seen.slice(1), ["propose 3/1", "propose 3/1"]);
});
