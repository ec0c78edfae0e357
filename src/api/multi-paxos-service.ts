/**
 * The unary calls of the service MultiPaxos: what an operator may ask a server's Paxos port by hand, and the client calls as
 * one server forwards them to another. The stream of the protocol itself is the network adapter's.
 */
import { EMPTY_BYTES } from "../base/bytes.js";
import { utf8Decode, utf8Encode } from "../base/utf8.js";
import type { UnaryReply } from "../grpc/channel.js";
import { type Metadata, metadataGet } from "../grpc/metadata.js";
import type { Responder, UnaryHandler } from "../grpc/service.js";
import { GRPC_STATUS } from "../grpc/status.js";
import { type Address, address as addressOf } from "../paxos/ids.js";
import type { Server } from "../server/server.js";
import { decodeKeyValue, encodeGetResponse } from "./key-value-codec.js";

export const ELECT_PATH = "/keyvaluestore.MultiPaxos/ElectCoordinator";

/** How long ElectCoordinator waits to see the new coordinator, unless the client's deadline is nearer. */
export const ELECT_WAIT_MS = 3000;

/** Marks a call that one server makes for another's caller: it is answered, never asked on. */
const ASKED_BY_SERVER = "synod-asked-by";

/** What the handlers need of a server. */
export type ElectServer = Pick<Server, "coordinator" | "elect" | "coordinates"> & {
  replicaStatus(): Pick<ReturnType<Server["replicaStatus"]>, "blocked">;
};

export type MultiPaxosOptions = {
  readonly server: ElectServer;
  /** This server's Paxos address. */
  readonly self: Address;
  /** Paxos addresses of all servers. */
  readonly replicas: readonly string[];
  /** One unary call to another server's Paxos port. */
  readonly call: (peer: Address, path: string, message: Uint8Array, metadata: Metadata) => Promise<UnaryReply>;
};

/** Ping, GetCoordinator and ElectCoordinator. */
export function multiPaxosHandlers(options: MultiPaxosOptions): { ping: UnaryHandler; getCoordinator: UnaryHandler; elect: UnaryHandler } {
  const { server } = options;
  return {
    ping: (_message, responder, stream) => responder.reply(stream, EMPTY_BYTES),
    getCoordinator: (_message, responder, stream) => {
      const { coordinator } = server;
      if (coordinator === null) {
        const why = server.replicaStatus().blocked ?? "No server coordinates yet.";
        responder.fail(stream, GRPC_STATUS.UNAVAILABLE, why);
      } else {
        responder.reply(stream, encodeGetResponse(utf8Encode(coordinator))); // the same shape: one string, field 1
      }
    },
    elect: (message, responder, stream) => {
      const request = decodeKeyValue(message, true); // the same shape: two strings, of which the second is the coordinator
      const named = request === undefined ? undefined : utf8Decode(request.value);
      if (named === undefined) {
        responder.fail(stream, GRPC_STATUS.INVALID_ARGUMENT, "The request is no valid ElectCoordinatorRequest.");
        return;
      }
      const heir = named === "" ? options.self : addressOf(named);
      if (!options.replicas.includes(heir)) {
        responder.fail(
          stream,
          GRPC_STATUS.INVALID_ARGUMENT,
          `${heir} is no server of this cluster; its servers are ${options.replicas.join(", ")}.`,
        );
        return;
      }
      void elect(options, heir, { responder, stream });
    },
  };
}

/**
 * By hand-over where a coordinator works, by nomination where none does. One server asks one other: two that take each other for
 * the coordinator would ask in a circle, over new connections each time.
 */
async function elect(
  { server, self, call }: MultiPaxosOptions,
  heir: Address,
  { responder, stream }: { readonly responder: Responder; readonly stream: number },
): Promise<void> {
  const waitMs = Math.min(ELECT_WAIT_MS, responder.deadlineMs(stream) ?? ELECT_WAIT_MS);
  const { coordinator } = server;
  const ask = coordinator ?? heir;
  const asker = metadataGet(responder.metadata(stream), ASKED_BY_SERVER);
  if (coordinator !== heir) {
    if (ask === self) {
      server.elect(heir);
    } else if (asker !== undefined) {
      responder.fail(stream, GRPC_STATUS.UNAVAILABLE, `${self} takes ${ask} for the coordinator; the servers do not agree yet. Ask again.`);
      return;
    } else {
      const reply = await call(ask, ELECT_PATH, encodeElect(heir), [[ASKED_BY_SERVER, self]]);
      if (reply.status !== GRPC_STATUS.OK) {
        responder.fail(stream, reply.status, `${ask} was asked to give way: ${reply.statusMessage}`);
        return;
      }
    }
  }
  if (await server.coordinates(heir, waitMs)) {
    responder.reply(stream, EMPTY_BYTES);
  } else {
    const now = server.coordinator ?? "no server";
    responder.fail(stream, GRPC_STATUS.UNAVAILABLE, `${heir} does not coordinate yet; ${now} does.`);
  }
}

/** An ElectCoordinatorRequest that names `heir` (field 2). */
function encodeElect(heir: Address): Uint8Array {
  const message = encodeGetResponse(utf8Encode(heir)).slice();
  message[0] = 0x12; // field 2, length-delimited
  return message;
}
