/**
 * The unary calls of the service MultiPaxos: what an operator may ask a server's Paxos port by hand, and the client calls as
 * one server forwards them to another. The stream of the protocol itself is the network adapter's.
 */
import { EMPTY_BYTES } from "../base/bytes.js";
import { utf8Decode, utf8Encode } from "../base/utf8.js";
import { metadataGet } from "../grpc/metadata.js";
import type { UnaryHandler } from "../grpc/service.js";
import { GRPC_STATUS } from "../grpc/status.js";
import { address as addressOf } from "../paxos/ids.js";
import { ASKED_BY_SERVER, ELECT_WAIT_MS, type ElectOptions, electCoordinator, heirProblem } from "./elect.js";
import { decodeKeyValue, encodeGetResponse } from "./key-value-codec.js";

/** Ping, GetCoordinator and ElectCoordinator. */
export function multiPaxosHandlers(options: ElectOptions): { ping: UnaryHandler; getCoordinator: UnaryHandler; elect: UnaryHandler } {
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
      const problem = heirProblem(server.replicaStatus(), heir);
      if (problem !== null) {
        responder.fail(stream, problem.status, problem.text);
        return;
      }
      const waitMs = Math.min(ELECT_WAIT_MS, responder.deadlineMs(stream) ?? ELECT_WAIT_MS);
      const isAskedByServer = metadataGet(responder.metadata(stream), ASKED_BY_SERVER) !== undefined;
      void electCoordinator(options, heir, { waitMs, isAskedByServer }).then((error) =>
        error === null ? responder.reply(stream, EMPTY_BYTES) : responder.fail(stream, error.status, error.text),
      );
    },
  };
}
