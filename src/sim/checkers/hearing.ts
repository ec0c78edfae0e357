/**
 * Whom the voters behind a coordinator hear, as it is told by their Pongs: a voter that one of them hears keeps its vote, for it can still
 * save the cluster (PROTOCOL §4.1). Kept for one life of one server, and asked when it proposes to take a vote. Knows nothing of the
 * autopilot's own watch. All times are by the clock of that server: by no other one can it know how old a Pong is.
 */
import { equalBallots } from "../../paxos/ballot.js";
import { type Configuration, isVoter } from "../../paxos/configuration.js";
import type { Event } from "../../paxos/effect.js";
import type { Micros, ReplicaId } from "../../paxos/ids.js";
import { currentConfiguration } from "../../paxos/log.js";
import type { WalRecord } from "../../paxos/record.js";
import type { ReplicaState } from "../../paxos/replica.js";
import { Violation } from "../observer.js";

const MICROS_A_MILLI = 1000;

export class Hearing {
  /** When a voter that supported the coordinator last said that it hears this one. */
  private readonly told = new Map<ReplicaId, Micros>();
  /** The newest Ping that this one answered. */
  private readonly newest = new Map<ReplicaId, number>();
  /** When this one answered the coordinator itself. */
  private readonly answered = new Map<ReplicaId, Micros>();

  /** After a step: what a Pong in time said. One that comes later than grants last is no support any more. */
  note(event: Event, state: Readonly<ReplicaState>): void {
    const { now: at, coordinator, options, peers } = state;
    if (event.kind !== "receive" || event.message.kind !== "pong" || coordinator === null) {
      return;
    }
    const { seq, ballot, okFor, hears } = event.message;
    const { from } = event.header;
    this.answered.set(from, at);
    if (seq < (this.newest.get(from) ?? 0)) {
      return; // it tells how it was
    }
    this.newest.set(from, seq);
    const isInTime = at - (peers.get(event.address)?.okSentAt ?? 0) <= options.grantMs * MICROS_A_MILLI;
    if (okFor && isInTime && equalBallots(ballot, coordinator.ballot) && isVoter(currentConfiguration(state), from)) {
      for (const replica of hears) {
        this.told.set(replica, at);
      }
    }
  }

  /**
   * It accepts a batch: as coordinator its own proposal, unless phase 1 found it with others. Who is a member under the configuration proposed,
   * and lost its vote, lost it to the autopilot.
   */
  check({ slot, batch }: Extract<WalRecord, { kind: "accept" }>, state: Readonly<ReplicaState>): void {
    const { coordinator } = state;
    if (batch.kind === "configuration" && coordinator !== null && slot > coordinator.recovered) {
      this.checkTaken(batch.configuration, state);
    }
  }

  private checkTaken(next: Configuration, state: Readonly<ReplicaState>): void {
    const at = state.now;
    const { minVoters, removeAfterMs, suspectMs } = state.options;
    const before = currentConfiguration(state);
    for (const voter of before.voters) {
      const isSuspended = !isVoter(next, voter) && next.roster.some(({ replica }) => replica === voter);
      if (isSuspended && next.voters.length < minVoters) {
        throw new Violation("removal", `replica ${voter} is to lose its vote, and the autopilot is to leave ${minVoters}`);
      }
      const isSilent = this.since(this.answered, voter, at) > suspectMs * MICROS_A_MILLI;
      if (isSuspended && isSilent && this.since(this.told, voter, at) < (removeAfterMs / 2) * MICROS_A_MILLI) {
        throw new Violation("removal", `replica ${voter} is to lose its vote, and a voter that supports the coordinator hears it`);
      }
    }
  }

  private since(times: ReadonlyMap<ReplicaId, Micros>, replica: ReplicaId, at: Micros): number {
    return at - (times.get(replica) ?? Number.NEGATIVE_INFINITY);
  }
}
