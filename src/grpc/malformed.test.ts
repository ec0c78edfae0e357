/**
 * Bytes that break HTTP/2, and floods, against the server without a socket: each ends its stream or its connection with the code that
 * RFC 9113 names, after which a healthy call on the same connection (if it is to live) is answered.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { CONTROL_BUDGET, RESET_BUDGET, SETTINGS_COST } from "./flood-guard.js";
import { ERROR, encodeFrame, encodeSettings, FLAG, FRAME, readU32, SETTING } from "./frames.js";
import { CONTINUATIONS_MAX, HEADER_BLOCK_BYTES_MAX, OUTPUT_BYTES_PAUSE, RECEIVE_FRAME_BYTES_MAX } from "./session.js";
import { testServices } from "./testing/services.js";
import { dataFrame, grpcMessage, messagesOf, REQUEST_FIELDS, requestFields, u32, WireClient } from "./testing/wire.js";

const HELLO = Buffer.from("hello");
const HOLD = requestFields("/test.Service/Hold");
const END = FLAG.END_HEADERS | FLAG.END_STREAM;
const NOTHING = new Uint8Array(0);

function frame(type: number, flags: number, stream: number, payload: string | Uint8Array = NOTHING): Uint8Array {
  return encodeFrame(type, flags, stream, typeof payload === "string" ? Buffer.from(payload, "hex") : payload);
}

type Bytes = (client: WireClient) => readonly Uint8Array[];

/** Ends the connection. Stream 1 holds an open unary call (its request is complete), stream 3 a streaming one. */
const CONNECTION_ERRORS: ReadonlyArray<readonly [what: string, code: number, bytes: Bytes]> = [
  ["DATA on stream 0", ERROR.PROTOCOL_ERROR, () => [frame(FRAME.DATA, 0, 0, "00")]],
  ["HEADERS on stream 0", ERROR.PROTOCOL_ERROR, () => [frame(FRAME.HEADERS, END, 0, "82")]],
  ["HEADERS on an even stream", ERROR.PROTOCOL_ERROR, (c) => [c.headers(10)]],
  ["HEADERS on a stream below the last", ERROR.STREAM_CLOSED, (c) => [c.headers(9), c.headers(7)]],
  ["HEADERS on a stream that is half closed", ERROR.STREAM_CLOSED, (c) => [c.headers(1)]],
  ["DATA on a stream never opened", ERROR.PROTOCOL_ERROR, () => [frame(FRAME.DATA, 0, 9, "00")]],
  ["DATA whose padding fills it", ERROR.PROTOCOL_ERROR, () => [frame(FRAME.DATA, FLAG.PADDED, 3, "05000000")]],
  ["DATA padded and empty", ERROR.FRAME_SIZE_ERROR, () => [frame(FRAME.DATA, FLAG.PADDED, 3)]],
  ["HEADERS whose padding fills it", ERROR.PROTOCOL_ERROR, () => [frame(FRAME.HEADERS, END | FLAG.PADDED, 9, "ff82")]],
  ["HEADERS too short for its priority", ERROR.FRAME_SIZE_ERROR, () => [frame(FRAME.HEADERS, END | FLAG.PRIORITY, 9, "0000")]],
  ["PRIORITY on stream 0", ERROR.PROTOCOL_ERROR, () => [frame(FRAME.PRIORITY, 0, 0, "0000000000")]],
  ["PRIORITY of four bytes", ERROR.FRAME_SIZE_ERROR, () => [frame(FRAME.PRIORITY, 0, 3, "00000000")]],
  ["RST_STREAM on stream 0", ERROR.PROTOCOL_ERROR, () => [frame(FRAME.RST_STREAM, 0, 0, "00000008")]],
  ["RST_STREAM on a stream never opened", ERROR.PROTOCOL_ERROR, () => [frame(FRAME.RST_STREAM, 0, 9, "00000008")]],
  ["RST_STREAM of three bytes", ERROR.FRAME_SIZE_ERROR, () => [frame(FRAME.RST_STREAM, 0, 3, "000008")]],
  ["SETTINGS on a stream", ERROR.PROTOCOL_ERROR, () => [frame(FRAME.SETTINGS, 0, 3)]],
  ["SETTINGS of five bytes", ERROR.FRAME_SIZE_ERROR, () => [frame(FRAME.SETTINGS, 0, 0, "0001000000")]],
  ["SETTINGS acknowledged with a payload", ERROR.FRAME_SIZE_ERROR, () => [frame(FRAME.SETTINGS, FLAG.ACK, 0, "000100000000")]],
  ["ENABLE_PUSH of 2", ERROR.PROTOCOL_ERROR, () => [frame(FRAME.SETTINGS, 0, 0, encodeSettings([[SETTING.ENABLE_PUSH, 2]]))]],
  ["MAX_FRAME_SIZE too small", ERROR.PROTOCOL_ERROR, () => [frame(FRAME.SETTINGS, 0, 0, encodeSettings([[SETTING.MAX_FRAME_SIZE, 100]]))]],
  [
    "MAX_FRAME_SIZE too large",
    ERROR.PROTOCOL_ERROR,
    () => [frame(FRAME.SETTINGS, 0, 0, encodeSettings([[SETTING.MAX_FRAME_SIZE, 2 ** 24]]))],
  ],
  [
    "INITIAL_WINDOW_SIZE too large",
    ERROR.FLOW_CONTROL_ERROR,
    () => [frame(FRAME.SETTINGS, 0, 0, encodeSettings([[SETTING.INITIAL_WINDOW_SIZE, 2 ** 31]]))],
  ],
  [
    "INITIAL_WINDOW_SIZE that overflows a stream",
    ERROR.FLOW_CONTROL_ERROR,
    () => [
      frame(FRAME.WINDOW_UPDATE, 0, 3, u32(2 ** 31 - 1 - 65_535)),
      frame(FRAME.SETTINGS, 0, 0, encodeSettings([[SETTING.INITIAL_WINDOW_SIZE, 70_000]])),
    ],
  ],
  ["PUSH_PROMISE", ERROR.PROTOCOL_ERROR, () => [frame(FRAME.PUSH_PROMISE, FLAG.END_HEADERS, 3, "0000000482")]],
  ["PING on a stream", ERROR.PROTOCOL_ERROR, () => [frame(FRAME.PING, 0, 3, "0000000000000000")]],
  ["PING of seven bytes", ERROR.FRAME_SIZE_ERROR, () => [frame(FRAME.PING, 0, 0, "00000000000000")]],
  ["GOAWAY on a stream", ERROR.PROTOCOL_ERROR, () => [frame(FRAME.GOAWAY, 0, 3, "0000000000000000")]],
  ["GOAWAY of seven bytes", ERROR.FRAME_SIZE_ERROR, () => [frame(FRAME.GOAWAY, 0, 0, "00000000000000")]],
  ["WINDOW_UPDATE of zero on the connection", ERROR.PROTOCOL_ERROR, () => [frame(FRAME.WINDOW_UPDATE, 0, 0, "00000000")]],
  ["WINDOW_UPDATE of three bytes", ERROR.FRAME_SIZE_ERROR, () => [frame(FRAME.WINDOW_UPDATE, 0, 0, "000001")]],
  ["WINDOW_UPDATE of three bytes on a stream", ERROR.FRAME_SIZE_ERROR, () => [frame(FRAME.WINDOW_UPDATE, 0, 3, "000001")]],
  ["WINDOW_UPDATE that overflows the connection", ERROR.FLOW_CONTROL_ERROR, () => [frame(FRAME.WINDOW_UPDATE, 0, 0, "7fffffff")]],
  ["WINDOW_UPDATE on a stream never opened", ERROR.PROTOCOL_ERROR, () => [frame(FRAME.WINDOW_UPDATE, 0, 9, "00000001")]],
  ["CONTINUATION without HEADERS", ERROR.PROTOCOL_ERROR, () => [frame(FRAME.CONTINUATION, FLAG.END_HEADERS, 3, "82")]],
  [
    "a header block interrupted by PING",
    ERROR.PROTOCOL_ERROR,
    () => [frame(FRAME.HEADERS, 0, 9, "82"), frame(FRAME.PING, 0, 0, "0000000000000000")],
  ],
  [
    "a header block continued on another stream",
    ERROR.PROTOCOL_ERROR,
    () => [frame(FRAME.HEADERS, 0, 9, "82"), frame(FRAME.CONTINUATION, FLAG.END_HEADERS, 11, "82")],
  ],
  ["a header block that HPACK cannot read", ERROR.COMPRESSION_ERROR, () => [frame(FRAME.HEADERS, END, 9, "80")]],
  ["trailers that HPACK cannot read", ERROR.COMPRESSION_ERROR, () => [frame(FRAME.HEADERS, END, 3, "ff")]],
  [
    "a fast call that HPACK cannot read",
    ERROR.COMPRESSION_ERROR,
    () => [frame(FRAME.HEADERS, FLAG.END_HEADERS, 9, "be80"), dataFrame(9, grpcMessage(HELLO), true)],
  ],
  ["a frame above our MAX_FRAME_SIZE", ERROR.FRAME_SIZE_ERROR, () => [Uint8Array.of(0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 3)]],
  [
    "a header block of many CONTINUATION frames",
    ERROR.ENHANCE_YOUR_CALM,
    () => [frame(FRAME.HEADERS, 0, 9), ...new Array(CONTINUATIONS_MAX + 1).fill(frame(FRAME.CONTINUATION, 0, 9))],
  ],
  [
    "a header block above the limit, in one frame",
    ERROR.ENHANCE_YOUR_CALM,
    () => [frame(FRAME.HEADERS, END, 9, new Uint8Array(HEADER_BLOCK_BYTES_MAX + 1).fill(0x82))],
  ],
  [
    "a header block above the limit, in pieces",
    ERROR.ENHANCE_YOUR_CALM,
    () => [frame(FRAME.HEADERS, 0, 9), ...new Array(5).fill(frame(FRAME.CONTINUATION, 0, 9, new Uint8Array(16_384).fill(0x82)))],
  ],
  ["a flood of PING", ERROR.ENHANCE_YOUR_CALM, () => new Array(CONTROL_BUDGET.burst + 1).fill(frame(FRAME.PING, 0, 0, "0000000000000000"))],
  [
    "a flood of SETTINGS",
    ERROR.ENHANCE_YOUR_CALM,
    () => new Array(CONTROL_BUDGET.burst / SETTINGS_COST + 1).fill(frame(FRAME.SETTINGS, 0, 0)),
  ],
  ["a flood of empty DATA", ERROR.ENHANCE_YOUR_CALM, () => new Array(CONTROL_BUDGET.burst + 1).fill(frame(FRAME.DATA, 0, 3))],
  [
    "a flood of WINDOW_UPDATE",
    ERROR.ENHANCE_YOUR_CALM,
    () => new Array(CONTROL_BUDGET.burst + 1).fill(frame(FRAME.WINDOW_UPDATE, 0, 3, "00000001")),
  ],
  [
    "a flood of PRIORITY",
    ERROR.ENHANCE_YOUR_CALM,
    () => new Array(CONTROL_BUDGET.burst + 1).fill(frame(FRAME.PRIORITY, 0, 3, "0000000000")),
  ],
  ["a flood of unknown frames", ERROR.ENHANCE_YOUR_CALM, () => new Array(CONTROL_BUDGET.burst + 1).fill(frame(99, 0, 0))],
  [
    "a flood of frames on a closed stream",
    ERROR.ENHANCE_YOUR_CALM,
    (c) => [
      c.headers(9),
      frame(FRAME.RST_STREAM, 0, 9, "00000008"),
      ...new Array(CONTROL_BUDGET.burst + 9).fill(frame(FRAME.RST_STREAM, 0, 9, "00000008")),
    ],
  ],
  [
    "rapid reset: calls opened and taken back",
    ERROR.ENHANCE_YOUR_CALM,
    (c) =>
      Array.from({ length: RESET_BUDGET.burst + 1 }, (_, i) => [
        c.headers(9 + 2 * i, requestFields("/test.Service/Raw")),
        frame(FRAME.RST_STREAM, 0, 9 + 2 * i, "00000008"),
      ]).flat(),
  ],
  [
    "calls above the limit, again and again",
    ERROR.ENHANCE_YOUR_CALM,
    (c) => Array.from({ length: RESET_BUDGET.burst + 4097 }, (_, i) => c.headers(9 + 2 * i, requestFields("/test.Service/Raw"))),
  ],
];

