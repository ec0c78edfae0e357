/**
 * What one seed of the explorer is made of: which faults exist and how often, how large the cluster and its limits are.
 * Each seed draws a few kinds at rates of its own (swarm testing, Groce et al., ISSTA 2012), so that rare combinations get their turn.
 */
import { nextChance, nextInt, type Prng } from "../../base/prng.js";

/** Rates are probabilities per occasion unless the name says otherwise; times are milliseconds of true time. */
export type Swarm = {
  readonly servers: number;
  /** Empty disks that must found a cluster, or a cluster that exists. */
  readonly virgin: boolean;
  readonly pingMs: number;
  readonly grantMs: number;
  readonly windowSlots: number;
  readonly keepSlots: number;
  /** Clock rates lie in 1 +- this. */
  readonly clockSkew: number;
  readonly loss: number;
  readonly duplication: number;
  readonly latencyMs: number;
  /** Messages that arrive LATE_MS_MAX later than the others. */
  readonly late: number;
  readonly syncMs: number;
  readonly diskStall: number;
  /** Per effect. */
  readonly crash: number;
  /** Of crashes: everything that was not synced is lost. */
  readonly losesAll: number;
  /** Of crashes: nobody notices, no connection is refused. */
  readonly silentCrash: number;
  readonly failRate: number;
  readonly corruptChunk: number;
  /** The disk refuses a received chunk. */
  readonly refusedChunk: number;
  /** Operations of the workload per second and what they are, by weight. */
  readonly operationsPerSecond: number;
  readonly weights: Readonly<Record<Operation, number>>;
  /** Bytes of each proposed payload. */
  readonly payloadBytes: number;
  readonly chaosMs: number;
  /** Servers that join the cluster; 0 and removeAfterMs 0: its members never change. */
  readonly spares: number;
  readonly removeAfterMs: number;
  readonly stableMs: number;
  readonly minVoters: number;
};

export type Operation =
  | "propose"
  | "proposeAnywhere"
  | "read"
  | "readCancel"
  | "snapshot"
  | "crash"
  | "crashCoordinator"
  | "crashAll"
  | "partition"
  | "replay"
  | "offCoordinator"
  | "heal"
  | "handover"
  | "nominate"
  | "falselyGone"
  | "reconnect"
  | "clockGap"
  | "space"
  | "change"
  | "removeCoordinator"
  | "wipe";

export const LATE_MS_MAX = 3000;
/** Payloads of which two do not fit into one part of a Promise. */
const BIG_PAYLOAD_BYTES = 700_000;

function pick<T>(prng: Prng, from: readonly T[]): T {
  return from[nextInt(prng, 0, from.length)] as T;
}

/** Draws the swarm of one seed. */
export function drawSwarm(prng: Prng): Swarm {
  const servers = pick(prng, [3, 3, 3, 3, 3, 3, 3, 4, 4, 4, 5, 5, 5, 5, 2, 2, 1]);
  const pingMs = pick(prng, [50, 100]);
  const isBig = nextChance(prng, 0.05);
  const still: Swarm = {
    servers,
    virgin: nextChance(prng, 0.2),
    pingMs,
    grantMs: pingMs * pick(prng, [4, 6]),
    windowSlots: isBig ? pick(prng, [1, 2]) : pick(prng, [1, 2, 4, 16]),
    keepSlots: pick(prng, [0, 1, 4, 1000]),
    clockSkew: pick(prng, [0, 0.02, 0.3]),
    loss: pick(prng, [0, 0, 0.02, 0.1, 0.3]),
    duplication: pick(prng, [0, 0.05, 0.3]),
    latencyMs: pick(prng, [0.2, 1, 5, 30]),
    late: pick(prng, [0, 0, 0.02, 0.15]),
    syncMs: pick(prng, [0.1, 1, 10, 50]),
    diskStall: pick(prng, [0, 0, 0.005]),
    crash: pick(prng, [0, 0.0005, 0.002, 0.01]),
    losesAll: pick(prng, [0, 0.7]),
    silentCrash: pick(prng, [0, 0.3, 1]),
    failRate: pick(prng, [0, 0, 0.3]),
    corruptChunk: pick(prng, [0, 0.2]),
    refusedChunk: pick(prng, [0, 0, 0.2]),
    operationsPerSecond: isBig ? 30 : pick(prng, [40, 150]),
    weights: drawWeights(prng),
    payloadBytes: isBig ? BIG_PAYLOAD_BYTES : 0,
    chaosMs: pick(prng, [1500, 3000, 6000]),
    spares: 0,
    removeAfterMs: 0,
    stableMs: 300,
    minVoters: 1,
  };
  return nextChance(prng, 0.6) ? withChanges(prng, still) : still;
}

/** The same with members that come, go, and lose their disks. */
function withChanges(prng: Prng, still: Swarm): Swarm {
  const sometimes = (weight: number): number => (nextChance(prng, 0.6) ? weight : 0);
  return {
    ...still,
    spares: pick(prng, [0, 1, 1, 2]),
    removeAfterMs: pick(prng, [0, 300, 600, 1500]),
    stableMs: pick(prng, [50, 200, 800]),
    minVoters: pick(prng, [1, 1, 1, 2, 3]),
    weights: {
      ...still.weights,
      change: sometimes(pick(prng, [1, 4])),
      removeCoordinator: sometimes(pick(prng, [0.3, 1])),
      wipe: sometimes(pick(prng, [0.3, 1])),
    },
    chaosMs: pick(prng, [3000, 6000, 10_000]),
  };
}

function drawWeights(prng: Prng): Swarm["weights"] {
  const sometimes = (weight: number): number => (nextChance(prng, 0.5) ? weight : 0);
  return {
    propose: 40,
    proposeAnywhere: 1,
    read: 15,
    readCancel: sometimes(1),
    snapshot: sometimes(pick(prng, [1, 6])),
    crash: sometimes(pick(prng, [1, 3])),
    crashCoordinator: sometimes(pick(prng, [0.5, 2])),
    crashAll: sometimes(0.2),
    partition: sometimes(pick(prng, [0.4, 1.5, 4])),
    replay: sometimes(pick(prng, [2, 30])),
    offCoordinator: sometimes(pick(prng, [0.5, 2])),
    heal: pick(prng, [0.5, 2]),
    handover: sometimes(0.6),
    nominate: sometimes(pick(prng, [0.6, 5])),
    falselyGone: sometimes(pick(prng, [0.4, 4])),
    reconnect: sometimes(1),
    clockGap: sometimes(0.3),
    space: sometimes(0.5),
    change: 0,
    removeCoordinator: 0,
    wipe: 0,
  };
}

/** One operation, by the weights. */
export function drawOperation(prng: Prng, weights: Swarm["weights"]): Operation {
  const entries = Object.entries(weights) as Array<[Operation, number]>;
  const total = entries.reduce((sum, [, weight]) => sum + weight, 0);
  let left = (nextInt(prng, 0, 1_000_000) / 1_000_000) * total;
  for (const [operation, weight] of entries) {
    left -= weight;
    if (left < 0) {
      return operation;
    }
  }
  return "propose";
}
