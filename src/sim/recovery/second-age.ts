/**
 * A forced recovery at the end of a run, and what comes after it (PROTOCOL §4.7): always where a quorum was lost for good, now and then
 * where nothing forces it. All servers are stopped; the tool makes one new directory of those that are left; the cluster goes on from it
 * while servers on disks of before, or of another recovery made apart, are still about; then these are emptied, and all join.
 */
import { present } from "../../base/assert.js";
import { nextChance, nextInt, type Prng, splitPrng } from "../../base/prng.js";
import type { Batch } from "../../paxos/batch.js";
import type { Address, ReplicaId } from "../../paxos/ids.js";
import { VIRGIN } from "../../paxos/ids.js";
import { historyAfterRecovery } from "../../paxos/invariants.js";
import { isQuorumOf } from "../../paxos/invariants-configuration.js";
import { KinshipChecker } from "../checkers/kinship-checker.js";
import { OfOneLineage } from "../checkers/of-one-lineage.js";
import { checkRecoveryClaims, recoveredLog } from "../checkers/recovery-claims.js";
import { StateChecker } from "../checkers/states.js";
import { checkWholeRun } from "../checkers/whole-run.js";
import type { WitnessChecker } from "../checkers/witness.js";
import { isWhole } from "../cluster/census.js";
import { Cluster } from "../cluster/cluster.js";
import { heal } from "../cluster/healing.js";
import { Nemesis } from "../cluster/nemesis.js";
import type { Failure } from "../cluster/watchers.js";
import { type Observer, Violation } from "../observer.js";
import { range, shuffled } from "../scenario/random.js";
import type { Scenario } from "../scenario/scenario.js";
import { Clients, type World } from "../workload/clients.js";
import type { Operation } from "../workload/operation.js";
import { type Bench, type Files, type Made, recoverOnBench } from "./workbench.js";

/** A run that is over, to go on from. `observers`: those that know of no log. */
export type FirstAge = {
  readonly scenario: Scenario;
  readonly cluster: Cluster;
  readonly witness: WitnessChecker;
  readonly clients: Clients;
  readonly observers: readonly Observer[];
};

const MICROS_A_MILLI = 1000;
const DIRECTORY = "/data";
/** Why a machine of the first age is not started again. */
const SET_ASIDE = "set aside";
/** How likely a recovery is where a quorum is left. */
const NEEDLESS_CHANCE = 0.05;
/** Of recoveries where more than one directory is left: given all of them, and made twice, apart. */
const ALL_CHANCE = 0.6;
const RIVAL_CHANCE = 0.4;
/** How likely a server of before is started on its old disk. */
const OUTSIDER_CHANCE = 0.6;
/** How likely all power is lost when the servers are stopped, and the new server is killed once. */
const POWER_CHANCE = 0.3;
const KILL_CHANCE = 0.4;
/** How long others are about, on top of so many grants, and until the new server is killed. Milliseconds. */
const ABOUT_MS = 6000;
const ABOUT_GRANTS = 10;
const KILL_FOR_MS = 500;
/** How long a server on an old disk may try to write, well below ABOUT_GRANTS grants; and how often it is looked whether it runs. */
const TEMPT_MS = 1000;
const TEMPT_MICROS = 100_000;

/** Recovers where it is due, and runs what comes after. The first promise that was broken; null where none was. */
export async function recoverNowAndThen(first: FirstAge, prng: Prng): Promise<Failure | null> {
  const { cluster, scenario } = first;
  const survivors = survivorsOf(cluster);
  const isBlocked = !cluster.census.isSomeQuorum(({ unusable }) => unusable === null);
  if (cluster.protocol.decided === 0 || survivors.length === 0 || scenario.held.length > 0) {
    return null;
  }
  if (!isBlocked && !nextChance(prng, NEEDLESS_CHANCE)) {
    return null;
  }
  const operator = new Operator(first, survivors, prng);
  try {
    return await operator.recover();
  } catch (error) {
    cluster.watchers.fail(error);
    return cluster.watchers.failure;
  }
}

