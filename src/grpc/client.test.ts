/**
 * The peer client on real sockets, against our server and against a server of @grpc/grpc-js: calls of every kind, large messages, the queue's
 * bound, deadlines, cancellation, and what becomes of the connection (connected, refused, closed, silent).
 */
import assert from "node:assert/strict";
import { createServer, type Server as NetServer, type Socket } from "node:net";
import { after, before, type TestContext, test } from "node:test";
import { type handleUnaryCall, Metadata, Server, ServerCredentials, type ServerDuplexStream, type sendUnaryData } from "@grpc/grpc-js";
import type { CallStatus, Channel, ClientStreamEvents, ConnectOptions } from "./channel.js";
import { connect } from "./client.js";
import { ERROR, encodeFrame, encodeSettings, FLAG, FRAME, SETTING } from "./frames.js";
import { HpackEncoder } from "./hpack-encoder.js";
import { GrpcServer } from "./server.js";
import { GRPC_STATUS } from "./status.js";
import { type ServiceLog, testServices } from "./testing/services.js";
import { dataFrame, grpcMessage, u32 } from "./testing/wire.js";

const same = (bytes: Buffer): Buffer => bytes;

interface Opened {
  readonly channel: Channel;
  /** The first thing that became of the connection. */
  readonly first: Promise<string>;
  /** Everything, in order. */
  readonly events: string[];
  readonly ended: Promise<string>;
}

function dial(port: number, options: Partial<ConnectOptions> = {}): Opened {
  const events: string[] = [];
  const { promise: first, resolve: resolveFirst } = withResolvers();
  const { promise: ended, resolve: resolveEnded } = withResolvers();
  const note = (event: string, end: boolean) => {
    events.push(event);
    resolveFirst(event);
    if (end) {
      resolveEnded(event);
    }
  };
  const channel = connect(
    { host: "127.0.0.1", port, ...options },
    {
      onConnected: () => note("connected", false),
      onRefused: () => note("refused", true),
      onClosed: (reason) => note(`closed: ${reason}`, true),
    },
  );
  return { channel, first, events, ended };
}

function withResolvers(): { readonly promise: Promise<string>; readonly resolve: (value: string) => void } {
  let resolve: (value: string) => void = () => {};
  const promise = new Promise<string>((made) => {
    resolve = made;
  });
  return { promise, resolve };
}

/** A stream that collects what comes. */
function collect(): {
  readonly events: ClientStreamEvents;
  readonly messages: Buffer[];
  readonly end: Promise<CallStatus>;
  onDrain: () => void;
} {
  const messages: Buffer[] = [];
  let resolve: (end: CallStatus) => void = () => {};
  const end = new Promise<CallStatus>((made) => {
    resolve = made;
  });
  const made = {
    messages,
    end,
    onDrain: () => {},
    events: { onMessage: (message: Uint8Array) => messages.push(Buffer.from(message)), onEnd: resolve, onDrain: () => made.onDrain() },
  };
  return made;
}

let ours: GrpcServer;
let log: ServiceLog;
let foreign: Server;
let oursPort: number;
let foreignPort: number;

/** The services of testing/services.ts that both kinds of server have, by grpc-js. */
function foreignServer(): Server {
  const server = new Server({ "grpc.max_receive_message_length": -1 });
  const method = (name: string, requestStream: boolean, responseStream: boolean) => ({
    path: `/test.Service/${name}`,
    requestStream,
    responseStream,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  });
  const echo: handleUnaryCall<Buffer, Buffer> = (call, callback) => callback(null, call.request);
  const fail = (call: { request: Buffer; metadata: Metadata }, callback: sendUnaryData<Buffer>) => {
    const metadata = new Metadata();
    for (const value of call.metadata.get("x-bin")) {
      metadata.add("x-bin", value);
    }
    callback({ code: call.request[0] ?? 2, details: call.request.subarray(1).toString(), metadata });
  };
  const chat = (call: ServerDuplexStream<Buffer, Buffer>) => {
    call.on("data", (message: Buffer) => call.write(message));
    call.on("end", () => call.end());
  };
  server.addService(
    {
      Echo: method("Echo", false, false),
      Fail: method("Fail", false, false),
      Chat: method("Chat", true, true),
      Hold: method("Hold", false, false),
    },
    { Echo: echo, Fail: fail, Chat: chat, Hold: () => {} },
  );
  return server;
}

