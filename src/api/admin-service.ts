/** The service synod.Admin: what `synod status` shows, from memory, at any time. It changes nothing. */
import { create, toBinary } from "@bufbuild/protobuf";
import { StatusResponseSchema } from "../gen/admin_pb.js";
import type { UnaryHandler } from "../grpc/service.js";
import { formatBallot } from "../paxos/ballot.js";
import type { ServerStatus } from "../server/status.js";

/** Status, from `statusOf`; `memoryBytes` is the resident memory of the process. */
export function statusHandler(statusOf: () => ServerStatus, memoryBytes: () => number): UnaryHandler {
  return (_message, responder, stream) => {
    responder.reply(stream, encodeStatus(statusOf(), memoryBytes()));
  };
}

/** The status as a StatusResponse. */
export function encodeStatus(status: ServerStatus, memoryBytes: number): Uint8Array {
  const { replica, store } = status;
  const founded = replica.role !== "founding";
  const response = create(StatusResponseSchema, {
    version: status.version,
    clientAddress: status.clientAddress,
    paxosAddress: status.paxosAddress,
    replicaId: BigInt(replica.replica),
    clusterId: founded ? replica.clusterId.toString(16).padStart(16, "0") : "",
    role: replica.role,
    ballot: formatBallot(replica.promised),
    coordinator: replica.coordinator ?? "",
    decidedSlot: BigInt(replica.decided),
    appliedSlot: BigInt(status.applied),
    lag: BigInt(Math.max(0, replica.highestKnownDecided - status.applied)),
    live: [...replica.live],
    voters: replica.voters.map((voter) => ({ replicaId: BigInt(voter.replica), paxosAddress: voter.address, live: voter.live })),
    revision: BigInt(store.revision),
    compactedRevision: BigInt(store.compactedRevision),
    keys: BigInt(store.keys),
    dataBytes: BigInt(store.dataBytes),
    quotaBytes: BigInt(store.quotaBytes),
    diskBytes: BigInt(status.diskBytes),
    memoryBytes: BigInt(memoryBytes),
    uptimeMs: BigInt(status.uptimeMs),
    dataDir: status.dataDir,
    blocked: status.blocked ?? "",
    warnings: [...status.warnings],
    snapshotSlot: BigInt(replica.snapshotSlot),
    stateHash: status.stateHash ?? "",
    members: replica.members.map((member) => ({
      replicaId: BigInt(member.replica),
      paxosAddress: member.address,
      clientAddress: member.clientAddress,
      kind: member.kind,
      electable: member.electable,
      live: member.live,
      ...(member.lag === null ? {} : { lag: BigInt(member.lag) }),
    })),
    boot: BigInt(replica.boot),
    failRate: status.failRate,
    removeAfterMs: BigInt(status.removeAfterMs),
    ...(replica.configuration === null ? {} : { configuration: configurationFields(replica.configuration) }),
  });
  return toBinary(StatusResponseSchema, response);
}

function configurationFields(configuration: NonNullable<ServerStatus["replica"]["configuration"]>) {
  const { epoch, slot, tieBreak, settled, unsettled } = configuration;
  return {
    epoch: BigInt(epoch),
    slot: BigInt(slot),
    tieBreak: BigInt(tieBreak),
    unsettled: unsettled.map((replica) => BigInt(replica)),
    ...(settled === null ? {} : { settled }),
  };
}
