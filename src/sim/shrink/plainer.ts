/**
 * Scenarios that are a little plainer than a given one, each in one respect: fewer clients, keys or servers, settings and speeds of
 * every day, shorter windows. Whether one of them still fails is for others to find out.
 */
import { SESSIONS_MAX } from "../../kv/limits.js";
import type { Fault, Links } from "../scenario/faults.js";
import type { Scenario, Settings, Speeds, Workload } from "../scenario/scenario.js";

/** The everyday values of the settings in the simulator: calm, and so large that nothing is trimmed in a short run. */
export const PLAIN_SETTINGS: Settings = {
  pingMs: 100,
  grantMs: 600,
  suspectMs: 600,
  failRate: 0,
  windowSlots: 64,
  batchMaxCommands: 1000,
  keepSlots: 10_000,
  snapshotEverySlots: 100_000,
  snapshotEveryBytes: 128 * 1024 * 1024,
  historyMaxAgeMs: 600_000,
  historyMaxBytes: 256 * 1024 * 1024,
  quotaBytes: 2 * 1024 * 1024 * 1024,
  segmentBytes: 256 * 1024,
  sessionsMax: SESSIONS_MAX,
  removeAfterMs: 0,
  stableMs: 3000,
  minVoters: 1,
};

export const PLAIN_SPEEDS: Speeds = { linkMin: 100, linkMax: 300, diskMin: 100, diskMax: 500 };

/** So few requests that each can be followed. */
const PAUSE_MS_PLAIN = 500;
/** No window is made shorter than this. */
const WINDOW_MS_MIN = 50;

/** Everything to try on `scenario`, the greatest relief first. Only what differs from it. */
export function plainerScenarios(scenario: Scenario): readonly Scenario[] {
  const candidates = [
    ...fewerServers(scenario),
    ...workloads(scenario.workload).map((workload) => ({ ...scenario, workload })),
    { ...scenario, speeds: PLAIN_SPEEDS },
    ...settings(scenario.settings).map((plain) => ({ ...scenario, settings: plain })),
    ...shorterWindows(scenario),
  ];
  const before = JSON.stringify(scenario);
  return candidates.filter((candidate) => JSON.stringify(candidate) !== before);
}

function workloads(workload: Workload): readonly Workload[] {
  const { weights } = workload;
  return [
    { ...workload, clients: 1 },
    { ...workload, clients: Math.ceil(workload.clients / 2) },
    { ...workload, clients: Math.max(1, workload.clients - 1) },
    { ...workload, keys: 1 },
    { ...workload, keys: Math.ceil(workload.keys / 2) },
    { ...workload, valueBytes: Math.min(8, workload.valueBytes) },
    { ...workload, abandon: 0 },
    { ...workload, sessions: false },
    { ...workload, retries: 0 },
    { ...workload, loyalty: 1 },
    { ...workload, weights: { get: 1, put: 1, delete: 0, cas: 0 } },
    { ...workload, weights: { ...weights, cas: 0, put: weights.put + weights.cas } },
    { ...workload, weights: { ...weights, delete: 0, put: weights.put + weights.delete } },
    { ...workload, pauseMs: Math.max(workload.pauseMs, PAUSE_MS_PLAIN) },
  ];
}

function settings(present: Settings): readonly Settings[] {
  const names = Object.keys(PLAIN_SETTINGS) as (keyof Settings)[];
  return [PLAIN_SETTINGS, ...names.map((name) => ({ ...present, [name]: PLAIN_SETTINGS[name] }))];
}

/** With three servers, or one or two fewer; faults that then mean nothing are left out, the others lose the servers that are gone. */
function fewerServers(scenario: Scenario): readonly Scenario[] {
  const { servers, spares } = scenario;
  if (spares > 0) {
    return [{ ...withServers(scenario, servers), spares: 0 }];
  }
  const counts = [3, servers - 2, servers - 1].filter((count) => count >= 1 && count < servers);
  return [...new Set(counts)].map((count) => withServers(scenario, count)).filter(isFair);
}

/** Disk faults after which a server is not what it was. */
const DAMAGE: ReadonlySet<Fault["kind"]> = new Set(["wipe", "rot", "misdirect", "restoreOld"]);

/** Whether a quorum is whole after the faults: else a cluster may fail by right. */
function isFair({ servers, faults, core, left }: Scenario): boolean {
  const hurt = new Set(left);
  for (const fault of faults) {
    if (DAMAGE.has(fault.kind) && "server" in fault && typeof fault.server === "number") {
      hurt.add(fault.server);
    }
  }
  return core.length > 0 && 2 * (servers - hurt.size) > servers;
}

function withServers(scenario: Scenario, count: number): Scenario {
  return {
    ...scenario,
    servers: count,
    faults: scenario.faults.flatMap((fault) => withoutServers(fault, count) ?? []),
    held: scenario.held.flatMap((fault) => withoutServers(fault, count) ?? []),
    core: scenario.core.filter((server) => server < count),
    left: scenario.left.filter((server) => server < count),
  };
}

/** The fault among the first `count` servers; null where nothing is left of it. */
function withoutServers(fault: Fault, count: number): Fault | null {
  const stays = (server: number): boolean => server < count;
  if ("links" in fault) {
    const links: Links = { from: fault.links.from.filter(stays), to: fault.links.to.filter(stays) };
    return links.from.length === 0 || links.to.length === 0 ? null : { ...fault, links };
  }
  if ("groups" in fault) {
    const groups = fault.groups.map((group) => group.filter(stays)).filter((group) => group.length > 0);
    return groups.length < 2 ? null : { ...fault, groups };
  }
  if ("order" in fault) {
    const order = fault.order.filter(stays);
    return order.length < 3 ? null : { ...fault, order };
  }
  if ("servers" in fault) {
    const servers = fault.servers.filter(stays);
    return servers.length === 0 ? null : { ...fault, servers };
  }
  if ("by" in fault) {
    return stays(fault.server) && stays(fault.by) ? fault : null;
  }
  if ("via" in fault && typeof fault.via === "number" && !stays(fault.via)) {
    return withoutServers({ ...fault, via: "coordinator" }, count);
  }
  if ("heir" in fault) {
    return fault.heir === null || stays(fault.heir) ? fault : { ...fault, heir: null };
  }
  if ("server" in fault) {
    return typeof fault.server !== "number" || stays(fault.server) ? fault : null;
  }
  return fault;
}

/** Each window half as long, all of them first. */
function shorterWindows(scenario: Scenario): readonly Scenario[] {
  const halved = scenario.faults.map((fault) => halve(fault));
  const one = scenario.faults.map((fault, i) => ({ ...scenario, faults: scenario.faults.with(i, halve(fault)) }));
  return [{ ...scenario, faults: halved }, ...one];
}

function halve(fault: Fault): Fault {
  return fault.forMs >= 2 * WINDOW_MS_MIN ? { ...fault, forMs: Math.ceil(fault.forMs / 2) } : fault;
}
