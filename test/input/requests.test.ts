/**
 * Wrong requests and wrong bytes at both ports of a running server: a table of gRPC calls with the status and message of each, and
 * one of byte streams with how the connection ends. After all of it the same server still serves, and has not lost its place.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { encodePeerFrame } from "../../src/adapters/peer-frame.js";
import { address, clusterId, diskId, replicaId, slot } from "../../src/paxos/ids.js";
import { type Header, type Hello, type Message, PEER_VERSION } from "../../src/paxos/message.js";
import { encodeEnvelope } from "../../src/paxos/message-codec.js";
import { converse, dial, field, frame, grpcHeaders, grpcMessage, opening, PREFACE } from "../support/byte-stream.js";
import { Cluster } from "../support/cluster.js";
import { DELETE, GET, getMessage, PUT, putMessage, RawChannel, STATUS } from "../support/grpc-call.js";
import { unaryOver } from "../support/http2-call.js";
import { synod } from "../support/processes.js";

let cluster: Cluster;
before(async () => {
  cluster = await Cluster.create({ size: 3 });
  cluster.start();
  await cluster.awaitCoordinator();
});
after(async () => cluster.close());

const KIB = 1024;
const MIB = 1024 * KIB;
const bytes = (...values: readonly number[]): Uint8Array => Uint8Array.from(values);

type Call = readonly [name: string, path: string, message: Uint8Array, code: string, details: RegExp];

/** What a port says to those who belong to the other one. */
const ELSEWHERE = {
  servers: /^this is where clients connect \(my_addr\); servers connect to 127\.0\.0\.1:\d+ \(my_paxos\)$/,
  clients: /^this is where servers connect \(my_paxos\); clients connect to 127\.0\.0\.1:\d+ \(my_addr\)$/,
};

const CALLS: readonly Call[] = [
  ["an absent key", GET, getMessage("absent"), "NOT_FOUND", /^Key not found\.$/],
  ["GET of an empty key", GET, getMessage(""), "INVALID_ARGUMENT", /key is empty/],
  ["PUT of an empty key", PUT, putMessage("", "value"), "INVALID_ARGUMENT", /key is empty/],
  ["DELETE of an empty key", DELETE, getMessage(""), "INVALID_ARGUMENT", /key is empty/],
  ["a key of 4 KiB", PUT, putMessage("k".repeat(4 * KIB), ""), "OK", /^$/],
  ["a key of 4 KiB and a byte", PUT, putMessage("k".repeat(4 * KIB + 1), ""), "INVALID_ARGUMENT", /4097 bytes, at most 4096/],
  ["the same in bytes, not characters", GET, getMessage("é".repeat(2 * KIB + 1)), "INVALID_ARGUMENT", /4098 bytes, at most 4096/],
  ["a key that is not UTF-8", GET, bytes(0x0a, 1, 0xff), "INVALID_ARGUMENT", /key is not valid UTF-8/],
  ["a key with half of a surrogate pair", GET, bytes(0x0a, 3, 0xed, 0xa0, 0x80), "INVALID_ARGUMENT", /key is not valid UTF-8/],
  ["a value that is not UTF-8", PUT, bytes(0x0a, 1, 0x61, 0x12, 1, 0x80), "INVALID_ARGUMENT", /value is not valid UTF-8/],
  ["a message cut in a field", PUT, bytes(0x0a, 5, 0x61), "INVALID_ARGUMENT", /no valid protobuf/],
  ["a length beyond 64 bits", PUT, bytes(0x0a, ...Array.from({ length: 11 }, () => 0xff), 1), "INVALID_ARGUMENT", /no valid protobuf/],
  ["field number 0", GET, bytes(0x02, 1, 0x61), "INVALID_ARGUMENT", /no valid protobuf/],
  ["a group that never ends", GET, bytes(0x0b), "INVALID_ARGUMENT", /no valid protobuf/],
  ["the key as a number", GET, bytes(0x08, 1), "INVALID_ARGUMENT", /key is empty|no valid protobuf/],
  ["an unknown field, which is skipped", GET, bytes(0x7a, 2, 1, 2, 0x0a, 1, 0x7a), "NOT_FOUND", /^Key not found\.$/],
  ["a request of 1.5 MiB", PUT, sized(1.5 * MIB), "OK", /^$/],
  [
    "a request of 1.5 MiB and a byte",
    PUT,
    sized(1.5 * MIB + 1),
    "INVALID_ARGUMENT",
    /1572865 bytes, at most 1572864 are allowed \(max_request_bytes\)\. Nothing was written/,
  ],
  ["a request of 8 MiB", PUT, sized(8 * MIB), "INVALID_ARGUMENT", /8388608 bytes, at most 1572864/],
  ["an unknown method", "/keyvaluestore.KeyValueStore/Frobnicate", bytes(), "UNIMPLEMENTED", /Frobnicate/],
  ["an unknown service", "/other.Service/GetValue", bytes(), "UNIMPLEMENTED", /other\.Service/],
  ["a path without a method", "/", bytes(), "UNIMPLEMENTED", /./],
  ["the other port's service", "/keyvaluestore.MultiPaxos/GetCoordinator", bytes(), "UNIMPLEMENTED", ELSEWHERE.servers],
  ["a server that joins here", "/keyvaluestore.MultiPaxos/Exchange", bytes(), "UNIMPLEMENTED", ELSEWHERE.servers],
];

