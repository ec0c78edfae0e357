/**
 * Named schedules about who votes (PROTOCOL §4, §7.3): servers that are taken away one by one, clusters that grow and shrink under load, members
 * that are replaced while others are away, disks that are lost while a cluster is founded, and old entries that come to light again.
 */
import { nextInt, type Prng } from "../../base/prng.js";
import type { Fault } from "./faults.js";
import { pick, range, shuffled } from "./random.js";
import type { Scenario, Settings } from "./scenario.js";

type Plan = Partial<
  Pick<Scenario, "servers" | "spares" | "durationMs" | "faults" | "held" | "core" | "left" | "settings" | "speeds" | "workload">
>;

const FOREVER_MS = 1e9;
const FIRST_FAULT_MS = 3000;
/** An operator goes on with a replacement for so long. */
const REPLACEMENT_MS = 15_000;
const CALM_SPEEDS = { linkMin: 100, linkMax: 300, diskMin: 50, diskMax: 500 } as const;

const all = (servers: number): Pick<Scenario, "servers" | "core" | "left"> => ({ servers, core: range(servers), left: [] });

/** An autopilot that waits as little as it safely can, and nothing that fails by itself. */
function impatient({ settings }: Scenario): Settings {
  const rhythm = { pingMs: 100, grantMs: 600, suspectMs: 600, removeAfterMs: 1500, stableMs: 600 };
  return { ...settings, ...rhythm, failRate: 0, minVoters: 1, quotaBytes: 1024 * 1024 * 1024 };
}

/** Clients that write whoever is there: they look for another server when theirs is gone. */
function busy({ workload }: Scenario): Scenario["workload"] {
  const clients = Math.min(4, workload.clients);
  const valueBytes = Math.min(300, workload.valueBytes);
  return { ...workload, clients, pauseMs: 60 * clients, valueBytes, abandon: 0, loyalty: 0.5, retries: Math.max(1, workload.retries) };
}

function oneByOne(base: Scenario, servers: number, fault: Omit<Extract<Fault, { kind: "oneByOne" }>, "kind" | "at" | "forMs">): Plan {
  return {
    ...all(servers),
    durationMs: 46_000,
    settings: impatient(base),
    speeds: CALM_SPEEDS,
    workload: busy(base),
    faults: [{ kind: "oneByOne", at: FIRST_FAULT_MS, forMs: 42_000, ...fault }],
  };
}

/** In turn each server coordinates and is cut off with an entry that nobody else has; the others change who breaks ties, and lose their coordinator as it comes back. */
function staleEntries(): Fault[] {
  return range(3).flatMap((cut): Fault[] => {
    const at = FIRST_FAULT_MS + cut * 9000;
    const [heir, other] = range(3).filter((server) => server !== cut);
    const window = { at: at + 1000, forMs: 3500 };
    return [
      { kind: "handover", at, forMs: 0, heir: cut },
      { kind: "cut", ...window, links: { from: [cut], to: range(3) } },
      { kind: "cut", ...window, links: { from: range(3), to: [cut] } },
      { kind: "tieBreak", at: at + 1450, forMs: 0, server: heir ?? 0, via: cut },
      { kind: "tieBreak", at: at + 2000, forMs: 0, server: other ?? 0, via: heir ?? 0 },
      { kind: "kill", at: at + 4480, forMs: 2500, server: "coordinator" },
    ];
  });
}

