/**
 * What comes after a forced recovery (PROTOCOL §4.7): the cluster goes on from the one new directory while servers on disks of before, or of
 * another recovery made apart, are still about; then these are emptied, and all join. Nothing of the old lineages may reach the new one.
 */
import { present } from "../../base/assert.js";
import { nextChance, nextInt, type Prng, splitPrng } from "../../base/prng.js";
import type { Address } from "../../paxos/ids.js";
import { historyAfterRecovery } from "../../paxos/invariants.js";
import { KinshipChecker } from "../checkers/kinship-checker.js";
import { configurationBefore, logOfNewLineage, votersToBe } from "../checkers/new-lineage.js";
import { OfOneLineage } from "../checkers/of-one-lineage.js";
import { StateChecker } from "../checkers/states.js";
import { checkWholeRun, type Earlier } from "../checkers/whole-run.js";
import type { WitnessChecker } from "../checkers/witness.js";
import { Cluster } from "../cluster/cluster.js";
import { heal } from "../cluster/healing.js";
import { DIRECTORY } from "../cluster/machine.js";
import { Nemesis } from "../cluster/nemesis.js";
import type { Failure } from "../cluster/watchers.js";
import { type Observer, Violation } from "../observer.js";
import { range, shuffled } from "../scenario/random.js";
import type { Scenario } from "../scenario/scenario.js";
import { Clients, type World } from "../workload/clients.js";
import type { Operation } from "../workload/operation.js";
import type { Files, Made } from "./workbench.js";

/** A run that is over, or what came of a recovery, to go on from. `observers`: those that know of no log. */
export type FirstAge = {
  readonly scenario: Scenario;
  readonly cluster: Cluster;
  readonly witness: WitnessChecker;
  readonly clients: Clients;
  readonly observers: readonly Observer[];
  /** What clients did in the ages before it. */
  readonly earlier?: Earlier;
};

const MICROS_A_MILLI = 1000;
/** How likely the new server is killed once. */
const KILL_CHANCE = 0.4;
/** How long others are about, on top of so many grants, and until the new server is killed. Milliseconds. */
const ABOUT_MS = 6000;
const ABOUT_GRANTS = 10;
const KILL_FOR_MS = 500;
/** How long a server on an old disk may try to write, well below ABOUT_GRANTS grants; and how often it is looked whether it runs. */
const TEMPT_MS = 1000;
const TEMPT_MICROS = 100_000;
/** How long it may take until both sides say who is turned away: the slowest disks take a while to start from. */
const SAID_MS = 60_000;

/** What runs on a disk that is not of the new lineage. */
type Outsider = "older" | "rival";
export type OutsiderDisk = { readonly files: Files; readonly kind: Outsider };

export type Start = {
  readonly made: Made;
  readonly target: number;
  /** Disks of outsiders, by the machine that they run on. */
  readonly disks: ReadonlyMap<number, OutsiderDisk>;
};

export class SecondAge {
  private readonly first: FirstAge;
  private readonly start: Start;
  private readonly prng: Prng;
  private readonly cluster: Cluster;
  private readonly scenario: Scenario;
  private readonly witness: WitnessChecker;
  private readonly clients: Clients;
  private readonly kinship: KinshipChecker;
  private readonly nemesis: Nemesis;
  private readonly outsiders = new Map<number, Outsider>();
  /** What explains the values that the new lineage begins with. */
  private readonly inherited: readonly Operation[];
  /** Where voters were in the configuration that the recovery began from, and members that were to vote as soon as they could. */
  private readonly votersBefore: ReadonlySet<Address>;

