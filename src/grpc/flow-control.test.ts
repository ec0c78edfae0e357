/**
 * Flow control of the server without a socket. Sending: no byte beyond either window, whatever the peer's settings, and no stream waits for
 * another. Receiving: credit comes back in bulk, and a peer that ignores it is told so.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ERROR, encodeFrame, encodeSettings, FRAME, readU32, SETTING } from "./frames.js";
import { OUTPUT_BYTES_HIGH } from "./sender.js";
import { RECEIVE_STREAM_WINDOW } from "./session.js";
import { GRPC_STATUS } from "./status.js";
import { testServices } from "./testing/services.js";
import { dataFrame, grpcMessage, messagesOf, requestFields, type SeenFrame, u32, WireClient } from "./testing/wire.js";

const SIZE = requestFields("/test.Service/Size");
const RAW = requestFields("/test.Service/Raw");

function dataBytes(frames: readonly SeenFrame[], stream: number): number {
  return frames
    .filter((frame) => frame.type === FRAME.DATA && frame.stream === stream)
    .reduce((sum, frame) => sum + frame.payload.length, 0);
}

function credit(stream: number, increment: number): Uint8Array {
  return encodeFrame(FRAME.WINDOW_UPDATE, 0, stream, u32(increment));
}

test("a reply larger than the windows leaves in pieces as credit comes, trailers last; a small one overtakes it", () => {
  const client = new WireClient(testServices().services, [[SETTING.INITIAL_WINDOW_SIZE, 30_000]]);
  client.unary(1, u32(100_000), SIZE);
  const first = client.frames();
  assert.equal(dataBytes(first, 1), 30_000);
  client.unary(3, u32(1000), SIZE);
  assert.equal(messagesOf(client.framesOf(3))[0]?.length, 1000);
  client.send(credit(1, 60_000));
  // The connection's window of 65,535 is the bound now: 30,000 and 1,005 are spent.
  const second = client.frames();
  assert.equal(dataBytes(second, 1), 65_535 - 31_005);
  client.send(credit(0, 1_000_000));
  const third = client.frames();
  assert.equal(dataBytes(third, 1), 90_000 - dataBytes(second, 1) - 30_000);
  client.send(credit(1, 1_000_000));
  const last = client.frames();
  assert.equal(messagesOf([...first, ...second, ...third, ...last].filter((frame) => frame.stream === 1))[0]?.length, 100_000);
  assert.equal(last.at(-1)?.fields?.["grpc-status"], "0");
  assert.equal(client.connection.openCalls, 0);
});

test("credit that came before the answer counts for it", () => {
  const { services, log } = testServices();
  const client = new WireClient(services, [[SETTING.INITIAL_WINDOW_SIZE, 10]]);
  client.unary(1, Buffer.from("x"), requestFields("/test.Service/Hold"));
  client.send(credit(1, 90));
  log.held[0]?.responder.reply(1, new Uint8Array(95));
  assert.equal(client.framesOf(1).at(-1)?.fields?.["grpc-status"], "0");
});

test("the peer's settings change the windows of streams under way, also below zero", () => {
  const client = new WireClient(testServices().services, [[SETTING.INITIAL_WINDOW_SIZE, 1000]]);
  client.unary(1, u32(5000), SIZE);
  assert.equal(dataBytes(client.frames(), 1), 1000);
  const setWindow = (bytes: number) =>
    client.send(encodeFrame(FRAME.SETTINGS, 0, 0, encodeSettings([[SETTING.INITIAL_WINDOW_SIZE, bytes]])));
  setWindow(400);
  client.send(credit(1, 600));
  assert.equal(dataBytes(client.frames(), 1), 0);
  client.send(credit(1, 1));
  assert.equal(dataBytes(client.frames(), 1), 1);
  setWindow(100_000);
  assert.equal(dataBytes(client.frames(), 1), 4004);
});

test("DATA frames are as large as the peer takes, and no larger", () => {
  const client = new WireClient(testServices().services, [
    [SETTING.INITIAL_WINDOW_SIZE, 10_000_000],
    [SETTING.MAX_FRAME_SIZE, 100_000],
  ]);
  client.send(credit(0, 10_000_000));
  client.unary(1, u32(250_000), SIZE);
  const lengths = client
    .framesOf(1)
    .filter((frame) => frame.type === FRAME.DATA)
    .map((frame) => frame.payload.length);
  assert.deepEqual(lengths, [100_000, 100_000, 50_005]);
});

test("a stream without a window keeps nobody waiting, and its queue is bounded", () => {
  const { services, log } = testServices({ streamQueueBytesMax: 10_000 });
  const client = new WireClient(services, [[SETTING.INITIAL_WINDOW_SIZE, 0]]);
  client.send(client.headers(1, RAW), client.headers(3, RAW), credit(3, 10_000));
  const [stuck, fine] = log.raw;
  let taken = 0;
  while (stuck?.send(new Uint8Array(1000))) {
    taken++;
  }
  assert.equal(taken, 10);
  assert.equal(stuck?.writable, false);
  assert.equal(fine?.send(Buffer.from("through")), true);
  assert.deepEqual(messagesOf(client.framesOf(3)).map(String), ["through"]);
  let drained = 0;
  stuck?.onDrain(() => drained++);
  client.send(credit(1, 4000));
  client.port.runDeferred();
  assert.equal(drained, 0);
  client.send(credit(1, 2000));
  client.port.runDeferred();
  assert.equal(drained, 1);
  assert.equal(stuck?.send(new Uint8Array(1000)), true);
});

test("streams that wait for the connection's window take turns", () => {
  const { services, log } = testServices();
  const client = new WireClient(services, [[SETTING.INITIAL_WINDOW_SIZE, 1_000_000]]);
  client.send(client.headers(1, RAW), client.headers(3, RAW), client.headers(5, RAW));
  for (const stream of log.raw) {
    stream.send(new Uint8Array(200_000));
  }
  client.frames();
  client.send(credit(0, 3 * 16_384));
  const frames = client.frames().filter((frame) => frame.type === FRAME.DATA);
  assert.deepEqual([...new Set(frames.map((frame) => frame.stream))].sort(), [1, 3, 5]);
});

test("a socket that is not written holds DATA back in its streams, not in the output", () => {
  const { services, log } = testServices();
  const client = new WireClient(services, [[SETTING.INITIAL_WINDOW_SIZE, 2 ** 30]]);
  client.send(credit(0, 2 ** 30));
  client.send(client.headers(1, RAW));
  while (log.raw[0]?.send(new Uint8Array(100_000))) {
    // until refused
  }
  assert.ok(client.connection.session.output.size < OUTPUT_BYTES_HIGH + 100_000);
  client.unary(3, u32(10), SIZE);
  const frames = client.frames();
  assert.ok(dataBytes(frames, 1) > 4_000_000);
  assert.equal(frames.filter((frame) => frame.stream === 3).at(-1)?.fields?.["grpc-status"], "0");
});

test("unary replies that wait for a slow reader are bounded", () => {
  const client = new WireClient(testServices({ repliesHeldBytesMax: 100_000 }).services, [[SETTING.INITIAL_WINDOW_SIZE, 0]]);
  client.unary(1, u32(90_000), SIZE);
  client.unary(3, u32(20_000), SIZE);
  assert.equal(client.framesOf(3)[0]?.fields?.["grpc-status"], String(GRPC_STATUS.RESOURCE_EXHAUSTED));
  client.send(encodeFrame(FRAME.RST_STREAM, 0, 1, u32(ERROR.CANCEL)));
  client.unary(5, u32(90_000), SIZE);
  assert.equal(client.framesOf(5)[0]?.fields?.["grpc-status"], undefined);
});

test("received DATA is granted back in bulk; the connection's window too", () => {
  const { services } = testServices();
  const client = new WireClient(services);
  client.send(client.headers(1, RAW));
  const chunk = grpcMessage(new Uint8Array(1024 * 1024 - 5));
  let granted = 0;
  let updates = 0;
  const rounds = 600;
  let connectionGranted = 0;
  for (let i = 0; i < rounds; i++) {
    client.send(dataFrame(1, chunk, false));
    for (const frame of client.frames()) {
      assert.equal(frame.type, FRAME.WINDOW_UPDATE);
      if (frame.stream === 1) {
        granted += readU32(frame.payload, 0);
        updates++;
        assert.equal(granted, (i + 1) * chunk.length, "an update brings the window back whole");
      } else {
        connectionGranted += readU32(frame.payload, 0);
      }
    }
  }
  assert.ok(granted > (rounds - 4) * 1024 * 1024 && updates <= rounds / 2);
  assert.ok(connectionGranted >= 512 * 1024 * 1024);
});

test("DATA beyond a stream's window ends the stream with FLOW_CONTROL_ERROR", () => {
  const { services, log } = testServices({ receiveHeldBytesMax: 2 ** 30 });
  const client = new WireClient(services);
  client.send(client.headers(1, RAW));
  log.raw[0]?.pause();
  const chunk = grpcMessage(new Uint8Array(1024 * 1024 - 5));
  for (let i = 0; i < RECEIVE_STREAM_WINDOW / chunk.length; i++) {
    client.send(dataFrame(1, chunk, false));
  }
  assert.deepEqual(client.framesOf(1), []);
  client.send(dataFrame(1, new Uint8Array(1), false));
  const [reset] = client.framesOf(1);
  assert.equal(reset?.type, FRAME.RST_STREAM);
  assert.equal(readU32(reset?.payload ?? u32(0), 0), ERROR.FLOW_CONTROL_ERROR);
  assert.deepEqual(log.cancels, ["cancelled"]);
});

/** What a client may do to windows, and calls of given reply sizes. */
const action = fc.oneof(
  fc.record({ kind: fc.constant("call" as const), size: fc.integer({ min: 0, max: 40_000 }) }),
  fc.record({ kind: fc.constant("connection" as const), increment: fc.integer({ min: 1, max: 50_000 }) }),
  fc.record({ kind: fc.constant("stream" as const), which: fc.nat(20), increment: fc.integer({ min: 1, max: 50_000 }) }),
  fc.record({ kind: fc.constant("settings" as const), window: fc.integer({ min: 0, max: 60_000 }) }),
);

