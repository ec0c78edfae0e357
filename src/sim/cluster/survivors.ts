/**
 * Who is left behind when the faults are over. A scenario wishes it before anybody knows who will vote by then: where its wish would leave no
 * quorum some are spared, and where it wishes that none is left, others are left behind too. Disks that are damaged are left behind in any
 * case: their servers may refuse to start.
 */
import type { Prng } from "../../base/prng.js";
import { pick } from "../scenario/random.js";
import type { Scenario } from "../scenario/scenario.js";
import { isWhole, LEFT_DEAD } from "./census.js";
import type { Cluster } from "./cluster.js";
import type { Machine } from "./machine.js";

const FOREVER_MS = 1e9;
const WIDE_WINDOW = 16;

/**
 * served: the whole disks that stay are a quorum. blocked: whoever stays is none. open: it depends on damaged disks, of which nobody can tell
 * before whether they serve.
 */
export type Outlook = { readonly kind: "served" | "blocked" | "open"; readonly left: readonly number[] };

/** Decides it by the newest configuration and those that may follow it. */
export function chooseLeft({ census, machines }: Cluster, { core, left: wish, held }: Scenario): Outlook {
  if (held.length > 0) {
    return { kind: "served", left: wish };
  }
  const usable = wish.filter((index) => machines[index]?.unusable === null);
  return core.length === 0 && wish.length > 0 ? blockedWithout(usable) : servedWithout(usable);

  function blockedWithout(first: readonly number[]): Outlook {
    const left = [...first];
    const runs = (index: number): boolean => machines[index]?.unusable === null && !left.includes(index);
    for (const { index } of machines) {
      if (!census.isSomeQuorum((machine) => runs(machine.index))) {
        break;
      }
      if (runs(index) && census.configurations.some(({ voters }) => voters.includes(census.identityOf(index)))) {
        left.push(index);
      }
    }
    return { kind: "blocked", left };
  }

  function servedWithout(first: readonly number[]): Outlook {
    const damaged = machines.filter(({ disk, unusable }) => disk.damaged && unusable === null).map(({ index }) => index);
    const left = first.filter((index) => !damaged.includes(index));
    const serves = (): boolean => census.isQuorum((machine) => isWhole(machine) && !left.includes(machine.index));
    while (left.length > 0 && !serves()) {
      left.pop();
    }
    if (serves()) {
      return { kind: "served", left: [...left, ...damaged] };
    }
    const mayServe = census.isSomeQuorum(({ unusable }) => unusable === null);
    return { kind: mayServe ? "open" : "blocked", left };
  }
}

/**
 * What becomes of one that is left behind. Where its disk hangs, or no value reaches it, it is heard still and must lose its vote all the
 * same; where its acceptor refuses all it is asked it may keep it, for it follows (PROTOCOL §4.1).
 */
type Fate = "dead" | "cut off" | "hung" | "starved" | "failing";
const FATES: readonly Fate[] = ["dead", "dead", "dead", "cut off", "hung", "starved", "failing"];

/** Leaves them behind, for good. Whether one of them is heard still: it shows by writes alone that it is of no use, and may seem well between them. */
export function leaveBehind(cluster: Cluster, { kind, left }: Outlook, { settings }: Scenario, prng: Prng): boolean {
  // Whoever is always behind a narrow window accepts nothing, whatever its disk does, and follows: it is slow, and keeps its vote.
  const fates = FATES.filter((fate) => fate !== "hung" || settings.windowSlots >= WIDE_WINDOW);
  let isHeard = false;
  for (const machine of cluster.machines) {
    if (left.includes(machine.index) && machine.unusable === null) {
      const drawn = pick(prng, fates);
      const fate = kind === "served" ? drawn : "dead";
      cluster.tally.add(`left behind ${fate}`);
      undergo(cluster, machine, fate);
      isHeard ||= fate !== "dead" && fate !== "cut off";
    }
  }
  return isHeard;
}

function undergo({ machines, network }: Cluster, machine: Machine, fate: Fate): void {
  switch (fate) {
    case "dead":
      machine.kill();
      machine.unusable = LEFT_DEAD; // nor does a start that is due bring it back
      return;
    case "cut off": {
      const others = machines.map(({ index }) => index).filter((index) => index !== machine.index);
      network.begin({ kind: "split", at: 0, forMs: FOREVER_MS, groups: [[machine.index], others] });
      machine.start();
      return;
    }
    case "hung":
      machine.start(); // one that was down never comes to listen
      machine.isHung = true;
      machine.disk.begin({ kind: "stall", at: 0, forMs: FOREVER_MS, server: machine.index });
      return;
    case "starved":
      machine.isStarved = true;
      machine.start();
      return;
    case "failing":
      machine.kill();
      machine.isFailing = true;
      machine.start();
      return;
  }
}
