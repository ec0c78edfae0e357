/**
 * What operators do to the members of a run: add servers, give and take votes, replace, bring a machine back on an empty disk, and take one server
 * after another away. They ask running servers, as `synod member` does, and believe what they are told; what they are told is checked.
 */
import { unreachable } from "../../base/assert.js";
import type { MembershipChange } from "../../paxos/change.js";
import { type ReplicaId, VIRGIN } from "../../paxos/ids.js";
import type { ChangeOutcome } from "../../server/changes.js";
import { Violation } from "../observer.js";
import type { MemberFault, Victim } from "../scenario/faults.js";
import { isWhole, LEFT_DEAD, NOT_THERE } from "./census.js";
import type { Cluster } from "./cluster.js";
import type { Machine } from "./machine.js";
import { OneByOne } from "./one-by-one.js";

type End = () => void;
const NOTHING: End = () => {};

const MICROS_A_MILLI = 1000;
/** How long an operator waits for an answer, and between two steps of a replacement. */
const PATIENCE_MS = 5000;
const STEP_MS = 250;

export class Churn {
  private readonly cluster: Cluster;

  constructor(cluster: Cluster) {
    this.cluster = cluster;
  }

  /** Begins a fault; the result ends what is not over by itself. */
  begin(fault: MemberFault): End {
    switch (fault.kind) {
      case "add":
        this.cluster.add(fault.server);
        return NOTHING;
      case "rejoin":
        this.rejoin(fault.server);
        return NOTHING;
      case "promote":
      case "remove":
      case "tieBreak":
        this.ask(fault.kind, this.victim(fault.server), this.victim(fault.via));
        return NOTHING;
      case "replace":
        return this.replace(fault.server, fault.by);
      case "oneByOne":
        return new OneByOne(this.cluster, fault).begin();
      default:
        return unreachable(fault);
    }
  }

  /** The machine that is meant; null where nobody coordinates, or nobody breaks ties. */
  victim(whom: Victim): Machine | null {
    const { cluster } = this;
    if (whom === "tie-break") {
      const tieBreak = cluster.census.configuration?.tieBreak;
      return tieBreak === undefined ? null : (cluster.census.holderOf(tieBreak) ?? null);
    }
    const index = whom === "coordinator" ? cluster.coordinator() : whom;
    return index === null ? null : cluster.machine(index);
  }

  /** A machine whose server can never come back gets an empty disk, and its server joins under a new id. */
  private rejoin(index: number): void {
    const machine = this.cluster.machine(index);
    if (machine.unusable !== null && ![LEFT_DEAD, NOT_THERE].includes(machine.unusable)) {
      machine.empty();
      this.cluster.startJoining(index);
      this.cluster.tally.add("machine brought back");
    }
  }

  private ask(kind: "promote" | "remove" | "tieBreak", target: Machine | null, via: Machine | null): void {
    const { cluster } = this;
    const replica = target === null ? VIRGIN : this.replicaAt(target.index);
    const { server, host } = via ?? { server: null, host: null };
    if (replica === VIRGIN || server === null || host === null || target === null || !this.isPrudent(kind, target, replica)) {
      cluster.tally.add("change not asked for");
      return;
    }
    const change: MembershipChange = { kind: kind === "tieBreak" ? "moveTieBreak" : kind, replica };
    host.enter(() => {
      server.change(change, PATIENCE_MS).then((outcome) => this.onOutcome(change, outcome));
    });
    cluster.engine.stir();
  }

  private onOutcome(change: MembershipChange, outcome: ChangeOutcome): void {
    const { tally, census, watchers, protocol } = this.cluster;
    tally.add(`${change.kind} ${outcome.ok ? "done" : "not done"}`);
    if (!outcome.ok || change.kind !== "remove") {
      return;
    }
    const isListed = census.configuration?.roster.some(({ replica }) => replica === change.replica) === true;
    if (isListed || (outcome.slot > 0 && protocol.history.decided[outcome.slot - 1]?.kind !== "configuration")) {
      watchers.fail(
        new Violation("change", `an operator is told that replica ${change.replica} was removed in slot ${outcome.slot}, and it was not`),
      );
    }
  }

  /** The member on this machine: the one on its disk, else the one whose disk was lost there. */
  private replicaAt(index: number): ReplicaId {
    const { census } = this.cluster;
    const lost = census.configuration?.roster.find(({ address }) => address === census.addressOf(index))?.replica;
    return census.isMember(index) ? census.identityOf(index) : (lost ?? VIRGIN);
  }

  /** An operator who knows which disks are damaged takes no step after which only damaged ones would make a quorum. */
  private isPrudent(kind: "promote" | "remove" | "tieBreak", target: Machine, replica: ReplicaId): boolean {
    const { census } = this.cluster;
    if (kind !== "remove") {
      return isWhole(target);
    }
    return census.configurations.every(({ voters }) => {
      const others = voters.filter((voter) => voter !== replica);
      const whole = others.filter((voter) => {
        const holder = census.holderOf(voter);
        return holder !== undefined && isWhole(holder);
      });
      return 2 * whole.length > others.length;
    });
  }

  /** `synod member replace`: the new one joins, catches up, is promoted; then the old one is removed. */
  private replace(old: number, by: number): End {
    const { cluster } = this;
    let isOver = false;
    cluster.add(by);
    const step = (): void => {
      if (isOver) {
        return;
      }
      const { census } = cluster;
      const via = this.victim("coordinator");
      if (!census.isMember(old)) {
        return;
      }
      if (census.isVoter(by)) {
        this.ask("remove", cluster.machine(old), via);
      } else if (census.isMember(by)) {
        this.ask("promote", cluster.machine(by), via);
      }
      cluster.engine.after(STEP_MS * MICROS_A_MILLI, step);
    };
    step();
    return () => {
      isOver = true;
    };
  }
}
