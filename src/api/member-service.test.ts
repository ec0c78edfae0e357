/** ChangeMembers and Handover from the bytes of the request to the status of the answer; the server behind them is played by the test. */
import { deepEqual, equal, match } from "node:assert/strict";
import { test } from "node:test";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { ChangeMembersRequestSchema, ChangeMembersResponseSchema, HandoverRequestSchema, HandoverResponseSchema } from "../gen/admin_pb.js";
import type { Responder, UnaryHandler } from "../grpc/service.js";
import { GRPC_STATUS } from "../grpc/status.js";
import type { MembershipChange } from "../paxos/change.js";
import { type Address, address, replicaId, slot } from "../paxos/ids.js";
import type { Member } from "../paxos/status.js";
import type { ChangeOutcome } from "../server/changes.js";
import { type MemberServiceOptions, memberHandlers } from "./member-service.js";

const [A, B, C, D] = ["127.0.0.1:9000", "127.0.0.1:9001", "127.0.0.1:9002", "127.0.0.1:9003"].map(address) as [
  Address,
  Address,
  Address,
  Address,
];

type Answer = { readonly status: number; readonly text: string; readonly message: Uint8Array };

function call(handler: UnaryHandler, message: Uint8Array, deadlineMs?: number): Promise<Answer> {
  return new Promise((resolve) => {
    const responder: Responder = {
      reply: (_, reply) => resolve({ status: GRPC_STATUS.OK, text: "", message: reply.slice() }),
      fail: (_, status, text) => resolve({ status, text, message: new Uint8Array() }),
      metadata: () => [],
      deadlineMs: () => deadlineMs,
      isOpen: () => true,
      onCancel: () => {},
      closed: false,
      remote: "test",
    };
    handler(message, responder, 1);
  });
}

const member = (id: number, at: Address, lag: number | null, kind: Member["kind"] = "voter"): Member => ({
  replica: replicaId(id),
  address: at,
  clientAddress: "",
  kind,
  electable: true,
  live: true,
  lag,
});

/** A server that follows or is `coordinator`; C does not answer, D observes. */
function server(options: {
  readonly outcome?: ChangeOutcome;
  readonly coordinator?: Address | null;
  readonly voters?: readonly Address[];
}) {
  const asked: Array<readonly [change: MembershipChange, withinMs: number]> = [];
  const elected: Address[] = [];
  let { coordinator = A } = options;
  const backend: MemberServiceOptions["server"] = {
    get coordinator() {
      return coordinator;
    },
    elect: (heir) => {
      elected.push(heir);
      coordinator = heir;
    },
    coordinates: async (heir) => coordinator === heir,
    change: async (change, withinMs) => {
      asked.push([change, withinMs]);
      return options.outcome ?? { ok: true, slot: slot(7) };
    },
    replicaStatus: () => ({
      blocked: null,
      voters: (options.voters ?? [A, B, C]).map((at, i) => ({ replica: replicaId(i + 1), address: at, live: at !== C })),
      members: [member(1, A, null), member(2, B, 3), member(3, C, 0), member(4, D, 0, "observer")],
    }),
  };
  const handlers = memberHandlers({
    server: backend,
    self: A,
    waitMsMax: 5000,
    call: async () => ({ status: GRPC_STATUS.OK, statusMessage: "", trailers: [], message: undefined }),
  });
  return { ...handlers, asked, elected };
}

function changeRequest(change: NonNullable<MessageInitShape<typeof ChangeMembersRequestSchema>["change"]>): Uint8Array {
  return toBinary(ChangeMembersRequestSchema, create(ChangeMembersRequestSchema, { change }));
}

function handoverRequest(heir: string): Uint8Array {
  return toBinary(HandoverRequestSchema, create(HandoverRequestSchema, { heir }));
}

test("each change reaches the server with the time that the client leaves", async () => {
  for (const kind of ["promote", "remove", "moveTieBreak"] as const) {
    const { change, asked } = server({});
    const answer = await call(change, changeRequest({ case: kind, value: 4n }), 1000);
    deepEqual(asked, [[{ kind, replica: 4 }, 800]]);
    equal(fromBinary(ChangeMembersResponseSchema, answer.message).slot, 7n);
  }
  const { change, asked } = server({});
  await call(change, changeRequest({ case: "remove", value: 4n }));
  equal(asked[0]?.[1], 4800, "without a deadline as long as any request may take");
});

test("a refusal is FAILED_PRECONDITION, an open outcome is UNAVAILABLE, each with its text", async () => {
  const refused = server({ outcome: { ok: false, text: "No quorum would be left. Start it.", isOpen: false } });
  const request = changeRequest({ case: "remove", value: 2n });
  deepEqual(await call(refused.change, request), {
    status: GRPC_STATUS.FAILED_PRECONDITION,
    text: "No quorum would be left. Start it.",
    message: new Uint8Array(),
  });
  const open = server({ outcome: { ok: false, text: "It is not known.", isOpen: true } });
  equal((await call(open.change, request)).status, GRPC_STATUS.UNAVAILABLE);
});

test("requests that name no change are refused before the server is asked", async () => {
  const { change, asked } = server({});
  const requests = [
    new Uint8Array(),
    Uint8Array.of(0xff, 0xff),
    changeRequest({ case: "remove", value: 0n }),
    changeRequest({ case: "promote", value: 2n ** 60n }),
  ];
  for (const request of requests) {
    const answer = await call(change, request);
    equal(answer.status, GRPC_STATUS.INVALID_ARGUMENT);
    match(answer.text, /promote, remove or move_tie_break with a ReplicaId above 0/);
  }
  deepEqual(asked, []);
});

test("handover: to whom, and to whom not", async () => {
  const cases: ReadonlyArray<readonly [heir: string, status: number, text: RegExp]> = [
    [B, GRPC_STATUS.OK, /^$/],
    ["", GRPC_STATUS.OK, /^$/],
    [A, GRPC_STATUS.OK, /^$/],
    [C, GRPC_STATUS.FAILED_PRECONDITION, /9002 does not answer: start it first/],
    [D, GRPC_STATUS.FAILED_PRECONDITION, /9003 does not vote, and only a voter can coordinate: promote it first/],
    ["127.0.0.1:1", GRPC_STATUS.INVALID_ARGUMENT, /127.0.0.1:1 is no server of this cluster; its voters are 127.0.0.1:9000, /],
  ];
  for (const [heir, status, text] of cases) {
    const { handover, elected } = server({});
    const answer = await call(handover, handoverRequest(heir));
    deepEqual([answer.status, text.test(answer.text)], [status, true], `${heir}: ${answer.text}`);
    deepEqual(elected, status === GRPC_STATUS.OK && heir !== A ? [B] : [], "C does not answer, so B is the other voter");
    if (status === GRPC_STATUS.OK) {
      equal(fromBinary(HandoverResponseSchema, answer.message).coordinator, heir === "" ? B : heir);
    }
  }
  const alone = server({ voters: [A] });
  match((await call(alone.handover, handoverRequest(""))).text, /No other voter answers/);
  equal((await call(alone.handover, Uint8Array.of(0xff, 0xff))).status, GRPC_STATUS.INVALID_ARGUMENT);
});
