/**
 * Named schedules that planted bugs asked for, each of which random faults met too seldom: a coordinator that is thought gone and is not, ways
 * longer than two Pings, voters that ping and acknowledge nothing, requests that fail more often than not, logs that rot, power that fails in a start.
 */
import { nextInt, type Prng } from "../../base/prng.js";
import type { Fault } from "./faults.js";
import { pick, range } from "./random.js";
import type { Scenario } from "./scenario.js";

type Plan = Partial<Pick<Scenario, "servers" | "durationMs" | "faults" | "held" | "core" | "left" | "settings" | "speeds" | "workload">>;

const FOREVER_MS = 1e9;
const FIRST_FAULT_MS = 3000;
const whole = (servers: number): Pick<Scenario, "core" | "left"> => ({ core: range(servers), left: [] });

export const SHARP_SCHEDULES: Readonly<Record<string, (base: Scenario, prng: Prng) => Plan>> = {
  /** Each server in turn is refused by all others, which hold it for gone, although it lives: a coordinator does not know that it was replaced, and is read. */
  "believed gone": (base, prng) => {
    const servers = pick(prng, [3, 3, 5]);
    const faults = range(12).flatMap((i): Fault[] => {
      const one = [i % servers];
      const others = range(servers).filter((index) => index !== one[0]);
      const window = { at: FIRST_FAULT_MS + i * 1500, forMs: 600 };
      return [
        { kind: "refuse", ...window, links: { from: one, to: others } },
        { kind: "refuse", ...window, links: { from: others, to: one } },
      ];
    });
    return {
      servers,
      durationMs: 22_000,
      workload: {
        ...base.workload,
        weights: { get: 6, put: 3, delete: 0, cas: 0 },
        loyalty: pick(prng, [0.5, 1]),
        pauseMs: 10 * base.workload.clients,
      },
      faults,
      ...whole(servers),
    };
  },
  /** A Pong takes longer than two Pings are apart: elections take their time, and come to an end. */
  "far apart": (base, prng) => ({
    servers: 3,
    durationMs: 15_000,
    settings: { ...base.settings, pingMs: 50, grantMs: 600, suspectMs: 600, failRate: 0 },
    speeds: { ...base.speeds, linkMin: 55_000, linkMax: pick(prng, [60_000, 65_000]) },
    workload: { ...base.workload, keys: 6, timeoutMs: 5000 },
    faults: range(4).map((i): Fault => ({ kind: "kill", at: FIRST_FAULT_MS + i * 3000, forMs: 1000, server: "coordinator" })),
    ...whole(3),
  }),
  /** Of two, the one without the tie-break pings and never hears what it should accept: the other waits for it once, and goes on alone. */
  "a mute voter": (base) => {
    const mute = (from: number, to: number): Fault => ({
      kind: "large",
      at: FIRST_FAULT_MS,
      forMs: FOREVER_MS,
      links: { from: [from], to: [to] },
      bytes: 1500,
    });
    return {
      servers: 2,
      durationMs: 12_000,
      settings: { ...base.settings, failRate: 0 },
      workload: { ...base.workload, valueBytes: 3000 },
      faults: [],
      held: [mute(0, 1), mute(1, 0)],
      core: [0],
      left: [],
    };
  },
  /** Acceptors fail two of five requests, before and after the healing: nobody is deposed for that. */
  "failing acceptors": (base) => ({
    servers: 5,
    durationMs: 12_000,
    settings: { ...base.settings, failRate: 0.4 },
    faults: [],
    ...whole(5),
  }),
  /** What is on a disk for long rots, in a segment that holds more behind it, and its server starts: it refuses, or has lost nothing. */
  "a rotten log": (base, prng) => {
    const server = nextInt(prng, 0, 3);
    return {
      servers: 3,
      durationMs: 14_000,
      settings: { ...base.settings, segmentBytes: 4 * 1024 * 1024, keepSlots: 1000, failRate: 0 },
      faults: [
        { kind: "rot", at: 8000, forMs: 0, server, what: "log", flips: pick(prng, [1, 3]) },
        { kind: "kill", at: 8050, forMs: 500, server },
      ],
      core: range(3).filter((index) => index !== server),
      left: [server],
    };
  },
  /** A process is killed while a write is under way, which the system's cache has; the next one reads it, and the power fails while it starts. */
  "killed, then cut": (base, prng) => {
    const faults = range(30).flatMap((i): Fault[] => {
      const at = FIRST_FAULT_MS + i * 700 + nextInt(prng, 0, 100);
      const plan = { boundary: null, count: nextInt(prng, 1, 12), after: nextInt(prng, 0, 2) === 1 };
      return [
        { kind: "kill", at, forMs: 3, server: i % 3 },
        { kind: "crashAt", at: at + 4, forMs: 300, server: i % 3, plan, power: true, downMs: 20 },
      ];
    });
    return {
      servers: 3,
      durationMs: 25_000,
      settings: { ...base.settings, failRate: 0 },
      speeds: { linkMin: 500, linkMax: 1000, diskMin: 6000, diskMax: 9000 },
      workload: { ...base.workload, pauseMs: 10 * base.workload.clients, weights: { get: 1, put: 6, delete: 0, cas: 0 } },
      faults,
      ...whole(3),
    };
  },
};
