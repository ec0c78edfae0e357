/**
 * What may be asked of one replica's step or message by itself: whom it waits for, whom it grants its support, under which identity it
 * speaks. Called by the checker of the whole protocol; remembers nothing.
 */
import { compareBallots, formatBallot } from "../../paxos/ballot.js";
import { isQuorum } from "../../paxos/configuration.js";
import type { Event } from "../../paxos/effect.js";
import { type Address, VIRGIN } from "../../paxos/ids.js";
import type { Header, Message, Pong } from "../../paxos/message.js";
import type { Durable } from "../../paxos/record.js";
import type { ReplicaState } from "../../paxos/replica.js";
import type { Candidate } from "../../paxos/state.js";
import { Violation } from "../observer.js";

/** A soft grant does not outlive the process that it was given to, as far as its giver knows (§2.2): what it would cost is the time of a take-over. */
export function checkGone({ grant, now, configurations, durable }: Readonly<ReplicaState>, gone: Address): void {
  const owner = configurations.at(-1)?.configuration.roster.find(({ replica }) => replica === grant?.owner);
  if (grant !== null && owner?.address === gone && grant.until > Math.max(now, grant.hardUntil)) {
    throw new Violation("gone", `replica ${durable.replica} waits for ${gone} although it knows that it is gone`);
  }
}

/** A voter supports every coordinator whose ballot is not below what it promised, unless it is quarantined (§1.3). */
export function checkPong({ okFor, promised, ballot }: Pong, isQuarantined: boolean): void {
  if (okFor !== (!isQuarantined && compareBallots(promised, ballot) <= 0)) {
    throw new Violation("pong", `who promised ${formatBallot(promised)} says that it is ${okFor ? "" : "not "}for ${formatBallot(ballot)}`);
  }
}

/** A grant to another is created and renewed by its Propose or Ping alone, and a grant's ballot never falls (38). */
export function checkGrant(before: ReplicaState["grant"], { grant, durable }: Readonly<ReplicaState>, event: Event): void {
  if (grant === null) {
    return;
  }
  const isAsked = event.kind === "receive" && (event.message.kind === "propose" || event.message.kind === "ping");
  if (grant.owner !== durable.replica && !isAsked) {
    throw new Violation("38", `replica ${durable.replica} grants ${formatBallot(grant.ballot)} its support, which nobody asked it for`);
  }
  if (before !== null && compareBallots(grant.ballot, before.ballot) < 0) {
    throw new Violation("38", `the grant of replica ${durable.replica} falls to ${formatBallot(grant.ballot)}`);
  }
}

/** A ballot is drawn when the last Pong of a pre-vote came in, by handover, or by a voter that needs nobody: so no server that cannot win raises it (§2.2). */
export function checkNomination(state: Readonly<ReplicaState>, { ballot, handoverOf }: Candidate, event: Event): void {
  const isAsked = event.kind === "receive" && event.message.kind === "pong";
  const configuration = state.configurations.at(-1)?.configuration;
  const isAlone = configuration !== undefined && isQuorum(configuration, (replica) => replica === state.durable.replica);
  if (handoverOf === null && !isAsked && !isAlone) {
    throw new Violation("pre-vote", `${formatBallot(ballot)} is drawn although no pre-vote was won`);
  }
}

/** Nobody speaks under an identity, or of a life, that is not on its disk (14; PROTOCOL §1.8). */
export function checkIdentity(synced: Durable, header: Header, message: Message): void {
  if (header.from !== VIRGIN && header.from !== synced.replica) {
    throw new Violation("14", `${message.kind} leaves under replica ${header.from}, but ${synced.replica} is on disk`);
  }
  if (message.kind === "hello" && (message.boot !== synced.boot || message.diskId !== synced.diskId)) {
    throw new Violation(
      "14",
      `Hello names life ${message.boot} of disk ${message.diskId}, but ${synced.boot} of ${synced.diskId} is on it`,
    );
  }
  if (message.kind === "genesisAck" && synced.replica === VIRGIN) {
    throw new Violation("14", "GenesisAck leaves before Genesis is on disk");
  }
}
