/**
 * One server above the I/O line: the replica, the state machine and everything between them, given a log, a network and clocks.
 * The simulator runs exactly this. It must not know sockets, files or the process it runs in; what goes wrong for good is
 * reported once, and after that it does nothing any more.
 */
import { unreachable } from "../base/assert.js";
import { seedPrng } from "../base/prng.js";
import { encodeCommand, encodePlainPut } from "../kv/command.js";
import type { KvStore, Restore } from "../kv/kv-store.js";
import type { SessionId, TxnRequest } from "../kv/model.js";
import { BATCH_PAYLOAD_MAX } from "../paxos/batch.js";
import type { MembershipChange } from "../paxos/change.js";
import { type Address, type ClusterId, type Lineage, NO_CLUSTER, type Slot } from "../paxos/ids.js";
import type { Durable } from "../paxos/record.js";
import {
  blockedSentence,
  CHECKPOINT_SLOTS,
  canPropose,
  createReplica,
  headerOf,
  heirOfTieBreak,
  lastVoterSentence,
  type ReplicaState,
  type ReplicaStatus,
  statusOf,
  step,
} from "../paxos/replica.js";
import type { Clock } from "../ports/clock.js";
import type { PeerNetwork } from "../ports/peer-network.js";
import type { Random } from "../ports/random.js";
import type { Trace } from "../ports/trace.js";
import { Applier } from "./applier.js";
import { Arena } from "./arena.js";
import { Backup } from "./backup.js";
import { type ChangeOutcome, Changes } from "./changes.js";
import type { WriteNumber } from "./client-writes.js";
import type { ServerConfig } from "./config.js";
import { Departure } from "./departure.js";
import { drawNonce, drawSeed } from "./draws.js";
import { EventRing } from "./event-ring.js";
import { whatIsMissing } from "./explain.js";
import { FailRate } from "./fail-rate.js";
import { Housekeeping } from "./housekeeping.js";
import { Intake } from "./intake.js";
import { Lifecycle } from "./lifecycle.js";
import type { Logger } from "./logger.js";
import { Maintenance } from "./maintenance.js";
import { Notices } from "./notices.js";
import { Proposals } from "./proposals.js";
import { Pulse } from "./pulse.js";
import { Reads, type ReadWaiter } from "./reads.js";
import { ReplicaDriver, type ServerEffect } from "./replica-driver.js";
import { replicaOptions } from "./replica-options.js";
import { Snapshots } from "./snapshots.js";
import type { ServerStatus } from "./status.js";
import type { ServerStorage } from "./storage-port.js";
import { StoreError } from "./store-error.js";
import { until } from "./waiting.js";
import type { WriteWaiter } from "./writes.js";

/** How long it waits until another breaks ties, if this server does in an even set of voters. */
const TIE_BREAK_MS = 1000;

/** The largest command: a batch of it alone is within what a batch and a Forward may be. */
export const COMMAND_BYTES_MAX = BATCH_PAYLOAD_MAX - 1024;

const MICROS_A_MILLI = 1000;

export type ServerOptions = {
  readonly config: ServerConfig;
  readonly clock: Clock;
  readonly random: Random;
  readonly network: PeerNetwork;
  readonly storage: ServerStorage;
  readonly log: Logger;
  readonly trace: Trace | null;
  /** What recovery made of the log, its boot raised and synced. */
  readonly durable: Durable;
  /** The state of the newest snapshot, or an empty one. */
  readonly store: KvStore;
  /** A fresh state machine to be filled from a snapshot. */
  readonly restore: () => Restore;
  /** The server was removed from the cluster and ends soon: clients should turn to others. Called at most once. */
  readonly onLeaving: () => void;
  /** The disk lets nothing be closed: the process cannot end but by force. Called at most once. */
  readonly onStuck: () => void;
  /** The server has ended by itself, with this exit status. Called once. */
  readonly onFatal: (status: number) => void;
};

