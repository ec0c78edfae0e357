/**
 * What a campaign does to its servers, drawn from the seed before it is done: rounds of faults, each fault a plain value. Kinds are
 * dealt like cards, so that none is left out for long. It knows nothing of the servers as they are: whoever coordinates is `coordinator`.
 */
import { nextChance, nextInt, type Prng } from "../../src/base/prng.js";

/** A server by its index, or whoever coordinates when the fault begins. */
export type Target = number | "coordinator";

export type Fault =
  /** kill -9, and started again after `ms`, with `failRate`. */
  | { readonly kind: "kill"; readonly target: Target; readonly ms: number; readonly failRate: number }
  | { readonly kind: "kill-all"; readonly ms: number }
  /** SIGSTOP, SIGCONT after `ms`. */
  | { readonly kind: "pause"; readonly target: Target; readonly ms: number }
  | { readonly kind: "pause-majority"; readonly first: number; readonly ms: number }
  /** SIGTERM and start, one server after another, `failRates` in the order of the servers. */
  | { readonly kind: "rolling-restart"; readonly failRates: readonly number[] }
  /** Cut off from everybody, clients included. */
  | { readonly kind: "isolate"; readonly target: Target; readonly ms: number }
  /** `side` and the rest do not reach each other; clients reach all. */
  | { readonly kind: "split"; readonly side: readonly number[]; readonly ms: number }
  /** What `from` sends to all of `to` is lost. */
  | { readonly kind: "one-way"; readonly from: Target; readonly to: readonly number[]; readonly ms: number }
  /** Two servers do not reach each other; both reach all others. */
  | { readonly kind: "partial"; readonly a: Target; readonly b: number; readonly ms: number }
  | { readonly kind: "slow"; readonly target: Target; readonly delayMs: number; readonly ms: number }
  | { readonly kind: "lossy"; readonly target: Target; readonly percent: number; readonly ms: number }
  | { readonly kind: "full-disk"; readonly host: number; readonly ms: number }
  /** Killed, its data removed, started again after `ms`: it must join as a new server. */
  | { readonly kind: "wipe"; readonly target: Target; readonly ms: number }
  /** Removed from the members, its data too, and started again after `ms` to join: to vote by itself, or when an operator says so. */
  | { readonly kind: "remove"; readonly target: Target; readonly ms: number; readonly promotes: boolean }
  /** `heir` is asked to coordinate; null: whoever is closest to the newest slot. */
  | { readonly kind: "handover"; readonly heir: number | null }
  | { readonly kind: "move-tie-break"; readonly to: number };

export type FaultKind = Fault["kind"];

export type Round = {
  /** Whether no disk may be missing when it begins: it takes some away. */
  readonly needsWhole: boolean;
  readonly faults: readonly { readonly afterMs: number; readonly fault: Fault }[];
  /** How long nothing happens afterwards. */
  readonly calmMs: number;
};

/** What can be done on this machine. */
export type Abilities = {
  readonly servers: number;
  /** Whether the network between servers can be cut. */
  readonly hasNetwork: boolean;
  readonly canLose: boolean;
  /** Servers whose disk is small enough to be filled. */
  readonly smallDisks: readonly number[];
};

const FAULTS_A_ROUND_MAX = 3;
const FAULT_AFTER_MS_MAX = 3000;
const CALM_MS_MIN = 500;
const CALM_MS_MAX = 4000;
/** Half of the faults end before a voter is removed, the others after that: see `settings` in campaign.ts. */
const SHORT_MS_MIN = 200;
const SHORT_MS_MAX = 2500;
const LONG_MS_MIN = 4000;
const LONG_MS_MAX = 9000;
const FAIL_RATE_CHANCE = 0.25;
const FAIL_RATES = [0.02, 0.1, 0.3];
const DELAY_MS_MAX = 300;
const LOSS_PERCENT_MAX = 30;

/** How many cards of each kind there are. */
const CARDS: Readonly<Record<FaultKind, number>> = {
  kill: 4,
  "kill-all": 1,
  pause: 3,
  "pause-majority": 1,
  "rolling-restart": 1,
  isolate: 2,
  split: 2,
  "one-way": 2,
  partial: 2,
  slow: 1,
  lossy: 1,
  "full-disk": 1,
  wipe: 1,
  remove: 2,
  handover: 1,
  "move-tie-break": 1,
};
/** What takes a disk away. */
const OF_DISKS: readonly FaultKind[] = ["wipe", "remove"];
/** What only a cluster that can do without a server bears. */
const OF_SEVERAL: readonly FaultKind[] = [...OF_DISKS, "handover", "move-tie-break"];
const OF_NETWORK: readonly FaultKind[] = ["isolate", "split", "one-way", "partial", "slow"];

export class Plan {
  private readonly prng: Prng;
  private readonly abilities: Abilities;
  private cards: FaultKind[] = [];

