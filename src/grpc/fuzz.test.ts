/**
 * Bytes that nobody chose, against both ends: mutated sessions must never throw, hang or keep a call for ever, and any cut of a good session's
 * bytes must give the same answer. A failure prints fast-check's seed and path.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { concatBytes } from "../base/bytes.js";
import { ClientConnection } from "./client-connection.js";
import { encodeFrame, encodeSettings, FLAG, FRAME, SETTING } from "./frames.js";
import { DEFAULT_LIMITS } from "./limits.js";
import { ServerConnection } from "./server-connection.js";
import { testServices } from "./testing/services.js";
import { dataFrame, grpcMessage, requestFields, TestPort, u32, WireClient } from "./testing/wire.js";

/** A session with every kind of frame and call. */
function session(): readonly Uint8Array[] {
  const wire = new WireClient(testServices().services);
  const chat = requestFields("/test.Service/Chat", ["x-a", "1", "x-bin", "AAEC", "grpc-timeout", "10S"]);
  return [
    encodeFrame(
      FRAME.SETTINGS,
      0,
      0,
      encodeSettings([
        [SETTING.INITIAL_WINDOW_SIZE, 40],
        [SETTING.HEADER_TABLE_SIZE, 100],
      ]),
    ),
    encodeFrame(FRAME.SETTINGS, FLAG.ACK, 0, new Uint8Array(0)),
    wire.headers(1),
    dataFrame(1, grpcMessage(Buffer.from("first")), true),
    wire.headers(3),
    dataFrame(3, grpcMessage(Buffer.from("second, longer than the window of forty bytes")), true),
    wire.headers(5, chat),
    dataFrame(5, concatBytes([grpcMessage(Buffer.from("a")), grpcMessage(Buffer.from("bc")).subarray(0, 3)]), false),
    encodeFrame(FRAME.WINDOW_UPDATE, 0, 3, u32(1000)),
    encodeFrame(FRAME.PING, 0, 0, new Uint8Array(8)),
    dataFrame(5, grpcMessage(Buffer.from("bc")).subarray(3), false),
    wire.headers(7, requestFields("/test.Service/Fail")),
    dataFrame(7, grpcMessage(Buffer.from("\x03no")), true),
    wire.headers(9, requestFields("/test.Service/Hold")),
    dataFrame(9, grpcMessage(Buffer.from("x")), true),
    encodeFrame(FRAME.RST_STREAM, 0, 9, u32(8)),
    wire.headers(11, requestFields("/test.Service/Nowhere"), FLAG.END_HEADERS | FLAG.END_STREAM),
    dataFrame(5, new Uint8Array(0), true),
    encodeFrame(FRAME.WINDOW_UPDATE, 0, 0, u32(1_000_000)),
    wire.headers(13),
    dataFrame(13, grpcMessage(Buffer.from("last")), true),
  ];
}

const frames = session();
const whole = Buffer.from(concatBytes(frames));

interface Run {
  readonly output: Buffer;
  readonly connection: ServerConnection;
  readonly port: TestPort;
}

/** What the server answers to chunks of bytes. */
function serve(chunks: Iterable<Buffer>): Run {
  const port = new TestPort();
  const { services } = testServices();
  const connection = new ServerConnection(services, DEFAULT_LIMITS, port, "fuzz:1");
  const parts: Buffer[] = [];
  const { output, sender } = connection.session;
  for (const chunk of chunks) {
    connection.session.receive(chunk);
    while (output.size > 0) {
      parts.push(...output.take().map((part) => Buffer.from(part)));
      output.giveBack();
      sender.flushAll();
    }
    port.runDeferred();
  }
  return { output: Buffer.concat(parts), connection, port };
}

const expected = serve([whole]).output;

test("every cut in two gives the same answer", () => {
  assert.ok(expected.length > 300);
  for (let at = 1; at < whole.length; at++) {
    assert.deepEqual(serve([whole.subarray(0, at), whole.subarray(at)]).output, expected, `cut at ${at}`);
  }
});