before(async () => {
  const made = testServices();
  log = made.log;
  ours = new GrpcServer(made.services);
  oursPort = (await ours.listen("127.0.0.1", 0)).port;
  foreign = foreignServer();
  foreignPort = await new Promise((resolve, reject) => {
    foreign.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => (error ? reject(error) : resolve(port)));
  });
});

after(() => {
  ours.close();
  foreign.forceShutdown();
});

for (const kind of ["ours", "grpc-js"] as const) {
  const port = () => (kind === "ours" ? oursPort : foreignPort);

  test(`${kind}: unary calls of all sizes, many at once`, async () => {
    const { channel, first } = dial(port());
    for (const bytes of [0, 1, 70_000, 1_500_000]) {
      const reply = await channel.unary("/test.Service/Echo", new Uint8Array(bytes).fill(9));
      assert.equal(reply.status, GRPC_STATUS.OK, reply.statusMessage);
      assert.equal(reply.message?.length, bytes);
      assert.ok(reply.message.every((byte) => byte === 9));
    }
    const replies = await Promise.all(Array.from({ length: 90 }, (_, i) => channel.unary("/test.Service/Echo", Buffer.from(`n${i}`))));
    assert.deepEqual(
      replies.map((reply) => String(reply.message)),
      replies.map((_, i) => `n${i}`),
    );
    assert.equal(await first, "connected");
    channel.close();
  });

  test(`${kind}: failures, metadata, unknown methods, deadlines`, async () => {
    const { channel } = dial(port());
    const failed = await channel.unary("/test.Service/Fail", Buffer.from("\x09geht nicht ☃"), {
      metadata: [["x-bin", Uint8Array.of(0, 255)]],
    });
    assert.deepEqual([failed.status, failed.statusMessage, failed.message], [GRPC_STATUS.FAILED_PRECONDITION, "geht nicht ☃", undefined]);
    assert.deepEqual(
      failed.trailers.filter(([name]) => name === "x-bin"),
      [["x-bin", Uint8Array.of(0, 255)]],
    );
    assert.equal((await channel.unary("/test.Service/Nothing", new Uint8Array(0))).status, GRPC_STATUS.UNIMPLEMENTED);
    const late = await channel.unary("/test.Service/Hold", new Uint8Array(1), { timeoutMs: 30 });
    assert.equal(late.status, GRPC_STATUS.DEADLINE_EXCEEDED);
    channel.close();
  });

  test(`${kind}: a stream both ways with messages of 1 MiB, honouring the queue's bound`, async () => {
    const { channel } = dial(port());
    const seen = collect();
    const stream = channel.open("/test.Service/Chat", seen.events);
    const total = 24;
    let sent = 0;
    let refusals = 0;
    const push = () => {
      while (sent < total) {
        if (!stream.send(new Uint8Array(1024 * 1024).fill(sent))) {
          refusals++;
          return;
        }
        sent++;
      }
      stream.halfClose();
    };
    seen.onDrain = push;
    push();
    const end = await seen.end;
    assert.deepEqual([end.status, end.statusMessage], [GRPC_STATUS.OK, ""]);
    assert.equal(seen.messages.length, total);
    assert.ok(seen.messages.every((message, i) => message.length === 1024 * 1024 && message[0] === i && message.at(-1) === i));
    assert.ok(refusals > 0 && stream.queuedBytes === 0 && stream.closed);
    assert.equal(stream.send(new Uint8Array(1)), false);
    channel.close();
  });
}

test("cancelling tells the server, and the caller from the event loop", async () => {
  const { channel } = dial(oursPort);
  const seen = collect();
  const streams = log.raw.length;
  const stream = channel.open("/test.Service/Raw", seen.events);
  while (log.raw.length === streams) {
    await new Promise(setImmediate);
  }
  const told = new Promise((resolve) => log.raw.at(-1)?.onCancel(resolve));
  let ended = false;
  void seen.end.then(() => {
    ended = true;
  });
  stream.cancel();
  assert.equal(ended, false);
  assert.equal((await seen.end).status, GRPC_STATUS.CANCELLED);
  assert.equal(await told, "cancelled");
  channel.close();
});