/** A client whose streams 1 and 3 are open. */
function openClient(): { readonly client: WireClient; readonly cancels: readonly string[] } {
  const { services, log } = testServices();
  const client = new WireClient(services);
  client.unary(1, HELLO, HOLD);
  client.send(client.headers(3, requestFields("/test.Service/Raw")));
  client.frames();
  return { client, cancels: log.cancels };
}

for (const [what, code, bytes] of CONNECTION_ERRORS) {
  test(`ends the connection: ${what}`, () => {
    const { client, cancels } = openClient();
    for (const part of bytes(client)) {
      client.send(part);
    }
    assert.equal(client.goawayCode(), code);
    assert.equal(client.connection.closed, true);
    assert.equal(client.port.finished, true);
    assert.ok(cancels.length >= 2);
    client.send(frame(FRAME.PING, 0, 0, "0000000000000000"));
    assert.deepEqual(client.frames(), []);
  });
}

test("ends the connection: a frame above the limit, wherever its header is cut", () => {
  const header = encodeFrame(FRAME.DATA, 0, 3, NOTHING);
  header.set([(RECEIVE_FRAME_BYTES_MAX + 1) >>> 16, (RECEIVE_FRAME_BYTES_MAX + 1) >>> 8, RECEIVE_FRAME_BYTES_MAX + 1]);
  for (let cut = 1; cut <= header.length; cut++) {
    const { client } = openClient();
    client.connection.session.receive(Buffer.from(header.subarray(0, cut)));
    client.connection.session.receive(Buffer.from(header.subarray(cut)));
    assert.equal(client.goawayCode(), ERROR.FRAME_SIZE_ERROR);
    assert.equal(client.connection.closed, true);
  }
});

