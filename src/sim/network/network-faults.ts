/**
 * Network faults as they are written in a scenario, brought upon the links that they name. It says which links and for how long; what
 * then happens to a message is the link's part.
 */
import { assert, unreachable } from "../../base/assert.js";
import type { Engine, Scheduled } from "../engine/engine.js";
import type { Tally } from "../engine/tally.js";
import type { Links, NetworkFault } from "../scenario/faults.js";
import type { Link } from "./link.js";

const MICROS_A_MILLI = 1000;

/** What faults may touch. */
export interface FaultyNetwork {
  readonly engine: Engine;
  readonly tally: Tally;
  link(from: number, to: number): Link;
}

type End = () => void;
type Pair = readonly [from: number, to: number];

/** Begins `fault`; the result ends it. */
export function beginNetworkFault(network: FaultyNetwork, fault: NetworkFault): End {
  const links = pairsOf(fault).map(([from, to]) => network.link(from, to));
  const onEach = (begin: (link: Link) => End): End => {
    const ends = links.map(begin);
    return () => endAll(ends);
  };
  switch (fault.kind) {
    case "drop":
      return onEach(({ trouble }) => trouble.enter(trouble.drops, fault.chance));
    case "duplicate":
      return onEach(({ trouble }) => trouble.enter(trouble.duplicates, fault.chance));
    case "replay":
      return onEach(({ trouble }) => trouble.enter(trouble.replays, { chance: fault.chance, byMicros: micros(fault.byMs) }));
    case "reorder":
      return onEach(({ trouble }) => trouble.enter(trouble.reorders, { chance: fault.chance, byMicros: micros(fault.byMs) }));
    case "delay":
      return onEach(({ trouble }) => trouble.enter(trouble.delays, micros(fault.byMs)));
    case "large":
      return onEach(({ trouble }) => trouble.enter(trouble.large, fault.bytes));
    case "flap":
      return flap(network, links, micros(fault.byMs));
    case "cut":
    case "split":
    case "star":
    case "chain":
    case "ring":
      return onEach(({ trouble }) => trouble.enter(trouble.cuts, `net ${fault.kind}`));
    case "clog":
      return onEach(clog);
    case "unnoticed":
      return onEach(silence);
    case "refuse":
      return onEach(refuse);
    case "reset":
      return onEach((link) => reset(network, link));
    default:
      return unreachable(fault);
  }
}

function clog(link: Link): End {
  link.clog();
  return () => link.unclog();
}

function silence({ trouble }: Link): End {
  trouble.silence(1);
  return () => trouble.silence(-1);
}

function refuse(link: Link): End {
  link.trouble.refuse(1);
  link.reset();
  return () => link.trouble.refuse(-1);
}

function reset({ tally }: FaultyNetwork, link: Link): End {
  if (link.reset()) {
    tally.add("net reset");
  }
  return () => {};
}

/** Once each, however often it is called. */
function endAll(ends: End[]): void {
  for (const end of ends.splice(0)) {
    end();
  }
}

/** Cuts the links, all together, every other `byMicros`; the first time at once. */
function flap({ engine }: FaultyNetwork, links: readonly Link[], byMicros: number): End {
  assert(byMicros > 0, "a link flaps at a rhythm");
  let mended: End[] = [];
  let next: Scheduled | null = null;
  const turn = (): void => {
    if (mended.length === 0) {
      mended = links.map(({ trouble }) => trouble.enter(trouble.cuts, "net flap"));
    } else {
      endAll(mended);
    }
    next = engine.after(byMicros, turn);
  };
  turn();
  return () => {
    next?.cancel();
    endAll(mended);
  };
}

/** The ordered pairs of servers that a fault touches, each once. */
function pairsOf(fault: NetworkFault): Pair[] {
  switch (fault.kind) {
    case "split":
      return fault.groups.flatMap((group, i) => fault.groups.flatMap((other, j) => (i === j ? [] : pairsBetween(group, other))));
    case "star":
      return cutsOf(fault.order, (a, b) => a === 0 || b === 0);
    case "chain":
      return cutsOf(fault.order, (a, b) => Math.abs(a - b) === 1);
    case "ring":
      return cutsOf(fault.order, (a, b) => [1, fault.order.length - 1].includes(Math.abs(a - b)));
    default:
      return pairsOfLinks(fault.links);
  }
}

function pairsOfLinks({ from, to }: Links): Pair[] {
  return pairsBetween([...new Set(from)], [...new Set(to)]);
}

function pairsBetween(from: readonly number[], to: readonly number[]): Pair[] {
  return from.flatMap((a) => to.filter((b) => b !== a).map((b) => [a, b] as const));
}

/** Every pair of `order` but those whose places are `joined`. */
function cutsOf(order: readonly number[], joined: (a: number, b: number) => boolean): Pair[] {
  return order.flatMap((from, a) => order.flatMap((to, b): Pair[] => (a === b || joined(a, b) ? [] : [[from, to]])));
}

function micros(millis: number): number {
  return Math.round(millis * MICROS_A_MILLI);
}