  constructor(first: FirstAge, start: Start, prng: Prng) {
    this.first = first;
    this.start = start;
    this.prng = prng;
    const { engine, tally, protocol } = first.cluster;
    this.scenario = secondScenario(first, start, prng);
    const log = logOfNewLineage(protocol.history, start.made);
    this.witness = first.witness.afterRecovery(log, this.scenario.settings.sessionsMax, engine.now);
    this.inherited = inheritedOf(this.witness, first.clients.keys);
    const before = present(configurationBefore(protocol.history, start.made, log), "a log begins with a configuration");
    this.votersBefore = new Set(votersToBe(before).map(({ address }) => address));
    const states = new StateChecker(this.witness.model);
    this.kinship = new KinshipChecker((server) => this.cluster.server(server)?.replicaState.durable);
    const belongs = (server: number): boolean => !this.outsiders.has(server);
    this.cluster = new Cluster(this.scenario, splitPrng(prng), {
      world: { engine, tally },
      history: historyAfterRecovery(protocol.history, log),
      isOutsider: (server) => !belongs(server),
      observers: [...first.observers, this.kinship, new OfOneLineage(this.witness, belongs), new OfOneLineage(states, belongs)],
    });
    this.nemesis = new Nemesis(this.cluster, this.scenario);
    const { machines, watchers } = this.cluster;
    states.start({
      engine,
      watchers,
      get machines() {
        return machines.map((machine) => (belongs(machine.index) ? machine : { server: null }));
      },
    });
    this.clients = new Clients({ cluster: this.world(), workload: this.scenario.workload, prng: splitPrng(prng), after: first.clients });
  }

  /** The cluster as clients see it: nobody goes to the servers of a rival, which would serve them well, from another log. */
  private world(): World {
    const { cluster, outsiders } = this;
    return {
      engine: cluster.engine,
      machines: cluster.machines,
      tally: cluster.tally,
      watchers: cluster.watchers,
      server: (index) => (outsiders.get(index) === "rival" ? null : cluster.server(index)),
      run: (end, isDone) => cluster.run(end, isDone),
    };
  }

  async run(): Promise<Failure | null> {
    const { cluster, scenario, clients, prng } = this;
    const { watchers, engine } = cluster;
    this.startServers();
    clients.start();
    for (const [index, kind] of this.outsiders) {
      if (kind === "older") {
        this.tempt(index, engine.now + ABOUT_MS * MICROS_A_MILLI);
      }
    }
    await cluster.run(engine.now + (ABOUT_MS + ABOUT_GRANTS * scenario.settings.grantMs) * MICROS_A_MILLI);
    clients.stop();
    await this.demandTurnedAway();
    this.emptyOutsiders();
    if (watchers.failure === null) {
      const core = await heal({ cluster, nemesis: this.nemesis, scenario, clients }, splitPrng(prng));
      if (core.length > 0) {
        this.demandVotes(core);
        await clients.readAll(core);
      }
      checkWholeRun({ cluster, witness: this.witness, clients, servers: core, earlier: this.earlier });
    }
    cluster.tally.add("message of another lineage turned away", this.kinship.turnedAway);
    if (watchers.failure === null) {
      cluster.tally.add("went on after recovery");
    }
    return watchers.failure;
  }

  /** Once it has run: as an age to go on from. */
  over(): FirstAge {
    const { scenario, cluster, witness, clients, earlier } = this;
    return { scenario, cluster, witness, clients, observers: this.first.observers, earlier };
  }

  private get earlier(): Earlier {
    const { clients, earlier } = this.first;
    const witnessed = clients.history.map((operation): Operation => ({ ...operation, outcome: "unknown", output: null, end: null }));
    return {
      witnessed: [...(earlier?.witnessed ?? []), ...witnessed],
      seen: this.start.made.merged.absentQuorum ? this.inherited : [...(earlier?.seen ?? []), ...clients.history],
    };
  }

  /** The new server, those on old disks, and, unless a rival might take them, those with empty ones. */
  private startServers(): void {
    const { cluster, start, outsiders } = this;
    const bring = (index: number, files: Files): void => {
      const machine = cluster.machine(index);
      machine.disk.place(DIRECTORY, files);
      machine.unusable = null;
      machine.start();
    };
    for (const [index, { files, kind }] of start.disks) {
      outsiders.set(index, kind);
      cluster.tally.add(`outsider of ${kind === "older" ? "an older lineage" : "another recovery"}`);
      bring(index, files);
    }
    bring(start.target, start.made.files);
    if (![...outsiders.values()].includes("rival")) {
      this.startEmpty();
    }
  }

  private startEmpty(): void {
    const { cluster } = this;
    for (const index of range(cluster.founders)) {
      cluster.machine(index).start();
    }
  }

