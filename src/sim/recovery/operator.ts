/**
 * A forced recovery at the end of a run (PROTOCOL §4.7): always where a quorum was lost for good, now and then where nothing forces it.
 * All servers are stopped, the tool makes one new directory of what is left, perhaps twice and apart, and its claims are held against
 * what the run knows.
 */
import { present } from "../../base/assert.js";
import { nextChance, nextInt, type Prng, splitPrng } from "../../base/prng.js";
import type { Configuration } from "../../paxos/configuration.js";
import { type ReplicaId, VIRGIN } from "../../paxos/ids.js";
import { isQuorumOf } from "../../paxos/invariants-configuration.js";
import { checkNewLineage } from "../checkers/new-lineage.js";
import { checkRecoveryClaims, checkRefusal } from "../checkers/recovery-claims.js";
import { isWhole } from "../cluster/census.js";
import { DIRECTORY } from "../cluster/machine.js";
import type { Failure } from "../cluster/watchers.js";
import { shuffled } from "../scenario/random.js";
import { type FirstAge, type OutsiderDisk, SecondAge } from "./second-age.js";
import { type Bench, type Files, type Made, recoverOnBench } from "./workbench.js";

/** Why a machine of the first age is not started again. */
const SET_ASIDE = "set aside";
/** How likely a recovery is where a quorum is left. */
const NEEDLESS_CHANCE = 0.05;
/** Of recoveries where more than one directory is left: given all of them, and made twice, apart. */
const ALL_CHANCE = 0.6;
const RIVAL_CHANCE = 0.4;
/** How likely what came of a recovery is recovered once more. */
const AGAIN_CHANCE = 0.25;
/** How likely a server of before is started on its old disk, and how likely all power is lost when the servers are stopped. */
const OUTSIDER_CHANCE = 0.6;
const POWER_CHANCE = 0.3;

/** Recovers where it is due, runs what comes after, and now and then recovers that once more. The first promise that was broken; null where none was. */
export async function recoverNowAndThen(first: FirstAge, prng: Prng): Promise<Failure | null> {
  const { cluster, scenario } = first;
  const isBlocked = !cluster.census.isSomeQuorum(({ unusable }) => unusable === null);
  if (cluster.protocol.decided === 0 || scenario.held.length > 0 || (!isBlocked && !nextChance(prng, NEEDLESS_CHANCE))) {
    return null;
  }
  for (let age = first; ; ) {
    const next = await recover(age, prng);
    if (!(next instanceof SecondAge)) {
      return next;
    }
    if (!nextChance(prng, AGAIN_CHANCE)) {
      return null;
    }
    age = next.over();
    cluster.tally.add("recovered once more");
  }
}

/** What came after it; else the promise that was broken, or null where there is nothing to recover. */
async function recover(age: FirstAge, prng: Prng): Promise<SecondAge | Failure | null> {
  const { watchers } = age.cluster;
  try {
    const operator = new Operator(age, prng);
    const next = operator.isHopeless ? null : await operator.recover();
    return (await next?.run()) ?? next;
  } catch (error) {
    watchers.fail(error);
    return watchers.failure;
  }
}

class Operator {
  private readonly first: FirstAge;
  private readonly prng: Prng;
  /** What is left of the data directories, by machine. */
  private readonly files: ReadonlyMap<number, Files>;
  /** The configurations that could count before everything was stopped. */
  private readonly configurations: readonly Configuration[];

  /** Stops all servers for good. */
  constructor(first: FirstAge, prng: Prng) {
    this.first = first;
    this.prng = prng;
    this.configurations = first.cluster.census.configurations;
    this.files = this.stopAll();
  }

  /** No disk is left. */
  get isHopeless(): boolean {
    return this.files.size === 0;
  }

  /** Null where the tool refuses, rightly. */
  async recover(): Promise<SecondAge | null> {
    const { cluster } = this.first;
    const { prng } = this;
    const survivors = [...this.files.keys()];
    const given = nextChance(prng, ALL_CHANCE) ? survivors : this.some(survivors);
    const target = nextInt(prng, 0, cluster.founders);
    const made = await this.use(given, target);
    if (made === null) {
      cluster.tally.add("recovery refused");
      return null;
    }
    cluster.tally.add(made.merged.absentQuorum ? "recovery that may lose" : "recovery that loses nothing");
    const disks = new Map<number, OutsiderDisk>();
    for (const index of this.someOlder(survivors)) {
      disks.set(index, { files: this.filesOf(index), kind: "older" });
    }
    if (cluster.founders > 1 && nextChance(prng, RIVAL_CHANCE)) {
      const other = (target + 1) % cluster.founders;
      const rival = await this.use(this.some(survivors), other);
      if (rival !== null) {
        disks.set(other, { files: rival.files, kind: "rival" });
      }
    }
    disks.delete(target);
    return new SecondAge(this.first, { made, target, disks }, prng);
  }

  private filesOf(index: number): Files {
    return present(this.files.get(index), "a disk that is left");
  }

  private identityOf(index: number): ReplicaId {
    return this.first.cluster.census.identityOf(index);
  }

  private some(of: readonly number[]): readonly number[] {
    return shuffled(this.prng, of).slice(0, nextInt(this.prng, 1, of.length + 1));
  }

  /** Survivors that are started on their old disks all the same: no quorum of the old lineage, which would go on. */
  private someOlder(survivors: readonly number[]): readonly number[] {
    const older = survivors.filter(() => nextChance(this.prng, OUTSIDER_CHANCE));
    const isQuorum = (): boolean =>
      this.configurations.some((one) => isQuorumOf(one, (replica) => older.some((index) => this.identityOf(index) === replica)));
    while (older.length > 0 && isQuorum()) {
      older.pop();
    }
    return older;
  }

  private stopAll(): ReadonlyMap<number, Files> {
    const { cluster } = this.first;
    const { engine, machines, watchers } = cluster;
    const power = nextChance(this.prng, POWER_CHANCE);
    const whole = machines.filter(isWhole);
    for (const machine of machines) {
      if (power) {
        machine.losePower();
      } else {
        machine.kill();
      }
      machine.unusable ??= SET_ASIDE;
    }
    watchers.tell((observer) => observer.operated?.(engine.now, "all servers are stopped: a forced recovery begins"));
    const left = whole.filter(({ index, disk }) => !disk.damaged && this.identityOf(index) !== VIRGIN);
    return new Map(left.map(({ index, disk }) => [index, present(disk.copy().get(DIRECTORY), "a disk that a server ran on")]));
  }

  /** Uses the tool, and holds what it says and makes against what the run knows; null where it refuses, rightly. */
  private async use(given: readonly number[], target: number): Promise<Made | null> {
    const { cluster, scenario } = this.first;
    const { engine, tally, watchers } = cluster;
    const bench: Bench = { engine, tally, prng: splitPrng(this.prng) };
    const from = new Map(given.map((index) => [`/n${index + 1}`, this.filesOf(index)]));
    const address = present(cluster.addresses[target], "an address of the cluster");
    const result = await recoverOnBench(bench, { from, address, segmentBytes: scenario.settings.segmentBytes });
    for (const line of result.kind === "made" ? result.report : [result.text]) {
      watchers.tell((observer) => observer.operated?.(engine.now, line));
    }
    const { history } = cluster.protocol;
    const told = given.map((index) => present(cluster.protocol.diskOf(index), "a disk that a server ran on"));
    if (result.kind === "refused") {
      checkRefusal(result.text, told);
      return null;
    }
    checkRecoveryClaims(history, result.merged, told);
    checkNewLineage(history, result, { survivors: told, address });
    return result;
  }
}