test("ends the connection: a first frame that is not SETTINGS", () => {
  const { connection } = new WireClient(testServices().services);
  assert.equal(connection.closed, false);
  class Early extends WireClient {
    override send(...parts: readonly Uint8Array[]): void {
      super.send(frame(FRAME.PING, 0, 0, "0000000000000000"), ...parts);
    }
  }
  assert.equal(new Early(testServices().services).connection.closed, true);
});

const without = (name: string) => REQUEST_FIELDS.filter((_, i) => REQUEST_FIELDS[i - (i % 2)] !== name);

/** Ends stream 9 with the code; the connection lives. */
const STREAM_ERRORS: ReadonlyArray<readonly [what: string, code: number, bytes: Bytes]> = [
  [":method missing", ERROR.PROTOCOL_ERROR, (c) => [c.headers(9, without(":method"))]],
  [":scheme missing", ERROR.PROTOCOL_ERROR, (c) => [c.headers(9, without(":scheme"))]],
  [":path missing", ERROR.PROTOCOL_ERROR, (c) => [c.headers(9, without(":path"))]],
  [":path empty", ERROR.PROTOCOL_ERROR, (c) => [c.headers(9, requestFields(""))]],
  [":path twice", ERROR.PROTOCOL_ERROR, (c) => [c.headers(9, [":path", "/a/b", ...REQUEST_FIELDS])]],
  ["a pseudo-header of responses", ERROR.PROTOCOL_ERROR, (c) => [c.headers(9, [":status", "200", ...REQUEST_FIELDS])]],
  ["a pseudo-header after others", ERROR.PROTOCOL_ERROR, (c) => [c.headers(9, [...without(":path"), ":path", "/a/b"])]],
  ["a name in upper case", ERROR.PROTOCOL_ERROR, (c) => [c.headers(9, [...REQUEST_FIELDS, "X-Upper", "1"])]],
  ["a value with a line break", ERROR.PROTOCOL_ERROR, (c) => [c.headers(9, [...REQUEST_FIELDS, "x-a", "1\r\n2"])]],
  ["connection: close", ERROR.PROTOCOL_ERROR, (c) => [c.headers(9, [...REQUEST_FIELDS, "connection", "close"])]],
  ["transfer-encoding", ERROR.PROTOCOL_ERROR, (c) => [c.headers(9, [...REQUEST_FIELDS, "transfer-encoding", "chunked"])]],
  ["te: gzip", ERROR.PROTOCOL_ERROR, (c) => [c.headers(9, [...without("te"), "te", "gzip"])]],
  ["content-length that is no number", ERROR.PROTOCOL_ERROR, (c) => [c.headers(9, [...REQUEST_FIELDS, "content-length", "ten"])]],
  [
    "content-length that is wrong",
    ERROR.PROTOCOL_ERROR,
    (c) => [c.headers(9, [...REQUEST_FIELDS, "content-length", "11"]), dataFrame(9, grpcMessage(HELLO), true)],
  ],
  ["trailers without the end", ERROR.PROTOCOL_ERROR, (c) => [c.headers(9), c.headers(9, ["x-a", "1"])]],
  ["trailers with a pseudo-header", ERROR.PROTOCOL_ERROR, (c) => [c.headers(9), c.headers(9, [":path", "/a/b"], END)]],
  [
    "DATA after the end",
    ERROR.STREAM_CLOSED,
    (c) => [c.headers(9, HOLD), dataFrame(9, grpcMessage(HELLO), true), dataFrame(9, HELLO, false)],
  ],
  [
    "DATA after a whole call",
    ERROR.STREAM_CLOSED,
    (c) => [c.headers(9), dataFrame(9, grpcMessage(HELLO), true), dataFrame(9, HELLO, false)],
  ],
  ["WINDOW_UPDATE of zero", ERROR.PROTOCOL_ERROR, (c) => [c.headers(9, HOLD), frame(FRAME.WINDOW_UPDATE, 0, 9, "00000000")]],
  ["WINDOW_UPDATE that overflows", ERROR.FLOW_CONTROL_ERROR, (c) => [c.headers(9, HOLD), frame(FRAME.WINDOW_UPDATE, 0, 9, "7fffffff")]],
  [
    "WINDOW_UPDATE that overflows a call that waits for its answer",
    ERROR.FLOW_CONTROL_ERROR,
    (c) => [c.headers(9, HOLD), dataFrame(9, grpcMessage(HELLO), true), frame(FRAME.WINDOW_UPDATE, 0, 9, "7fffffff")],
  ],
];