/** Machines whose disks are left, and hold something. */
function survivorsOf({ machines, census }: Cluster): readonly number[] {
  return machines.filter((machine) => isWhole(machine) && census.identityOf(machine.index) !== VIRGIN).map(({ index }) => index);
}

/** What runs on a disk that is not of the new lineage. */
type Outsider = "older" | "rival";

class Operator {
  private readonly first: FirstAge;
  private readonly survivors: readonly number[];
  private readonly prng: Prng;
  private readonly files = new Map<number, Files>();

  constructor(first: FirstAge, survivors: readonly number[], prng: Prng) {
    this.first = first;
    this.survivors = survivors;
    this.prng = prng;
  }

  async recover(): Promise<Failure | null> {
    const { cluster } = this.first;
    const { prng, survivors } = this;
    const older = this.stopAll();
    const given = nextChance(prng, ALL_CHANCE) ? survivors : this.some(survivors);
    const target = nextInt(prng, 0, cluster.founders);
    const made = await this.use(given, target);
    if (made === null) {
      cluster.tally.add("recovery refused");
      return null;
    }
    cluster.tally.add(made.merged.absentQuorum ? "recovery that may lose" : "recovery that loses nothing");
    checkRecoveryClaims(cluster.protocol.history, made.merged, new Set(given.map((index) => this.identityOf(index))));
    const disks = new Map<number, { readonly files: Files; readonly kind: Outsider }>();
    for (const index of older) {
      if (index !== target) {
        disks.set(index, { files: present(this.files.get(index), "a survivor"), kind: "older" });
      }
    }
    if (cluster.founders > 1 && nextChance(prng, RIVAL_CHANCE)) {
      const rival = await this.use(this.some(survivors), (target + 1) % cluster.founders);
      if (rival !== null) {
        disks.set((target + 1) % cluster.founders, { files: rival.files, kind: "rival" });
      }
    }
    return await new SecondAge(this.first, { made, target, disks }, prng).run();
  }

  private identityOf(index: number): ReplicaId {
    return this.first.cluster.census.identityOf(index);
  }

  private some(of: readonly number[]): readonly number[] {
    return shuffled(this.prng, of).slice(0, nextInt(this.prng, 1, of.length + 1));
  }

  /** Stops all servers for good. Returns those that may be started on their old disks all the same: no quorum of the old lineage. */
  private stopAll(): readonly number[] {
    const { cluster, scenario } = this.first;
    const { configurations } = cluster.census;
    const power = nextChance(this.prng, POWER_CHANCE);
    const older = this.survivors.filter(() => nextChance(this.prng, OUTSIDER_CHANCE));
    const isQuorum = (): boolean =>
      configurations.some((one) => isQuorumOf(one, (replica) => older.some((index) => this.identityOf(index) === replica)));
    while (older.length > 0 && isQuorum()) {
      older.pop();
    }
    for (const machine of cluster.machines) {
      if (power) {
        machine.losePower();
      } else {
        machine.kill();
      }
      machine.unusable ??= SET_ASIDE;
    }
    for (const index of this.survivors) {
      this.files.set(index, present(cluster.machine(index).disk.copy().get(DIRECTORY), "a disk that a server ran on"));
    }
    cluster.watchers.tell((observer) =>
      observer.operated?.(
        cluster.engine.now,
        `all servers are stopped${scenario.servers > 1 ? "" : ", the only one"}: a forced recovery begins`,
      ),
    );
    return older;
  }

  /** Uses the tool; null where it refuses. */
  private async use(given: readonly number[], target: number): Promise<Made | null> {
    const { cluster, scenario } = this.first;
    const { engine, tally, watchers } = cluster;
    const bench: Bench = { engine, tally, prng: splitPrng(this.prng) };
    const from = new Map(given.map((index) => [`/n${index + 1}`, present(this.files.get(index), "a survivor")]));
    const address = present(cluster.addresses[target], "an address of the cluster");
    const result = await recoverOnBench(bench, { from, address, segmentBytes: scenario.settings.segmentBytes });
    for (const line of result.kind === "made" ? result.report : [result.text]) {
      watchers.tell((observer) => observer.operated?.(engine.now, line));
    }
    return result.kind === "made" ? result : null;
  }
}

