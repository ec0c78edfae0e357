/**
 * Who the members are in the world of the explorer, seen from above: which disks are left, who could still decide, and whom a healed
 * cluster must do with. Also how a cluster that exists already comes to be.
 */
import { assert, present } from "../../base/assert.js";
import { nextChance, nextInt } from "../../base/prng.js";
import type { MembershipChange } from "../change.js";
import { type Configuration, genesisConfiguration, isQuorum, isVoter, rosterEntry } from "../configuration.js";
import { clusterId, diskId, type ReplicaId, replicaId } from "../ids.js";
import { checkSynced, type History, lastDecided } from "../invariants.js";
import { applyRecord, durableDecided, type WalRecord } from "../record.js";
import type { Host, SimWorld } from "./sim-world.js";

/** The newest configuration that anybody ever decided; undefined before the founding. */
export function newestConfiguration(history: History): Configuration | undefined {
  return history.configurations.at(-1)?.configuration;
}

/** The id on the disk of `host`, 0 on an empty one. */
export function replicaOf(host: Host): ReplicaId {
  return host.server.disk.durable.replica;
}

/** Whether the server of `host` is a member of the newest configuration. */
export function isMember(world: SimWorld, host: Host): boolean {
  const configuration = newestConfiguration(world.history);
  return configuration !== undefined && rosterEntry(configuration, replicaOf(host)) !== undefined;
}

/**
 * Whether the disks of all but `lost` can go on: from the configuration that the best of them surely knows to the newest, each must
 * find a quorum among them. Whatever is lost beyond that no protocol makes up for.
 */
export function canGoOn(world: SimWorld, lost: ReadonlySet<Host>): boolean {
  const left = world.hosts.filter((host) => !host.isDead && !lost.has(host) && replicaOf(host) !== 0);
  const known = Math.max(0, ...left.map(({ server }) => durableDecided(server.disk.durable)));
  const { configurations } = world.history;
  const first = configurations.findLastIndex(({ from }) => from <= known + 1);
  return configurations
    .slice(Math.max(first, 0))
    .every(({ configuration }) => isQuorum(configuration, (voter) => left.some((host) => replicaOf(host) === voter)));
}

/** A cluster without a single listed server that knows it would be founded anew by empty disks: the manual warns of it. */
function isKnownToListed(world: SimWorld, lost: Host): boolean {
  return world.hosts.some((host) => host !== lost && !host.isDead && host.index < world.swarm.servers && replicaOf(host) !== 0);
}

/** The disk of `host` is lost, and it starts on an empty one; false where the cluster could not make up for it. */
export function wipe(world: SimWorld, host: Host): boolean {
  const wasMember = replicaOf(host) !== 0;
  if (host.isDead || lastDecided(world.history) === 0 || !canGoOn(world, new Set([host])) || !isKnownToListed(world, host)) {
    return false;
  }
  world.crash(host);
  replaceDisk(world, host);
  world.count(wasMember ? "wiped" : "wipedEmpty");
  return true;
}

function replaceDisk(world: SimWorld, host: Host): void {
  assert(host.server.state === null, "a disk is replaced while its server is down");
  host.disks++;
  const disk = diskId((host.disks * 100 + host.index + 1).toString(16).padStart(32, "0"));
  world.say(() => `n${host.index + 1} has an empty disk`);
  const { seed } = host.server.options;
  host.server = host.server.replaced({ ...host.server.options, seed: seed + 1000 }, disk);
}

/** The server of `host` said that it must stop: it comes back on the same disk, or on an empty one. */
export function halted(world: SimWorld, host: Host): void {
  world.count("halt");
  if (!world.removals.has(replicaOf(host))) {
    world.count("ousted"); // by a Join that was passed on late, to a coordinator that had not heard of this disk in its life
  }
  world.stop(host);
  if (!world.calm) {
    const isWiped = nextChance(world.work, 0.6);
    world.heap.push(world.time + nextInt(world.work, 10_000, 800_000), () => {
      if (host.server.state === null && !world.calm) {
        if (isWiped && canGoOn(world, new Set([host])) && isKnownToListed(world, host)) {
          replaceDisk(world, host);
        }
        world.start(host);
      }
    });
  }
}

