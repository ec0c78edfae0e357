/**
 * Who is who at this moment of a run: the voters of the newest decided configuration, and of those that may take effect next, and whose
 * disks are whole. From outside, and surer than any server can be. What a cluster can bear follows from it: a disk may be lost only
 * while the whole ones of the other voters make a quorum of each of those configurations (PROTOCOL §4.5).
 */
import type { Configuration } from "../../paxos/configuration.js";
import { type Address, type ReplicaId, VIRGIN } from "../../paxos/ids.js";
import { isQuorumOf } from "../../paxos/invariants-configuration.js";
import type { ProtocolChecker } from "../checkers/protocol.js";
import type { Machine } from "./machine.js";

export class Census {
  private readonly machines: readonly Machine[];
  private readonly addresses: readonly Address[];
  private readonly protocol: ProtocolChecker;

  constructor(machines: readonly Machine[], addresses: readonly Address[], protocol: ProtocolChecker) {
    this.machines = machines;
    this.addresses = addresses;
    this.protocol = protocol;
  }

  /** Configurations that the next decision may need a quorum of, to be taken or to be known. None before the founding. */
  get configurations(): readonly Configuration[] {
    const { configuration, supersededConfiguration, proposedConfigurations } = this.protocol;
    return [configuration, supersededConfiguration, ...proposedConfigurations].filter((one) => one !== undefined);
  }

  /** The newest decided one. */
  get configuration(): Configuration | undefined {
    return this.protocol.configuration;
  }

  identityOf(index: number): ReplicaId {
    return this.protocol.identityOf(index);
  }

  /** The address under which a server is known. */
  addressOf(index: number): Address {
    return this.addresses[index] as Address;
  }

  /** Whose id is on the disk of this machine is a member. */
  isMember(index: number): boolean {
    return this.protocol.configuration?.roster.some(({ replica }) => replica === this.identityOf(index)) === true;
  }

  isVoter(index: number): boolean {
    return this.protocol.configuration?.voters.includes(this.identityOf(index)) === true;
  }

  /** Was a member, and never will be again. */
  isRemoved(index: number): boolean {
    const { configuration } = this.protocol;
    const replica = this.identityOf(index);
    return configuration !== undefined && replica !== VIRGIN && replica < configuration.nextReplicaId && !this.isMember(index);
  }

  /** The machine that holds the disk of a replica; undefined where that disk is lost. */
  holderOf(replica: ReplicaId): Machine | undefined {
    return this.machines.find(({ index }) => this.identityOf(index) === replica);
  }

  /** Whether the voters that `isIn` holds of, with their disks, are a quorum of every configuration that may count. */
  isQuorum(isIn: (machine: Machine) => boolean): boolean {
    const holds = (replica: ReplicaId): boolean => {
      const holder = this.holderOf(replica);
      return holder !== undefined && isIn(holder);
    };
    return this.configurations.every((configuration) => isQuorumOf(configuration, holds));
  }

  /** Whether they are a quorum of any such configuration. */
  isSomeQuorum(isIn: (machine: Machine) => boolean): boolean {
    const holds = (replica: ReplicaId): boolean => {
      const holder = this.holderOf(replica);
      return holder !== undefined && isIn(holder);
    };
    return this.configurations.some((configuration) => isQuorumOf(configuration, holds));
  }

  /**
   * Until every founder holds Genesis a lost disk costs the founding, and nothing that was decided. Without the last disk that holds it
   * they may found once more, rightly: but a run, and whoever checks it, knows one cluster.
   */
  private isOnlyFounding(index: number): boolean {
    const { history, decided } = this.protocol;
    const [genesis] = history.configurations;
    if (genesis === undefined) {
      return true;
    }
    const isFounded = decided > 0 || genesis.configuration.roster.every(({ address }) => history.founded.has(address));
    return !isFounded && this.machines.some((machine) => machine.index !== index && this.identityOf(machine.index) !== VIRGIN);
  }

  /** Whether the cluster can do without what is on the disk of `index`. A damaged disk is not counted on, even while its server runs. */
  bearsLossOf(index: number): boolean {
    return this.isOnlyFounding(index) || this.isQuorum((machine) => machine.index !== index && isWhole(machine));
  }
}

/** Nothing on its disk was damaged, and no copy put in its place; its server can be started. */
export function isWhole({ disk, unusable }: Machine): boolean {
  return !disk.damaged && unusable === null;
}

/** Why a machine stays dead that was left behind. */
export const LEFT_DEAD = "left dead";
/** Why a spare has no server: none was added yet. */
export const NOT_THERE = "not there yet";
