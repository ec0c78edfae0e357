/**
 * The server's streams without a socket: frames by hand in, frames out, a clock that stands still. Every kind of call, its ends, deadlines,
 * metadata, the limits, drain. Each limit has its case here or in malformed.test.ts.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { concatBytes } from "../base/bytes.js";
import { ERROR, encodeFrame, FLAG, FRAME, readU32 } from "./frames.js";
import { RECENT_STREAMS_MAX } from "./recent-streams.js";
import { STATUS_MESSAGE_CHARACTERS_MAX } from "./response-fields.js";
import { GRPC_STATUS } from "./status.js";
import { testServices } from "./testing/services.js";
import { dataFrame, grpcMessage, messagesOf, REQUEST_FIELDS, requestFields, type SeenFrame, u32, WireClient } from "./testing/wire.js";

const HELLO = Buffer.from("hello");
const HOLD = requestFields("/test.Service/Hold");
const RAW = requestFields("/test.Service/Raw");

function statusOf(frames: readonly SeenFrame[]): string | undefined {
  return (
    frames.at(-1)?.fields?.["grpc-status"] ?? frames.find((frame) => frame.fields?.["grpc-status"] !== undefined)?.fields?.["grpc-status"]
  );
}

function resetCodes(frames: readonly SeenFrame[]): number[] {
  return frames.filter((frame) => frame.type === FRAME.RST_STREAM).map((frame) => readU32(frame.payload, 0));
}

test("a unary call that comes whole is answered with headers, data and trailers, the second time in indexed headers", () => {
  const client = new WireClient(testServices().services);
  for (const stream of [1, 3, 5]) {
    client.unary(stream, HELLO);
    const frames = client.frames();
    assert.deepEqual(
      frames.map((frame) => [frame.type, frame.flags, frame.stream]),
      [
        [FRAME.HEADERS, FLAG.END_HEADERS, stream],
        [FRAME.DATA, 0, stream],
        [FRAME.HEADERS, FLAG.END_HEADERS | FLAG.END_STREAM, stream],
      ],
    );
    assert.deepEqual(frames[0]?.fields, { ":status": "200", "content-type": "application/grpc" });
    assert.deepEqual(messagesOf(frames), [HELLO]);
    assert.deepEqual(frames[2]?.fields, { "grpc-status": "0" });
    if (stream > 1) {
      assert.deepEqual([frames[0]?.payload.length, frames[2]?.payload.length], [2, 1]);
    }
  }
  assert.equal(client.connection.openCalls, 0);
});

test("the same call in every shape: frames apart, message in pieces, priority, padding, trailers, CONTINUATION", () => {
  const client = new WireClient(testServices().services);
  const message = grpcMessage(HELLO);
  const block = (stream: number, flags: number, before: Uint8Array, after = new Uint8Array(0)) =>
    encodeFrame(FRAME.HEADERS, flags, stream, Buffer.concat([before, client.encoder.encode(REQUEST_FIELDS), after]));
  const shapes: ReadonlyArray<(stream: number) => readonly Uint8Array[]> = [
    (stream) => [client.headers(stream), dataFrame(stream, message, true)],
    (stream) => [client.headers(stream), dataFrame(stream, message, false), dataFrame(stream, new Uint8Array(0), true)],
    (stream) => [client.headers(stream), dataFrame(stream, message.subarray(0, 3), false), dataFrame(stream, message.subarray(3), true)],
    (stream) => [block(stream, FLAG.END_HEADERS | FLAG.PRIORITY, new Uint8Array(5)), dataFrame(stream, message, true)],
    (stream) => [
      block(stream, FLAG.END_HEADERS | FLAG.PADDED, Uint8Array.of(3), new Uint8Array(3)),
      encodeFrame(FRAME.DATA, FLAG.END_STREAM | FLAG.PADDED, stream, Buffer.concat([Uint8Array.of(2), message, new Uint8Array(2)])),
    ],
    (stream) => [
      client.headers(stream),
      dataFrame(stream, message, false),
      client.headers(stream, ["x-trailer", "1"], FLAG.END_HEADERS | FLAG.END_STREAM),
    ],
    (stream) => {
      const whole = client.encoder.encode(REQUEST_FIELDS);
      return [
        encodeFrame(FRAME.HEADERS, 0, stream, whole.subarray(0, 2)),
        encodeFrame(FRAME.CONTINUATION, FLAG.END_HEADERS, stream, whole.subarray(2)),
        dataFrame(stream, message, true),
      ];
    },
  ];
  for (const [i, shape] of shapes.entries()) {
    for (const apart of [false, true]) {
      const stream = i * 4 + (apart ? 3 : 1);
      const parts = shape(stream);
      for (const part of apart ? parts : [Buffer.concat(parts)]) {
        client.send(part);
      }
      const frames = client.framesOf(stream);
      assert.deepEqual(messagesOf(frames), [HELLO], `shape ${i}`);
      assert.equal(statusOf(frames), "0");
      assert.deepEqual(resetCodes(frames), []);
    }
  }
  assert.equal(client.connection.openCalls, 0);
});

test("answers come in any order; an answer after the answer, or to a stream that never was, is dropped", () => {
  const { services, log } = testServices();
  const client = new WireClient(services);
  for (const stream of [1, 3, 5]) {
    client.unary(stream, Buffer.from([stream]), HOLD);
  }
  assert.deepEqual(client.frames(), []);
  for (const held of [...log.held].reverse()) {
    held.responder.reply(held.stream, held.message);
    held.responder.reply(held.stream, held.message);
    held.responder.fail(held.stream, GRPC_STATUS.INTERNAL, "late");
  }
  client.connection.reply(99, HELLO);
  const frames = client.frames();
  assert.deepEqual(
    frames.filter((frame) => frame.type === FRAME.DATA).map((frame) => [frame.stream, frame.payload[5]]),
    [
      [5, 5],
      [3, 3],
      [1, 1],
    ],
  );
  assert.equal(frames.length, 9);
});

test("a failure carries status, message in any script, and trailers; metadata goes both ways", () => {
  const client = new WireClient(testServices().services);
  const fields = requestFields("/test.Service/Fail", ["x-text", "a b", "x-bin", "AP8"]);
  client.unary(1, Buffer.from("\x05schlüssel fehlt: 100 %"), fields);
  const [frame, ...rest] = client.frames();
  assert.deepEqual(rest, []);
  assert.equal(frame?.flags, FLAG.END_HEADERS | FLAG.END_STREAM);
  assert.deepEqual(frame?.fields, {
    ":status": "200",
    "content-type": "application/grpc",
    "grpc-status": "5",
    "grpc-message": "schl%C3%BCssel fehlt: 100 %25",
    "x-text": "a b",
    "x-bin": "AP8",
  });
});

test("requests that no handler sees get the answer that gRPC or HTTP gives them", () => {
  const client = new WireClient(testServices({ headerListBytesMax: 1000 }).services);
  const without = (name: string) => REQUEST_FIELDS.filter((_, i) => REQUEST_FIELDS[i - (i % 2)] !== name);
  const cases: ReadonlyArray<readonly [fields: readonly string[], httpStatus: string, status: number]> = [
    [requestFields("/test.Service/Nothing"), "200", GRPC_STATUS.UNIMPLEMENTED],
    [[...without("content-type"), "content-type", "application/json"], "415", GRPC_STATUS.INTERNAL],
    [[...without("content-type"), "content-type", "application/grpcish"], "415", GRPC_STATUS.INTERNAL],
    [without("content-type"), "415", GRPC_STATUS.INTERNAL],
    [[":method", "GET", ...without(":method")], "405", GRPC_STATUS.INTERNAL],
    [[...REQUEST_FIELDS, "grpc-encoding", "gzip"], "200", GRPC_STATUS.UNIMPLEMENTED],
    [[...REQUEST_FIELDS, "grpc-timeout", "soon"], "200", GRPC_STATUS.INTERNAL],
    [[...REQUEST_FIELDS, "x-large", "x".repeat(1000)], "431", GRPC_STATUS.RESOURCE_EXHAUSTED],
  ];
  let stream = 1;
  for (const [fields, httpStatus, status] of cases) {
    for (const flags of [FLAG.END_HEADERS, FLAG.END_HEADERS | FLAG.END_STREAM]) {
      client.send(client.headers(stream, fields, flags));
      const frames = client.framesOf(stream);
      assert.equal(frames[0]?.fields?.[":status"], httpStatus);
      assert.equal(frames[0]?.fields?.["grpc-status"], String(status));
      // A client that is not done is told that nobody reads the rest; what is still under way does no harm.
      assert.deepEqual(resetCodes(frames), flags === FLAG.END_HEADERS ? [ERROR.NO_ERROR] : []);
      if (flags === FLAG.END_HEADERS) {
        client.send(dataFrame(stream, grpcMessage(HELLO), true));
        assert.deepEqual(client.framesOf(stream), []);
      }
      stream += 2;
    }
  }
  client.unary(stream, HELLO, [...without("content-type"), "content-type", "application/grpc+proto"]);
  assert.equal(statusOf(client.frames()), "0");
});

test("unary requests with no message, two messages, a cut message, a compressed one, one too large", () => {
  const client = new WireClient(testServices({ messageBytesMax: 100 }).services);
  const cases: ReadonlyArray<readonly [data: Uint8Array, status: number, message: RegExp]> = [
    [new Uint8Array(0), GRPC_STATUS.INTERNAL, /exactly one message/],
    [Buffer.concat([grpcMessage(HELLO), grpcMessage(HELLO)]), GRPC_STATUS.INTERNAL, /exactly one message/],
    [grpcMessage(HELLO).subarray(0, 8), GRPC_STATUS.INTERNAL, /cut short/],
    [Buffer.from("0100000001ff", "hex"), GRPC_STATUS.UNIMPLEMENTED, /compressed/],
    [grpcMessage(new Uint8Array(101)), GRPC_STATUS.RESOURCE_EXHAUSTED, /101 bytes is above the limit of 100 bytes/],
    [grpcMessage(new Uint8Array(100)), GRPC_STATUS.OK, /^$/],
  ];
  for (const [i, [data, status, message]] of cases.entries()) {
    const stream = i * 2 + 1;
    client.send(client.headers(stream), dataFrame(stream, data, true));
    const frames = client.framesOf(stream);
    assert.equal(statusOf(frames), String(status), `case ${i}`);
    assert.match(decodeURIComponent(frames[0]?.fields?.["grpc-message"] ?? ""), message);
  }
  assert.equal(client.connection.closed, false);
});

test("a deadline ends the call with DEADLINE_EXCEEDED and tells its handler; what remains of it can be asked", () => {
  const { services, log } = testServices();
  const client = new WireClient(services);
  client.unary(1, HELLO, [...HOLD, "grpc-timeout", "50m"]);
  client.unary(3, HELLO, [...HOLD, "grpc-timeout", "80m"]);
  client.unary(5, HELLO, HOLD);
  client.send(client.headers(7, [...RAW, "grpc-timeout", "50m"]));
  client.send(client.headers(9, [...REQUEST_FIELDS, "grpc-timeout", "50m"]));
  client.frames();
  client.advance(20);
  assert.deepEqual(
    [1, 3, 5].map((stream) => client.connection.deadlineMs(stream)),
    [30, 60, undefined],
  );
  assert.equal(log.raw[0]?.deadlineMs(), 30);
  client.advance(30);
  const frames = client.frames();
  const ended = frames.filter((frame) => frame.type === FRAME.HEADERS);
  assert.deepEqual(
    ended.map((frame) => [frame.stream, frame.fields?.["grpc-status"]]),
    [1, 7, 9].map((stream) => [stream, "4"]),
  );
  assert.deepEqual(log.cancels, ["deadline", "deadline"]);
  assert.equal(log.raw[0]?.closed, true);
  log.held[0]?.responder.reply(1, HELLO);
  assert.deepEqual(client.frames(), []);
  client.advance(30);
  assert.equal(statusOf(client.framesOf(3)), "4");
  assert.equal(client.connection.openCalls, 1);
});

test("RST_STREAM takes a call back: its handler is told, its answer dropped, other calls go on", () => {
  const { services, log } = testServices();
  const client = new WireClient(services);
  client.unary(1, HELLO, HOLD);
  client.unary(3, HELLO, HOLD);
  client.send(client.headers(5, RAW));
  client.send(encodeFrame(FRAME.RST_STREAM, 0, 1, u32(ERROR.CANCEL)), encodeFrame(FRAME.RST_STREAM, 0, 5, u32(ERROR.CANCEL)));
  assert.deepEqual(log.cancels, ["cancelled", "cancelled"]);
  assert.equal(log.raw[0]?.send(HELLO), false);
  log.raw[0]?.end();
  client.frames();
  for (const held of log.held) {
    held.responder.reply(held.stream, held.message);
  }
  assert.deepEqual(new Set(client.frames().map((frame) => frame.stream)), new Set([3]));
});

test("a lost connection cancels everything", () => {
  const { services, log } = testServices();
  const client = new WireClient(services);
  client.unary(1, HELLO, HOLD);
  client.send(client.headers(3, RAW));
  client.connection.session.disconnected("gone");
  assert.deepEqual([...log.cancels].sort(), ["disconnected", "disconnected"]);
  assert.equal(client.connection.closed, true);
  assert.equal(client.connection.openCalls, 0);
  log.held[0]?.responder.reply(1, HELLO);
});

test("streaming: messages both ways, half close, metadata in headers and trailers, nothing after the end", () => {
  const { services, log } = testServices();
  const client = new WireClient(services);
  client.send(client.headers(1, [...RAW, "x-in", "1"]));
  const stream = log.raw[0];
  assert.ok(stream !== undefined);
  assert.deepEqual(stream.metadata, [["x-in", "1"]]);
  client.send(dataFrame(1, Buffer.concat([grpcMessage(HELLO), grpcMessage(HELLO).subarray(0, 4)]), false));
  client.send(dataFrame(1, grpcMessage(HELLO).subarray(4), false));
  assert.deepEqual(log.received, [HELLO, HELLO]);
  stream.sendHeaders([["x-out", "2"]]);
  assert.equal(stream.send(Buffer.from("one")), true);
  client.send(dataFrame(1, new Uint8Array(0), true));
  assert.equal(log.halfCloses, 1);
  assert.equal(stream.send(Buffer.from("two")), true);
  stream.end(GRPC_STATUS.ABORTED, "enough", [["x-last", "3"]]);
  assert.equal(stream.send(HELLO), false);
  stream.end();
  const frames = client.frames();
  assert.deepEqual(frames[0]?.fields, { ":status": "200", "content-type": "application/grpc", "x-out": "2" });
  assert.deepEqual(messagesOf(frames).map(String), ["one", "two"]);
  assert.deepEqual(frames.at(-1)?.fields, { "grpc-status": "10", "grpc-message": "enough", "x-last": "3" });
  assert.deepEqual(log.cancels, []);
});

test("a paused stream delivers nothing, grants nothing, and goes on where it stopped", () => {
  const { services, log } = testServices();
  const client = new WireClient(services);
  client.send(client.headers(1, RAW));
  log.raw[0]?.pause();
  const large = grpcMessage(new Uint8Array(1024 * 1024).fill(1));
  for (let i = 0; i < 3; i++) {
    client.send(dataFrame(1, large, i === 2));
  }
  assert.deepEqual(client.framesOf(1), []);
  assert.equal(log.received.length + log.halfCloses, 0);
  log.raw[0]?.resume();
  assert.equal(log.received.length, 3);
  assert.equal(log.halfCloses, 1);
});

test("a paused stream is granted its window back on resume, as far as it goes before the next pause", () => {
  const { services, log } = testServices();
  const client = new WireClient(services);
  client.send(client.headers(1, RAW));
  const stream = log.raw[0];
  stream?.pause();
  for (let i = 0; i < 3; i++) {
    client.send(dataFrame(1, grpcMessage(new Uint8Array(1024 * 1024).fill(i)), false));
  }
  stream?.onMessage((message) => {
    log.received.push(Buffer.from(message.subarray(0, 1)));
    stream.pause();
  });
  for (let i = 1; i <= 3; i++) {
    assert.deepEqual(client.framesOf(1), []);
    stream?.resume();
    assert.equal(log.received.length, i);
  }
  assert.deepEqual(
    log.received.map((message) => message[0]),
    [0, 1, 2],
  );
  assert.deepEqual(client.framesOf(1), []);
  stream?.resume();
  assert.equal(client.framesOf(1)[0]?.type, FRAME.WINDOW_UPDATE);
});

test("calls above MAX_CONCURRENT_STREAMS are refused, and taken again when there is room", () => {
  const { services, log } = testServices({ concurrentStreamsMax: 2 });
  const client = new WireClient(services);
  client.unary(1, HELLO, HOLD);
  client.send(client.headers(3, RAW));
  client.unary(5, HELLO, HOLD);
  assert.deepEqual(resetCodes(client.framesOf(5)), [ERROR.REFUSED_STREAM]);
  log.held[0]?.responder.reply(1, HELLO);
  client.unary(7, HELLO);
  assert.equal(statusOf(client.framesOf(7)), "0");
});

test("bytes of incomplete requests are bounded for the connection; the others go on", () => {
  const { services, log } = testServices({ receiveHeldBytesMax: 300_000 });
  const client = new WireClient(services);
  const half = grpcMessage(new Uint8Array(200_000)).subarray(0, 100_000);
  client.send(client.headers(1, HOLD), dataFrame(1, half, false));
  client.send(client.headers(3, HOLD), dataFrame(3, half, false));
  assert.equal(statusOf(client.framesOf(3)), String(GRPC_STATUS.RESOURCE_EXHAUSTED));
  client.send(dataFrame(1, new Uint8Array(100_005), true));
  assert.deepEqual(
    log.held.map((held) => held.message.length),
    [200_000],
  );
  client.send(client.headers(5, RAW));
  log.raw[0]?.pause();
  for (let i = 0; i < 5; i++) {
    client.send(dataFrame(5, grpcMessage(new Uint8Array(90_000)), false));
  }
  assert.equal(statusOf(client.framesOf(5)), String(GRPC_STATUS.RESOURCE_EXHAUSTED));
  assert.deepEqual(log.cancels, ["cancelled"]);
});

test("drain: says goodbye twice, finishes what is open, refuses what comes later, then leaves", () => {
  const { services, log } = testServices();
  const client = new WireClient(services);
  client.unary(1, HELLO, HOLD);
  client.connection.drain();
  assert.deepEqual(
    client.frames().map((frame) => [frame.type, readU32(frame.payload, 0)]),
    [
      [FRAME.GOAWAY, 2 ** 31 - 1],
      [FRAME.PING, 0],
    ],
  );
  client.unary(3, HELLO);
  assert.equal(statusOf(client.framesOf(3)), "0");
  client.send(encodeFrame(FRAME.PING, FLAG.ACK, 0, new Uint8Array(8)));
  assert.deepEqual(
    client.frames().map((frame) => [frame.type, readU32(frame.payload, 0)]),
    [[FRAME.GOAWAY, 3]],
  );
  client.unary(5, HELLO);
  assert.deepEqual(resetCodes(client.framesOf(5)), [ERROR.REFUSED_STREAM]);
  assert.equal(client.port.finished, false);
  log.held[0]?.responder.reply(1, HELLO);
  assert.equal(statusOf(client.framesOf(1)), "0");
  assert.equal(client.port.finished, true);
});

test("shutting down ends every call with UNAVAILABLE", () => {
  const { services, log } = testServices();
  const client = new WireClient(services);
  client.unary(1, HELLO, HOLD);
  client.send(client.headers(3, RAW));
  client.frames();
  client.connection.shutDown();
  const frames = client.frames();
  assert.deepEqual(
    frames.filter((frame) => frame.type === FRAME.HEADERS).map((frame) => [frame.stream, frame.fields?.["grpc-status"]]),
    [
      [1, "14"],
      [3, "14"],
    ],
  );
  assert.equal(frames.at(-1)?.type, FRAME.GOAWAY);
  assert.equal(log.cancels.length, 2);
  assert.equal(client.port.finished, true);
});

test("PING is answered with its bytes; answers of one turn ask for one flush", () => {
  const client = new WireClient(testServices().services);
  const before = client.port.flushesWanted;
  const payload = Buffer.from("12345678");
  client.send(
    encodeFrame(FRAME.PING, 0, 0, payload),
    client.headers(1),
    dataFrame(1, grpcMessage(HELLO), true),
    client.headers(3),
    dataFrame(3, grpcMessage(HELLO), true),
  );
  assert.equal(client.port.flushesWanted, before + 1);
  const [pong] = client.frames();
  assert.deepEqual([pong?.type, pong?.flags, pong?.payload], [FRAME.PING, FLAG.ACK, payload]);
});

test("the fast path: alternating methods and fresh timeouts decode right while the table changes", () => {
  const { services, log } = testServices();
  const client = new WireClient(services);
  for (let i = 0; i < 400; i++) {
    const path = ["/test.Service/Echo", "/test.Service/Hold", `/test.Service/None${i}`][i % 3] as string;
    const more = i % 5 === 0 ? ["grpc-timeout", `${i + 1}S`] : i % 7 === 0 ? ["user-agent", `agent-${i}`] : [];
    client.unary(i * 2 + 1, Buffer.from(String(i)), requestFields(path, more));
    const frames = client.framesOf(i * 2 + 1);
    if (i % 3 === 0) {
      assert.deepEqual(messagesOf(frames).map(String), [String(i)]);
    } else if (i % 3 === 1) {
      assert.equal(log.held.at(-1)?.message.toString(), String(i));
    } else {
      assert.equal(statusOf(frames), "12");
    }
  }
});

test("the same bytes mean another call once the table has changed", () => {
  const { services, log } = testServices();
  const client = new WireClient(services);
  const literal = (head: number, text: string): Uint8Array => concatBytes([Uint8Array.of(head, text.length), Buffer.from(text)]);
  const insert = (path: string): Uint8Array =>
    concatBytes([Uint8Array.of(0x83, 0x86), literal(0x44, path), literal(0x5f, "application/grpc")]);
  const indexed = Uint8Array.of(0x83, 0x86, 0xbf, 0xbe);
  const blocks = [insert("/test.Service/Hold"), indexed, indexed, insert("/test.Service/Echo"), indexed];
  for (const [i, block] of blocks.entries()) {
    const stream = 2 * i + 1;
    client.send(encodeFrame(FRAME.HEADERS, FLAG.END_HEADERS, stream, block), dataFrame(stream, grpcMessage(Buffer.from(String(i))), true));
  }
  assert.deepEqual(
    log.held.map(({ message }) => message.toString()),
    ["0", "1", "2"],
  );
  assert.deepEqual(messagesOf(client.framesOf(9)).map(String), ["4"]);
});

test("a status message is cut where no header list would take it", () => {
  const client = new WireClient(testServices().services);
  client.unary(1, Buffer.from(`\x05${"x".repeat(10_000)}`), requestFields("/test.Service/Fail"));
  assert.equal(client.frames()[0]?.fields?.["grpc-message"]?.length, STATUS_MESSAGE_CHARACTERS_MAX);
});

test("streams that we ended early are remembered for a while, not for ever", () => {
  const client = new WireClient(testServices().services);
  for (let i = 0; i <= RECENT_STREAMS_MAX; i++) {
    client.send(client.headers(1 + 2 * i, requestFields("/test.Service/Nothing")));
  }
  client.frames();
  client.send(dataFrame(3, HELLO, true));
  assert.deepEqual(client.frames(), []);
  client.send(dataFrame(1, HELLO, true));
  assert.deepEqual(resetCodes(client.frames()), [ERROR.STREAM_CLOSED]);
});
