/**
 * A scenario out of a seed. Each seed draws which kinds of faults exist and how rough they are, how large the cluster and its
 * limits are, and what the clients do (swarm testing, Groce et al., ISSTA 2012), so that rare combinations get their turn.
 */
import { nextChance, nextInt, type Prng, seedPrng, splitPrng } from "../../base/prng.js";
import { SESSIONS_MAX } from "../../kv/limits.js";
import { drawFault } from "./draw-fault.js";
import { FAULT_KINDS, type Fault, type FaultKind } from "./faults.js";
import type { Frame } from "./frame.js";
import { pick, range, shuffled } from "./random.js";
import type { Scenario, Settings, Speeds, Workload } from "./scenario.js";
import { drawSchedule } from "./schedules.js";

/** What the caller fixes; what is left out is drawn. */
export type DrawOptions = {
  readonly servers?: number;
  /** How long faults go on; drawn from a quarter of it to the whole. Virtual minutes, default 1. */
  readonly minutes?: number;
  /** The kinds that may exist. */
  readonly faults?: readonly FaultKind[];
};

/** One seed in so many runs long. */
const LONG_EVERY = 10;
export const LONG_MINUTES = 20;
/** One seed in so many is a named schedule. */
const SCHEDULE_EVERY = 5;
/** How likely a majority is lost for good at the end, so that nothing may be decided any more. */
const BLOCKED_CHANCE = 0.05;
/** How likely the core of an even number of servers is the half with the tie-break, or what is left the half without it. */
const TIE_CHANCE = 0.3;
/** The server that has the tie-break from the founding on (PROTOCOL §1.2). */
const TIE_BREAK = 0;
/** How likely a crowd of clients asks as much as a few do, but all at once when they had to wait, on so many keys that their index has several leaves. */
const CROWD_CHANCE = 0.08;
/** Of seeds whose clients have sessions of their own. */
const SESSIONS_CHANCE = 0.3;
/** Commands that may be under way at once, at least: with fewer a crowd asks for more than the slowest links let through, for ever. */
const CROWD_WINDOW_MIN = 16;
const CROWD = { clients: 40, pauseMs: 800, keys: 170 } as const;
const MINUTE_MS = 60_000;

type Autopilot = Pick<Settings, "removeAfterMs" | "stableMs" | "minVoters">;
const NO_AUTOPILOT: Autopilot = { removeAfterMs: 0, stableMs: 3000, minVoters: 1 };
/** How likely servers may be added, and on how many machines. */
const SPARES_CHANCE = 0.35;
const SPARES_MAX = 2;
/** How likely the autopilot is on. */
const AUTOPILOT_CHANCE = 0.8;

/** The scenario of `seed`; the same for the same options. */
export function drawScenario(seed: number, options: DrawOptions = {}): Scenario {
  const prng = seedPrng(seed);
  const frame = drawFrame(splitPrng(prng), seed, options);
  const drawn = drawSettings(splitPrng(prng), frame);
  const speeds = drawSpeeds(splitPrng(prng));
  const workload = drawWorkload(splitPrng(prng), frame, drawn);
  const everyday = { ...drawn, sessionsMax: Math.max(drawn.sessionsMax, sessionsNeeded(frame, workload)) };
  const scenario: Scenario = {
    name: "swarm",
    seed,
    servers: frame.servers,
    spares: frame.spares,
    durationMs: frame.durationMs,
    settings: { ...everyday, ...NO_AUTOPILOT },
    speeds,
    workload,
    faults: drawFaults(splitPrng(prng), frame, options.faults ?? FAULT_KINDS),
    held: [],
    ...drawCore(splitPrng(prng), frame),
  };
  const ofSchedule = splitPrng(prng);
  const base = { ...scenario, settings: { ...everyday, ...drawAutopilot(splitPrng(prng), everyday) } };
  return seed % SCHEDULE_EVERY === 0 && !frame.isLong && options.faults === undefined ? drawSchedule(ofSchedule, base) : base;
}