export class Server {
  private readonly options: ServerOptions;
  private readonly replica: ReplicaState;
  private readonly driver: ReplicaDriver;
  private readonly proposals: Proposals;
  private readonly reads: Reads;
  private readonly applier: Applier;
  private readonly housekeeping: Housekeeping;
  private readonly maintenance: Maintenance;
  private readonly snapshots: Snapshots;
  private readonly changes: Changes;
  private readonly intake: Intake;
  private readonly pulse: Pulse;
  private readonly ring = new EventRing();
  private readonly arena = new Arena();
  private readonly allocate = (length: number): Uint8Array => this.arena.take(length);
  private readonly startedAt: number;
  private readonly life: Lifecycle;
  private readonly notices: Notices;
  private spaceLow = false;
  private readonly departure: Departure;

  constructor(options: ServerOptions) {
    const { config, clock, random } = options;
    this.options = options;
    this.startedAt = clock.nowMicros();
    const { log, onStuck, onFatal } = options;
    this.life = new Lifecycle({ clock, log, ring: this.ring, close: (why) => this.close(why), onStuck, onFatal });
    this.replica = createReplica(replicaOptions(config, drawSeed(random)));
    this.changes = new Changes({
      now: () => clock.nowMicros(),
      begin: (id, change, deadline) => this.life.guard(() => this.driver.deliver({ kind: "change", id, change, deadline })),
    });
    this.notices = new Notices({
      log: options.log,
      blocked: () => blockedSentence(this.replica),
      risk: () => lastVoterSentence(this.replica),
    });
    this.driver = this.makeDriver();
    this.proposals = this.makeProposals();
    this.intake = new Intake({
      replica: this.replica,
      failRate: new FailRate(config.failRate, seedPrng(drawSeed(random))),
      proposals: this.proposals,
      deliver: (event) => this.driver.deliver(event),
      send: (to, message) => options.network.send([to], headerOf(this.replica), message),
    });
    this.reads = new Reads({
      begin: (id) => this.driver.deliver({ kind: "read", id }),
      cancel: (id) => this.driver.deliver({ kind: "readCancel", id }),
      applied: () => this.applier.applied,
      wantTurn: () => this.driver.wantTurn(),
      explain: () => whatIsMissing(this.replicaStatus()),
    });
    this.applier = new Applier({
      store: options.store,
      sink: this.proposals,
      onApplied: (slot, bytes) => this.onApplied(slot, bytes),
      later: (callback) => clock.endOfTurn(() => this.life.guard(callback)),
    });
    this.housekeeping = new Housekeeping({
      historyMaxAgeMs: config.historyMaxAgeMs,
      historyMaxBytes: config.historyMaxBytes,
      quotaBytes: config.quotaBytes,
      store: () => this.applier.store,
      propose: (command) => this.proposals.proposeOwn(command),
    });
    this.maintenance = new Maintenance({ clock, store: () => this.applier.store, guard: (work) => this.life.guard(work) });
    this.snapshots = this.makeSnapshots();
    this.departure = new Departure({
      clock,
      life: this.life,
      drainMs: config.drainMs,
      yieldTieBreak: () => this.yieldTieBreak(),
      coordinates: () => this.proposals.coordinates,
      handOver: () => this.driver.deliver({ kind: "handover", heir: null }),
      isIdle: () => this.proposals.waiting === 0 && this.reads.count === 0,
      isSynced: () => this.driver.synced,
    });
    this.pulse = new Pulse({
      clock,
      pingMs: config.pingMs,
      onTick: () => this.life.guard(() => this.onTick()),
      onGap: () => this.life.guard(() => this.driver.deliver({ kind: "clockGap" })),
    });
  }

