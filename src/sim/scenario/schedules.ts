/**
 * Named schedules: what a random swarm meets too seldom, written by hand (PROTOCOL §7.3). Each takes a drawn scenario, whose
 * settings, speeds and clients it keeps, and gives it faults of its own.
 */
import { present } from "../../base/assert.js";
import { nextChance, nextInt, type Prng } from "../../base/prng.js";
import type { Boundary } from "../engine/host.js";
import type { Fault } from "./faults.js";
import { MEMBER_SCHEDULES } from "./member-schedules.js";
import { pick, range, shuffled } from "./random.js";
import type { Scenario } from "./scenario.js";
import { SHARP_SCHEDULES } from "./sharp-schedules.js";

type Plan = Partial<
  Pick<Scenario, "servers" | "spares" | "durationMs" | "faults" | "held" | "core" | "left" | "settings" | "speeds" | "workload">
>;
type Schedule = (base: Scenario, prng: Prng) => Plan;

/** Until a cluster has founded itself and elected; a schedule's first fault comes after it. Milliseconds. */
const SETTLED_MS = 3000;
/** A time that is never over. */
const FOREVER_MS = 1e9;

const MIB = 1024 * 1024;

const both = (a: number, b: number, at: number): Fault[] => [
  { kind: "cut", at, forMs: FOREVER_MS, links: { from: [a], to: [b] } },
  { kind: "cut", at, forMs: FOREVER_MS, links: { from: [b], to: [a] } },
];

const whole = (servers: number): Pick<Scenario, "core" | "left"> => ({ core: range(servers), left: [] });

/** n faults one after another, `everyMs` apart, each made for its time. */
function inTurn(count: number, everyMs: number, make: (at: number, i: number) => Fault): Fault[] {
  return range(count).map((i) => make(SETTLED_MS + i * everyMs, i));
}

/** The same with so much state that a snapshot has many chunks, some of which are lost on their way. */
function awayFromMuch(base: Scenario, prng: Prng): Plan {
  const servers = range(3);
  return {
    servers: 3,
    durationMs: 26_000,
    settings: {
      ...base.settings,
      segmentBytes: 4 * MIB,
      snapshotEverySlots: 20,
      keepSlots: 4,
      historyMaxAgeMs: 500,
      quotaBytes: 1024 * MIB,
    },
    workload: { ...base.workload, clients: 3, valueBytes: 200_000, pauseMs: 600, keys: 20, weights: { get: 1, put: 4, delete: 0, cas: 0 } },
    faults: [
      ...inTurn(3, 7000, (at, i): Fault => ({ kind: "kill", at, forMs: 6000, server: i })),
      ...inTurn(
        3,
        7000,
        (at): Fault => ({
          kind: "drop",
          at: at + 5900,
          forMs: 1000,
          links: { from: servers, to: servers },
          chance: pick(prng, [0, 0.1, 0.4]),
        }),
      ),
      ...inTurn(
        3,
        7000,
        (at): Fault => ({ kind: "reset", at: at + 6000 + nextInt(prng, 5, 300), forMs: 0, links: { from: servers, to: servers } }),
      ),
    ],
    ...whole(3),
  };
}

