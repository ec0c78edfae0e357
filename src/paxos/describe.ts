/**
 * Events and effects of a replica in the words of the protocol, one readable line each: for transcripts, traces and the
 * dump before a failed assertion stops a node. Pure; must never decide anything or hide a difference that matters.
 */
import { unreachable } from "../base/assert.js";
import { toHex } from "../base/bytes.js";
import { utf8Decode } from "../base/utf8.js";
import { formatBallot } from "./ballot.js";
import type { Batch } from "./batch.js";
import type { MembershipChange } from "./change.js";
import type { Configuration } from "./configuration.js";
import type { Effect, Event, PledgeSend } from "./effect.js";
import type { Address, ReplicaId, Slot } from "./ids.js";
import type { InformPart, Message, Ping, Pong, PromiseReply, SnapshotMeta } from "./message.js";
import type { WalRecord } from "./record.js";

/** How servers are called: "n1" in a transcript, their addresses in a log. */
export type Naming = {
  readonly address: (address: Address) => string;
  readonly replica: (replica: ReplicaId) => string;
  /** What a payload of commands asks for; null where this cannot be said. The protocol itself never looks into one. */
  readonly payload?: (payload: Uint8Array) => string | null;
};

/** Names for logs: the address itself, and replica 3 as "replica 3". */
export const PLAIN_NAMING: Naming = { address: (named) => named, replica: (replica) => `replica ${replica}` };