  /** Asks a server on an old disk for a write, as soon as it runs: none may be acknowledged there any more. */
  private tempt(index: number, until: number): void {
    const { cluster } = this;
    if (cluster.server(index) !== null) {
      this.clients.ask(index, TEMPT_MS, () =>
        cluster.watchers.fail(new Violation("28", `n${index + 1} acknowledges a write on a disk of before the recovery`)),
      );
    } else if (cluster.engine.now < until) {
      cluster.engine.after(TEMPT_MICROS, () => this.tempt(index, until));
    }
  }

  /** Both sides say what is wrong, as soon as both run. */
  private async demandTurnedAway(): Promise<void> {
    const { cluster, outsiders } = this;
    const until = cluster.engine.now + SAID_MS * MICROS_A_MILLI;
    while (this.unsaid() !== null && cluster.engine.now < until && cluster.watchers.failure === null) {
      await cluster.run(cluster.engine.now + TEMPT_MICROS);
    }
    const unsaid = this.unsaid();
    if (unsaid !== null) {
      cluster.watchers.fail(new Violation("28", unsaid));
    }
    for (const kind of outsiders.values()) {
      cluster.tally.add(`${kind} lineage turned away`);
    }
  }

  /** Who does not say yet that another is of another lineage; null where all do. */
  private unsaid(): string | null {
    const { target } = this.start;
    for (const [index, kind] of this.outsiders) {
      const what = kind === "older" ? "from before a forced recovery" : "another forced recovery";
      const silent = [
        { who: target, about: index },
        { who: index, about: target },
      ].find((pair) => !this.says(pair, what));
      if (silent !== undefined) {
        return `n${silent.who + 1} does not say that n${silent.about + 1} is of another lineage`;
      }
    }
    return null;
  }

  private says({ who, about }: { readonly who: number; readonly about: number }, what: string): boolean {
    const { census } = this.cluster;
    const { warnings = [], blocked } = this.cluster.server(who)?.replicaStatus() ?? {};
    const names: readonly Address[] = [census.addressOf(about), census.addressOf(who)];
    return [...warnings, blocked ?? ""].some((text) => text.includes(what) && names.some((name) => text.includes(name)));
  }

  /** Who voted before the recovery, or was to vote as soon as it could, votes again: by the old roster, not by what the recovery made of it. */
  private demandVotes(core: readonly number[]): void {
    const { cluster, scenario } = this;
    const { removeAfterMs, failRate } = scenario.settings;
    if (removeAfterMs === 0 || failRate > 0 || cluster.watchers.failure !== null) {
      return; // nobody is given its vote, or may keep it
    }
    const silent = core.find((index) => this.votersBefore.has(cluster.census.addressOf(index)) && !cluster.census.isVoter(index));
    if (silent !== undefined) {
      cluster.watchers.fail(new Violation("recover", `n${silent + 1} voted before the recovery, and never again`));
    }
  }

  /** Their operators do as they are told: set the data aside and start with an empty disk. */
  private emptyOutsiders(): void {
    for (const index of [...this.outsiders.keys()]) {
      const machine = this.cluster.machine(index);
      machine.empty();
      this.outsiders.delete(index);
      machine.start();
    }
    this.startEmpty();
  }
}

/** No faults but a kill of the new server; some servers never come back. */
function secondScenario({ scenario, cluster }: FirstAge, { target }: Start, prng: Prng): Scenario {
  const now = Math.ceil(cluster.engine.now / MICROS_A_MILLI);
  const others = range(cluster.founders).filter((index) => index !== target);
  const left = nextChance(prng, 0.5) ? [] : shuffled(prng, others).slice(0, nextInt(prng, 0, others.length + 1));
  const at = now + nextInt(prng, 0, ABOUT_MS);
  return {
    ...scenario,
    faults: nextChance(prng, KILL_CHANCE) ? [{ kind: "kill", at, forMs: KILL_FOR_MS, server: target }] : [],
    held: [],
    core: range(cluster.founders).filter((index) => !left.includes(index)),
    left,
  };
}

/** A write of each value that the new lineage begins with, by nobody, before everything else. */
function inheritedOf({ model }: WitnessChecker, keys: readonly string[]): readonly Operation[] {
  return keys.flatMap((key): Operation[] => {
    const value = model.versionAt(key, model.revision)?.value ?? null;
    const put = { client: -1, server: 0, key, start: -2, end: -1, outcome: "ok", output: { revision: null } } as const;
    return value === null ? [] : [{ ...put, input: { op: "put", value } }];
  });
}