/** Sessions in use at a time: one of each server, and of each client where they have their own, those of the healing included. With fewer they oust each other for ever. */
function sessionsNeeded({ servers, spares }: Frame, { clients, sessions }: Workload): number {
  return servers + 1 + (sessions ? servers + spares + clients : 0);
}

function drawFrame(prng: Prng, seed: number, options: DrawOptions): Frame {
  const isLong = seed % LONG_EVERY === 7 && options.minutes === undefined;
  const servers = options.servers ?? (isLong ? pick(prng, [3, 3, 4, 5]) : pick(prng, [1, 2, 3, 3, 3, 3, 3, 4, 4, 5, 5, 5, 6, 7]));
  const minutes = isLong ? LONG_MINUTES : (options.minutes ?? 1);
  const quarters = isLong ? 4 : pick(prng, [1, 2, 4]);
  const most = Math.ceil(servers / 2) - 1;
  const count = nextChance(prng, 0.35) && most > 0 ? nextInt(prng, 1, most + 1) : 0;
  return {
    servers,
    durationMs: Math.round((minutes * MINUTE_MS * quarters) / 4),
    isLong,
    pingMs: isLong ? pick(prng, [400, 800]) : pick(prng, [50, 100, 200, 200, 400]),
    sacrificed: shuffled(prng, range(servers)).slice(0, count),
    spares: nextChance(prng, SPARES_CHANCE) ? nextInt(prng, 1, SPARES_MAX + 1) : 0,
  };
}

/** Off in some seeds; else so impatient that voters come and go in every minute. */
function drawAutopilot(prng: Prng, { grantMs }: Pick<Settings, "grantMs">): Autopilot {
  return nextChance(prng, AUTOPILOT_CHANCE)
    ? {
        removeAfterMs: grantMs * pick(prng, [2, 3, 3, 6]),
        stableMs: pick(prng, [0, grantMs, 2 * grantMs, 3000]),
        minVoters: pick(prng, [1, 1, 1, 2, 3]),
      }
    : NO_AUTOPILOT;
}

function drawSettings(prng: Prng, { pingMs, servers }: Frame): Omit<Settings, keyof Autopilot> {
  const grantMs = pingMs * pick(prng, [4, 6, 6]);
  return {
    pingMs,
    grantMs,
    suspectMs: grantMs,
    failRate: pick(prng, [0, 0, 0, 0.05, 0.3]),
    windowSlots: pick(prng, [1, 2, 4, 16, 64]),
    batchMaxCommands: pick(prng, [1, 2, 10, 1000]),
    keepSlots: pick(prng, [0, 1, 8, 64, 1000]),
    snapshotEverySlots: pick(prng, [5, 20, 50, 100, 1000]),
    snapshotEveryBytes: pick(prng, [64 * 1024, 1024 * 1024]),
    historyMaxAgeMs: pick(prng, [0, 500, 5000, 600_000]),
    historyMaxBytes: pick(prng, [0, 2000, 256 * 1024 * 1024]),
    quotaBytes: pick(prng, [64 * 1024, 1024 * 1024 * 1024, 1024 * 1024 * 1024, 1024 * 1024 * 1024]),
    segmentBytes: pick(prng, [32 * 1024, 64 * 1024, 64 * 1024, 128 * 1024]),
    // Each life of a server takes one: few enough, and those of former lives and of idle servers expire.
    sessionsMax: pick(prng, [SESSIONS_MAX, SESSIONS_MAX, SESSIONS_MAX, servers + 1]),
  };
}

function drawSpeeds(prng: Prng): Speeds {
  const link = pick(prng, [100, 100, 500, 2000, 20_000]);
  const disk = pick(prng, [20, 50, 200, 2000, 10_000]);
  return { linkMin: link, linkMax: link * pick(prng, [1, 3]), diskMin: disk, diskMax: disk * pick(prng, [1, 4]) };
}