test("nobody listens: refused, and calls end with UNAVAILABLE", async () => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
  const { port } = taken.address() as { port: number };
  await new Promise((resolve) => taken.close(resolve));
  const { channel, events, ended } = dial(port);
  const call = channel.unary("/test.Service/Echo", new Uint8Array(1));
  assert.equal(await ended, "refused");
  assert.equal((await call).status, GRPC_STATUS.UNAVAILABLE);
  assert.equal(channel.usable, false);
  assert.equal((await channel.unary("/test.Service/Echo", new Uint8Array(1))).status, GRPC_STATUS.UNAVAILABLE);
  assert.deepEqual(events, ["refused"]);
});

/** A server that answers each connection's bytes by hand; closed with the test. */
async function byHand(context: TestContext, onSocket: (socket: Socket) => void): Promise<number> {
  const sockets: Socket[] = [];
  const server: NetServer = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => {});
    onSocket(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  context.after(() => {
    server.close();
    for (const socket of sockets) {
      socket.destroy();
    }
  });
  return (server.address() as { port: number }).port;
}

const SETTINGS = encodeFrame(FRAME.SETTINGS, 0, 0, new Uint8Array(0));

test("a server that accepts but never speaks is not connected, and given up in time", async (context) => {
  const port = await byHand(context, (socket) => socket.resume());
  const { events, ended } = dial(port, { connectTimeoutMs: 30 });
  assert.match(await ended, /closed: .*no answer within 30 ms/);
  assert.equal(events.length, 1);
});

test("a connection that breaks: open calls end with UNAVAILABLE, then the channel is told", async (context) => {
  const port = await byHand(context, (socket) => {
    socket.write(SETTINGS);
    socket.on("data", (chunk: Buffer) => {
      if (chunk.includes("break")) {
        socket.destroy();
      }
    });
  });
  const { channel, events, first, ended } = dial(port);
  await first;
  const reply = await channel.unary("/test.Service/Echo", Buffer.from("break"));
  assert.equal(reply.status, GRPC_STATUS.UNAVAILABLE);
  await ended;
  assert.deepEqual(
    events.map((event) => event.split(":")[0]),
    ["connected", "closed"],
  );
});

test("goodbye: calls that the server did not take end at once, the others go on, no new ones are made", async (context) => {
  const encoder = new HpackEncoder();
  const port = await byHand(context, (socket) => {
    socket.write(SETTINGS);
    socket.on("data", (chunk: Buffer) => {
      if (chunk.includes("second")) {
        socket.write(encodeFrame(FRAME.GOAWAY, 0, 0, Buffer.concat([u32(1), u32(ERROR.NO_ERROR), Buffer.from("bye")])));
        const headers = encodeFrame(
          FRAME.HEADERS,
          FLAG.END_HEADERS,
          1,
          encoder.encode([":status", "200", "content-type", "application/grpc"]),
        );
        const trailers = encodeFrame(FRAME.HEADERS, FLAG.END_HEADERS | FLAG.END_STREAM, 1, encoder.encode(["grpc-status", "0"]));
        setImmediate(() => socket.write(Buffer.concat([headers, dataFrame(1, grpcMessage(Buffer.from("done")), false), trailers])));
      }
    });
  });
  const { channel, ended } = dial(port);
  const [first, second] = await Promise.all([
    channel.unary("/test.Service/Echo", Buffer.from("first")),
    channel.unary("/test.Service/Echo", Buffer.from("second")),
  ]);
  assert.equal(String(first.message), "done");
  assert.equal(second.status, GRPC_STATUS.UNAVAILABLE);
  assert.match(await ended, /goodbye: bye/);
  assert.equal(channel.usable, false);
});

