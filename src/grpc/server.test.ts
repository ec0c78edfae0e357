/**
 * The server on real sockets against @grpc/grpc-js, the ecosystem's own client: every kind of call, deadlines, cancellation, metadata, large
 * messages, many at once; drain; other protocols on the port; a reader that does not read.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createConnection } from "node:net";
import { after, before, test } from "node:test";
import { Client, credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { encodeFrame, encodeSettings, FLAG, FRAME, PREFACE, SETTING } from "./frames.js";
import { HpackDecoder } from "./hpack-decoder.js";
import { HpackEncoder } from "./hpack-encoder.js";
import { GrpcServer } from "./server.js";
import { type ServiceLog, testServices } from "./testing/services.js";
import { dataFrame, grpcMessage, parseFrames, requestFields, u32 } from "./testing/wire.js";

const same = (bytes: Buffer): Buffer => bytes;

let server: GrpcServer;
let log: ServiceLog;
let port: number;
let client: Client;

before(async () => {
  const made = testServices();
  log = made.log;
  server = new GrpcServer(made.services);
  ({ port } = await server.listen("127.0.0.1", 0));
  client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), { "grpc.max_receive_message_length": -1 });
});

after(() => {
  client.close();
  server.close();
});

/** What came of one unary call of grpc-js. */
interface Outcome {
  readonly value: Buffer | undefined;
  readonly error: ServiceError | undefined;
  readonly trailers: Metadata | undefined;
}

function unary(
  method: string,
  message: Buffer,
  options: { readonly metadata?: Metadata; readonly deadlineMs?: number } = {},
): Promise<Outcome> {
  return new Promise((resolve) => {
    const { metadata = new Metadata(), deadlineMs } = options;
    const callOptions = deadlineMs === undefined ? {} : { deadline: Date.now() + deadlineMs };
    let trailers: Metadata | undefined;
    const call = client.makeUnaryRequest(`/test.Service/${method}`, same, same, message, metadata, callOptions, (error, value) => {
      setImmediate(() => resolve({ value, error: error ?? undefined, trailers }));
    });
    call.on("status", (each) => {
      trailers = each.metadata;
    });
  });
}

test("unary: small, empty, large both ways", async () => {
  for (const bytes of [0, 1, 1000, 65_536, 1_500_000]) {
    const { value } = await unary("Echo", Buffer.alloc(bytes, 3));
    assert.equal(value?.length, bytes);
    assert.ok(value.every((byte) => byte === 3));
  }
});

test("unary: a message above the limit, and the connection lives", async () => {
  const { error } = await unary("Echo", Buffer.alloc(2 * 1024 * 1024 + 1));
  assert.equal(error?.code, status.RESOURCE_EXHAUSTED);
  assert.match(error.details, /2097153 bytes is above the limit of 2097152 bytes/);
  assert.equal((await unary("Echo", Buffer.from("x"))).value?.toString(), "x");
});

test("unary: five hundred at once, each its own answer", async () => {
  const outcomes = await Promise.all(Array.from({ length: 500 }, (_, i) => unary("Echo", Buffer.from(`message ${i}`))));
  assert.ok(outcomes.every((each, i) => each.value?.toString() === `message ${i}`));
});

test("unary: failures carry status, text and metadata", async () => {
  const metadata = new Metadata();
  metadata.set("x-text", "a b");
  metadata.set("x-bytes-bin", Buffer.from([0, 255]));
  const { error } = await unary("Fail", Buffer.from("\x05kein Schlüssel ☃"), { metadata });
  assert.equal(error?.code, status.NOT_FOUND);
  assert.equal(error.details, "kein Schlüssel ☃");
  assert.deepEqual(error.metadata.get("x-text"), ["a b"]);
  assert.deepEqual(error.metadata.get("x-bytes-bin"), [Buffer.from([0, 255])]);
  assert.equal((await unary("Nothing", Buffer.alloc(0))).error?.code, status.UNIMPLEMENTED);
});

test("unary: a deadline that passes, and many that do not", async () => {
  const { error } = await unary("Hold", Buffer.from("x"), { deadlineMs: 30 });
  assert.equal(error?.code, status.DEADLINE_EXCEEDED);
  const outcomes = await Promise.all(Array.from({ length: 200 }, (_, i) => unary("Echo", Buffer.from("x"), { deadlineMs: 20_000 + i })));
  assert.ok(outcomes.every((each) => each.error === undefined));
});