export const MEMBER_SCHEDULES: Readonly<Record<string, (base: Scenario, prng: Prng) => Plan>> = {
  /** Followers die one after another, down to a single voter. */
  "killed one by one": (base, prng) =>
    oneByOne(base, pick(prng, [3, 4, 5, 5]), { how: "kill", whom: "follower", downTo: 1, thenBlock: false }),
  /** The coordinator dies each time: on down to two, and the next death blocks. */
  "coordinators killed one by one": (base, prng) =>
    oneByOne(base, pick(prng, [3, 4, 5, 5]), { how: "kill", whom: "coordinator", downTo: 2, thenBlock: true }),
  /** SIGTERM, which hands over and gives up the tie-break: down to a single voter, whoever it is. */
  "stopped one by one": (base, prng) =>
    oneByOne(base, pick(prng, [2, 3, 4, 5]), { how: "stop", whom: pick(prng, ["coordinator", "follower"]), downTo: 1, thenBlock: false }),
  /** Two voters do not reach each other, for ever: all the others hear both, so neither loses its vote. */
  "cut between two": (base, prng) => {
    const [a, b, ...others] = shuffled(prng, range(5));
    const [one, other] = [[a ?? 0], [b ?? 0]];
    return {
      servers: 5,
      durationMs: 20_000,
      settings: impatient(base),
      faults: [],
      held: [
        { kind: "cut", at: FIRST_FAULT_MS, forMs: FOREVER_MS, links: { from: one, to: other } },
        { kind: "cut", at: FIRST_FAULT_MS, forMs: FOREVER_MS, links: { from: other, to: one } },
      ],
      core: others.sort((x, y) => x - y),
      left: [],
    };
  },
  /** From one server to three, to five, and back to three, while clients write. */
  "grown and shrunk": (base, prng) => ({
    ...all(1),
    spares: 4,
    durationMs: 34_000,
    settings: { ...impatient(base), snapshotEverySlots: pick(prng, [20, 1000]) },
    workload: busy(base),
    faults: [
      { kind: "add", at: 4000, forMs: 0, server: 1 },
      { kind: "add", at: 4000 + pick(prng, [0, 3000]), forMs: 0, server: 2 },
      { kind: "add", at: 13_000, forMs: 0, server: 3 },
      { kind: "add", at: 13_000 + pick(prng, [0, 50]), forMs: 0, server: 4 },
      { kind: "remove", at: 23_000, forMs: 0, server: pick(prng, ["coordinator", 0]), via: pick(prng, ["coordinator", 1, 2]) },
      { kind: "remove", at: 26_000, forMs: 0, server: pick(prng, ["coordinator", "tie-break", 3]), via: pick(prng, ["coordinator", 4]) },
    ],
  }),
  /** Whoever was away meanwhile knows none of those that are there when it comes back. */
  "all peers replaced": (base, prng) => {
    const [away, ...peers] = shuffled(prng, range(3));
    const [first, second] = peers;
    const settings = { ...base.settings, failRate: 0, snapshotEverySlots: pick(prng, [5, 100]), keepSlots: pick(prng, [0, 1000]) };
    return {
      ...all(3),
      spares: 2,
      durationMs: 40_000,
      settings,
      workload: busy(base),
      faults: [
        { kind: "split", at: FIRST_FAULT_MS, forMs: 35_000, groups: [[away ?? 0], [...peers, 3, 4]] },
        { kind: "replace", at: 4000, forMs: REPLACEMENT_MS, server: first ?? 0, by: 3 },
        { kind: "replace", at: 20_000, forMs: REPLACEMENT_MS, server: second ?? 0, by: 4 },
      ],
    };
  },
  /** A disk is lost between its first Hello and Genesis, or soon after. */
  "wiped while founding": (base, prng) => {
    const servers = pick(prng, [2, 3, 3]);
    return {
      ...all(servers),
      durationMs: 12_000,
      settings: { ...base.settings, failRate: 0 },
      faults: range(pick(prng, [1, 1, 2])).flatMap((): Fault[] => {
        const server = nextInt(prng, 0, servers);
        const at = nextInt(prng, 5, 900);
        return [
          { kind: "wipe", at, forMs: 0, server },
          { kind: "kill", at: at + 1, forMs: pick(prng, [0, 30, 600]), server },
        ];
      }),
    };
  },
  /** One disk after another is lost: each server comes back by itself under a new id, until no founding id is left. */
  "every disk lost in turn": (base, prng) => {
    const servers = pick(prng, [3, 3, 5]);
    return {
      ...all(servers),
      durationMs: servers * 9000 + 5000,
      settings: { ...impatient(base), snapshotEverySlots: pick(prng, [5, 100, 1000]) },
      workload: busy(base),
      faults: range(servers).flatMap((server): Fault[] => [
        { kind: "wipe", at: FIRST_FAULT_MS + server * 9000, forMs: 0, server },
        { kind: "kill", at: FIRST_FAULT_MS + server * 9000 + 1, forMs: pick(prng, [0, 100, 3000]), server },
      ]),
    };
  },
  /** Servers are removed, and their machines brought back on empty disks. */
  "removed and brought back": (base, prng) => {
    const servers = pick(prng, [3, 4, 5]);
    return {
      ...all(servers),
      durationMs: 36_000,
      settings: impatient(base),
      workload: busy(base),
      faults: range(4).flatMap((i): Fault[] => {
        const at = FIRST_FAULT_MS + i * 8000;
        const server = pick(prng, ["coordinator" as const, "tie-break" as const, i % servers]);
        const via = pick(prng, ["coordinator" as const, nextInt(prng, 0, servers)]);
        return [
          { kind: "remove", at, forMs: 0, server, via },
          ...range(servers).map((each): Fault => ({ kind: "rejoin", at: at + 4500, forMs: 0, server: each })),
        ];
      }),
    };
  },
  /** Many operators at once, each through a server of their own, while the coordinator is killed now and then. */
  "many hands": (base, prng) => {
    const servers = pick(prng, [3, 4, 5]);
    return {
      ...all(servers),
      spares: 2,
      durationMs: 30_000,
      settings: { ...impatient(base), removeAfterMs: pick(prng, [0, 1500]) },
      workload: busy(base),
      faults: range(8).flatMap((i): Fault[] => {
        const at = FIRST_FAULT_MS + i * 3000;
        const asked = range(5).map((): Fault => {
          const [server, via] = [nextInt(prng, 0, servers + 2), nextInt(prng, 0, servers + 2)];
          return { kind: pick(prng, ["promote", "promote", "remove", "tieBreak"]), at, forMs: 0, server, via };
        });
        return [
          ...asked,
          ...(i < 2 ? [{ kind: "add", at, forMs: 0, server: servers + i } as const] : []),
          { kind: "kill", at: at + pick(prng, [1, 20, 1500]), forMs: 300, server: "coordinator" },
          { kind: "rejoin", at: at + 2900, forMs: 0, server: nextInt(prng, 0, servers) },
        ];
      }),
    };
  },
  /** A configuration entry that only a deposed coordinator holds is found behind a newer one: it was made from another epoch, and changes nothing. */
  "an old entry comes to light": (base) => ({
    ...all(3),
    durationMs: 32_000,
    settings: {
      ...impatient(base),
      removeAfterMs: 0,
      windowSlots: 16,
      batchMaxCommands: 1,
      historyMaxAgeMs: 600_000,
      historyMaxBytes: 256 * 1024 * 1024,
    },
    speeds: CALM_SPEEDS,
    // One client that stays where it is: nobody else writes, so that nothing takes the slot of the old entry.
    workload: {
      ...base.workload,
      clients: 1,
      pauseMs: 40,
      timeoutMs: 300,
      retries: 0,
      weights: { get: 0, put: 1, delete: 0, cas: 0 },
      loyalty: 1,
      abandon: 0,
      valueBytes: 8,
    },
    faults: staleEntries(),
  }),
  /** A coordinator is alone with an observer, which hears it and supports it, and has no vote: it must answer nothing while the others go on. */
  "an observer is no vote": (base, prng) => ({
    ...all(3),
    spares: 1,
    durationMs: 26_000,
    settings: { ...impatient(base), removeAfterMs: 0 },
    workload: { ...busy(base), weights: { get: 4, put: 4, delete: 0, cas: 0 }, keys: 1 },
    faults: [
      { kind: "add", at: FIRST_FAULT_MS, forMs: 0, server: 3 },
      ...shuffled(prng, range(3)).flatMap((alone, i): Fault[] => {
        const at = 7000 + i * 6000;
        return [
          { kind: "handover", at, forMs: 0, heir: alone },
          { kind: "split", at: at + 500, forMs: 4000, groups: [[alone, 3], range(3).filter((server) => server !== alone)] },
        ];
      }),
    ],
  }),
  /** Many changes are asked of the coordinator at once, and words get lost: each waits until the one before is settled. */
  "changes in haste": (base, prng) => {
    const servers = pick(prng, [3, 4, 5]);
    return {
      ...all(servers),
      durationMs: 24_000,
      settings: { ...impatient(base), removeAfterMs: 0 },
      workload: busy(base),
      faults: range(5).flatMap((i): Fault[] => {
        const at = FIRST_FAULT_MS + i * 4000;
        const links = { from: range(servers), to: range(servers) };
        return [
          { kind: "drop", at, forMs: 2500, links, chance: pick(prng, [0.2, 0.4]) },
          ...range(6).map((k): Fault => ({ kind: "tieBreak", at: at + k, forMs: 0, server: k % servers, via: "coordinator" })),
          { kind: "kill", at: at + pick(prng, [20, 60, 200]), forMs: 300, server: "coordinator" },
        ];
      }),
    };
  },
};