type Start = {
  readonly made: Made;
  readonly target: number;
  /** Disks of outsiders, by the machine that they run on. */
  readonly disks: ReadonlyMap<number, { readonly files: Files; readonly kind: Outsider }>;
};

class SecondAge {
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

  constructor(first: FirstAge, start: Start, prng: Prng) {
    this.first = first;
    this.start = start;
    this.prng = prng;
    const { engine, tally, protocol } = first.cluster;
    this.scenario = secondScenario(first, start, prng);
    const log = logOf(first, start.made);
    this.witness = first.witness.afterRecovery(log, this.scenario.settings.sessionsMax, engine.now);
    this.inherited = inheritedOf(this.witness, first.clients.keys);
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
    this.demandTurnedAway();
    this.emptyOutsiders();
    if (watchers.failure === null) {
      const core = await heal({ cluster, nemesis: this.nemesis, scenario, clients }, splitPrng(prng));
      if (core.length > 0) {
        await clients.readAll(core);
      }
      const witnessed = this.first.clients.history.map(
        (operation): Operation => ({ ...operation, outcome: "unknown", output: null, end: null }),
      );
      const seen = this.start.made.merged.absentQuorum ? this.inherited : this.first.clients.history;
      checkWholeRun({ cluster, witness: this.witness, clients, servers: core, earlier: { witnessed, seen } });
    }
    cluster.tally.add("message of another lineage turned away", this.kinship.turnedAway);
    if (watchers.failure === null) {
      cluster.tally.add("went on after recovery");
    }
    return watchers.failure;
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

  /** Both sides say what is wrong. */
  private demandTurnedAway(): void {
    const { cluster, outsiders, start } = this;
    const own = cluster.server(start.target);
    for (const [index, kind] of outsiders) {
      const other = cluster.server(index);
      if (own === null || other === null || cluster.watchers.failure !== null) {
        continue;
      }
      this.demandSays(start.target, index, kind === "older" ? "from before a forced recovery" : "another forced recovery");
      this.demandSays(index, start.target, kind === "older" ? "from before a forced recovery" : "another forced recovery");
      cluster.tally.add(`${kind === "older" ? "older" : "rival"} lineage turned away`);
    }
  }

  private demandSays(who: number, about: number, what: string): void {
    const { cluster } = this;
    const { warnings = [], blocked } = cluster.server(who)?.replicaStatus() ?? {};
    const address: Address = cluster.census.addressOf(about);
    const own = cluster.census.addressOf(who);
    if (![...warnings, blocked ?? ""].some((text) => text.includes(what) && (text.includes(address) || text.includes(own)))) {
      cluster.watchers.fail(
        new Violation("28", `n${who + 1} does not say that n${about + 1} is of another lineage: ${JSON.stringify([...warnings, blocked])}`),
      );
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

/** The whole log of the new directory, from slot 1 on. */
function logOf({ cluster }: FirstAge, { merged, durable }: Made): readonly Batch[] {
  const kept = recoveredLog(cluster.protocol.history, merged);
  const log = [...kept];
  for (let batch = nextOf(durable.learned, log); batch !== undefined; batch = nextOf(durable.learned, log)) {
    log.push(batch);
  }
  for (const [slot, batch] of durable.learned) {
    if (log[slot - 1]?.digest !== batch.digest) {
      throw new Violation("recover", `the new directory holds another value for slot ${slot} than the tool said`);
    }
  }
  return log;
}

function nextOf(learned: ReadonlyMap<number, Batch>, log: readonly Batch[]): Batch | undefined {
  return learned.get(log.length + 1);
}

/** A write of each value that the new lineage begins with, by nobody, before everything else. */
function inheritedOf({ model }: WitnessChecker, keys: readonly string[]): readonly Operation[] {
  return keys.flatMap((key): Operation[] => {
    const value = model.versionAt(key, model.revision)?.value ?? null;
    const put = { client: -1, server: 0, key, start: -2, end: -1, outcome: "ok", output: { revision: null } } as const;
    return value === null ? [] : [{ ...put, input: { op: "put", value } }];
  });
}
