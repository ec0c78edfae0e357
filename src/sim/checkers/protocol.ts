/**
 * The invariants of the protocol over a whole run (PROTOCOL §7.1, sort S): feeds paxos/invariants.ts with what every replica
 * wrote, sent and decided, across lives. It looks at replicas and changes none.
 */
import { present } from "../../base/assert.js";
import { type Ballot, equalBallots } from "../../paxos/ballot.js";
import type { Batch } from "../../paxos/batch.js";
import type { Configuration } from "../../paxos/configuration.js";
import type { Effect, Event, PledgeSend } from "../../paxos/effect.js";
import { type Address, type DiskId, type ReplicaId, type Slot, slot, VIRGIN } from "../../paxos/ids.js";
import {
  checkActivation,
  checkApply,
  checkInstall,
  checkPledge,
  checkPromise,
  checkProposal,
  checkRead,
  checkRecords,
  checkRefused,
  checkReplica,
  checkSettled,
  checkSynced,
  createHistory,
  entriesOf,
  governing,
  type History,
  readFloor,
} from "../../paxos/invariants.js";
import { isSameConfiguration, settledFault } from "../../paxos/invariants-configuration.js";
import { FOUNDING_EPOCH, needsSnapshot } from "../../paxos/joining.js";
import { currentConfiguration } from "../../paxos/log.js";
import type { Header, Message, PromiseEntry, PromiseReply } from "../../paxos/message.js";
import { applyRecord, type Durable, durableDecided, type WalRecord } from "../../paxos/record.js";
import type { ReplicaState } from "../../paxos/replica.js";
import { sightingsOf } from "../../paxos/sightings.js";
import { copyDurable } from "../../storage/live-tail.js";
import type { Tally } from "../engine/tally.js";
import { type Observer, Violation } from "../observer.js";
import { checkGone, checkGrant, checkIdentity, checkNomination, checkPong } from "./conduct.js";
import { Hearing } from "./hearing.js";
import { changesBetween, isTie, sightsOfStep } from "./member-sights.js";
import { checkRecovered, type DiskPast } from "./recovered.js";

/** What is remembered of one server's present life. */
type Life = {
  state: Readonly<ReplicaState> | null;
  /** Its disk was put back to an older state: what it says is wrong, and nobody counts it (PROTOCOL §6). */
  readonly isOlder: boolean;
  promised: Ballot;
  decided: Slot;
  /** Last slot handed to the state machine. */
  applied: Slot;
  /** Read id → what it must see. */
  readonly reads: Map<number, number>;
  /** The attempt under way after the last step, and what the own acceptor held then. */
  candidate: ReplicaState["candidate"];
  own: readonly PromiseEntry[];
  /** The grant after the last step: a renewal makes a new one. */
  grant: ReplicaState["grant"];
  /** The entry whose settling was looked at last. */
  settled: ReplicaState["membership"]["settling"];
  /** After the last step it had a place in the cluster, and nothing to build on. */
  isJoining: boolean;
  readonly hearing: Hearing;
};

export class ProtocolChecker implements Observer {
  readonly history: History;
  private readonly addresses: readonly Address[];
  private readonly tally: Tally;
  private readonly lives = new Map<number, Life>();
  /** What each disk was told to hold. */
  private readonly disks = new Map<number, Durable>();
  /** The disk that each ReplicaId was given to. */
  private readonly owners = new Map<ReplicaId, DiskId>();
  /** Configurations proposed, by slot; those of decided slots say nothing any more. */
  private readonly entries = new Map<Slot, readonly Configuration[]>();

  /** `history`: what was decided before, where the servers do not begin with nothing. */
  constructor(addresses: readonly Address[], tally: Tally, history: History = createHistory()) {
    this.history = history;
    this.addresses = addresses;
    this.tally = tally;
  }

  /** The replica of a server that has begun a life; its first step follows. `durable` is what recovery returned. */
  begin(server: number, state: Readonly<ReplicaState>, { durable, past }: { readonly durable: Durable; readonly past: DiskPast }): void {
    const { promised } = durable;
    const told = this.disks.get(server);
    if (told !== undefined) {
      checkRecovered(server, { told, found: durable }, past);
    }
    this.disks.set(server, copyDurable(durable));
    this.count(server, durable);
    this.lives.set(server, {
      state,
      isOlder: past.restored,
      promised,
      decided: 0 as Slot,
      applied: (durable.snapshot?.index ?? 0) as Slot,
      reads: new Map(),
      candidate: null,
      own: [],
      grant: null,
      settled: null,
      isJoining: false,
      hearing: new Hearing(),
    });
  }

  /** The disk of a server is empty from now on: what comes next is another disk. */
  emptied(server: number): void {
    this.disks.delete(server);
  }

  /** What the disk of a server was told to hold; undefined for an empty one on which nothing began yet. */
  diskOf(server: number): Readonly<Durable> | undefined {
    return this.disks.get(server);
  }

  /** The id that is on the disk of a server, as far as it was told; VIRGIN on an empty one. */
  identityOf(server: number): ReplicaId {
    return this.disks.get(server)?.replica ?? VIRGIN;
  }

