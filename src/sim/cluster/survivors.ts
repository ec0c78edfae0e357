/**
 * Who is left behind when the faults are over. A scenario wishes it before anybody knows who will vote by then: where its wish would leave no
 * quorum some are spared, and where it wishes that none is left, others are left behind too. Disks that are damaged are left behind in any
 * case: their servers may refuse to start.
 */
import { nextChance, type Prng } from "../../base/prng.js";
import type { Scenario } from "../scenario/scenario.js";
import { isWhole, LEFT_DEAD } from "./census.js";
import type { Cluster } from "./cluster.js";

const FOREVER_MS = 1e9;

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

/** Leaves them behind, for good: dead, or cut off from all others. */
export function leaveBehind({ machines, network }: Cluster, { kind, left }: Outlook, prng: Prng): void {
  for (const index of left) {
    const machine = machines[index];
    if (machine === undefined || machine.unusable !== null) {
      continue;
    }
    if (nextChance(prng, 0.5) || kind !== "served") {
      machine.kill();
      machine.unusable = LEFT_DEAD; // nor does a start that is due bring it back
      continue;
    }
    const others = machines.map((other) => other.index).filter((other) => other !== index);
    network.begin({ kind: "split", at: 0, forMs: FOREVER_MS, groups: [[index], others] });
    machine.start();
  }
}
