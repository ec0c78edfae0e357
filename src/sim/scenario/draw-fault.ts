/** One fault of a given kind, drawn: when, how long, whom it meets and how hard. Says nothing about which kinds a seed has. */
import { unreachable } from "../../base/assert.js";
import { nextChance, nextInt, type Prng } from "../../base/prng.js";
import type { Boundary } from "../engine/host.js";
import type { DiskFault, Fault, FaultKind, Links, Victim } from "./faults.js";
import type { Frame } from "./frame.js";
import { pick, range, shuffled } from "./random.js";

const BOUNDARIES: readonly (Boundary | null)[] = [
  null,
  null,
  "send",
  "write",
  "write",
  "sync",
  "truncate",
  "create",
  "rename",
  "remove",
  "syncDirectory",
];

const CRASHES_MAX = 15;
/** How long an operator goes on with a replacement, and how far requests that meet are apart. */
const REPLACEMENT_MS = 15_000;
const TOGETHER_MS = 4000;

/** A fault of `kind`; null where this cluster has nobody for it. */
export function drawFault(prng: Prng, kind: FaultKind, frame: Frame): Fault | null {
  const at = nextInt(prng, 0, frame.durationMs);
  const forMs = Math.round(frame.pingMs * pick(prng, [0.3, 2, 10, 30, 80]) * (0.5 + nextInt(prng, 0, 1000) / 1000));
  const when = { at, forMs };
  const machines = frame.servers + frame.spares;
  const server = nextInt(prng, 0, machines);
  switch (kind) {
    case "drop":
    case "duplicate":
      return { kind, ...when, links: drawLinks(prng, frame), chance: pick(prng, [0.02, 0.1, 0.3, 0.7]) };
    case "replay":
      return { kind, ...when, links: drawLinks(prng, frame), chance: pick(prng, [0.02, 0.2]), byMs: pick(prng, [1000, 20_000, 120_000]) };
    case "reorder":
      return { kind, ...when, links: drawLinks(prng, frame), chance: pick(prng, [0.1, 0.5]), byMs: pick(prng, [1, 20, 300]) };
    case "delay":
      return { kind, ...when, links: drawLinks(prng, frame), byMs: Math.ceil(frame.pingMs * pick(prng, [0.2, 1.5, 8])) };
    case "flap":
      return { kind, ...when, links: drawLinks(prng, frame), byMs: Math.ceil(frame.pingMs * pick(prng, [0.2, 2, 8])) };
    case "large":
      return { kind, ...when, links: drawLinks(prng, frame), bytes: pick(prng, [200, 400, 1500]) };
    case "clog":
    case "cut":
    case "unnoticed":
      return { kind, ...when, links: drawLinks(prng, frame) };
    case "reset":
    case "refuse":
      return { kind, at, forMs: kind === "reset" ? 0 : forMs, links: drawLinks(prng, frame) };
    case "split":
      return { kind, ...when, groups: drawGroups(prng, machines) };
    case "star":
    case "chain":
    case "ring":
      return machines < 3 ? null : { kind, ...when, order: shuffled(prng, range(machines)) };
    case "stall":
    case "full":
      return { kind, ...when, server };
    case "failSync":
      return { kind, at, forMs: Math.max(forMs, frame.pingMs), server };
    case "slow":
      return { kind, ...when, server, byMs: Math.ceil(frame.pingMs * pick(prng, [0.1, 1, 8])) };
    case "misdirect":
    case "wipe":
    case "rot":
      return drawDamage(prng, kind, frame, when);
    case "restoreOld":
      return null; // amnesia: outside of what is promised, so only a named schedule has it
    case "kill":
    case "pause":
    case "stop":
      return { kind, ...when, server: drawVictim(prng, server) };
    case "power": {
      const all = nextChance(prng, 0.5);
      const servers = shuffled(prng, range(machines)).slice(0, all ? machines : nextInt(prng, 1, machines + 1));
      return { kind, ...when, servers };
    }
    case "crashAt": {
      const boundary = pick(prng, BOUNDARIES);
      const rare = boundary !== null && boundary !== "send" && boundary !== "write";
      const plan = { boundary, count: rare ? nextInt(prng, 1, 4) : nextInt(prng, 1, 60), after: nextChance(prng, 0.5) };
      return { kind, at, forMs: 5000, server, plan, power: nextChance(prng, 0.5), downMs: pick(prng, [0, 20, 200, 3000]) };
    }
    case "crashLoop": {
      // A start is dear: so many are enough.
      const everyMs = pick(prng, [5, 40, 300]);
      return { kind, at, forMs: Math.min(forMs, CRASHES_MAX * everyMs), server, everyMs };
    }
    case "rolling":
      return { kind, at, forMs: 0, everyMs: frame.pingMs * pick(prng, [3, 12, 30]) };
    case "handover":
      return { kind, at, forMs: 0, heir: nextChance(prng, 0.5) ? null : server };
    case "nominate":
      return { kind, at, forMs: 0, server };
    case "rate":
      return { kind, ...when, server, ppm: pick(prng, [-300_000, -20_000, 20_000, 300_000]) };
    case "jump":
      return { kind, at, forMs: 0, server, byMs: pick(prng, [-3_600_000, -200, 200, 3_600_000]) };
    case "suspend":
      return { kind, ...when, server };
    case "add":
      return frame.spares === 0 ? null : { kind, at: together(at), forMs: 0, server: drawSpare(prng, frame) };
    case "rejoin":
      return { kind, at, forMs: 0, server };
    case "promote":
    case "remove":
    case "tieBreak":
      return { kind, at: together(at), forMs: 0, server: drawVictim(prng, server), via: nextChance(prng, 0.5) ? "coordinator" : server };
    case "replace":
      return frame.spares === 0
        ? null
        : { kind, at: together(at), forMs: REPLACEMENT_MS, server: nextInt(prng, 0, frame.servers), by: drawSpare(prng, frame) };
    case "oneByOne":
      return null; // it demands that nothing else goes wrong
    default:
      return unreachable(kind);
  }
}

