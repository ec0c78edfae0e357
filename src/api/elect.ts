/** Who shall coordinate: the check of an heir, and the way to the server that can give way. Two calls need it, one on each port. */
import { utf8Encode } from "../base/utf8.js";
import type { UnaryReply } from "../grpc/channel.js";
import type { Metadata } from "../grpc/metadata.js";
import { GRPC_STATUS } from "../grpc/status.js";
import type { Address } from "../paxos/ids.js";
import type { Server } from "../server/server.js";
import type { ApiError } from "./errors.js";
import { encodeGetResponse } from "./key-value-codec.js";

export const ELECT_PATH = "/keyvaluestore.MultiPaxos/ElectCoordinator";

/** How long an election is waited for, unless the client's deadline is nearer. */
export const ELECT_WAIT_MS = 3000;

/** Marks a call that one server makes for another's caller: it is answered, never asked on. */
export const ASKED_BY_SERVER = "synod-asked-by";

type ReplicaView = ReturnType<Server["replicaStatus"]>;

/** What an election needs of a server. */
export type ElectServer = Pick<Server, "coordinator" | "elect" | "coordinates"> & {
  replicaStatus(): Pick<ReplicaView, "blocked" | "voters" | "members">;
};

export type ElectOptions = {
  readonly server: ElectServer;
  /** This server's Paxos address. */
  readonly self: Address;
  /** One unary call to another server's Paxos port. */
  readonly call: (peer: Address, path: string, message: Uint8Array, metadata: Metadata) => Promise<UnaryReply>;
};

/** Why `heir` cannot coordinate, and what to do; null if it can, as far as this server knows. */
export function heirProblem({ voters, members, blocked }: ReturnType<ElectServer["replicaStatus"]>, heir: Address): ApiError | null {
  const voter = voters.find(({ address }) => address === heir);
  if (voter?.live === true) {
    return null;
  }
  if (voters.length === 0) {
    return { status: GRPC_STATUS.UNAVAILABLE, text: blocked ?? "No server coordinates yet." };
  }
  if (voter !== undefined) {
    return { status: GRPC_STATUS.FAILED_PRECONDITION, text: `${heir} does not answer: start it first. Nothing was changed.` };
  }
  const list = voters.map(({ address }) => address).join(", ");
  return members.some(({ address, kind }) => address === heir && kind === "observer")
    ? {
        status: GRPC_STATUS.FAILED_PRECONDITION,
        text: `${heir} does not vote, and only a voter can coordinate: promote it first. The voters are ${list}.`,
      }
    : { status: GRPC_STATUS.INVALID_ARGUMENT, text: `${heir} is no server of this cluster; its voters are ${list}.` };
}

/**
 * By hand-over where a coordinator works, by nomination where none does. One server asks one other: two that take each other for
 * the coordinator would ask in a circle, over new connections each time. Resolves to null once `heir` is seen to coordinate.
 */
export async function electCoordinator(
  { server, self, call }: ElectOptions,
  heir: Address,
  { waitMs, isAskedByServer }: { readonly waitMs: number; readonly isAskedByServer: boolean },
): Promise<ApiError | null> {
  const { coordinator } = server;
  const ask = coordinator ?? heir;
  if (coordinator !== heir) {
    if (ask === self) {
      server.elect(heir);
    } else if (isAskedByServer) {
      return {
        status: GRPC_STATUS.UNAVAILABLE,
        text: `${self} takes ${ask} for the coordinator; the servers do not agree yet. Ask again.`,
      };
    } else {
      const reply = await call(ask, ELECT_PATH, encodeElect(heir), [[ASKED_BY_SERVER, self]]);
      if (reply.status !== GRPC_STATUS.OK) {
        return { status: reply.status, text: `${ask} was asked to give way: ${reply.statusMessage}` };
      }
    }
  }
  if (await server.coordinates(heir, waitMs)) {
    return null;
  }
  const { blocked } = server.replicaStatus();
  const now = `${heir} does not coordinate yet; ${server.coordinator ?? "no server"} does.`;
  return { status: GRPC_STATUS.UNAVAILABLE, text: blocked === null ? now : `${now} ${blocked}` };
}

/** An ElectCoordinatorRequest that names `heir` (field 2). */
function encodeElect(heir: Address): Uint8Array {
  const message = encodeGetResponse(utf8Encode(heir)).slice();
  message[0] = 0x12; // field 2, length-delimited
  return message;
}