test("whatever the peer does with its windows, none is exceeded, and with enough credit every reply arrives whole", () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
      const client = new WireClient(testServices().services);
      const sizes: number[] = [];
      const all: SeenFrame[] = [];
      let connectionWindow = 65_535;
      let initial = 65_535;
      const windows = new Map<number, number>();
      const look = () => {
        for (const frame of client.frames()) {
          all.push(frame);
          if (frame.type === FRAME.DATA) {
            connectionWindow -= frame.payload.length;
            windows.set(frame.stream, (windows.get(frame.stream) ?? 0) - frame.payload.length);
            assert.ok(connectionWindow >= 0 && (windows.get(frame.stream) ?? 0) >= 0);
          }
        }
      };
      const grant = (stream: number, increment: number) => {
        client.send(credit(stream, increment));
        windows.set(stream, (windows.get(stream) ?? 0) + increment);
        look();
      };
      for (const each of actions) {
        if (each.kind === "call") {
          const stream = sizes.length * 2 + 1;
          sizes.push(each.size);
          windows.set(stream, initial);
          client.unary(stream, u32(each.size), SIZE);
        } else if (each.kind === "connection") {
          connectionWindow += each.increment;
          client.send(credit(0, each.increment));
        } else if (each.kind === "stream" && each.which < sizes.length) {
          grant(each.which * 2 + 1, each.increment);
        } else if (each.kind === "settings") {
          for (const [stream, window] of windows) {
            windows.set(stream, window + each.window - initial);
          }
          initial = each.window;
          client.send(encodeFrame(FRAME.SETTINGS, 0, 0, encodeSettings([[SETTING.INITIAL_WINDOW_SIZE, each.window]])));
        }
        look();
      }
      connectionWindow += 100_000_000;
      client.send(credit(0, 100_000_000));
      look();
      for (const [i, size] of sizes.entries()) {
        grant(i * 2 + 1, 200_000);
        const mine = all.filter((frame) => frame.stream === i * 2 + 1);
        assert.equal(messagesOf(mine)[0]?.length, size);
        assert.equal(mine.at(-1)?.fields?.["grpc-status"], "0");
      }
      assert.equal(client.connection.openCalls, 0);
    }),
    { numRuns: 150 },
  );
});
