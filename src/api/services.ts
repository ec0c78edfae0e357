/** Which handler answers which path, for each of the two ports of a server. */
import type { GrpcServices, StreamHandler, Unhandled } from "../grpc/service.js";
import { address as addressOf } from "../paxos/ids.js";
import type { ServerConfig } from "../server/config.js";
import type { Server } from "../server/server.js";
import { statusHandler } from "./admin-service.js";
import { backupHandler } from "./backup-service.js";
import type { ElectOptions } from "./elect.js";
import { OUTCOME_TRAILERS, tooLargeRequest } from "./errors.js";
import { keyValueHandlers } from "./key-value-service.js";
import { memberHandlers } from "./member-service.js";
import { multiPaxosHandlers } from "./multi-paxos-service.js";
import { sessionHandlers } from "./session-service.js";

const KEY_VALUE_STORE = "/keyvaluestore.KeyValueStore";
const MULTI_PAXOS = "/keyvaluestore.MultiPaxos";
const ADMIN = "/synod.Admin";

export type ServicesOptions = {
  readonly server: Server;
  readonly config: ServerConfig;
  /** Resident memory of the process, bytes. */
  readonly memoryBytes: () => number;
  /** One unary call to another server's Paxos port. */
  readonly call: ElectOptions["call"];
};

/** Clients that hear of no outcome take it for unknown, and ask on. At either port: the other one's messages may be larger, its requests not. */
function unhandled({ maxRequestBytes }: ServerConfig): Unhandled {
  return {
    trailers: OUTCOME_TRAILERS["not-applied"],
    tooLarge: (bytes, bytesMax) => {
      const { status, text } = tooLargeRequest(bytes, Math.min(bytesMax, maxRequestBytes));
      return { status, message: text };
    },
  };
}

/** Of a call of a service that the other port serves, which is easily mixed up with this one: where it belongs. */
function elsewhere(others: readonly string[], where: string): (path: string) => string | undefined {
  return (path) => (others.some((service) => path.startsWith(`${service}/`)) ? where : undefined);
}

/** What my_addr serves. */
export function clientServices({ server, config, memoryBytes, call }: ServicesOptions): GrpcServices {
  const { get, put, del, compareAndSet } = keyValueHandlers(server, config);
  const sessions = sessionHandlers(server, config);
  const members = memberHandlers({ server, call, self: addressOf(config.paxosAddress), waitMsMax: config.requestTimeoutMs });
  return {
    unary: new Map([
      [`${KEY_VALUE_STORE}/GetValue`, get],
      [`${KEY_VALUE_STORE}/PutPair`, put],
      [`${KEY_VALUE_STORE}/DeletePair`, del],
      [`${KEY_VALUE_STORE}/CompareAndSet`, compareAndSet],
      [`${KEY_VALUE_STORE}/RegisterSession`, sessions.register],
      [`${KEY_VALUE_STORE}/CloseSession`, sessions.close],
      [`${ADMIN}/Status`, statusHandler(() => server.status(), memoryBytes)],
      [`${ADMIN}/ChangeMembers`, members.change],
      [`${ADMIN}/Handover`, members.handover],
    ]),
    streaming: new Map([[`${ADMIN}/Backup`, backupHandler(server, config.requestTimeoutMs)]]),
    limits: { messageBytesMax: config.maxRequestBytes, connectionsMax: config.maxConnections },
    unhandled: unhandled(config),
    noMethod: elsewhere([MULTI_PAXOS], `this is where clients connect (my_addr); servers connect to ${config.paxosAddress} (my_paxos)`),
  };
}

/** What my_paxos serves; `exchange` is the network adapter's, with bounds of its own. */
export function paxosServices(
  { server, config, call }: ServicesOptions,
  peers: { readonly exchange: StreamHandler; readonly messageBytesMax: number },
): GrpcServices {
  const { get, put, del } = keyValueHandlers(server, config);
  const { ping, getCoordinator, elect } = multiPaxosHandlers({ server, call, self: addressOf(config.paxosAddress) });
  return {
    unary: new Map([
      [`${MULTI_PAXOS}/Ping`, ping],
      [`${MULTI_PAXOS}/GetCoordinator`, getCoordinator],
      [`${MULTI_PAXOS}/ElectCoordinator`, elect],
      [`${MULTI_PAXOS}/GetValue`, get],
      [`${MULTI_PAXOS}/PutPair`, put],
      [`${MULTI_PAXOS}/DeletePair`, del],
    ]),
    streaming: new Map([[`${MULTI_PAXOS}/Exchange`, peers.exchange]]),
    limits: { messageBytesMax: peers.messageBytesMax },
    unhandled: unhandled(config),
    noMethod: elsewhere(
      [KEY_VALUE_STORE, ADMIN],
      `this is where servers connect (my_paxos); clients connect to ${config.clientAddress} (my_addr)`,
    ),
  };
}