const SCHEDULES: Readonly<Record<string, Schedule>> = {
  /** All links are gone except to one server, which reaches everybody: it must be elected (OmniPaxos, EuroSys 2023). */
  "quorum loss": (_base, prng) => {
    const order = shuffled(prng, range(5));
    return {
      servers: 5,
      durationMs: 15_000,
      faults: [],
      held: [{ kind: "star", at: SETTLED_MS, forMs: FOREVER_MS, order }],
      core: order.slice(0, 1),
      left: [],
    };
  },
  /**
   * The only server that reaches a quorum was away and lags: it must be elected all the same, although the others, whose disks were slow when
   * their links were lost, have accepted what nobody decided. It comes back while the coordinator that they had still offers it that, or when it no longer does.
   */
  "constrained election": (base, prng) => {
    const order = shuffled(prng, range(5));
    const late = present(order[0], "five servers");
    const others = order.slice(1);
    const lostAt = SETTLED_MS + 7900;
    const keepSlots = pick(prng, [0, 1000]);
    const { clients, weights } = base.workload;
    // By then a coordinator that lost its quorum has stepped down.
    const steppedDownMs = 2 * base.settings.grantMs + 1000;
    const returnsAt = lostAt + pick(prng, [100, steppedDownMs, steppedDownMs]);
    return {
      servers: 5,
      durationMs: 20_000,
      // It must keep its vote while it is away: without one nobody could be elected.
      settings: { ...base.settings, keepSlots, removeAfterMs: 0 },
      // Something is always under way, also when the links are lost.
      workload: { ...base.workload, pauseMs: 20 * clients, weights: { ...weights, put: 6 } },
      faults: [
        { kind: "split", at: SETTLED_MS, forMs: returnsAt - SETTLED_MS, groups: [[late], others] },
        ...others.map((server): Fault => ({ kind: "slow", at: lostAt - 900, forMs: 1000, server, byMs: 20 })),
      ],
      held: [{ kind: "star", at: lostAt, forMs: FOREVER_MS, order }],
      core: [late],
      left: [],
    };
  },
  /** Three in a chain: the ends do not reach each other, and no ballot may be fought over. */
  chained: (_base, prng) => {
    const order = shuffled(prng, range(3));
    return {
      servers: 3,
      durationMs: 15_000,
      faults: [],
      held: both(present(order[0], "three"), present(order[2], "three"), SETTLED_MS),
      core: order.slice(1, 2),
      left: [],
    };
  },
  "rolling restart": (base, prng) => ({
    durationMs: 25_000,
    faults: inTurn(3, 7000, (at) => ({ kind: "rolling", at, forMs: 0, everyMs: base.settings.pingMs * pick(prng, [6, 12]) })),
    ...whole(base.servers),
  }),
  "kill the coordinator again and again": (base, prng) => ({
    durationMs: 25_000,
    faults: inTurn(12, 1800, (at) => ({ kind: "kill", at, forMs: pick(prng, [0, 20, 1000, 4000]), server: "coordinator" })),
    ...whole(base.servers),
  }),
  "power loss of all": (base, prng) => ({
    durationMs: 25_000,
    faults: inTurn(12, 1700 + nextInt(prng, 0, 60), (at) => ({
      kind: "power",
      at: at + nextInt(prng, 0, 300),
      forMs: pick(prng, [0, 10, 500]),
      servers: range(base.servers),
    })),
    ...whole(base.servers),
  }),
  /** Every server dies at one kind of boundary, again and again, its unsynced writes lost. */
  "crash at a boundary": (base, prng) => {
    const boundary = pick<Boundary>(prng, ["send", "write", "sync", "rename", "create", "remove", "syncDirectory", "truncate"]);
    return {
      durationMs: 30_000,
      settings: { ...base.settings, snapshotEverySlots: 5, segmentBytes: 32 * 1024, keepSlots: pick(prng, [0, 4]) },
      faults: inTurn(20, 1200, (at, i) => ({
        kind: "crashAt",
        at,
        forMs: 5000,
        server: i % base.servers,
        plan: { boundary, count: nextInt(prng, 1, 5), after: nextInt(prng, 0, 2) === 1 },
        power: true,
        downMs: pick(prng, [0, 50, 400]),
      })),
      ...whole(base.servers),
    };
  },
  /** One is away until the others have trimmed what it lacks, and comes back while they write. */
  "long away": (base, prng) =>
    nextInt(prng, 0, 3) === 0
      ? awayFromMuch(base, prng)
      : {
          durationMs: 30_000,
          settings: { ...base.settings, snapshotEverySlots: pick(prng, [5, 20]), keepSlots: pick(prng, [0, 4]) },
          workload: { ...base.workload, valueBytes: pick(prng, [40, 3000]), pauseMs: 20 * base.workload.clients },
          faults: inTurn(3, 8000, (at, i) => ({ kind: "kill", at, forMs: 6000, server: i % base.servers })),
          ...whole(base.servers),
        },
  /** The coordinator stands still, is replaced, and goes on with what it remembers, readers waiting at it. */
  "paused coordinator": (base, prng) => ({
    durationMs: 25_000,
    workload: { ...base.workload, weights: { ...base.workload.weights, get: 6, put: 3 }, loyalty: 1, timeoutMs: 5000 },
    faults: inTurn(7, 3000, (at) => ({
      kind: pick(prng, ["pause", "pause", "kill"]),
      at,
      forMs: base.settings.grantMs + pick(prng, [100, 600, 1500]),
      server: "coordinator",
    })),
    ...whole(base.servers),
  }),
  /** One server comes back with an older copy of its disk: the others remember its later life and do not count it (PROTOCOL §6). */
  "old copy of a disk": (_base, prng) => {
    const servers = pick(prng, [3, 5]);
    const server = nextInt(prng, 0, servers);
    return {
      servers,
      durationMs: 20_000,
      faults: [
        { kind: "kill", at: SETTLED_MS, forMs: 100, server },
        { kind: "restoreOld", at: 9000, forMs: 0, server, of: SETTLED_MS + 50 },
        { kind: "kill", at: 9100, forMs: pick(prng, [0, 500, 3000]), server },
      ],
      core: range(servers).filter((index) => index !== server),
      left: [],
    };
  },
  /** Values so large that a Promise has several parts, and coordinators that die while they are on their way. */
  "large values": (base, prng) => ({
    servers: 3,
    durationMs: 15_000,
    settings: {
      ...base.settings,
      segmentBytes: 4 * MIB,
      snapshotEverySlots: 20,
      keepSlots: pick(prng, [4, 40]),
      windowSlots: 16,
      historyMaxAgeMs: 500,
    },
    workload: { ...base.workload, clients: 4, valueBytes: 350_000, pauseMs: 400, keys: 3, weights: { get: 1, put: 3, delete: 0, cas: 0 } },
    faults: [
      ...inTurn(6, 1800, (at) => ({ kind: "kill" as const, at: at + nextInt(prng, 0, 500), forMs: 300, server: "coordinator" as const })),
      ...inTurn(6, 1800, (at) => ({
        kind: "drop" as const,
        at: at + 300,
        forMs: 1000,
        links: { from: range(3), to: range(3) },
        chance: pick(prng, [0.1, 0.4]),
      })),
    ],
    ...whole(3),
  }),
  /** So many wait for the servers to find each other again that one batch takes several turns to be applied, while snapshots and reads come. */
  flood: (base, prng) => ({
    servers: 3,
    durationMs: 14_000,
    settings: {
      ...base.settings,
      batchMaxCommands: 1000,
      windowSlots: 4,
      snapshotEverySlots: 5,
      keepSlots: pick(prng, [0, 8]),
      failRate: 0,
      quotaBytes: 1024 * MIB,
    },
    speeds: { linkMin: 100, linkMax: 300, diskMin: 1000, diskMax: 4000 },
    workload: {
      ...base.workload,
      clients: 2000,
      pauseMs: 4000,
      keys: 200,
      valueBytes: 40,
      timeoutMs: 5000,
      retries: 0,
      weights: { get: 2, put: 6, delete: 1, cas: 1 },
      abandon: 0,
      sessions: false,
    },
    faults: inTurn(2, 5000, (at) => ({ kind: "split", at, forMs: pick(prng, [2500, 3500]), groups: range(3).map((server) => [server]) })),
    ...whole(3),
  }),
  "handed round": (base, prng) => ({
    durationMs: 20_000,
    faults: inTurn(30, 500, (at, i) => ({ kind: "handover", at: at + nextInt(prng, 0, 200), forMs: 0, heir: i % base.servers })),
    ...whole(base.servers),
  }),
  /** One server starts again and again, and what was said to its former lives reaches the present one, while it answers many. */
  "answers to a former life": (base, prng) => {
    const server = nextInt(prng, 0, 3);
    const links = { from: range(3), to: range(3) };
    const everyMs = pick(prng, [600, 1000, 1200]);
    const linkMax = pick(prng, [20_000, 40_000, 60_000]);
    return {
      servers: 3,
      durationMs: 15_000,
      settings: { ...base.settings, pingMs: 100, grantMs: 600, suspectMs: 600, failRate: 0 },
      // Slow links: a question is open for long, and an old answer finds it.
      speeds: { linkMin: linkMax / 2, linkMax, diskMin: 200, diskMax: 1000 },
      workload: {
        ...base.workload,
        clients: 30,
        pauseMs: 80,
        keys: 4,
        valueBytes: 20,
        timeoutMs: 1000,
        weights: { get: 4, put: 6, delete: 1, cas: 1 },
        loyalty: 1,
        abandon: 0,
        sessions: false,
      },
      faults: [
        { kind: "replay", at: 1000, forMs: 14_000, links, chance: 0.7, byMs: 700 },
        ...inTurn(
          Math.floor(11_000 / everyMs),
          everyMs,
          (at, i): Fault => ({ kind: "kill", at: at - SETTLED_MS / 2, forMs: 20 + (i % 3) * 50, server }),
        ),
      ],
      ...whole(3),
    };
  },
  ...SHARP_SCHEDULES,
  ...MEMBER_SCHEDULES,
};

export const SCHEDULE_NAMES: readonly string[] = Object.keys(SCHEDULES);
const MEMBER_NAMES: readonly string[] = Object.keys(MEMBER_SCHEDULES);
const OTHER_NAMES: readonly string[] = SCHEDULE_NAMES.filter((name) => !MEMBER_NAMES.includes(name));
/** How likely it is one about who votes. */
const MEMBER_CHANCE = 0.4;

/** One of the schedules, by the stream given. */
export function drawSchedule(prng: Prng, base: Scenario): Scenario {
  return applySchedule(pick(prng, nextChance(prng, MEMBER_CHANCE) ? MEMBER_NAMES : OTHER_NAMES), base, prng);
}

/** The schedule of that name on the settings of `base`. */
export function applySchedule(name: string, base: Scenario, prng: Prng): Scenario {
  const schedule = present(SCHEDULES[name], `there is a schedule named ${name}`);
  const plan = { ...base, spares: 0, ...schedule(base, prng), name };
  return { ...plan, faults: [...plan.faults].sort((a, b) => a.at - b.at) };
}
