/**
 * Faults, clients' requests and times in the words of a person who watches: for transcripts and for the list of a shrunk run's
 * faults. Pure; servers are called n1, n2, ... and clients c0, c1, ...
 */
import { unreachable } from "../../base/assert.js";
import type { ClockFault, DiskFault, Fault, Links, MemberFault, NetworkFault, ProcessFault, Victim } from "../scenario/faults.js";
import { isClockFault, isDiskFault, isMemberFault, isNetworkFault } from "../scenario/faults.js";
import type { Input, Operation } from "../workload/operation.js";
import { shorten } from "./payload.js";

/** A window of so many milliseconds has no end. */
const FOREVER_MS = 1e8;

/** `12.043`: seconds and milliseconds. */
export function describeTime(micros: number): string {
  const ms = Math.floor(micros / 1000);
  return `${Math.floor(ms / 1000)}.${String(ms % 1000).padStart(3, "0")}`;
}

/** `n1` for server 0. */
export function nameServer(server: number): string {
  return `n${server + 1}`;
}

export function nameServers(servers: readonly number[]): string {
  return servers.map(nameServer).join(" ");
}

/** `350 ms`, `2 s`, `1.5 s`. */
function span(ms: number): string {
  return ms < 1000 ? `${ms} ms` : `${ms / 1000} s`;
}

function percent(chance: number): string {
  return `${Number((chance * 100).toFixed(1))} %`;
}

/** `between n1 n2` where all talk to all, else `from n1 to n2 n3`. */
function describeLinks({ from, to }: Links): string {
  const same = from.length === to.length && from.every((server) => to.includes(server));
  return same ? `between ${nameServers(from)}` : `from ${nameServers(from)} to ${nameServers(to)}`;
}

/** What begins: `the network splits: n1 n2 | n3 n4 n5`. */
export function describeFault(fault: Fault): string {
  if (isNetworkFault(fault)) {
    return describeNetworkFault(fault);
  }
  if (isDiskFault(fault)) {
    return describeDiskFault(fault);
  }
  if (isMemberFault(fault)) {
    return describeMemberFault(fault);
  }
  return isClockFault(fault) ? describeClockFault(fault) : describeProcessFault(fault);
}

function describeNetworkFault(fault: NetworkFault): string {
  switch (fault.kind) {
    case "split":
      return `the network splits: ${fault.groups.map(nameServers).join(" | ")}`;
    case "star": {
      const [hub, ...others] = fault.order;
      return `the network becomes a star: ${nameServers(others)} reach only ${hub === undefined ? "nobody" : nameServer(hub)}`;
    }
    case "chain":
      return `the network becomes a chain: ${fault.order.map(nameServer).join(" - ")}`;
    case "ring":
      return `the network becomes a ring: ${[...fault.order, ...fault.order.slice(0, 1)].map(nameServer).join(" - ")}`;
    default:
      return describeLinkFault(fault);
  }
}

function describeLinkFault(fault: Extract<NetworkFault, { links: Links }>): string {
  const links = describeLinks(fault.links);
  switch (fault.kind) {
    case "drop":
      return `messages ${links} are lost with a chance of ${percent(fault.chance)}`;
    case "duplicate":
      return `messages ${links} come twice with a chance of ${percent(fault.chance)}`;
    case "replay":
      return `messages ${links} come again up to ${span(fault.byMs)} later with a chance of ${percent(fault.chance)}`;
    case "reorder":
      return `messages ${links} come up to ${span(fault.byMs)} late and out of order with a chance of ${percent(fault.chance)}`;
    case "delay":
      return `messages ${links} take up to ${span(fault.byMs)} longer`;
    case "flap":
      return `links ${links} are cut and whole by turns of ${span(fault.byMs)}`;
    case "large":
      return `messages above ${fault.bytes} bytes ${links} are lost`;
    case "clog":
      return `messages ${links} get stuck on their way`;
    case "cut":
      return `links ${links} are cut`;
    case "reset":
      return `streams ${links} are reset in mid-message`;
    case "refuse":
      return `connections ${links} are closed and refused`;
    case "unnoticed":
      return `deaths go unnoticed ${links}`;
    default:
      return unreachable(fault);
  }
}