  /** Begins: recovers what the log holds, and speaks to the others. Resolves when the network listens. */
  async start(): Promise<void> {
    this.life.advance("running");
    this.life.guard(() => this.driver.deliver({ kind: "start", durable: this.options.durable }));
    this.pulse.start();
    await this.options.network.start([...this.replica.peers.keys()], {
      onConnected: (peer) =>
        this.life.guard(() => {
          this.driver.deliver({ kind: "connected", address: peer });
          this.proposals.onConnected(peer);
        }),
      onGone: (peer) => this.life.guard(() => this.driver.deliver({ kind: "peerGone", address: peer })),
      onMessage: (peer, header, message) => this.life.guard(() => this.intake.receive(peer, header, message)),
      onRefused: (peer, reason) => this.notices.peerRefused(peer ?? "an unknown server", reason, this.nowMicros()),
    });
  }

  /** The state machine; read it only from within `ReadWaiter.answer`, or where stale data does no harm. */
  get store(): KvStore {
    return this.applier.store;
  }

  /** Microseconds of the clock that deadlines are told in. */
  nowMicros(): number {
    return this.options.clock.nowMicros();
  }

  /** Stores a value. Key and value are copied before this returns. `number`, here and below: where the client has a session. */
  put(key: Uint8Array, value: Uint8Array, waiter: WriteWaiter, number?: WriteNumber): void {
    this.write(encodePlainPut(key, value, this.allocate), waiter, number);
  }

  /** Removes a key; removing an absent one succeeds. The key is copied before this returns. */
  delete(key: Uint8Array, waiter: WriteWaiter, number?: WriteNumber): void {
    this.write(encodeCommand({ kind: "deleteRange", key }), waiter, number);
  }

  /** Runs a transaction, its reads included, in one slot. Its byte fields are copied before this returns. */
  txn(request: TxnRequest, waiter: WriteWaiter, number?: WriteNumber): void {
    this.write(encodeCommand({ kind: "txn", ...request }), waiter, number);
  }

  /** A session for a client: its id is in the reply. */
  registerSession(waiter: WriteWaiter): void {
    this.write(encodeCommand({ kind: "registerSession", nonce: drawNonce(this.options.random) }), waiter);
  }

  /** Ends a client's session; ending one that is gone succeeds. */
  closeSession(session: SessionId, waiter: WriteWaiter): void {
    this.write(encodeCommand({ kind: "closeSession", session }), waiter);
  }

  /** The cluster and lineage that sessions are good for; null while this server belongs to none. */
  get identity(): { readonly clusterId: ClusterId; readonly lineage: Lineage } | null {
    const { clusterId, lineage } = this.replica.durable;
    return clusterId === NO_CLUSTER ? null : { clusterId, lineage };
  }

  /** A linearizable read: `waiter.answer` is called when the store may be read for it. */
  read(waiter: ReadWaiter): void {
    if (!this.life.serves) {
      waiter.fail(this.life.absence());
      return;
    }
    this.reads.read(waiter);
  }

  /** The coordinator this server follows, its own address included. */
  get coordinator(): Address | null {
    return this.replicaStatus().coordinator;
  }

  /** Asks for `heir` (or this server) to coordinate: by hand-over where this one does, by nomination where none does. */
  elect(heir: Address): void {
    if (!this.life.serves) {
      return;
    }
    if (this.proposals.coordinates) {
      this.life.guard(() => this.driver.deliver({ kind: "handover", heir }));
    } else if (heir === this.replica.options.address) {
      this.life.guard(() => this.driver.deliver({ kind: "nominate" }));
    }
  }

  /** Changes who is a member, through whichever server coordinates; resolves when that is decided, refused or not known within `withinMs`. */
  change(change: MembershipChange, withinMs: number): Promise<ChangeOutcome> {
    return this.life.serves
      ? this.changes.request(change, withinMs)
      : Promise.resolve({ ok: false, isOpen: false, text: this.life.absence().message });
  }

  /** Whether this server sees `address` coordinate, within the time given. */
  async coordinates(address: Address, withinMs: number): Promise<boolean> {
    await this.until(() => this.coordinator === address, withinMs);
    return this.coordinator === address;
  }

  /** The state as it is now, to be streamed; called from within `ReadWaiter.answer`, it is behind every write acknowledged before that read. */
  openBackup(): Backup {
    return new Backup(this.applier.store, this.replica);
  }