/** A PutRequest of exactly `size` bytes. */
function sized(size: number): Uint8Array {
  const empty = putMessage("sized", "v".repeat(2 * MIB)).length - 2 * MIB;
  const message = putMessage("sized", "v".repeat(size - empty));
  return message.length === size ? message : putMessage("sized", "v".repeat(size - empty - (message.length - size)));
}

test(`wrong requests on my_addr: ${CALLS.length} rows`, { timeout: 60_000 }, async (t) => {
  const channel = new RawChannel(cluster.server(0).clientAddress);
  for (const [name, path, message, code, details] of CALLS) {
    await t.test(name, async () => {
      const answer = await channel.call(path, message);
      assert.equal(answer.code, code, answer.details);
      assert.match(answer.details, details);
    });
  }
  channel.close();
});

test("a client at my_paxos is told where clients connect", { timeout: 30_000 }, async () => {
  const { paxosAddress, clientAddress } = cluster.server(0);
  const get = await synod(["get", "a", "--endpoints", paxosAddress]);
  assert.equal(get.status, 4);
  assert.match(get.stderr, /this is where servers connect \(my_paxos\); clients connect to .*\ntry: another endpoint/);
  assert.ok(get.stderr.includes(clientAddress), get.stderr);
});

const EXCHANGE = "/keyvaluestore.MultiPaxos/Exchange";
const HEADER: Header = { clusterId: clusterId(7n), lineage: { number: 1, random: 7n }, epoch: 0, from: replicaId(1) };
const HELLO: Hello = {
  kind: "hello",
  peerVersion: PEER_VERSION,
  diskId: diskId("0123456789abcdef0123456789abcdef"),
  boot: 1,
  address: address("127.0.0.1:9"),
  clientAddress: "127.0.0.1:10",
  list: [address("127.0.0.1:9")],
  decided: slot(0),
  highestRound: 0,
};

/** The first frame of a peer's stream. */
function peer(message: Message): Uint8Array {
  return encodePeerFrame(encodeEnvelope(HEADER, message));
}

const FORWARDED_PUT = "/keyvaluestore.MultiPaxos/PutPair";

const PAXOS_CALLS: readonly Call[] = [
  ["a client's call of KeyValueStore", GET, getMessage("a"), "UNIMPLEMENTED", ELSEWHERE.clients],
  ["Status", STATUS, bytes(), "UNIMPLEMENTED", ELSEWHERE.clients],
  ["a forwarded GET of an empty key", "/keyvaluestore.MultiPaxos/GetValue", getMessage(""), "INVALID_ARGUMENT", /key is empty/],
  ["a PUT of 1.5 MiB and a byte", FORWARDED_PUT, sized(1.5 * MIB + 1), "INVALID_ARGUMENT", /1572865 bytes, at most 1572864/],
  [
    "a PUT above what servers send each other",
    FORWARDED_PUT,
    sized(9 * MIB),
    "INVALID_ARGUMENT",
    /at most 1572864 are allowed \(max_request_bytes\)\. Nothing was written/,
  ],
  [
    "ElectCoordinator of a stranger",
    "/keyvaluestore.MultiPaxos/ElectCoordinator",
    putMessage("", "10.0.0.1:1"),
    "INVALID_ARGUMENT",
    /10\.0\.0\.1:1/,
  ],
  [
    "ElectCoordinator that is no message",
    "/keyvaluestore.MultiPaxos/ElectCoordinator",
    bytes(0x12, 9),
    "INVALID_ARGUMENT",
    /ElectCoordinatorRequest/,
  ],
  ["ElectCoordinator of no UTF-8", "/keyvaluestore.MultiPaxos/ElectCoordinator", bytes(0x12, 1, 0xff), "INVALID_ARGUMENT", /./],
  ["an unknown method", "/keyvaluestore.MultiPaxos/Conquer", bytes(), "UNIMPLEMENTED", /Conquer/],
  ["garbage as the first frame of a peer", EXCHANGE, bytes(1, 2, 3, 4), "FAILED_PRECONDITION", /begins with its payload/],
  ["an empty frame of a peer", EXCHANGE, bytes(), "FAILED_PRECONDITION", /begins with its payload/],
  ["a frame whose length lies", EXCHANGE, bytes(0x0a, 200, 1), "FAILED_PRECONDITION", /payload has another length/],
  ["a frame whose payload is garbage", EXCHANGE, encodePeerFrame(bytes(0xde, 0xad, 0xbe, 0xef)), "FAILED_PRECONDITION", /./],
  [
    "a peer that does not begin with Hello",
    EXCHANGE,
    peer({ kind: "genesisAck", clusterId: HEADER.clusterId }),
    "FAILED_PRECONDITION",
    /Hello/,
  ],
  [
    "a peer of another protocol version",
    EXCHANGE,
    peer({ ...HELLO, peerVersion: 99 }),
    "FAILED_PRECONDITION",
    /version 99, this server speaks \d/,
  ],
];