function describeDiskFault(fault: DiskFault): string {
  const name = nameServer(fault.server);
  switch (fault.kind) {
    case "stall":
      return `the disk of ${name} stalls`;
    case "full":
      return `the disk of ${name} is full`;
    case "failSync":
      return `the next sync of ${name} will fail`;
    case "misdirect":
      return `the next write of ${name} will land at another place as well`;
    case "wipe":
      return `the disk of ${name} will be empty after its next death`;
    case "slow":
      return `the disk of ${name} takes up to ${span(fault.byMs)} more for everything`;
    case "rot":
      return `${fault.flips === 1 ? "1 bit" : `${fault.flips} bits`} of the ${fault.what} of ${name} ${fault.flips === 1 ? "rots" : "rot"}`;
    case "restoreOld":
      return `after its next death the disk of ${name} will be as it was at ${span(fault.of)}`;
    default:
      return unreachable(fault);
  }
}

/** `n2`, or `the coordinator`. */
function victim(server: Victim): string {
  return typeof server === "number" ? nameServer(server) : server === "coordinator" ? "the coordinator" : "who breaks ties";
}

function describeMemberFault(fault: MemberFault): string {
  switch (fault.kind) {
    case "add":
      return `${nameServer(fault.server)} is added`;
    case "promote":
      return `${victim(fault.via)} is asked to promote ${victim(fault.server)}`;
    case "remove":
      return `${victim(fault.via)} is asked to remove ${victim(fault.server)}`;
    case "tieBreak":
      return `${victim(fault.via)} is asked to let ${victim(fault.server)} break ties`;
    case "replace":
      return `${nameServer(fault.server)} is replaced by ${nameServer(fault.by)}`;
    case "rejoin":
      return `${nameServer(fault.server)}, if it cannot start any more, begins anew on an empty disk`;
    case "oneByOne": {
      const who = fault.whom === "coordinator" ? "the coordinator" : "a follower";
      const end = fault.thenBlock ? ", and then one more" : "";
      return `${who} is ${fault.how === "kill" ? "killed" : "stopped"}, one after another, until ${fault.downTo} of the voters are left${end}`;
    }
    default:
      return unreachable(fault);
  }
}

function describeProcessFault(fault: ProcessFault): string {
  switch (fault.kind) {
    case "kill":
      return `${victim(fault.server)} is to be killed`;
    case "pause":
      return `${victim(fault.server)} is paused`;
    case "stop":
      return `${victim(fault.server)} is told to stop`;
    case "power":
      return `the power fails at ${nameServers(fault.servers)}`;
    case "crashAt": {
      const { boundary, count, after } = fault.plan;
      const where = `${after ? "after" : "before"} its ${ordinal(count)} ${boundary ?? "effect"} from now`;
      return `${nameServer(fault.server)} will crash ${where}${fault.power ? ", losing power" : ""}`;
    }
    case "crashLoop":
      return `${nameServer(fault.server)} dies again and again, ${span(fault.everyMs)} after each start`;
    case "rolling":
      return `all servers are stopped and started one after another, one every ${span(fault.everyMs)}`;
    case "handover":
      return `the coordinator is asked to hand over${fault.heir === null ? "" : ` to ${nameServer(fault.heir)}`}`;
    case "nominate":
      return `${nameServer(fault.server)} is asked to stand for election`;
    default:
      return unreachable(fault);
  }
}

/** `1st`, `2nd`, `13th`. */
function ordinal(count: number): string {
  const teens = count % 100 >= 11 && count % 100 <= 13;
  const ending = teens ? "th" : (["th", "st", "nd", "rd"][count % 10] ?? "th");
  return `${count}${ending}`;
}

