/** What the server says of requests that no handler has seen, frames by hand in and out: `Unhandled` of the services. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { FRAME } from "./frames.js";
import type { Unhandled } from "./service.js";
import { GRPC_STATUS } from "./status.js";
import { testServices } from "./testing/services.js";
import { dataFrame, grpcMessage, requestFields, WireClient } from "./testing/wire.js";

const HELLO = Buffer.from("hello");
const HOLD = requestFields("/test.Service/Hold");
const RAW = requestFields("/test.Service/Raw");

const UNHANDLED: Unhandled = {
  trailers: [["x-outcome", "none"]],
  tooLarge: (bytes: number, bytesMax: number) => ({ status: GRPC_STATUS.INVALID_ARGUMENT, message: `${bytes} of ${bytesMax}` }),
};

test("what no handler has seen is said with the trailers of the services, and in their words where it is too large", () => {
  const client = new WireClient({ ...testServices({ messageBytesMax: 100 }).services, unhandled: UNHANDLED });
  const cases: ReadonlyArray<readonly [data: Uint8Array, status: number, outcome: string | undefined]> = [
    [grpcMessage(new Uint8Array(101)), GRPC_STATUS.INVALID_ARGUMENT, "none"],
    [new Uint8Array(0), GRPC_STATUS.INTERNAL, "none"],
    [grpcMessage(HELLO).subarray(0, 8), GRPC_STATUS.INTERNAL, "none"],
    [grpcMessage(new Uint8Array(100)), GRPC_STATUS.OK, undefined],
  ];
  for (const [i, [data, status, outcome]] of cases.entries()) {
    const stream = i * 2 + 1;
    client.send(client.headers(stream), dataFrame(stream, data, true));
    const fields = client.framesOf(stream).at(-1)?.fields;
    assert.equal(fields?.["grpc-status"], String(status), `case ${i}`);
    assert.equal(fields?.["x-outcome"], outcome, `case ${i}`);
    assert.equal(fields?.["grpc-message"], i === 0 ? "101 of 100" : fields?.["grpc-message"]);
  }
});

test("a unary call that ends before its request is complete was seen by no handler, whatever ended it", () => {
  const client = new WireClient({ ...testServices().services, unhandled: UNHANDLED });
  client.unary(1, HELLO, [...HOLD, "grpc-timeout", "50m"]);
  client.send(client.headers(3, [...HOLD, "grpc-timeout", "50m"]));
  client.send(client.headers(5, HOLD), dataFrame(5, grpcMessage(HELLO).subarray(0, 8), false));
  client.send(client.headers(7, RAW));
  client.advance(50);
  client.connection.shutDown();
  const ends = client.frames().filter((frame) => frame.type === FRAME.HEADERS);
  assert.deepEqual(
    ends.map(({ stream, fields }) => [stream, fields?.["grpc-status"], fields?.["x-outcome"]]),
    [
      [1, "4", undefined],
      [3, "4", "none"],
      [5, "14", "none"],
      [7, "14", undefined],
    ],
  );
});

test("a message of a stream that is too large is no request: it is told in the layer's own words", () => {
  const client = new WireClient({ ...testServices({ messageBytesMax: 100 }).services, unhandled: UNHANDLED });
  client.send(client.headers(1, RAW), dataFrame(1, grpcMessage(new Uint8Array(101)), true));
  const fields = client.framesOf(1).at(-1)?.fields;
  assert.equal(fields?.["grpc-status"], String(GRPC_STATUS.RESOURCE_EXHAUSTED));
  assert.equal(fields?.["x-outcome"], undefined);
});