test(`wrong requests on my_paxos: ${PAXOS_CALLS.length} rows`, { timeout: 60_000 }, async (t) => {
  const channel = new RawChannel(cluster.server(0).paxosAddress);
  for (const [name, path, message, code, details] of PAXOS_CALLS) {
    await t.test(name, async () => {
      const answer = await channel.call(path, message);
      assert.equal(answer.code, code, answer.details);
      assert.match(answer.details, details);
    });
  }
  channel.close();
});

test("a size that is refused is in no doubt: at either port, a little or far above the limit, also where nobody reads the rest", {
  timeout: 60_000,
}, async () => {
  const { clientAddress, paxosAddress } = cluster.server(1);
  for (const [server, path] of [
    [clientAddress, PUT],
    [clientAddress, DELETE],
    [paxosAddress, FORWARDED_PUT],
  ] as const) {
    const channel = new RawChannel(server);
    for (const size of [1.5 * MIB + 1, 4 * MIB, 20 * MIB]) {
      const { code, outcome } = await channel.call(path, sized(size));
      assert.deepEqual([code, outcome], ["INVALID_ARGUMENT", "not-applied"], `${size} bytes to ${server}${path}`);
    }
    const { code, outcome } = await channel.call(path, putMessage("k".repeat(4 * KIB + 1), "v"));
    assert.deepEqual([code, outcome], ["INVALID_ARGUMENT", "not-applied"], `a long key to ${server}${path}`);
    channel.close();
  }
});

/** Headers of a request over node:http2, and the HTTP or gRPC status that it gets. */
const HEADERS: ReadonlyArray<readonly [name: string, headers: Readonly<Record<string, string>>, answer: RegExp]> = [
  ["content type application/json", { "content-type": "application/json" }, /^http 415/],
  ["content type application/grpc-web", { "content-type": "application/grpc-web" }, /^http 415/],
  ["no content type", { "content-type": "" }, /^http 415/],
  ["content type application/grpc+proto", { "content-type": "application/grpc+proto" }, /^http 200 grpc 5 /],
  ["method GET", { ":method": "GET" }, /^http 405/],
  ["an encoding that we do not have", { "grpc-encoding": "gzip" }, /^http 200 grpc (5|12) /],
  ["a timeout that is none", { "grpc-timeout": "soon" }, /^http (200 grpc (3|13) |400)/],
  ["a timeout of nine digits", { "grpc-timeout": "999999999S" }, /^http (200 grpc (3|13) |400)/],
  ["headers of 20 KiB", { "x-large": "h".repeat(20 * KIB) }, /^http 431/],
];

test(`wrong headers: ${HEADERS.length} rows`, { timeout: 60_000 }, async (t) => {
  for (const [name, headers, answer] of HEADERS) {
    await t.test(name, async () => {
      assert.match(await unaryOver(cluster.server(0).clientAddress, GET, { headers, message: getMessage("absent") }), answer);
    });
  }
});

const headersFrame = (block: Uint8Array, flags = 0x4, stream = 1): Buffer => frame("HEADERS", { flags, stream, payload: block });
const request = grpcHeaders(GET);
const data = (payload: Uint8Array, flags = 1): Buffer => frame("DATA", { flags, stream: 1, payload });

