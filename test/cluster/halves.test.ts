/**
 * A network that falls into parts, servers on machines of their own, writers in every part: only one part accepts writes, however long
 * it lasts and whoever lost its vote meanwhile. Healed, all vote again and hold the same, and nothing acknowledged is lost.
 */
import assert from "node:assert/strict";
import { type Cluster, withCluster } from "../support/cluster.js";
import { CutNetwork } from "../support/cut-network.js";
import type { Load } from "../support/load.js";
import { networkTest } from "../support/own-network.js";
import type { ServerProcess } from "../support/server-process.js";
import { until } from "../support/wait.js";

const SETTINGS = { remove_after_ms: 1500, stable_ms: 500 };
const WRITERS = 4;
const PACE_MS = 10;
/** Acknowledged, or failed, before the next thing happens. */
const WRITES_A_STEP = 20;
/** Patience of a write in a part that cannot decide, ms. */
const HOPELESS_MS = 1000;

await networkTest(import.meta.url, "five servers, two of them cut off, and then a third: no second quorum", 120_000, async () => {
  const network = new CutNetwork(5);
  await withCluster({ size: 5, settings: SETTINGS, machines: network }, (cluster) => twoAndThree(cluster, network));
});

await networkTest(import.meta.url, "four servers in two halves: the one with the tie-break goes on, and it alone", 120_000, async () => {
  const network = new CutNetwork(4);
  await withCluster({ size: 4, settings: SETTINGS, machines: network }, (cluster) => twoHalves(cluster, network));
});

async function twoAndThree(cluster: Cluster, network: CutNetwork): Promise<void> {
  const coordinator = await cluster.awaitCoordinator();
  const [companion = -1, ...rest] = cluster.others(coordinator).map((server) => server.index);
  const minority = [coordinator, companion];
  const few = loadOf(cluster, minority, "few");
  const many = loadOf(cluster, rest, "many");
  await few.awaitAcknowledged(WRITES_A_STEP);
  await many.awaitAcknowledged(WRITES_A_STEP);

  // The coordinator is among the few, which would have to decide without the others.
  setWays(network, minority, rest, "cut");
  await awaitBlocked(cluster, minority);
  const acknowledged = few.acknowledged.size;
  const heir = cluster.serverAt((await cluster.awaitVoters(rest)).paxosAddress).index;
  await many.awaitAcknowledged(WRITES_A_STEP);

  // One of the three that vote now loses its way to both others, and so its vote; with the few it is a majority of the old five.
  const left = rest.filter((index) => index === heir);
  const [partner = -1, lost = -1] = rest.filter((index) => index !== heir);
  left.push(partner);
  setWays(network, [lost], left, "cut");
  await cluster.awaitVoters(left);
  setWays(network, [lost], minority, "mend");
  const three = [...minority, lost];
  for (const index of three) {
    await cluster.awaitStatus(index, "hears the two others that cannot decide", ({ live }) =>
      addressesOf(cluster, three).every((one) => live.includes(one)),
    );
  }
  for (const index of minority) {
    await cluster.awaitStatus(index, "knows from the third that it lost its vote", ({ role }) => role === "observer");
  }
  await awaitBlocked(cluster, three);
  const former = loadOf(cluster, [lost], "former", HOPELESS_MS);
  await awaitFailed(few, WRITES_A_STEP);
  await awaitFailed(former, WRITES_A_STEP);
  assert.equal(former.acknowledged.size, 0, "writes accepted by one that lost its vote");
  assert.equal(few.acknowledged.size, acknowledged, "writes accepted by a minority");
  await many.awaitAcknowledged(WRITES_A_STEP);

  await heal(cluster, network, [few, many, former]);
}

async function twoHalves(cluster: Cluster, network: CutNetwork): Promise<void> {
  const coordinator = await coordinatorBesideTie(cluster);
  const { configuration, members } = await cluster.statusOf(coordinator.index);
  const tie = members.find(({ replicaId }) => replicaId === configuration?.tieBreak);
  const tieBreak = cluster.serverAt(tie?.paxosAddress ?? "").index;
  const [one = -1, other = -1] = cluster.others(coordinator.index, tieBreak).map((server) => server.index);
  const half = [coordinator.index, one];
  const decisive = [tieBreak, other];
  const without = loadOf(cluster, half, "without");
  const within = loadOf(cluster, decisive, "within");
  await without.awaitAcknowledged(WRITES_A_STEP);
  await within.awaitAcknowledged(WRITES_A_STEP);

  setWays(network, half, decisive, "cut");
  await awaitBlocked(cluster, half);
  const acknowledged = without.acknowledged.size;
  await within.awaitAcknowledged(WRITES_A_STEP);
  await cluster.awaitVoters(decisive);
  await awaitFailed(without, WRITES_A_STEP);
  await within.awaitAcknowledged(WRITES_A_STEP);
  assert.equal(without.acknowledged.size, acknowledged, "writes accepted by the half without the tie-break");

  await heal(cluster, network, [without, within]);
}

/** A coordinator that does not break ties, so that the half that can go on has to elect one. */
async function coordinatorBesideTie(cluster: Cluster): Promise<ServerProcess> {
  const { configuration, replicaId } = await cluster.awaitVoters([...cluster.servers.keys()]);
  if (configuration?.tieBreak === replicaId) {
    await cluster.client().handover(undefined);
  }
  return cluster.server(await cluster.awaitCoordinator());
}

function loadOf(cluster: Cluster, indices: readonly number[], name: string, timeoutMs = HOPELESS_MS): Load {
  return cluster.load({ writers: WRITERS, name, paceMs: PACE_MS, timeoutMs, through: indices });
}

function addressesOf(cluster: Cluster, indices: readonly number[]): readonly string[] {
  return indices.map((index) => cluster.server(index).paxosAddress);
}

function setWays(network: CutNetwork, some: readonly number[], others: readonly number[], how: "cut" | "mend"): void {
  for (const one of some) {
    for (const other of others) {
      for (const [from, to] of [
        [one, other],
        [other, one],
      ] as const) {
        if (how === "cut") {
          network.cutWay(from, to);
        } else {
          network.mendWay(from, to);
        }
      }
    }
  }
}

async function awaitBlocked(cluster: Cluster, indices: readonly number[]): Promise<void> {
  for (const index of indices) {
    await cluster.awaitStatus(index, "is blocked", ({ blocked, role }) => blocked !== "" && role !== "coordinator");
  }
}

/** Waits until `more` writes of a part that cannot decide have failed. */
async function awaitFailed(load: Load, more: number): Promise<void> {
  const failed = (): number => load.refused.size + load.unknown.size;
  const goal = failed() + more;
  await until(`${more} failed writes`, () => (failed() >= goal ? true : null));
}

/** All ways are mended: all vote again, hold the same, and what any part acknowledged is there. */
async function heal(cluster: Cluster, network: CutNetwork, loads: readonly Load[]): Promise<void> {
  network.healAll();
  await cluster.awaitVoters([...cluster.servers.keys()]);
  await Promise.all(loads.map((load) => load.stop()));
  await cluster.awaitEqual();
  for (const load of loads) {
    await load.verifyContents(cluster.client());
  }
}