  /** The replica itself, for checkers that watch a simulated cluster; it is read by nobody else and changed by nobody. */
  get replicaState(): Readonly<ReplicaState> {
    return this.replica;
  }

  replicaStatus(): ReplicaStatus {
    return statusOf(this.replica);
  }

  status(): ServerStatus {
    const { config, storage } = this.options;
    const replica = this.replicaStatus();
    const { store } = this.applier;
    return {
      version: config.version,
      clientAddress: config.clientAddress,
      paxosAddress: config.paxosAddress,
      dataDir: config.dataDir,
      failRate: config.failRate,
      removeAfterMs: config.removeAfterMs,
      replica,
      applied: this.applier.applied,
      store: store.stats(),
      stateHash: store.busy ? null : store.stateHash(),
      diskBytes: storage.diskBytes(),
      uptimeMs: Math.floor((this.options.clock.nowMicros() - this.startedAt) / MICROS_A_MILLI),
      blocked: replica.blocked,
      warnings: [...config.warnings, ...storage.warnings, ...replica.warnings, ...this.notices.warnings],
    };
  }

  /** Hands over, lets running requests end, syncs, closes. */
  async stop(): Promise<void> {
    await this.departure.stop();
  }

  /** Ends at once: nothing is handed over or waited for. */
  end(why: string): Promise<void> {
    return this.life.end(why);
  }

  /** Ends the server because of `error`: a bug or a broken disk. */
  fatal(error: unknown): void {
    this.life.fatal(error);
  }

  private async close(why: string): Promise<void> {
    this.pulse.stop();
    this.driver.stop();
    this.maintenance.stop();
    this.snapshots.stop();
    this.proposals.failAll(why);
    this.changes.failAll(why);
    this.reads.failAll(new StoreError("unavailable", "not-applied", why));
    await this.options.network.stop();
    await this.options.storage.close();
  }

  private write(command: Uint8Array, waiter: WriteWaiter, number?: WriteNumber): void {
    if (!this.life.serves) {
      waiter.fail(this.life.absence());
      return;
    }
    if (command.length > COMMAND_BYTES_MAX) {
      const text = `The write takes ${command.length} bytes, at most ${COMMAND_BYTES_MAX} are allowed, whatever max_request_bytes says. Nothing was written.`;
      waiter.fail(new StoreError("too-large", "not-applied", text));
      return;
    }
    this.proposals.write(command, waiter, number);
  }

  private onTick(): void {
    const now = this.options.clock.nowMicros();
    const low = this.options.storage.spaceLow();
    if (low !== this.spaceLow) {
      this.spaceLow = low;
      const text = low ? "The disk is almost full: this server accepts no new values." : "The disk has space again.";
      this.options.log.log(low ? "error" : "info", "disk-space", text);
      this.driver.deliver({ kind: "space", low });
    }
    this.driver.deliver({ kind: "tick" });
    this.reads.expire(now);
    this.proposals.expire(now, () => `The write was not confirmed in time: ${whatIsMissing(this.replicaStatus())}`);
    this.proposals.tick(now);
    this.notices.tick(now);
    this.housekeeping.tick(now);
  }

  private onEffect(effect: ServerEffect): void {
    switch (effect.kind) {
      case "apply":
        this.applier.add(effect.slot, effect.batch);
        return;
      case "readReady":
        this.reads.onReady(effect.ids, effect.index);
        return;
      case "refused":
        this.proposals.onRefused(effect.batch);
        return;
      case "coordination":
        this.onCoordination(effect);
        return;
      case "handoverDone":
        this.departure.onHandoverDone();
        return;
      case "changeDone":
        this.changes.onDone(effect);
        return;
      case "dial":
        this.options.network.dial(effect.address);
        return;
      case "forget":
        this.options.network.forget(effect.address);
        return;
      case "takeSnapshot":
        this.snapshots.takeNow();
        return;
      case "sendChunk":
      case "receiveSnapshot":
      case "storeChunk":
      case "loadSnapshot":
        this.snapshots.onEffect(effect);
        return;
      case "trim":
        return; // its record, which was persisted before, is what frees the log
      case "notice":
        this.options.log.log(effect.level, effect.code, effect.text);
        this.notices.add(effect);
        return;
      case "leaving":
        this.options.onLeaving();
        return;
      case "halt":
        this.options.log.log("fatal", "halted", effect.text);
        void this.departure.halt(effect.drains);
        return;
      default:
        unreachable(effect);
    }
  }