function drawWorkload(prng: Prng, { isLong }: Frame, settings: Omit<Settings, keyof Autopilot>): Workload {
  const clients = pick(prng, [1, 2, 3, 5, 8]);
  const workload: Workload = {
    clients,
    // Fifty requests a second at most: a seed is for faults, not for load.
    pauseMs: isLong ? 1000 * clients : pick(prng, [20, 60, 60, 200]) * clients,
    keys: pick(prng, [1, 2, 3, 6, 20]),
    valueBytes: pick(prng, [8, 8, 40, 300, 3000]),
    timeoutMs: pick(prng, [300, 1000, 5000]),
    retries: pick(prng, [0, 1, 3]),
    weights: {
      get: pick(prng, [1, 3, 6]),
      put: pick(prng, [1, 3, 6]),
      delete: pick(prng, [0, 1]),
      cas: pick(prng, [0, 1, 3]),
    },
    loyalty: pick(prng, [0, 0.5, 1]),
    abandon: pick(prng, [0, 0, 0.05]),
    sessions: false,
  };
  const isWide = settings.windowSlots * settings.batchMaxCommands >= CROWD_WINDOW_MIN;
  const drawn = !isLong && isWide && nextChance(prng, CROWD_CHANCE) ? { ...workload, ...CROWD } : workload;
  return { ...drawn, sessions: nextChance(prng, SESSIONS_CHANCE) };
}

/** Some kinds, each with a number of windows of its own. */
function drawFaults(prng: Prng, frame: Frame, kinds: readonly FaultKind[]): readonly Fault[] {
  const likelihood = pick(prng, [0.1, 0.25, 0.25, 0.5]);
  const calm = nextChance(prng, 0.03);
  const faults: Fault[] = [];
  for (const kind of kinds) {
    const own = splitPrng(prng);
    if (!calm && nextChance(own, likelihood)) {
      const perMinute = pick(own, [0.5, 1, 3, 8]) * (frame.isLong ? 0.3 : 1);
      const count = Math.max(1, Math.round((perMinute * frame.durationMs) / MINUTE_MS));
      for (let i = 0; i < count; i++) {
        const fault = drawFault(own, kind, frame);
        if (fault !== null) {
          faults.push(fault);
        }
      }
    }
  }
  return faults.sort((a, b) => a.at - b.at);
}

/** A quorum of servers whose disks are whole, often all of them; the others are lost to it in the healing. */
function drawCore(prng: Prng, { servers, sacrificed }: Frame): Pick<Scenario, "core" | "left"> {
  const whole = range(servers).filter((index) => !sacrificed.includes(index));
  const least = Math.floor(servers / 2) + 1;
  const isTie = servers % 2 === 0 && whole.includes(TIE_BREAK) && nextChance(prng, TIE_CHANCE);
  if (sacrificed.length === 0 && (servers > 2 || isTie) && nextChance(prng, BLOCKED_CHANCE)) {
    return { core: [], left: isTie ? tieBreakHalf(prng, servers, whole) : some(prng, whole, least) };
  }
  const size = nextChance(prng, 0.5) ? whole.length : nextInt(prng, Math.min(least, whole.length), whole.length + 1);
  const core = isTie ? tieBreakHalf(prng, servers, whole) : some(prng, whole, size);
  return { core, left: range(servers).filter((index) => !core.includes(index)) };
}

function some(prng: Prng, from: readonly number[], count: number): readonly number[] {
  return shuffled(prng, from)
    .slice(0, count)
    .sort((a, b) => a - b);
}

/** Exactly half of an even number of servers, which the tie-break makes a quorum. */
function tieBreakHalf(prng: Prng, servers: number, from: readonly number[]): readonly number[] {
  const others = from.filter((index) => index !== TIE_BREAK);
  return [TIE_BREAK, ...some(prng, others, servers / 2 - 1)];
}
