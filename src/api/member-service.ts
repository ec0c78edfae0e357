/**
 * The calls of synod.Admin that change something: who is a member, and who coordinates. What is asked is checked here only as far as
 * its form goes; whether the cluster can bear it is the coordinator's to say.
 */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  type ChangeMembersRequest,
  ChangeMembersRequestSchema,
  ChangeMembersResponseSchema,
  HandoverRequestSchema,
  HandoverResponseSchema,
} from "../gen/admin_pb.js";
import type { Responder, UnaryHandler } from "../grpc/service.js";
import { GRPC_STATUS } from "../grpc/status.js";
import type { MembershipChange } from "../paxos/change.js";
import { type Address, address as addressOf, replicaId } from "../paxos/ids.js";
import type { Server } from "../server/server.js";
import { ELECT_WAIT_MS, type ElectOptions, type ElectServer, electCoordinator, heirProblem } from "./elect.js";
import type { ApiError } from "./errors.js";

/** A client hears the reason this long before its own deadline, ms. */
const ANSWER_AHEAD_MS = 200;

export type MemberServiceOptions = Omit<ElectOptions, "server"> & {
  readonly server: ElectServer & Pick<Server, "change">;
  /** For calls without a deadline of their own, ms. */
  readonly waitMsMax: number;
};

/** ChangeMembers and Handover. */
export function memberHandlers(options: MemberServiceOptions): { change: UnaryHandler; handover: UnaryHandler } {
  const { server, waitMsMax } = options;
  return {
    change: (message, responder, stream) => {
      const request = decoded(ChangeMembersRequestSchema, message);
      const change = request === undefined ? null : changeOf(request.change);
      if (change === null) {
        const text = "The request names no change: allowed is promote, remove or move_tie_break with a ReplicaId above 0.";
        responder.fail(stream, GRPC_STATUS.INVALID_ARGUMENT, text);
        return;
      }
      void server.change(change, waitMs(responder, stream, waitMsMax)).then((outcome) => {
        if (outcome.ok) {
          responder.reply(
            stream,
            toBinary(ChangeMembersResponseSchema, create(ChangeMembersResponseSchema, { slot: BigInt(outcome.slot) })),
          );
        } else {
          responder.fail(stream, outcome.isOpen ? GRPC_STATUS.UNAVAILABLE : GRPC_STATUS.FAILED_PRECONDITION, outcome.text);
        }
      });
    },
    handover: (message, responder, stream) => {
      const request = decoded(HandoverRequestSchema, message);
      const heir = request === undefined ? null : heirOf(server, request.heir);
      if (heir === null) {
        responder.fail(stream, GRPC_STATUS.INVALID_ARGUMENT, "The request is no valid HandoverRequest.");
        return;
      }
      const problem = typeof heir === "string" ? heirProblem(server.replicaStatus(), heir) : heir;
      if (problem !== null || typeof heir !== "string") {
        fail(responder, stream, problem);
        return;
      }
      const bounds = { waitMs: waitMs(responder, stream, ELECT_WAIT_MS), isAskedByServer: false };
      void electCoordinator(options, heir, bounds).then((error) => {
        if (error === null) {
          responder.reply(stream, toBinary(HandoverResponseSchema, create(HandoverResponseSchema, { coordinator: heir })));
        } else {
          fail(responder, stream, error);
        }
      });
    },
  };
}

function fail(responder: Responder, stream: number, error: ApiError | null): void {
  if (error !== null) {
    responder.fail(stream, error.status, error.text);
  }
}

function waitMs(responder: Responder, stream: number, usualMs: number): number {
  return Math.max(1, Math.min(usualMs, (responder.deadlineMs(stream) ?? usualMs) - ANSWER_AHEAD_MS));
}

/** The message, or undefined where the bytes are none. */
function decoded<Schema extends typeof ChangeMembersRequestSchema | typeof HandoverRequestSchema>(schema: Schema, message: Uint8Array) {
  try {
    return fromBinary(schema, message);
  } catch {
    return undefined;
  }
}

function changeOf({ case: kind, value }: ChangeMembersRequest["change"]): MembershipChange | null {
  if (kind === undefined || value < 1n || value > BigInt(Number.MAX_SAFE_INTEGER)) {
    return null;
  }
  return { kind, replica: replicaId(Number(value)) };
}

/** The heir that was named or, where none was, the live voter that lacks least and does not coordinate. */
function heirOf(server: MemberServiceOptions["server"], named: string): Address | ApiError {
  if (named !== "") {
    return addressOf(named);
  }
  const { voters, members, blocked } = server.replicaStatus();
  const lagOf = (address: Address): number => members.find((member) => member.address === address && member.kind === "voter")?.lag ?? 0;
  const [best] = voters
    .filter((voter) => voter.live && voter.address !== server.coordinator)
    .sort((a, b) => lagOf(a.address) - lagOf(b.address));
  if (best !== undefined) {
    return best.address;
  }
  return {
    status: GRPC_STATUS.FAILED_PRECONDITION,
    text: blocked ?? "No other voter answers, which could coordinate: start one, or add one with `synod member add`.",
  };
}