function describeClockFault(fault: ClockFault): string {
  const name = nameServer(fault.server);
  switch (fault.kind) {
    case "rate":
      return `the clock of ${name} runs ${percent(Math.abs(fault.ppm) / 1_000_000)} too ${fault.ppm < 0 ? "slow" : "fast"}`;
    case "jump":
      return `the wall clock of ${name} jumps ${fault.byMs < 0 ? "back" : "forward"} by ${span(Math.abs(fault.byMs))}`;
    case "suspend":
      return `the machine of ${name} is suspended`;
    default:
      return unreachable(fault);
  }
}

/** What ends: `no more: the network splits: ...` in words of its own where there are any. */
export function describeFaultEnd(fault: Fault): string {
  switch (fault.kind) {
    case "split":
    case "star":
    case "chain":
    case "ring":
      return "the network is whole again";
    case "cut":
    case "flap":
      return `links ${describeLinks(fault.links)} are whole again`;
    case "clog":
      return `messages ${describeLinks(fault.links)} move again`;
    case "refuse":
      return `connections ${describeLinks(fault.links)} are allowed again`;
    case "stall":
      return `the disk of ${nameServer(fault.server)} goes on`;
    case "full":
      return `the disk of ${nameServer(fault.server)} has room again`;
    case "pause":
      return `${victim(fault.server)} goes on`;
    case "suspend":
      return `the machine of ${nameServer(fault.server)} wakes`;
    case "kill":
    case "stop":
      return `${victim(fault.server)} may start again`;
    case "power":
      return `the power is back at ${nameServers(fault.servers)}`;
    default:
      return `over: ${describeFault(fault)}`;
  }
}

/** One line of a schedule: `at 3.100 s for 2 s: the network splits: n1 n2 | n3 n4 n5`. */
export function describeScheduled(fault: Fault): string {
  const lasting = fault.forMs === 0 ? "" : fault.forMs >= FOREVER_MS ? " for good" : ` for ${span(fault.forMs)}`;
  return `at ${describeTime(fault.at * 1000)} s${lasting}: ${describeFault(fault)}`;
}

function value(text: string | null | undefined): string {
  return text === null || text === undefined ? "absent" : `"${shorten(text)}"`;
}

/** `put k = "a"`. */
export function describeInput(key: string, input: Input): string {
  switch (input.op) {
    case "get":
      return `get ${key}`;
    case "put":
      return `put ${key} = ${value(input.value)}`;
    case "delete":
      return `delete ${key}`;
    case "cas":
      return `set ${key} = ${value(input.value)} if it is ${value(input.expected)}`;
    default:
      return unreachable(input);
  }
}

/** What a client knows now: `is told that put k = "a" is done (revision 4)`. */
export function describeAnswer(operation: Operation): string {
  const asked = describeInput(operation.key, operation.input);
  if (operation.input.op === "get" && operation.outcome !== "ok") {
    return `gets no answer to ${asked}`;
  }
  if (operation.outcome === "unknown") {
    return `will not learn whether ${asked} happened`;
  }
  if (operation.outcome === "fail" || operation.output === null) {
    return `is told that ${asked} has not happened and will not`;
  }
  const { output } = operation;
  const revision = output.revision === null ? "" : ` (revision ${output.revision})`;
  switch (operation.input.op) {
    case "get":
      return `reads ${operation.key} = ${value(output.value)}${revision}`;
    case "put":
      return `is told that ${asked} is done${revision}`;
    case "delete":
      return `is told that ${asked} is done, ${output.deleted === true ? "there was a value" : "there was none"}${revision}`;
    case "cas":
      return `is told that ${asked} ${output.swapped === true ? "is done" : "found another value"}${revision}`;
    default:
      return unreachable(operation.input);
  }
}