function drawVictim(prng: Prng, server: number): Victim {
  return nextChance(prng, 0.4) ? "coordinator" : nextChance(prng, 0.15) ? "tie-break" : server;
}

function drawSpare(prng: Prng, { servers, spares }: Frame): number {
  return servers + nextInt(prng, 0, spares);
}

/** Requests often meet: half of them wait for the next stroke of a slow bell. */
function together(at: number): number {
  return at % 2 === 0 ? at - (at % TOGETHER_MS) : at;
}

function drawDamage(
  prng: Prng,
  kind: "misdirect" | "wipe" | "rot",
  { sacrificed }: Frame,
  when: { readonly at: number; readonly forMs: number },
): DiskFault | null {
  if (sacrificed.length === 0) {
    return null;
  }
  const server = pick(prng, sacrificed);
  return kind === "rot"
    ? { kind, ...when, forMs: 0, server, what: pick(prng, ["log", "log", "snapshot"]), flips: pick(prng, [1, 8]) }
    : { kind, ...when, server };
}

/** All links, those of one server in one or both directions, or one link. */
function drawLinks(prng: Prng, frame: Frame): Links {
  const servers = frame.servers + frame.spares;
  const all = range(servers);
  const one = [nextInt(prng, 0, servers)];
  switch (nextInt(prng, 0, 5)) {
    case 0:
      return { from: all, to: all };
    case 1:
      return { from: one, to: all };
    case 2:
      return { from: all, to: one };
    case 3:
      return { from: one, to: [nextInt(prng, 0, servers)] };
    default: {
      const some = all.filter(() => nextChance(prng, 0.5));
      return { from: some, to: all };
    }
  }
}

/** Two or three groups; often one server alone, for that is the rarest way to lose a coordinator's quorum. */
function drawGroups(prng: Prng, servers: number): readonly (readonly number[])[] {
  const order = shuffled(prng, range(servers));
  const first = nextChance(prng, 0.3) ? 1 : nextInt(prng, 0, servers + 1);
  const second = nextChance(prng, 0.3) ? nextInt(prng, first, servers + 1) : servers;
  return [order.slice(0, first), order.slice(first, second), order.slice(second)].filter((group) => group.length > 0);
}
