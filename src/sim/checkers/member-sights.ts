/** What a step or an entry shows to have happened to the members, by name, for the gates of coverage. Pure. */
import type { Configuration } from "../../paxos/configuration.js";
import type { Effect, Event } from "../../paxos/effect.js";
import { isQuorumOf } from "../../paxos/invariants-configuration.js";
import type { ReplicaState } from "../../paxos/replica.js";

/** What one configuration entry did. */
export function changesBetween(before: Configuration, after: Configuration): readonly string[] {
  const newcomers = after.roster.filter(({ replica }) => replica >= before.nextReplicaId);
  const isGone = before.roster.some(({ replica }) => !after.roster.some((entry) => entry.replica === replica));
  return [
    ...(before.voters.length === after.voters.length ? [] : [`voters ${before.voters.length} to ${after.voters.length}`]),
    ...newcomers.map(({ address }) => (before.roster.some((entry) => entry.address === address) ? "wiped member joined" : "member joined")),
    ...(isGone ? ["member left"] : []),
    ...(before.tieBreak === after.tieBreak ? [] : ["tie-break moved"]),
  ];
}

/** Whether `acceptors` is exactly half of the voters, which the tie-break makes a quorum. */
export function isTie(configuration: Configuration, acceptors: ReadonlySet<number>): boolean {
  const { voters } = configuration;
  return (
    2 * voters.filter((voter) => acceptors.has(voter)).length === voters.length &&
    isQuorumOf(configuration, (voter) => acceptors.has(voter))
  );
}

/** What the autopilot did, and whoever waits for a change that is not settled. */
export function sightsOfStep(state: Readonly<ReplicaState>, event: Event, effects: readonly Effect[]): readonly string[] {
  const { membership, coordinator, now, options } = state;
  const sights: string[] = [];
  if (coordinator !== null && event.kind === "tick" && membership.requests.length > 0 && membership.settling?.isDone === false) {
    sights.push("change waits for the one before");
  }
  for (const effect of effects) {
    if (effect.kind !== "notice" || effect.code !== "autopilot") {
      continue;
    }
    if (!effect.text.includes("lost its vote")) {
      sights.push("vote given back");
      continue;
    }
    const limit = now - options.removeAfterMs * 1000;
    const isSilent = [...membership.watched.values()].some(({ absentSince }) => absentSince !== null && absentSince <= limit);
    sights.push(isSilent ? "vote lost by silence" : "vote lost by missing acknowledgements");
  }
  return sights;
}