/** What is sent, and how the connection ends: the frames in words. */
const STREAMS: ReadonlyArray<readonly [name: string, sent: Uint8Array, answer: RegExp]> = [
  ["nothing", bytes(), /^(SETTINGS.*)?$/],
  ["an HTTP/1.1 request", Buffer.from("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), /^HTTP\/1\.1 505/],
  ["a TLS hello", bytes(0x16, 3, 1, 0, 5, 1, 0, 0, 1, 3), /^(SETTINGS.*GOAWAY PROTOCOL_ERROR.*)?$/],
  ["random bytes", Buffer.from("8f1e02c47b99d31055aa".repeat(20), "hex"), /^(SETTINGS.*GOAWAY PROTOCOL_ERROR.*)?$/],
  ["half of the preface", PREFACE.subarray(0, 10), /^(SETTINGS.*)?$/],
  ["a preface with one wrong byte", Buffer.concat([PREFACE.subarray(0, 23), bytes(0x0b)]), /^HTTP\/1\.1 505/],
  [
    "the preface, and DATA before SETTINGS",
    Buffer.concat([PREFACE, data(bytes(1))]),
    /GOAWAY PROTOCOL_ERROR "the first frame must be SETTINGS"/,
  ],
  ["SETTINGS of five bytes", Buffer.concat([PREFACE, frame("SETTINGS", { payload: bytes(0, 1, 2, 3, 4) })]), /GOAWAY FRAME_SIZE_ERROR/],
  [
    "SETTINGS with an impossible window",
    Buffer.concat([PREFACE, frame("SETTINGS", { payload: bytes(0, 4, 0xff, 0xff, 0xff, 0xff) })]),
    /GOAWAY FLOW_CONTROL_ERROR/,
  ],
  [
    "SETTINGS with a frame size of 1",
    Buffer.concat([PREFACE, frame("SETTINGS", { payload: bytes(0, 5, 0, 0, 0, 1) })]),
    /GOAWAY PROTOCOL_ERROR/,
  ],
  ["SETTINGS on a stream", opening(frame("SETTINGS", { stream: 1 })), /GOAWAY PROTOCOL_ERROR/],
  ["a frame of 16 MiB", opening(frame("DATA", { stream: 1, length: 0xffffff })), /GOAWAY FRAME_SIZE_ERROR/],
  ["a frame cut short", opening(frame("HEADERS", { stream: 1, length: 100 })), /^SETTINGS/],
  ["DATA on stream 0", opening(frame("DATA", { payload: bytes(1) })), /GOAWAY PROTOCOL_ERROR/],
  ["DATA on a stream that was never opened", opening(data(bytes(1))), /GOAWAY PROTOCOL_ERROR/],
  [
    "RST_STREAM of a stream that was never opened",
    opening(frame("RST_STREAM", { stream: 9, payload: bytes(0, 0, 0, 8) })),
    /GOAWAY PROTOCOL_ERROR/,
  ],
  ["HEADERS on an even stream", opening(headersFrame(request, 0x5, 2)), /GOAWAY PROTOCOL_ERROR/],
  [
    "HEADERS on a stream number that went back",
    opening(headersFrame(request, 0x5, 5), headersFrame(request, 0x5, 3)),
    /GOAWAY (PROTOCOL_ERROR|STREAM_CLOSED)/,
  ],
  ["PUSH_PROMISE from a client", opening(frame("PUSH_PROMISE", { stream: 1, payload: bytes(0, 0, 0, 2) })), /GOAWAY PROTOCOL_ERROR/],
  ["CONTINUATION without HEADERS", opening(frame("CONTINUATION", { stream: 1, flags: 4 })), /GOAWAY PROTOCOL_ERROR/],
  [
    "HEADERS interrupted by PING",
    opening(headersFrame(request, 0), frame("PING", { payload: new Uint8Array(8) })),
    /GOAWAY PROTOCOL_ERROR/,
  ],
  ["a header block that is no HPACK", opening(headersFrame(bytes(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff))), /GOAWAY COMPRESSION_ERROR/],
  ["an index beyond the table", opening(headersFrame(bytes(0xfe))), /GOAWAY COMPRESSION_ERROR/],
  ["padding longer than the frame", opening(frame("DATA", { stream: 1, flags: 8, payload: bytes(200, 1) })), /GOAWAY PROTOCOL_ERROR/],
  ["WINDOW_UPDATE of 0", opening(frame("WINDOW_UPDATE", { payload: bytes(0, 0, 0, 0) })), /GOAWAY PROTOCOL_ERROR/],
  [
    "windows that overflow",
    opening(...Array.from({ length: 2 }, () => frame("WINDOW_UPDATE", { payload: bytes(0x7f, 0xff, 0xff, 0xff) }))),
    /GOAWAY FLOW_CONTROL_ERROR/,
  ],
  ["PING of seven bytes", opening(frame("PING", { payload: new Uint8Array(7) })), /GOAWAY FRAME_SIZE_ERROR/],
  [
    "a frame of an unknown type, which is ignored",
    opening(frame("77", { payload: bytes(1) }), frame("PING", { payload: new Uint8Array(8) })),
    /PING/,
  ],
  [
    "headers without a path",
    opening(headersFrame(field(":method", "POST"), 0x5)),
    /RST_STREAM PROTOCOL_ERROR|HEADERS|GOAWAY PROTOCOL_ERROR/,
  ],
  [
    "header names in capitals",
    opening(headersFrame(Buffer.concat([request, field("X-Large", "1")]), 0x5)),
    /RST_STREAM PROTOCOL_ERROR|GOAWAY PROTOCOL_ERROR/,
  ],
  ["a unary call without a message", opening(headersFrame(request, 0x5)), /HEADERS|RST_STREAM/],
  ["a message cut short", opening(headersFrame(request), data(bytes(0, 0, 0, 0, 9, 1))), /HEADERS|RST_STREAM/],
  ["a compressed message", opening(headersFrame(request), data(bytes(1, 0, 0, 0, 1, 1))), /HEADERS|RST_STREAM/],
  ["a message said to have 4 GiB", opening(headersFrame(request), data(bytes(0, 0xff, 0xff, 0xff, 0xff, 1), 0)), /HEADERS|RST_STREAM/],
  [
    "two messages in a unary call",
    opening(headersFrame(request), data(Buffer.concat([grpcMessage(getMessage("a")), grpcMessage(getMessage("b"))]))),
    /HEADERS|RST_STREAM/,
  ],
  [
    "10,000 PINGs",
    opening(Buffer.concat(Array.from({ length: 10_000 }, () => frame("PING", { payload: new Uint8Array(8) })))),
    /GOAWAY ENHANCE_YOUR_CALM|PING/,
  ],
  ["10,000 streams opened and reset", opening(resets(10_000)), /GOAWAY ENHANCE_YOUR_CALM|HEADERS, RST_STREAM NO_ERROR$/],
  [
    "a header block that never ends",
    opening(headersFrame(request, 0), Buffer.concat(Array.from({ length: 200 }, () => frame("CONTINUATION", { stream: 1 })))),
    /GOAWAY ENHANCE_YOUR_CALM/,
  ],
];

function resets(count: number): Buffer {
  const cancel = bytes(0, 0, 0, 8);
  return Buffer.concat(
    Array.from({ length: count }, (_, i) => [
      headersFrame(request, 0x4, 2 * i + 1),
      frame("RST_STREAM", { stream: 2 * i + 1, payload: cancel }),
    ]).flat(),
  );
}

test(`wrong byte streams at both ports: ${STREAMS.length} rows each`, { timeout: 90_000 }, async (t) => {
  for (const port of ["clientAddress", "paxosAddress"] as const) {
    for (const [name, sent, answer] of STREAMS) {
      await t.test(`${name} at ${port === "clientAddress" ? "my_addr" : "my_paxos"}`, async () => {
        assert.match(await converse(cluster.server(0)[port], sent), answer);
      });
    }
  }
});

test("500 connections that say nothing hinder nobody", { timeout: 30_000 }, async () => {
  const { clientAddress } = cluster.server(1);
  const sockets = await Promise.all(Array.from({ length: 500 }, () => dial(clientAddress)));
  await cluster.clientOf(1).put("among silence", "1");
  for (const socket of sockets) {
    socket.destroy();
  }
});

test("after all of it the same servers serve, and nothing was logged as a failure of their own", { timeout: 30_000 }, async () => {
  cluster.assertNoCrash();
  for (const { index } of cluster.servers) {
    const client = cluster.clientOf(index);
    await client.put(`after-${index}`, "fine");
    assert.equal(await client.get(`after-${index}`), "fine");
    assert.equal((await cluster.statusOf(index)).boot, 1n, "it was never restarted");
    assert.doesNotMatch(cluster.server(index).log, /assertion-failed|unexpected-error|"level":60/);
  }
  await cluster.awaitEqual();
  for (const [key, message] of [
    ["", /key is empty/],
    ["k".repeat(4097), /4097 bytes, at most 4096/],
  ] as const) {
    const result = await synod(["get", "--endpoints", cluster.endpoints.join(","), "--", key]);
    assert.equal(result.status, 3, result.stderr);
    assert.match(result.stderr, message);
  }
});