test("unary: a cancelled call tells its handler", async () => {
  const cancels = log.cancels.length;
  const held = log.held.length;
  const call = client.makeUnaryRequest("/test.Service/Hold", same, same, Buffer.from("x"), () => {});
  call.on("error", () => {});
  while (log.held.length === held) {
    await new Promise(setImmediate);
  }
  const taken = log.held.at(-1);
  assert.equal(taken?.responder.isOpen(taken.stream), true);
  call.cancel();
  while (log.cancels.length === cancels) {
    await new Promise(setImmediate);
  }
  assert.equal(log.cancels.at(-1), "cancelled");
  assert.equal(taken.responder.isOpen(taken.stream), false);
});

test("both ways: five hundred messages come back in order, with metadata", async () => {
  const metadata = new Metadata();
  metadata.set("x-greeting", "hello");
  const call = client.makeBidiStreamRequest("/test.Service/Chat", same, same, metadata);
  const seen: string[] = [];
  call.on("data", (message: Buffer) => seen.push(message.toString()));
  const headers = once(call, "metadata");
  for (let i = 0; i < 500; i++) {
    call.write(Buffer.from(`${i}${"x".repeat(i * 10)}`));
  }
  call.end();
  const [[received], [end]] = await Promise.all([headers, once(call, "status")]);
  assert.deepEqual((received as Metadata).get("x-greeting"), ["hello"]);
  assert.equal(end.code, status.OK);
  assert.deepEqual(
    seen,
    Array.from({ length: 500 }, (_, i) => `${i}${"x".repeat(i * 10)}`),
  );
});

test("from the client: many messages, one answer with trailers", async () => {
  const answer = await new Promise<Buffer | undefined>((resolve, reject) => {
    const call = client.makeClientStreamRequest("/test.Service/Collect", same, same, (error, value) =>
      error ? reject(error) : resolve(value),
    );
    for (let i = 0; i < 100; i++) {
      call.write(Buffer.alloc(30_000));
    }
    call.end();
  });
  assert.equal(answer?.toString(), "3000000");
});

test("to the client: more than every queue holds, as fast as it reads", async () => {
  const call = client.makeServerStreamRequest("/test.Service/Count", same, same, Buffer.concat([u32(300), u32(100_000)]));
  let received = 0;
  for await (const message of call) {
    received++;
    assert.equal((message as Buffer).length, 100_000);
  }
  assert.equal(received, 300);
});

test("streams: a deadline and a cancellation end them on both sides", async () => {
  const late = client.makeBidiStreamRequest("/test.Service/Raw", same, same, new Metadata(), { deadline: Date.now() + 30 });
  const [error] = await once(late, "error");
  assert.equal(error.code, status.DEADLINE_EXCEEDED);
  const taken = client.makeBidiStreamRequest("/test.Service/Raw", same, same);
  taken.on("error", () => {});
  const streams = log.raw.length;
  while (log.raw.length === streams) {
    await new Promise(setImmediate);
  }
  const ended = new Promise<string>((resolve) => log.raw.at(-1)?.onCancel(resolve));
  taken.cancel();
  assert.equal(await ended, "cancelled");
});

/** Sends bytes on a fresh connection and collects what comes until it is closed. */
async function raw(bytes: string | Uint8Array): Promise<string> {
  const socket = createConnection({ port, host: "127.0.0.1" });
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  socket.on("error", () => {});
  socket.write(bytes);
  await once(socket, "close");
  return Buffer.concat(chunks).toString("latin1");
}

test("other protocols: HTTP/1 is told so, noise is closed, a hook takes over with the first bytes", async () => {
  assert.match(await raw("GET / HTTP/1.1\r\nhost: x\r\n\r\n"), /^HTTP\/1\.1 505 .*\r\n\r\nThis port speaks gRPC/s);
  assert.equal(await raw(Uint8Array.of(0x16, 3, 1, 0)), "");
  assert.match(await raw(Buffer.concat([PREFACE, Buffer.from("no frame at all, but long enough")])), /SETTINGS|frame of/);
  const hooked = new GrpcServer({
    ...testServices().services,
    onOtherProtocol: (socket, firstBytes) => socket.end(`got ${firstBytes.toString()}`),
  });
  const listening = await hooked.listen("127.0.0.1", 0);
  const socket = createConnection({ port: listening.port, host: "127.0.0.1" });
  socket.write("PRIX");
  const [answer] = await once(socket, "data");
  assert.equal(String(answer), "got PRIX");
  hooked.close();
});

