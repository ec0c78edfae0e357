/** What a message that leaves shows to have happened, by name: so a batch of seeds that never saw a case fails instead of proving nothing. */
import type { Message } from "./message.js";

/** The cases that `message` stands for; most messages stand for none. */
export function sightingsOf(message: Message): readonly string[] {
  switch (message.kind) {
    case "nack":
      return [`nack ${message.reason}`];
    case "propose":
      return [message.batch.kind === "noop" ? "noop" : "propose"];
    case "promise":
      return [
        ...(message.parts > 1 ? ["promiseInParts"] : []),
        ...(message.entries.some((entry) => entry.acceptedAt === "decided") ? ["decidedInPromise"] : []),
        ...(message.entries.some((entry) => entry.acceptedAt !== "decided") ? ["acceptedInPromise"] : []),
      ];
    case "prepare":
      return [message.handoverOf === null ? "prepare" : "prepareByHandover"];
    case "ping":
      return message.preVote ? ["preVote"] : [];
    case "catchUpReply":
    case "snapshotAck":
    case "readIndexReply":
    case "genesis":
      return [message.kind];
    default:
      return [];
  }
}