  /** The voters of the next slot, as far as anybody has decided; undefined before the founding. */
  get configuration(): Configuration | undefined {
    return governing(this.history, this.decided + 1);
  }

  /** Configurations that may take effect next: somebody proposed or holds them, in a slot that is not decided yet. */
  get proposedConfigurations(): readonly Configuration[] {
    const epoch = this.configuration?.epoch;
    return [...this.entries]
      .flatMap(([slot, proposed]) => (slot > this.decided ? proposed : []))
      .filter(({ prevEpoch }) => prevEpoch === epoch);
  }

  /**
   * The configuration before the newest while that is not settled: what the voters of before decided may be unknown to every one of a quorum of
   * the voters of now, up to the very entry that made them voters.
   */
  get supersededConfiguration(): Configuration | undefined {
    const [before, newest] = this.history.configurations.slice(-2);
    return newest !== undefined && settledFault(newest.configuration, slot(newest.from - 1), this.history.durable) !== null
      ? before?.configuration
      : undefined;
  }

  private noteEntry(slot: Slot, batch: Batch): void {
    if (batch.kind === "configuration" && slot > this.decided) {
      const held = this.entries.get(slot) ?? [];
      if (!held.some((configuration) => isSameConfiguration(configuration, batch.configuration))) {
        this.checkBegun(batch.configuration);
        this.entries.set(slot, [...held, batch.configuration]);
      }
    }
  }

  /** A change begins only once the one before is settled, whoever coordinates by now (29; PROTOCOL §4.2). */
  private checkBegun({ prevEpoch }: Configuration): void {
    const current = this.history.configurations.at(-1);
    if (current !== undefined && current.configuration.epoch === prevEpoch && prevEpoch !== FOUNDING_EPOCH) {
      checkSettled(this.history, current.configuration, slot(current.from - 1));
    }
  }

  /** What recovery found may have been synced although the life before did not live to hear of it. */
  private count(server: number, durable: Durable): void {
    const at = { address: present(this.addresses[server], "a server of the run"), replica: durable.replica };
    const { clusterId, lineage, replica, trimmed, trimmedConfiguration } = durable;
    if (replica === VIRGIN) {
      return;
    }
    this.history.founded.add(at.address);
    if (trimmed === 0 && trimmedConfiguration !== null) {
      checkSynced(this.history, at, { kind: "identity", clusterId, lineage, replica, configuration: trimmedConfiguration });
    }
    for (const [slot, { ballot, batch }] of durable.accepted) {
      checkSynced(this.history, at, { kind: "accept", ballot, slot, batch });
    }
    this.noteDurable(durable);
  }

  /** The last slot that anyone decided. */
  get decided(): number {
    return this.history.decided.length;
  }

  private noteDurable(durable: Durable): void {
    const decided = durableDecided(durable);
    if (decided > (this.history.durable.get(durable.replica) ?? 0)) {
      this.history.durable.set(durable.replica, decided);
    }
  }

  ended(_at: number, server: number): void {
    this.lives.delete(server);
  }

  synced(_at: number, server: number, records: readonly WalRecord[]): void {
    const disk = present(this.disks.get(server), "a server that commits has begun a life");
    for (const record of records) {
      applyRecord(disk, record);
      if (record.kind === "identity") {
        this.checkOwner(record.replica, disk.diskId);
      }
      checkSynced(this.history, { address: this.addresses[server] as Address, replica: disk.replica }, record);
    }
    this.noteDurable(disk);
  }

  /** A ReplicaId names one disk for ever (33). */
  private checkOwner(replica: ReplicaId, disk: DiskId): void {
    const owner = this.owners.get(replica) ?? disk;
    this.owners.set(replica, owner);
    if (owner !== disk) {
      throw new Violation("33", `replica ${replica} was given to disk ${owner}, and now to ${disk}`);
    }
  }

  sent(_at: number, server: number, to: readonly Address[], header: Header, message: Message): void {
    for (const what of sightingsOf(message)) {
      this.tally.add(what);
    }
    const synced = this.disks.get(server);
    const life = this.lives.get(server);
    if (life?.isOlder === true) {
      return;
    }
    if (message.kind === "handover" && life?.state?.configurations.at(-1)?.configuration.voters.includes(header.from) === false) {
      this.tally.add("handover by a removed coordinator");
    }
    if (synced !== undefined) {
      checkIdentity(synced, header, message);
    }
    if (synced !== undefined && (message.kind === "prepare" || message.kind === "promise" || message.kind === "accepted")) {
      checkPledge(this.history, { to, header, message } as PledgeSend, { boot: synced.boot, synced });
    } else if (message.kind === "pong") {
      checkPong(message, this.lives.get(server)?.state?.quarantined === true);
    } else if (message.kind === "propose") {
      this.noteEntry(message.slot, message.batch);
      checkProposal(this.history, { ...message, epoch: header.epoch });
    }
  }