test("byte by byte, and any other cut, gives the same answer", () => {
  assert.deepEqual(serve(Array.from(whole, (_, i) => whole.subarray(i, i + 1))).output, expected);
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: whole.length }), { maxLength: 20 }), (cuts) => {
      const ends = [...cuts, whole.length].sort((a, b) => a - b);
      assert.deepEqual(serve(ends.map((end, i) => whole.subarray(i === 0 ? 0 : ends[i - 1], end))).output, expected);
    }),
    { numRuns: 300 },
  );
});

const mutation = fc.oneof(
  fc.record({ kind: fc.constant("set" as const), at: fc.nat(whole.length - 1), byte: fc.nat(255) }),
  fc.record({ kind: fc.constant("cut" as const), at: fc.nat(whole.length - 1), length: fc.nat(12) }),
  fc.record({ kind: fc.constant("insert" as const), at: fc.nat(whole.length - 1), bytes: fc.uint8Array({ maxLength: 12 }) }),
  fc.record({ kind: fc.constant("repeat" as const), at: fc.nat(whole.length - 1), length: fc.nat(60) }),
);
type Mutation = typeof mutation extends fc.Arbitrary<infer T> ? T : never;

function mutate(bytes: Buffer, each: Mutation): Buffer {
  const head = bytes.subarray(0, each.at);
  switch (each.kind) {
    case "set":
      return Buffer.concat([head, Uint8Array.of(each.byte), bytes.subarray(each.at + 1)]);
    case "cut":
      return Buffer.concat([head, bytes.subarray(each.at + each.length)]);
    case "insert":
      return Buffer.concat([head, each.bytes, bytes.subarray(each.at)]);
    case "repeat":
      return Buffer.concat([head, bytes.subarray(each.at, each.at + each.length), bytes.subarray(each.at)]);
  }
}

test("mutated sessions, in any cut, never throw at the server, and end with nothing open", () => {
  fc.assert(
    fc.property(fc.array(mutation, { minLength: 1, maxLength: 8 }), fc.integer({ min: 1, max: 400 }), (mutations, chunkBytes) => {
      const bytes = mutations.reduce(mutate, whole);
      const chunks: Buffer[] = [];
      for (let at = 0; at < bytes.length; at += chunkBytes) {
        chunks.push(bytes.subarray(at, at + chunkBytes));
      }
      const { connection, port } = serve(chunks);
      port.time += 100_000;
      connection.onTimer();
      connection.session.disconnected("end of the test");
      assert.equal(connection.openCalls, 0);
      assert.equal(connection.hold(0), true);
    }),
    { numRuns: 3000 },
  );
});

test("random frames never throw at the server", () => {
  const one = fc.tuple(fc.integer({ min: 0, max: 11 }), fc.nat(255), fc.nat(16), fc.uint8Array({ maxLength: 40 }));
  fc.assert(
    fc.property(fc.array(one, { maxLength: 30 }), (list) => {
      const settings = frames[0] as Uint8Array;
      const { connection } = serve(
        [settings, ...list.map(([type, flags, stream, payload]) => encodeFrame(type, flags, stream, payload))].map((each) =>
          Buffer.from(each),
        ),
      );
      connection.session.disconnected("end of the test");
      assert.equal(connection.openCalls, 0);
    }),
    { numRuns: 3000 },
  );
});

test("a server's mutated answers never throw at the client, and every call ends", async () => {
  const runs: Array<Promise<unknown>> = [];
  fc.assert(
    fc.property(fc.array(mutation, { maxLength: 6 }), (mutations) => {
      const port = new TestPort();
      const client = new ClientConnection({ authority: "a:1", messageBytesMax: 1000, streamQueueBytesMax: 1000 }, port, {
        connected: () => {},
        over: () => {},
      });
      for (let call = 0; call < 7; call++) {
        runs.push(client.unary("/test.Service/Echo", Buffer.from("x"), { timeoutMs: 5000 }));
      }
      const bytes = mutations.map((each) => ({ ...each, at: each.at % expected.length })).reduce(mutate, expected);
      client.session.receive(bytes);
      port.runDeferred();
      client.close();
      port.runDeferred();
      assert.equal(client.openCalls, 0);
    }),
    { numRuns: 1500 },
  );
  await Promise.all(runs);
});
