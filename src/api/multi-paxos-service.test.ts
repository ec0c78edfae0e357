/** ElectCoordinator between servers that see different coordinators; the servers and the calls between them are played by the test. */
import { deepEqual, equal, match } from "node:assert/strict";
import { test } from "node:test";
import { utf8Encode } from "../base/utf8.js";
import type { UnaryReply } from "../grpc/channel.js";
import type { Metadata } from "../grpc/metadata.js";
import type { Responder } from "../grpc/service.js";
import { GRPC_STATUS, type GrpcStatus } from "../grpc/status.js";
import { type Address, address, replicaId } from "../paxos/ids.js";
import type { ElectServer } from "./elect.js";
import { encodeGetResponse } from "./key-value-codec.js";
import { multiPaxosHandlers } from "./multi-paxos-service.js";

const A = address("127.0.0.1:9000");
const B = address("127.0.0.1:9001");
const C = address("127.0.0.1:9002");

/** What each server takes for the coordinator; null where it knows none. */
type Views = Map<Address, Address | null>;

/** An ElectCoordinatorRequest that names `heir`. */
function request(heir: Address): Uint8Array {
  const message = encodeGetResponse(utf8Encode(heir)).slice();
  message[0] = 0x12;
  return message;
}

/** Asks `at`; the calls that follow are in `calls`. */
function elect(views: Views, at: Address, message: Uint8Array, asked: { readonly metadata: Metadata; readonly calls: string[] }) {
  const { metadata, calls } = asked;
  return new Promise<UnaryReply>((resolve) => {
    const end = (status: GrpcStatus, statusMessage: string): void => resolve({ status, statusMessage, trailers: [], message: undefined });
    const responder: Responder = {
      reply: () => end(GRPC_STATUS.OK, ""),
      fail: (_, status, text) => end(status, text),
      metadata: () => metadata,
      deadlineMs: () => undefined,
      isOpen: () => true,
      onCancel: () => {},
      closed: false,
      remote: "test",
    };
    const server: ElectServer = {
      coordinator: views.get(at) ?? null,
      elect: (heir) => {
        calls.push(`${at} elects ${heir}`);
        views.set(at, heir);
      },
      coordinates: async (heir) => views.get(at) === heir || calls.includes(`${views.get(at)} elects ${heir}`),
      replicaStatus: () => ({
        blocked: null,
        voters: [A, B, C].map((voter, i) => ({ replica: replicaId(i + 1), address: voter, live: true })),
        members: [],
      }),
    };
    const handlers = multiPaxosHandlers({
      server,
      self: at,
      call: (peer, path, body, sent) => {
        calls.push(`${at} asks ${peer}`);
        equal(path, "/keyvaluestore.MultiPaxos/ElectCoordinator");
        return elect(views, peer, body, { metadata: sent, calls });
      },
    });
    handlers.elect(message, responder, 1);
  });
}

test("a server that does not coordinate asks the one that does", async () => {
  const calls: string[] = [];
  const reply = await elect(
    new Map([
      [A, C],
      [B, C],
      [C, C],
    ]),
    A,
    request(B),
    { metadata: [], calls },
  );
  equal(reply.status, GRPC_STATUS.OK);
  deepEqual(calls, [`${A} asks ${C}`, `${C} elects ${B}`]);
});

test("servers that take each other for the coordinator do not ask in a circle", async () => {
  const calls: string[] = [];
  const reply = await elect(
    new Map([
      [A, C],
      [B, null],
      [C, A],
    ]),
    A,
    request(B),
    { metadata: [], calls },
  );
  equal(reply.status, GRPC_STATUS.UNAVAILABLE);
  match(reply.statusMessage, /do not agree yet/);
  deepEqual(calls, [`${A} asks ${C}`]);
});