test("answers that are not gRPC become a status that says so", async (context) => {
  const encoder = new HpackEncoder();
  const answers: ReadonlyArray<readonly [fields: readonly string[], flags: number, status: number]> = [
    [[":status", "503"], FLAG.END_STREAM, GRPC_STATUS.UNAVAILABLE],
    [[":status", "404", "content-type", "text/html"], 0, GRPC_STATUS.UNIMPLEMENTED],
    [[":status", "200", "content-type", "text/html"], 0, GRPC_STATUS.UNKNOWN],
    [[":status", "200", "content-type", "application/grpc", "grpc-status", "seven"], FLAG.END_STREAM, GRPC_STATUS.UNKNOWN],
    [[":status", "200", "content-type", "application/grpc", "grpc-status", "0"], FLAG.END_STREAM, GRPC_STATUS.INTERNAL],
    [[":status", "200", "Bad-Name", "x"], FLAG.END_STREAM, GRPC_STATUS.INTERNAL],
  ];
  let stream = -1;
  const port = await byHand(context, (socket) => {
    socket.write(SETTINGS);
    socket.on("data", (chunk: Buffer) => {
      if (chunk.includes("answer me")) {
        stream += 2;
        const [fields, flags] = answers[(stream - 1) / 2] as (typeof answers)[number];
        socket.write(encodeFrame(FRAME.HEADERS, FLAG.END_HEADERS | flags, stream, encoder.encode(fields)));
      }
    });
  });
  const { channel } = dial(port);
  for (const [fields, , status] of answers) {
    const reply = await channel.unary("/test.Service/Echo", Buffer.from("answer me"));
    assert.equal(reply.status, status, String(fields));
  }
  channel.close();
});

test("calls above the server's limit are refused here, and taken again when there is room", async (context) => {
  const port = await byHand(context, (socket) => {
    socket.write(encodeFrame(FRAME.SETTINGS, 0, 0, encodeSettings([[SETTING.MAX_CONCURRENT_STREAMS, 1]])));
    socket.resume();
  });
  const { channel, first } = dial(port);
  await first;
  const seen = collect();
  const stream = channel.open("/test.Service/Chat", seen.events);
  const refused = await channel.unary("/test.Service/Echo", new Uint8Array(1));
  assert.equal(refused.status, GRPC_STATUS.UNAVAILABLE);
  assert.match(refused.statusMessage, /limit/);
  stream.cancel();
  await seen.end;
  assert.equal((await channel.unary("/test.Service/Echo", new Uint8Array(1), { timeoutMs: 10 })).status, GRPC_STATUS.DEADLINE_EXCEEDED);
  channel.close();
});

test("closing ends calls with CANCELLED and is silent", async () => {
  const { channel, first, events } = dial(oursPort);
  await first;
  const call = channel.unary("/test.Service/Hold", new Uint8Array(1));
  channel.close();
  assert.equal((await call).status, GRPC_STATUS.CANCELLED);
  const early = dial(oursPort);
  early.channel.close();
  await new Promise(setImmediate);
  assert.deepEqual([events, early.events], [["connected"], []]);
});

test("an aborted connection ends at once although its queue is full and nobody reads, and is silent", async (context) => {
  const reset = withResolvers();
  let readOn = (): void => {};
  const port = await byHand(context, (socket) => {
    socket.write(encodeFrame(FRAME.SETTINGS, 0, 0, encodeSettings([[SETTING.INITIAL_WINDOW_SIZE, 2 ** 31 - 1]])));
    socket.pause(); // of what comes, nothing is read
    socket.on("error", (error: NodeJS.ErrnoException) => reset.resolve(error.code ?? ""));
    readOn = () => socket.resume();
  });
  const { channel, first, events } = dial(port);
  await first;
  const seen = collect();
  const stream = channel.open("/test.Service/Chat", seen.events);
  while (stream.send(new Uint8Array(512 * 1024))) {
    // until the queue is full
  }
  channel.abort();
  assert.equal((await seen.end).status, GRPC_STATUS.UNAVAILABLE);
  readOn();
  assert.equal(await reset.promise, "ECONNRESET");
  assert.equal(channel.usable, false);
  const early = dial(port);
  early.channel.abort();
  await new Promise(setImmediate);
  assert.deepEqual([events, early.events], [["connected"], []]);
});
