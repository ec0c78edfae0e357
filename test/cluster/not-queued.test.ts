/**
 * Nobody waits behind another's slow request, on another connection or on the same: behind a reader that stops reading, a
 * request of 1 MiB that stops half way, a request that waits for a coordinator. The slow clients are node:http2 ones, whose
 * windows and bodies the test holds in its hand.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import type { ClientHttp2Session } from "node:http2";
import { test } from "node:test";
import { dial, frame, grpcHeaders, grpcMessage, PREFACE } from "../support/byte-stream.js";
import { type Cluster, withCluster } from "../support/cluster.js";
import { GET, getMessage, PUT, putMessage, RawChannel, replyValue, STATUS } from "../support/grpc-call.js";
import { finishCall, openCall, openSession } from "../support/http2-call.js";
import { within } from "../support/wait.js";

const MIB = 1024 * 1024;
const HUGE = "x".repeat(MIB);

test("nobody waits behind another's slow request", { timeout: 120_000 }, async (t) => {
  await withCluster({ size: 3 }, async (cluster) => {
    const follower = cluster.others(await cluster.awaitCoordinator())[0]?.index ?? 0;
    await cluster.client().put("huge", HUGE);
    await cluster.client().put("small", "value");
    await cluster.step(t, "behind a reader that stops reading one reply, or all", () => slowReader(cluster, follower));
    await cluster.step(t, "behind a request of 1 MiB that stops half way", () => halfRequest(cluster, follower));
    await cluster.step(t, "behind huge values on their way", () => hugeValues(cluster, follower));
    await cluster.step(t, "behind a request that waits for a coordinator", () => waitingRequest(cluster, follower));
  });
});

/** A whole unary call; the reply's message. */
async function unary(session: ClientHttp2Session, path: string, message: Uint8Array): Promise<Buffer> {
  const answer = await finishCall(openCall(session, path), message);
  assert.equal(answer.grpc, "0", `${path}: ${answer.text}`);
  return answer.message;
}

async function readsAndWrites(session: ClientHttp2Session): Promise<void> {
  await unary(session, PUT, putMessage("small", "value"));
  assert.equal(replyValue(await unary(session, GET, getMessage("small"))), "value");
}

async function slowReader(cluster: Cluster, index: number): Promise<void> {
  const session = await openSession(cluster.server(index).clientAddress);
  // Node takes in one window (64 KiB) of a stream that nobody reads, and no more.
  const unread = Array.from({ length: 3 }, () => openCall(session, GET));
  for (const call of unread) {
    call.end(grpcMessage(getMessage("huge")));
    await within("the headers of a reply that is not read", once(call, "response"));
  }
  await readsAndWrites(session);
  const other = await openSession(cluster.server(index).clientAddress);
  await readsAndWrites(other);
  // Now a connection that is not read at all, with windows for everything and more replies due than any buffer between holds.
  const silent = await dial(cluster.server(index).clientAddress);
  silent.pause();
  silent.write(unreadRequests(40));
  await readsAndWrites(other);
  await readsAndWrites(session);
  assert.equal((await cluster.statusOf(index)).blocked, "");
  // Once read, the replies are whole.
  const [late] = unread;
  assert.ok(late !== undefined);
  const chunks: Buffer[] = [];
  late.on("data", (chunk: Buffer) => chunks.push(chunk));
  await within("the rest of the slow reply", once(late, "close"));
  assert.equal(replyValue(Buffer.concat(chunks).subarray(5)), HUGE);
  for (const one of [silent, session, other]) {
    one.destroy();
  }
}

/** The bytes of `count` requests for the huge value, and of windows that let all replies come at once. */
function unreadRequests(count: number): Buffer {
  const setting = Buffer.from([0, 4, 0x7f, 0xff, 0xff, 0xff]); // INITIAL_WINDOW_SIZE 2^31 - 1
  const increment = Buffer.from([0x7f, 0xff, 0, 0]);
  const calls = Array.from({ length: count }, (_, i) => [
    frame("HEADERS", { flags: 0x4, stream: 2 * i + 1, payload: grpcHeaders(GET) }),
    frame("DATA", { flags: 0x1, stream: 2 * i + 1, payload: grpcMessage(getMessage("huge")) }),
  ]);
  return Buffer.concat([PREFACE, frame("SETTINGS", { payload: setting }), frame("WINDOW_UPDATE", { payload: increment }), ...calls.flat()]);
}

async function halfRequest(cluster: Cluster, index: number): Promise<void> {
  const session = await openSession(cluster.server(index).clientAddress);
  const call = openCall(session, PUT);
  const message = grpcMessage(putMessage("half", HUGE));
  await new Promise<void>((resolve) => call.write(message.subarray(0, MIB / 2), () => resolve()));
  await readsAndWrites(session);
  await readsAndWrites(session);
  const other = await openSession(cluster.server(index).clientAddress);
  await readsAndWrites(other);
  assert.equal(await cluster.client().get("half"), undefined);
  call.end(message.subarray(MIB / 2));
  call.resume();
  await within("an answer to the slow request", once(call, "close"));
  assert.equal(await cluster.client().get("half"), HUGE);
  session.destroy();
  other.destroy();
}

async function hugeValues(cluster: Cluster, index: number): Promise<void> {
  const session = await openSession(cluster.server(index).clientAddress);
  const huge = Array.from({ length: 16 }, (_, n) => unary(session, PUT, putMessage(`huge-${n}`, HUGE)));
  for (let n = 0; n < 20; n++) {
    await readsAndWrites(session);
  }
  await Promise.all(huge);
  for (let n = 0; n < 16; n++) {
    assert.equal(replyValue(await unary(session, GET, getMessage(`huge-${n}`))), HUGE);
  }
  session.destroy();
}

async function waitingRequest(cluster: Cluster, index: number): Promise<void> {
  const down = cluster.others(index);
  await Promise.all(down.map((server) => server.kill()));
  const session = await openSession(cluster.server(index).clientAddress);
  const channel = new RawChannel(cluster.server(index).clientAddress);
  let answered = 0;
  const waiting = [channel.put("waits", "1", 20_000), channel.get("small", 20_000)].map((one) => one.finally(() => answered++));
  const calls = [openCall(session, GET), openCall(session, PUT)];
  calls[0]?.end(grpcMessage(getMessage("small")));
  calls[1]?.end(grpcMessage(putMessage("waits", "2")));
  for (let n = 0; n < 5; n++) {
    await unary(session, STATUS, new Uint8Array());
    assert.equal((await channel.call(STATUS, new Uint8Array())).code, "OK");
    assert.equal((await channel.put("", "no key")).code, "INVALID_ARGUMENT");
  }
  assert.equal(answered, 0, "the requests that need a coordinator still wait");
  cluster.start(...down.map((server) => server.index));
  for (const answer of await Promise.all(waiting)) {
    assert.equal(answer.code, "OK", `they waited for the coordinator and were served: ${answer.details}`);
  }
  channel.close();
  session.destroy();
  await cluster.awaitCoordinator();
}