  constructor(prng: Prng, abilities: Abilities) {
    this.prng = prng;
    this.abilities = abilities;
  }

  nextRound(): Round {
    const count = this.below(FAULTS_A_ROUND_MAX) + 1;
    const drawn = Array.from({ length: count }, () => this.drawFault());
    const losses = drawn.filter(({ kind }) => OF_DISKS.includes(kind)).slice(0, this.minority());
    const others = drawn.filter(({ kind }) => !OF_DISKS.includes(kind));
    return {
      needsWhole: losses.length > 0,
      // Disks go while all are whole and settled, not after something else may have changed the voters.
      faults: [
        ...losses.map((fault) => ({ afterMs: 0, fault })),
        ...others.map((fault) => ({ afterMs: this.below(FAULT_AFTER_MS_MAX), fault })),
      ],
      calmMs: nextInt(this.prng, CALM_MS_MIN, CALM_MS_MAX),
    };
  }

  private drawFault(): Fault {
    const kind = this.deal();
    const ms = this.drawMs();
    switch (kind) {
      case "kill":
        return { kind, target: this.drawTarget(), ms, failRate: this.drawFailRate() };
      case "kill-all":
        return { kind, ms };
      case "pause":
      case "isolate":
      case "wipe":
        return { kind, target: this.drawTarget(), ms };
      case "remove":
        return { kind, target: this.drawTarget(), ms, promotes: nextChance(this.prng, 0.5) };
      case "handover":
        return { kind, heir: nextChance(this.prng, 0.5) ? this.below(this.abilities.servers) : null };
      case "move-tie-break":
        return { kind, to: this.below(this.abilities.servers) };
      case "pause-majority":
        return { kind, first: this.below(this.abilities.servers), ms };
      case "rolling-restart":
        return { kind, failRates: this.servers().map(() => this.drawFailRate()) };
      case "split":
        return { kind, side: this.drawSome(this.minority()), ms };
      case "one-way":
        return { kind, from: this.drawTarget(), to: this.drawSome(nextInt(this.prng, 1, this.abilities.servers)), ms };
      case "partial":
        return { kind, a: this.drawTarget(), b: this.below(this.abilities.servers), ms };
      case "slow":
        return { kind, target: this.drawTarget(), delayMs: nextInt(this.prng, 10, DELAY_MS_MAX), ms };
      case "lossy":
        return { kind, target: this.drawTarget(), percent: nextInt(this.prng, 1, LOSS_PERCENT_MAX), ms };
      case "full-disk": {
        const { smallDisks } = this.abilities;
        return { kind, host: smallDisks[this.below(smallDisks.length)] ?? 0, ms: nextInt(this.prng, LONG_MS_MIN, LONG_MS_MAX) };
      }
    }
  }

  /** The next card; a new deck, shuffled, when none is left. */
  private deal(): FaultKind {
    if (this.cards.length === 0) {
      const { hasNetwork, canLose, smallDisks, servers } = this.abilities;
      const kinds = (Object.keys(CARDS) as FaultKind[]).filter(
        (kind) =>
          (hasNetwork || !OF_NETWORK.includes(kind)) &&
          (canLose || kind !== "lossy") &&
          (smallDisks.length > 0 || kind !== "full-disk") &&
          (servers >= 3 || !OF_SEVERAL.includes(kind)),
      );
      this.cards = shuffled(
        this.prng,
        kinds.flatMap((kind) => Array<FaultKind>(CARDS[kind]).fill(kind)),
      );
    }
    return this.cards.pop() ?? "kill";
  }

  private servers(): readonly number[] {
    return Array.from({ length: this.abilities.servers }, (_, index) => index);
  }

  /** The most servers without which the others are a majority. */
  private minority(): number {
    return Math.floor((this.abilities.servers - 1) / 2);
  }

  private drawTarget(): Target {
    return nextChance(this.prng, 0.4) ? "coordinator" : this.below(this.abilities.servers);
  }

  private drawSome(count: number): readonly number[] {
    return shuffled(this.prng, this.servers()).slice(0, count);
  }

  private drawMs(): number {
    return nextChance(this.prng, 0.5) ? nextInt(this.prng, SHORT_MS_MIN, SHORT_MS_MAX) : nextInt(this.prng, LONG_MS_MIN, LONG_MS_MAX);
  }

  private drawFailRate(): number {
    return nextChance(this.prng, FAIL_RATE_CHANCE) ? (FAIL_RATES[this.below(FAIL_RATES.length)] ?? 0) : 0;
  }

  private below(end: number): number {
    return nextInt(this.prng, 0, Math.max(end, 1));
  }
}

function shuffled<T>(prng: Prng, items: readonly T[]): T[] {
  const left = [...items];
  return items.flatMap(() => left.splice(nextInt(prng, 0, left.length), 1));
}