  stepped(_at: number, server: number, event: Event, effects: readonly Effect[]): void {
    const life = this.lives.get(server);
    const state = life?.state;
    if (life === undefined || state === null || state === undefined) {
      return;
    }
    if (event.kind === "read") {
      life.reads.set(event.id, readFloor(this.history));
    } else if (event.kind === "snapshotLoaded" && event.ok) {
      checkInstall(this.history, life.applied, event.meta);
      life.applied = event.meta.index;
      this.tally.add("snapshot installed");
      if (life.isJoining) {
        this.tally.add("snapshot installed by a joiner");
      }
    } else if (event.kind === "snapshotTaken") {
      this.tally.add("snapshot taken");
    } else if (event.kind === "peerGone") {
      checkGone(state, event.address);
    }
    life.isJoining = needsSnapshot(state);
    life.hearing.note(event, state);
    this.checkEffects(life, state, effects);
    for (const sight of sightsOfStep(state, event, effects)) {
      this.tally.add(sight);
    }
    this.checkActivation(life, state);
    if (state.grant !== life.grant) {
      checkGrant(life.grant, state, event);
      life.grant = state.grant;
    }
    if (state.candidate !== null && state.candidate !== life.candidate) {
      checkNomination(state, state.candidate, event);
    }
    if (
      state.durable.replica !== VIRGIN &&
      !life.isOlder &&
      (life.decided !== state.decided || !equalBallots(life.promised, state.durable.promised))
    ) {
      checkReplica(this.history, state.durable.replica, {
        decided: state.decided,
        chain: state.chain,
        promised: state.durable.promised,
        configuration: currentConfiguration(state),
      });
    }
    this.checkSettling(life, state);
    life.promised = state.durable.promised;
    life.decided = state.decided;
    life.candidate = state.candidate;
    life.own = state.candidate === null ? [] : entriesOf(state.durable);
  }

  /** What `status` calls settled is (29). */
  private checkSettling(life: Life, { membership, coordinator, configurations }: Readonly<ReplicaState>): void {
    const { settling } = membership;
    const configuration = configurations.at(-1)?.configuration;
    if (coordinator !== null && settling?.isDone === true && settling !== life.settled && configuration !== undefined) {
      life.settled = settling;
      this.tally.add("change settled");
      checkSettled(this.history, configuration, settling.slot);
    }
  }

  private checkEffects(life: Life, state: Readonly<ReplicaState>, effects: readonly Effect[]): void {
    for (const effect of effects) {
      switch (effect.kind) {
        case "apply":
          this.checkDecision(life, effect.slot, effect.batch);
          break;
        case "refused":
          checkRefused(this.history, effect.batch);
          break;
        case "readReady":
          for (const id of effect.ids) {
            checkRead(life.reads.get(id) ?? 0, effect.index, id);
            life.reads.delete(id);
          }
          break;
        case "persist": {
          checkRecords(life.promised, effect.records);
          for (const record of effect.records) {
            if (record.kind === "accept") {
              this.noteEntry(record.slot, record.batch);
              life.hearing.check(record, state);
            }
          }
          const parts = effect.thenSend.flatMap(({ message }) => (message.kind === "promise" ? [message] : []));
          if (parts.length > 0) {
            checkPromise(state.durable, parts);
          }
          break;
        }
        case "coordination":
          this.tally.add(effect.active ? "coordinator active" : "coordination changed");
          break;
        default:
      }
    }
  }

  private checkDecision(life: Life, slot: Slot, batch: Parameters<typeof checkApply>[2]): void {
    if (slot !== life.applied + 1) {
      throw new Violation("12", `slot ${slot} is handed to the state machine next to ${life.applied}`);
    }
    life.applied = slot;
    if (slot <= this.decided) {
      checkApply(this.history, slot, batch);
      return;
    }
    const before = this.configuration;
    checkApply(this.history, slot, batch);
    this.noteTie(slot, batch);
    this.tally.add("stale entry", this.history.staleEntries - this.tally.of("stale entry"));
    if (before !== undefined && this.configuration !== undefined && before !== this.configuration) {
      for (const what of changesBetween(before, this.configuration)) {
        this.tally.add(what);
      }
    }
  }

  private noteTie(slot: Slot, batch: Batch): void {
    const configuration = governing(this.history, slot);
    const votes = [...(this.history.votes.get(slot)?.values() ?? [])].filter(({ digest }) => digest === batch.digest);
    if (
      configuration !== undefined &&
      configuration.voters.length % 2 === 0 &&
      votes.every(({ acceptors }) => isTie(configuration, acceptors))
    ) {
      this.tally.add("decided by the tie-break");
    }
  }

  private checkActivation(life: Life, state: Readonly<ReplicaState>): void {
    const { candidate, own } = life;
    if (candidate === null || state.coordinator === null || !equalBallots(state.coordinator.ballot, candidate.ballot)) {
      return;
    }
    const counted = [...candidate.promises].flatMap(
      ([replica, { complete }]): Array<[typeof replica, readonly PromiseReply[]]> => (complete === null ? [] : [[replica, complete]]),
    );
    const phase1 = { ballot: candidate.ballot, decided: state.decided, own, counted: new Map(counted) };
    const adopted = checkActivation(this.history, phase1);
    this.tally.add("election won");
    this.tally.add(adopted > 0 ? "values adopted" : "nothing to adopt");
  }
}