/** A change that an operator might ask for. */
export function drawChange(world: SimWorld): MembershipChange | null {
  const { work, history } = world;
  const configuration = newestConfiguration(history);
  if (configuration === undefined) {
    return null;
  }
  const replica = present(configuration.roster[nextInt(work, 0, configuration.roster.length)], "a configuration has members").replica;
  const kind = nextInt(work, 0, 10);
  if (kind < 3) {
    return configuration.voters.length > 1 || nextChance(work, 0.1) ? { kind: "remove", replica } : null;
  }
  return kind < 7 ? { kind: "promote", replica } : { kind: "moveTieBreak", replica };
}

/** The disks of a cluster that was founded and has drawn no ballot yet. */
export function foundQuickly(history: History, founders: readonly Host[]): void {
  const members = founders.map(({ server }) => ({ address: server.address, diskId: server.disk.durable.diskId }));
  const configuration = genesisConfiguration(members);
  for (const { server, index } of founders) {
    const identity: WalRecord = {
      kind: "identity",
      clusterId: clusterId(7n),
      lineage: { number: 1, random: 7n },
      replica: replicaId(index + 1),
      configuration,
    };
    applyRecord(server.disk.durable, identity);
    checkSynced(history, { address: server.address, replica: replicaId(index + 1) }, identity);
  }
}

/** Who must work again: all, or those that can go on without the others, which are dead for good; and sometimes only one reaches the others. */
export function chooseCore(world: SimWorld): void {
  const { faults, hosts } = world;
  const isFounded = hosts.some(({ server }) => server.disk.durable.promised.round > 0);
  if (newestConfiguration(world.history) === undefined || !isFounded || nextChance(faults, 0.4)) {
    return;
  }
  const dead = new Set(hosts.filter(() => nextChance(faults, 0.4)));
  const left = hosts.filter((host) => !dead.has(host));
  if (left.some(({ server }) => server.disk.durable.promised.round > 0) && canGoOn(world, dead)) {
    world.count(dead.size > 0 ? "minorityDead" : "nobodyDead");
    world.core = left;
    for (const host of dead) {
      world.crash(host);
      host.isDead = true;
    }
  }
  if (nextChance(faults, 0.4)) {
    const able = world.core.filter((host) => canCoordinate(world, host));
    if (able.length > 0) {
      world.count("star");
      world.center = present(able[nextInt(faults, 0, able.length)], "somebody is able");
      world.network.cutToStar(world.center.index);
    }
  }
}

/** Whether `host` votes in the newest configuration. */
export function canCoordinate(world: SimWorld, host: Host): boolean {
  const configuration = newestConfiguration(world.history);
  return configuration !== undefined && isVoter(configuration, replicaOf(host));
}

/** Whether the autopilot has done its work: no voter that is dead is left that it may, and can, take the vote from. */
export function areVotesRight(world: SimWorld): boolean {
  const configuration = newestConfiguration(world.history);
  const { removeAfterMs, minVoters } = world.swarm;
  if (configuration === undefined || removeAfterMs === 0 || world.center !== null || configuration.voters.length <= minVoters) {
    return true;
  }
  return configuration.voters.every((voter) => world.core.some((host) => replicaOf(host) === voter && host.server.state !== null));
}

/** Whether each empty disk is a member by now, unless it knows no address of one. */
export function haveAllJoined(world: SimWorld): boolean {
  const { core, center } = world;
  const isUp = (host: Host): boolean => host.server.state !== null;
  const knows = ({ server }: Host, other: Host): boolean =>
    server.options.list.includes(other.server.address) || server.options.join.includes(other.server.address);
  return core.every((host) => {
    const isWaiting = isUp(host) && replicaOf(host) === 0;
    return !isWaiting || center !== null || !core.some((other) => isUp(other) && isMember(world, other) && knows(host, other));
  });
}