  private onCoordination({ coordinator, ballot, active }: Extract<ServerEffect, { kind: "coordination" }>): void {
    const who = active ? "this server" : (coordinator ?? "no server known to this one");
    const fields = { coordinator: coordinator ?? "", round: ballot.round, replica: ballot.replica };
    this.options.log.log("info", "coordination", `The coordinator is ${who}.`, fields);
    this.proposals.onCoordination(coordinator, active);
    this.housekeeping.onCoordination(active);
  }

  private onApplied(slot: Slot, bytes: number): void {
    this.reads.onApplied(slot);
    if (slot % CHECKPOINT_SLOTS === 0 && !this.applier.store.busy) {
      this.driver.deliver({ kind: "checkpoint", slot, stateHash: this.applier.store.stateHash() });
    }
    this.snapshots.onApplied(slot, bytes);
  }

  /** Who breaks ties in an even set of voters must not take the quorum with it (PROTOCOL §2.5); given up after TIE_BREAK_MS. */
  private async yieldTieBreak(): Promise<void> {
    const heir = heirOfTieBreak(this.replica);
    if (heir !== null) {
      await this.changes.request({ kind: "moveTieBreak", replica: heir }, TIE_BREAK_MS);
    }
  }

  private until(reached: () => boolean, withinMs: number): Promise<void> {
    return until(this.options.clock, () => reached() || this.life.phase === "ended", withinMs);
  }

  private makeDriver(): ReplicaDriver {
    const { clock, trace, network, storage } = this.options;
    return new ReplicaDriver({
      step: (event) => step(this.replica, event),
      clock,
      ring: this.ring,
      trace,
      send: (to, header, message) => network.send(to, header, message),
      commit: (records, done) => storage.wal.commit(records, done),
      onEffect: (effect) => this.onEffect(effect),
      onTurnEnd: (diskIdle) => {
        this.applier.endTurn();
        this.proposals.cut(diskIdle);
        this.reads.flush();
      },
      guard: (work) => this.life.guard(work),
    });
  }

  private makeProposals(): Proposals {
    const { config, clock, random, network, log } = this.options;
    return new Proposals({
      caps: { bytes: Math.min(config.batchMaxBytes, COMMAND_BYTES_MAX), commands: config.batchMaxCommands },
      now: () => clock.nowMicros(),
      canPropose: () => canPropose(this.replica),
      propose: (batch) => this.driver.deliver({ kind: "propose", batch }),
      send: (to, message) => network.send([to], headerOf(this.replica), message),
      wantTurn: () => this.driver.wantTurn(),
      nonce: () => drawNonce(random),
      onMalformed: (from, error) => log.log("error", "malformed-forward", `${from} sent a request that cannot be read: ${String(error)}`),
    });
  }

  private makeSnapshots(): Snapshots {
    const { config, clock, storage, network, log } = this.options;
    return new Snapshots({
      everySlots: config.snapshotEverySlots,
      everyBytes: config.snapshotEveryBytes,
      clock,
      store: storage.snapshots,
      log,
      replica: this.replica,
      applier: this.applier,
      restore: this.options.restore,
      deliver: (event) => this.driver.deliver(event),
      sendChunk: (to, header, chunk) => network.send([to], header, chunk),
      onGap: () => this.proposals.onGap(),
      guard: (work) => this.life.guard(work),
      fatal: (error) => this.fatal(error),
    });
  }
}
