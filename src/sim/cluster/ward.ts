/**
 * What is asked of the servers that are not left behind: who of them must be well, and when their membership has come to rest: whoever
 * came back is a member, the autopilot has given each its vote, and nobody votes who is gone.
 */
import type { Address, ReplicaId } from "../../paxos/ids.js";
import type { Scenario } from "../scenario/scenario.js";
import type { Clients } from "../workload/clients.js";
import { isWhole } from "./census.js";
import type { Cluster } from "./cluster.js";
import type { Machine } from "./machine.js";

/** `left`: who is dead or cut off for good. */
export type Ward = {
  readonly cluster: Cluster;
  readonly scenario: Scenario;
  readonly clients: Clients;
  readonly left: readonly number[];
};

/** The longest that the autopilot lets somebody wait for its vote, however often it lost it; PROTOCOL, section 0. */
const STABLE_MS_MAX = 300_000;
/** Starts, joins, snapshots, and a change with its election and its settling. */
const REST_SLACK_MS = 20_000;
const CHANGE_MS = 1500;

/** The servers that must be well: those with a whole disk that are members by now. */
export function coreOf({ cluster, scenario, left }: Ward): readonly number[] {
  if (scenario.held.length > 0) {
    return scenario.core;
  }
  return cluster.machines
    .filter((machine) => !left.includes(machine.index) && isWhole(machine) && cluster.census.isMember(machine.index))
    .map(({ index }) => index);
}

export function startAll({ cluster, left }: Ward): void {
  for (const machine of cluster.machines) {
    if (!left.includes(machine.index)) {
      machine.start();
    }
  }
}

/** Whoever is no member, and knows none of them any more, is told of some by its operator: an empty disk alone, for others cannot. */
export function introduce({ cluster, left }: Ward): void {
  const { census, members, machines } = cluster;
  const reachable = machines
    .filter(({ index }) => !left.includes(index) && census.isMember(index))
    .map(({ index }) => census.addressOf(index));
  for (const machine of machines) {
    const { index, contacts, unusable } = machine;
    const isLost = census.identityOf(index) === 0 && !contacts.some((contact) => reachable.some((address) => address === contact));
    if (unusable === null && isLost) {
      machine.kill();
      machine.joinThrough(members.filter((address) => address !== census.addressOf(index)));
    }
  }
}

/** What is not at rest yet, for a person; null when all is. */
export function restlessness({ cluster, scenario, left }: Ward): string | null {
  const { census, machines, protocol } = cluster;
  const { configuration } = census;
  if (configuration === undefined || protocol.proposedConfigurations.length > 0) {
    return "a change is under way";
  }
  const survivors = machines.filter(({ index, unusable }) => !left.includes(index) && unusable === null && !census.isRemoved(index));
  const stranger = survivors.find(({ index }) => !census.isMember(index));
  if (stranger !== undefined) {
    return `n${stranger.index + 1} has not joined`;
  }
  if (scenario.settings.removeAfterMs === 0) {
    return null;
  }
  const electable = (replica: ReplicaId): boolean => configuration.roster.some((entry) => entry.replica === replica && entry.electable);
  const waiting = survivors.find(({ index }) => electable(census.identityOf(index)) && !census.isVoter(index));
  if (waiting !== undefined) {
    return `n${waiting.index + 1} does not vote`;
  }
  const gone = configuration.voters.find((voter) => {
    const holder = machines.find(({ index }) => census.identityOf(index) === voter);
    return holder === undefined || (!survivors.includes(holder) && !mayKeepItsVote(cluster, holder));
  });
  return gone !== undefined && configuration.voters.length > scenario.settings.minVoters
    ? `replica ${gone} still votes, and is gone`
    : null;
}

/**
 * An acceptor that refuses everything follows all the same, and a coordinator needs no values from others. Whose disk hangs cannot say Hello
 * on a new stream: where it lost the one to the coordinator others may hear it still, and nobody knows better than that it is cut off.
 */
function mayKeepItsVote(cluster: Cluster, { index, isFailing, isStarved, isHung }: Machine): boolean {
  const coordinator = cluster.coordinator();
  const live = (): readonly Address[] => (coordinator === null ? [] : (cluster.server(coordinator)?.replicaStatus().live ?? []));
  return (
    isFailing ||
    (isStarved && coordinator === index) ||
    (isHung && coordinator !== null && !live().includes(cluster.census.addressOf(index)))
  );
}

/** How long that may take: each change waits for those before it, and whoever lost its vote often waits for long. Milliseconds. */
export function restMs({ cluster, scenario }: Ward): number {
  const { removeAfterMs, stableMs } = scenario.settings;
  let times = 1;
  for (const { server } of cluster.machines) {
    for (const flap of server?.replicaState.membership.flaps.values() ?? []) {
      times = Math.max(times, flap.times + 1);
    }
  }
  const stable = Math.min(stableMs * 2 ** Math.min(times, 16), Math.max(STABLE_MS_MAX, stableMs));
  return REST_SLACK_MS + 2 * removeAfterMs + 2 * stable + 2 * cluster.machines.length * (removeAfterMs / 2 + CHANGE_MS);
}