test("a client that does not read stops nobody else, on its own connection or another", async () => {
  const socket = createConnection({ port, host: "127.0.0.1" });
  await once(socket, "connect");
  const encoder = new HpackEncoder();
  const headers = (stream: number, path: string) =>
    encodeFrame(FRAME.HEADERS, FLAG.END_HEADERS, stream, encoder.encode(requestFields(path)));
  const decoder = new HpackDecoder(1 << 16);
  // Stream 1 asks for far more than its window of 1,000 bytes lets through.
  socket.write(
    Buffer.concat([
      PREFACE,
      encodeFrame(FRAME.SETTINGS, 0, 0, encodeSettings([[SETTING.INITIAL_WINDOW_SIZE, 1000]])),
      headers(1, "/test.Service/Count"),
      dataFrame(1, grpcMessage(Buffer.concat([u32(1_000_000), u32(1000)])), true),
      headers(3, "/test.Service/Echo"),
      dataFrame(3, grpcMessage(Buffer.from("me")), true),
    ]),
  );
  let bytes = Buffer.alloc(0);
  while (!parseFrames(bytes, new HpackDecoder(1 << 16)).some((frame) => frame.stream === 3 && (frame.flags & FLAG.END_STREAM) !== 0)) {
    const [chunk] = await once(socket, "data");
    bytes = Buffer.concat([bytes, chunk as Buffer]);
  }
  const frames = parseFrames(bytes, decoder);
  assert.equal(
    frames.filter((frame) => frame.stream === 1 && frame.type === FRAME.DATA).reduce((sum, frame) => sum + frame.payload.length, 0),
    1000,
  );
  // And one that does not even read its socket.
  const deaf = createConnection({ port, host: "127.0.0.1" });
  await once(deaf, "connect");
  deaf.pause();
  const request = encoderOf("/test.Service/Count", Buffer.concat([u32(1_000_000), u32(10_000)]));
  deaf.write(
    Buffer.concat([
      PREFACE,
      encodeFrame(FRAME.SETTINGS, 0, 0, encodeSettings([[SETTING.INITIAL_WINDOW_SIZE, 2 ** 30]])),
      encodeFrame(FRAME.WINDOW_UPDATE, 0, 0, u32(2 ** 30)),
      ...request,
    ]),
  );
  for (let i = 0; i < 50; i++) {
    assert.equal((await unary("Echo", Buffer.from("other"))).value?.toString(), "other");
  }
  socket.destroy();
  deaf.destroy();
});

/** A whole unary-shaped request on stream 1 of a fresh connection. */
function encoderOf(path: string, message: Uint8Array): readonly Uint8Array[] {
  return [
    encodeFrame(FRAME.HEADERS, FLAG.END_HEADERS, 1, new HpackEncoder().encode(requestFields(path))),
    dataFrame(1, grpcMessage(message), true),
  ];
}

test("drain: open calls are finished, then all connections are closed; a call that never ends is ended at the deadline", async () => {
  const made = testServices();
  const draining = new GrpcServer(made.services);
  const listening = await draining.listen("127.0.0.1", 0);
  const own = new Client(`127.0.0.1:${listening.port}`, credentials.createInsecure());
  const call = (method: string) =>
    new Promise<string>((resolve) => {
      own.makeUnaryRequest(`/test.Service/${method}`, same, same, Buffer.from(method), (error, value) =>
        resolve(error ? `error ${error.code}` : String(value)),
      );
    });
  const first = call("Hold");
  const second = call("Hold");
  while (made.log.held.length < 2) {
    await new Promise(setImmediate);
  }
  const idle = createConnection({ port: listening.port, host: "127.0.0.1" });
  await once(idle, "connect");
  const drained = draining.drain(50);
  made.log.held[0]?.responder.reply(made.log.held[0].stream, Buffer.from("in time"));
  const outcomes = [await first, await second];
  assert.deepEqual(outcomes.sort(), ["error 14", "in time"]);
  await drained;
  assert.equal(draining.connections, 0);
  own.close();
});

test("a port in use is an error of listen", async () => {
  await assert.rejects(new GrpcServer(testServices().services).listen("127.0.0.1", port), { code: "EADDRINUSE" });
});

test("a connection that says nothing is closed in time", async () => {
  const hasty = new GrpcServer(testServices({ firstBytesMsMax: 20 }).services);
  const listening = await hasty.listen("127.0.0.1", 0);
  const socket = createConnection({ port: listening.port, host: "127.0.0.1" });
  socket.on("error", () => {});
  socket.write("PRI ");
  await once(socket, "close");
  hasty.close();
});

test("connections above the limit are closed on arrival", async () => {
  const few = new GrpcServer(testServices({ connectionsMax: 1 }).services);
  const listening = await few.listen("127.0.0.1", 0);
  const connectOne = () => createConnection({ port: listening.port, host: "127.0.0.1" });
  const first = connectOne();
  await once(first, "connect");
  const second = connectOne();
  second.on("error", () => {});
  await once(second, "close");
  assert.equal(few.connections, 1);
  first.destroy();
  few.close();
});