for (const [what, code, bytes] of STREAM_ERRORS) {
  test(`ends the stream alone: ${what}`, () => {
    const { client, cancels } = openClient();
    client.send(...bytes(client));
    const reset = client.framesOf(9).find((each) => each.type === FRAME.RST_STREAM);
    assert.equal(reset === undefined ? undefined : readU32(reset.payload, 0), code);
    assert.ok(cancels.length <= 1);
    client.send(dataFrame(9, HELLO, true));
    assert.equal(client.connection.openCalls, 2);
    client.unary(11, HELLO);
    assert.deepEqual(messagesOf(client.framesOf(11)), [HELLO]);
  });
}

test("what is odd but allowed is let pass: unknown settings and frames, a largest frame, resets of streams that are over", () => {
  const { client } = openClient();
  client.send(
    frame(FRAME.SETTINGS, 0, 0, encodeSettings([[0x99, 7]])),
    frame(99, 0xff, 0, "00"),
    frame(99, 0xff, 77, "00"),
    frame(FRAME.PRIORITY, 0, 99, "0000000000"),
    frame(FRAME.DATA, 0, 3, grpcMessage(new Uint8Array(RECEIVE_FRAME_BYTES_MAX - 5))),
    client.headers(5),
    dataFrame(5, grpcMessage(HELLO), true),
    frame(FRAME.RST_STREAM, 0, 5, "00000008"),
    frame(FRAME.WINDOW_UPDATE, 0, 5, "00000001"),
    frame(FRAME.PING, FLAG.ACK, 0, "0000000000000000"),
  );
  client.unary(7, HELLO);
  assert.deepEqual(messagesOf(client.framesOf(7)), [HELLO]);
});

test("a peer that never reads makes us stop reading, not remember", () => {
  const { client } = openClient();
  const session = client.connection.session;
  const large = requestFields(`/test.Service/${"None".repeat(300)}`);
  let calls = 0;
  for (; !session.congested && calls < 200_000; calls++) {
    client.send(client.headers(9 + 2 * calls, large, END));
  }
  assert.equal(session.congested, true);
  assert.ok(session.output.size < OUTPUT_BYTES_PAUSE + 100_000);
});