/** Longest payload shown as text, in characters. */
const TEXT_MAX = 40;
/** Digits of a digest or chain that are shown: enough to tell two apart in a dialogue. */
const HASH_DIGITS = 6;
/** Everything that would not print in one line, quotes included. */
const UNPRINTABLE = /[\p{C}"]/u;

/** One event, without its receiver: `receives prepare 2.2 from=1 from n2`. */
export function describeEvent(event: Event, naming: Naming): string {
  switch (event.kind) {
    case "start":
      return `starts, boot ${event.durable.boot}, promised ${formatBallot(event.durable.promised)}, decided hint ${event.durable.hint}`;
    case "receive":
      return `receives ${describeMessage(event.message, naming)} from ${naming.address(event.address)}`;
    case "tick":
      return `ticks at ${describeMicros(event.now)}`;
    case "persisted":
      return `has synced up to lsn ${event.lsn}`;
    case "propose":
      return `is asked to propose ${describeBatch(event.batch, naming)}`;
    case "read":
      return `is asked for read ${event.id}`;
    case "readCancel":
      return `is told that nobody waits for read ${event.id}`;
    case "connected":
      return `is connected to ${naming.address(event.address)}`;
    case "peerGone":
      return `finds ${naming.address(event.address)} gone`;
    case "space":
      return event.low ? "runs out of disk space" : "has disk space again";
    case "clockGap":
      return "finds a gap between its clocks";
    case "handover":
      return event.heir === null ? "is asked to hand over" : `is asked to hand over to ${naming.address(event.heir)}`;
    case "nominate":
      return "is asked to nominate itself";
    case "change":
      return `is asked to ${describeChange(event.change, naming)}`;
    case "snapshotTaken":
      return `has taken ${describeMeta(event.meta)}`;
    case "chunkStored":
      return `has stored chunk ${event.chunk} of snapshot ${event.index}`;
    case "snapshotLoaded":
      return event.ok ? `has loaded ${describeMeta(event.meta)}` : `finds snapshot ${event.meta.index} damaged`;
    case "checkpoint":
      return `has state ${event.stateHash.slice(0, HASH_DIGITS)} at checkpoint ${event.slot}`;
    default:
      return unreachable(event);
  }
}

/** One effect, without its replica: `persists promise 2.2, then sends prepare 2.2 from=1 to n1 n3`. */
export function describeEffect(effect: Effect, naming: Naming): string {
  switch (effect.kind) {
    case "send":
      return `sends ${describeMessage(effect.message, naming)} to ${describeAddresses(effect.to, naming)}`;
    case "persist":
      return describePersist(effect, naming);
    case "apply":
      return `decides slot ${effect.slot}: ${describeBatch(effect.batch, naming)}`;
    case "readReady":
      return `answers read ${effect.ids.join(" ")} at slot ${effect.index}`;
    case "refused":
      return `refuses ${describeBatch(effect.batch, naming)}`;
    case "coordination":
      return describeCoordination(effect, naming);
    case "handoverDone":
      return effect.heir === null ? "has no heir to hand over to" : `has handed over to ${naming.address(effect.heir)}`;
    case "changeDone":
      return effect.refusal === null
        ? `has changed the members, at slot ${effect.slot}`
        : `${effect.isOpen ? "does not know the outcome" : "changes nothing"}: ${effect.refusal}`;
    case "dial":
      return `dials ${naming.address(effect.address)}`;
    case "forget":
      return `forgets ${naming.address(effect.address)}`;
    case "takeSnapshot":
      return "needs a snapshot";
    case "sendChunk":
      return `sends chunk ${effect.chunk} of snapshot ${effect.index} to ${naming.address(effect.to)}`;
    case "receiveSnapshot":
      return `begins to receive ${describeMeta(effect.meta)}`;
    case "storeChunk":
      return `stores chunk ${effect.chunk} of snapshot ${effect.index}`;
    case "loadSnapshot":
      return `loads ${describeMeta(effect.meta)}`;
    case "trim":
      return `trims its log up to ${effect.slot}`;
    case "wake":
      return `wants a tick at ${describeMicros(effect.at)}`;
    case "notice":
      return `notices (${effect.level} ${effect.code}) ${effect.text}`;
    case "leaving":
      return "sends its clients to others, as it was removed";
    case "halt":
      return `halts: ${effect.text}`;
    default:
      return unreachable(effect);
  }
}

/** One message: `propose 2.2 slot=1 "x=1"`. */
export function describeMessage(message: Message, naming: Naming): string {
  switch (message.kind) {
    case "hello":
      return `hello boot=${message.boot} decided=${message.decided} list=[${describeAddresses(message.list, naming)}]`;
    case "ping":
      return describePing(message, naming);
    case "pong":
      return describePong(message, naming);
    case "prepare": {
      const handover = message.handoverOf === null ? "" : ` handoverOf=${formatBallot(message.handoverOf)}`;
      return `prepare ${formatBallot(message.ballot)} from=${message.from}${handover}`;
    }
    case "promise":
      return describePromise(message, naming);
    case "propose":
      return `propose ${formatBallot(message.ballot)} slot=${message.slot} ${describeBatch(message.batch, naming)}`;
    case "accepted":
      return `accepted ${formatBallot(message.ballot)} slot=${describeSlots(message.slots)}`;
    case "nack":
      return describeNack(message);
    case "inform":
      return describeInform(message.inform);
    case "handover":
      return `handover of ${formatBallot(message.ballot)}`;
    case "settleAck":
      return `settleAck epoch=${message.epoch} slot=${message.slot}`;
    default:
      return describeOtherMessage(message, naming);
  }
}

type OtherMessage = Exclude<
  Message,
  { kind: "hello" | "ping" | "pong" | "prepare" | "promise" | "propose" | "accepted" | "nack" | "inform" | "handover" | "settleAck" }
>;

function describeOtherMessage(message: OtherMessage, naming: Naming): string {
  switch (message.kind) {
    case "catchUp":
      return `catchUp from=${message.from}`;
    case "catchUpReply": {
      const entries = message.entries.map((batch, i) => `${message.from + i}: ${describeBatch(batch, naming)}`);
      return `catchUpReply decided=${message.decided} [${entries.join(", ")}]`;
    }
    case "snapshotOffer":
      return `snapshotOffer of ${describeMeta(message.meta)}`;
    case "snapshotRequest":
      return `snapshotRequest index=${message.index} chunk=${message.chunk}`;
    case "snapshotChunk":
      return `snapshotChunk index=${message.index} chunk=${message.chunk} of ${message.bytes.length} bytes`;
    case "snapshotAck":
      return `snapshotAck index=${message.index}`;
    case "forward":
      return `forward ${message.id} of ${naming.payload?.(message.payload) ?? `${message.payload.length} bytes`}`;
    case "forwardReply":
      return message.refused ? `forwardReply ${message.id} refused` : `forwardReply ${message.id} of ${message.payload.length} bytes`;
    case "readIndex":
      return `readIndex ${message.id}`;
    case "readIndexReply":
      return `readIndexReply ${message.id} ${formatBallot(message.ballot)} index=${message.index}`;
    case "genesis":
      return `genesis ${describeConfiguration(message.configuration, naming)}`;
    case "genesisAck":
      return "genesisAck";
    case "join":
      return `join of ${naming.address(message.address)}`;
    case "joinReply":
      return message.configuration === null
        ? `joinReply ${message.listed ? "listed with another disk" : "unknown"}`
        : `joinReply ${describeConfiguration(message.configuration, naming)}`;
    case "change":
      return `change ${message.id} ${describeChange(message.change, naming)}`;
    case "changeReply":
      return message.refusal === null
        ? `changeReply ${message.id} slot=${message.slot}`
        : `changeReply ${message.id} refused: ${message.refusal}`;
    default:
      return unreachable(message);
  }
}

/** What goes to the log: `accept 2.2 slot=1 "x=1"`. */
export function describeRecord(record: WalRecord, naming: Naming): string {
  switch (record.kind) {
    case "boot":
      return `boot ${record.boot}`;
    case "identity":
      return `identity ${naming.replica(record.replica)} of ${describeConfiguration(record.configuration, naming)}`;
    case "promise":
      return `promise ${formatBallot(record.ballot)}`;
    case "accept":
      return `accept ${formatBallot(record.ballot)} slot=${record.slot} ${describeBatch(record.batch, naming)}`;
    case "learn":
      return `learn slot=${record.slot} ${describeBatch(record.batch, naming)}`;
    case "decided":
      return `decided ${record.slot}`;
    case "snapshot":
      return describeMeta(record.meta);
    case "snapshotInstalled":
      return `installed ${describeMeta(record.meta)}`;
    case "trim":
      return `trim ${record.slot}`;
    default:
      return unreachable(record);
  }
}

/** The text in quotes where the payload prints, else its size and the beginning of its digest. */
export function describeBatch(batch: Batch, naming: Naming): string {
  switch (batch.kind) {
    case "noop":
      return "no-op";
    case "configuration":
      return describeConfiguration(batch.configuration, naming);
    case "commands": {
      const told = naming.payload?.(batch.payload) ?? null;
      if (told !== null) {
        return told;
      }
      const text = batch.payload.length <= TEXT_MAX ? utf8Decode(batch.payload) : undefined;
      return text === undefined || UNPRINTABLE.test(text)
        ? `${batch.payload.length} bytes #${toHex(batch.payload.subarray(0, 4))}${batch.digest.slice(0, HASH_DIGITS)}`
        : `"${text}"`;
    }
    default:
      return unreachable(batch);
  }
}

/** `configuration 2 {n1* n2 n3}`, the star on the tie-break. */
export function describeConfiguration(configuration: Configuration, naming: Naming): string {
  const voters = configuration.voters.map((voter) => naming.replica(voter) + (voter === configuration.tieBreak ? "*" : ""));
  const observers = configuration.roster
    .filter(({ replica }) => !configuration.voters.includes(replica))
    .map(({ replica }) => naming.replica(replica));
  const beside = observers.length === 0 ? "" : ` and observers {${observers.join(" ")}}`;
  return `configuration ${configuration.epoch} {${voters.join(" ")}}${beside}`;
}

/** `promote n4`. */
export function describeChange(change: MembershipChange, naming: Naming): string {
  return change.kind === "join" ? `join ${naming.address(change.address)}` : `${change.kind} ${naming.replica(change.replica)}`;
}

export function describeAddresses(addresses: readonly Address[], naming: Naming): string {
  return addresses.map(naming.address).join(" ");
}

function describePersist(effect: Extract<Effect, { kind: "persist" }>, naming: Naming): string {
  const records = effect.records.map((record) => describeRecord(record, naming)).join(" and ");
  const sends = effect.thenSend.map((send) => describePledge(send, naming)).join("; ");
  if (effect.records.length === 0) {
    return `sends behind its log ${sends}`;
  }
  return effect.thenSend.length === 0 ? `persists ${records}` : `persists ${records}, then sends ${sends}`;
}

/** A pledge on its way: `accepted 2.2 slot=1 to n2`. */
export function describePledge(send: PledgeSend, naming: Naming): string {
  return `${describeMessage(send.message, naming)} to ${describeAddresses(send.to, naming)}`;
}

function describeCoordination(effect: Extract<Effect, { kind: "coordination" }>, naming: Naming): string {
  if (effect.active) {
    return `coordinates ${formatBallot(effect.ballot)}`;
  }
  return effect.coordinator === null
    ? "knows no coordinator"
    : `follows ${naming.address(effect.coordinator)} in ${formatBallot(effect.ballot)}`;
}

function describePing(ping: Ping, naming: Naming): string {
  const asks = ping.preVote ? " preVote" : "";
  const settling = ping.coordinator?.settling == null ? "" : `, settling ${ping.coordinator.settling}`;
  const coordinator = ping.coordinator === null ? "" : ` as coordinator, ${describeInform(ping.coordinator.inform)}${settling}`;
  return `ping ${ping.seq}${asks} decided=${ping.decided} hears={${describeReplicas(ping.hears, naming)}}${coordinator}`;
}

function describePong(pong: Pong, naming: Naming): string {
  const words = [
    `pong ${pong.seq}`,
    pong.okFor ? `ok for ${formatBallot(pong.ballot)}` : `not ok for ${formatBallot(pong.ballot)}`,
    `promised=${formatBallot(pong.promised)}`,
    `granting=${pong.granting === null ? "none" : formatBallot(pong.granting)}`,
    `decided=${pong.decided}`,
    `hears={${describeReplicas(pong.hears, naming)}}`,
  ];
  return pong.diskOk ? words.join(" ") : `${words.join(" ")} disk stalled`;
}

function describePromise(promise: PromiseReply, naming: Naming): string {
  const entries = promise.entries.map(
    ({ slot, acceptedAt, batch }) =>
      `${slot}: ${acceptedAt === "decided" ? "decided" : formatBallot(acceptedAt)} ${describeBatch(batch, naming)}`,
  );
  const part = promise.parts === 1 ? "" : ` part=${promise.part + 1}/${promise.parts}`;
  return `promise ${formatBallot(promise.ballot)} decided=${promise.decided}${part} accepted=[${entries.join(", ")}]`;
}

function describeNack(nack: Extract<Message, { kind: "nack" }>): string {
  const about = nack.slot === 0 ? "prepare" : `slot=${nack.slot}`;
  return `nack ${formatBallot(nack.ballot)} ${about} ${nack.reason} promised=${formatBallot(nack.promised)} decided=${nack.decided}`;
}

function describeInform(inform: InformPart): string {
  return `inform ${formatBallot(inform.ballot)} decided=${inform.decided}`;
}

function describeMeta(meta: SnapshotMeta): string {
  return `snapshot ${meta.index} (${meta.chunks} chunks)`;
}

/** `1`, `1-4` or `1,3,4`. */
function describeSlots(slots: readonly Slot[]): string {
  const [first] = slots;
  const run = first !== undefined && slots.length > 1 && slots.every((slot, i) => slot === first + i);
  return run ? `${first}-${first + slots.length - 1}` : slots.join(",");
}

function describeReplicas(replicas: readonly ReplicaId[], naming: Naming): string {
  return replicas.map(naming.replica).join(" ");
}

function describeMicros(now: number): string {
  return `${Math.round(now / 1000)}ms`;
}
