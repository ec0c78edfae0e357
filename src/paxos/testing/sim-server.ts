/**
 * One server of a simulated cluster: the real core, a disk that syncs when it is told to, and a state machine that is a
 * hash. Runs the effects one by one and checks every step against the history of the whole cluster. It has no time, no
 * network and no randomness of its own: who drives it decides when things happen and what is lost.
 */
import { assert, present, unreachable } from "../../base/assert.js";
import { ByteReader, ByteWriter, concatBytes } from "../../base/bytes.js";
import { crc32c } from "../../base/crc32c.js";
import { chainHash, type Hash64, hashBytes, ZERO_HASH } from "../../base/hash64.js";
import { type Ballot, equalBallots } from "../ballot.js";
import type { Effect, Event } from "../effect.js";
import { type Address, type DiskId, type Micros, SLOT_ZERO, type Slot } from "../ids.js";
import {
  checkActivation,
  checkApply,
  checkInstall,
  checkPledge,
  checkPromise,
  checkProposal,
  checkRecords,
  checkRefused,
  checkReplica,
  checkSettled,
  checkSynced,
  entriesOf,
  type History,
} from "../invariants.js";
import { currentConfiguration } from "../log.js";
import { peerOf } from "../membership.js";
import type { Header, Message, PromiseReply, SnapshotMeta } from "../message.js";
import { readHash, writeHash } from "../message-fields.js";
import { applyRecord, type Durable, durableDecided, virginDurable } from "../record.js";
import { createReplica, type ReplicaOptions, type ReplicaState, snapshotBase, step } from "../replica.js";
import { settlingSlot } from "../settling.js";

export type PersistEffect = Extract<Effect, { kind: "persist" }>;
export type SnapshotFile = { readonly meta: SnapshotMeta; readonly chunks: Map<number, Uint8Array> };

/** What outlives a crash: `durable` is what was synced, `queue` what was written since and may be lost from the end. */
export type SimDisk = {
  durable: Durable;
  queue: PersistEffect[];
  readonly snapshots: Map<Slot, SnapshotFile>;
  incoming: SnapshotFile | null;
};

/** What the driver does for a server. */
export type SimHooks = {
  readonly send: (from: SimServer, to: readonly Address[], header: Header, message: Message) => void;
  /** The server itself will want this event in its present life, some time later. */
  readonly later: (server: SimServer, make: (now: Micros) => Event) => void;
  /** Whether the disk takes a snapshot chunk just now. */
  readonly takesChunk: (server: SimServer) => boolean;
  /** A candidate became active, with this many values that its promises reported. */
  readonly activated: (server: SimServer, adopted: number) => void;
  /** After an effect was run. */
  readonly ran: (server: SimServer, effect: Effect) => void;
};

/** Bytes of one chunk: a snapshot has several, so that a transfer can be cut in the middle. */
const CHUNK_BYTES = 8;

export class SimServer {
  readonly options: ReplicaOptions;
  readonly disk: SimDisk;
  /** The state machine: what it applied, as a hash. */
  machine: { index: Slot; hash: Hash64 };
  /** Null while the process is down. */
  state: ReplicaState | null = null;
  private readonly hooks: SimHooks;
  private readonly history: History;

  constructor(parts: { options: ReplicaOptions; disk: DiskId; hooks: SimHooks; history: History }) {
    this.options = parts.options;
    this.hooks = parts.hooks;
    this.history = parts.history;
    this.disk = { durable: virginDurable(parts.disk), queue: [], snapshots: new Map(), incoming: null };
    this.machine = { index: SLOT_ZERO, hash: ZERO_HASH };
  }

  /** The server that starts on an empty disk in place of this one. */
  replaced(options: ReplicaOptions, disk: DiskId): SimServer {
    return new SimServer({ options, disk, hooks: this.hooks, history: this.history });
  }

  get address(): Address {
    return this.options.address;
  }

  /** Which life this is: the boot count, 0 before the first. */
  get life(): number {
    return this.disk.durable.boot;
  }

  /** Starts the process on what the disk holds: the boot count is raised and synced first. Returns the effects of `start`, not yet run. */
  start(now: Micros): readonly Effect[] {
    assert(this.state === null && this.disk.queue.length === 0, "a server starts once it is down");
    applyRecord(this.disk.durable, { kind: "boot", diskId: this.disk.durable.diskId, boot: this.life + 1 });
    this.noteDurable();
    this.loadMachine();
    this.state = createReplica({ ...this.options, seed: this.options.seed + this.life });
    return this.deliver({ kind: "start", durable: cloneDurable(this.disk.durable), now });
  }

  /** The process ends at once. Of what was written but not synced the first `kept` persists survive. */
  crash(kept: number): void {
    for (const effect of this.disk.queue.splice(0).slice(0, kept)) {
      this.applySynced(effect);
    }
    this.state = null;
    this.disk.incoming = null;
  }

  /** One step of the core, checked. The effects are not yet run. */
  deliver(event: Event): readonly Effect[] {
    const state = present(this.state, "a server that is down gets no events");
    const promisedBefore = state.durable.promised;
    const { candidate } = state;
    const own = candidate === null ? [] : entriesOf(state.durable);
    const effects = step(state, event);
    this.checkEffects(promisedBefore, effects);
    if (candidate !== null && state.coordinator !== null && equalBallots(state.coordinator.ballot, candidate.ballot)) {
      const counted = [...candidate.promises].flatMap(
        ([replica, { complete }]): Array<[typeof replica, readonly PromiseReply[]]> =>
          complete === null || peerOf(state, replica)?.replica !== replica ? [] : [[replica, complete]],
      );
      const phase1 = { ballot: candidate.ballot, decided: state.decided, own, counted: new Map(counted) };
      this.hooks.activated(this, checkActivation(this.history, phase1));
    }
    for (const effect of effects) {
      if (effect.kind === "send" && effect.message.kind === "propose") {
        checkProposal(this.history, { ...effect.message, epoch: effect.header.epoch });
      }
    }
    if (state.durable.replica !== 0) {
      checkReplica(this.history, state.durable.replica, {
        decided: state.decided,
        chain: state.chain,
        promised: state.durable.promised,
        configuration: currentConfiguration(state),
      });
    }
    this.checkMembers(state);
    return effects;
  }

  /** What it says of the members: a change that it calls settled is on the disks of a quorum. */
  private checkMembers(state: ReplicaState): void {
    const current = state.configurations.at(-1)?.configuration;
    const entry = this.history.configurations.find(({ configuration }) => configuration.epoch === current?.epoch);
    if (entry !== undefined && entry.from > 1 && state.coordinator !== null && settlingSlot(state) === null) {
      checkSettled(this.history, entry.configuration, (entry.from - 1) as Slot);
    }
  }

  /** Up to where our disk knows everything to be decided. */
  private noteDurable(): void {
    const { durable } = this.disk;
    const known = Math.max(this.history.durable.get(durable.replica) ?? 0, durableDecided(durable));
    this.history.durable.set(durable.replica, known as Slot);
  }

  /** Runs one effect; a crash may come between any two. */
  run(effect: Effect): void {
    switch (effect.kind) {
      case "send":
        this.hooks.send(this, effect.to, effect.header, effect.message);
        break;
      case "persist":
        this.disk.queue.push(effect);
        break;
      case "apply":
        assert(effect.slot === this.machine.index + 1, `slot ${effect.slot} is applied next to ${this.machine.index}`);
        this.machine = { index: effect.slot, hash: chainHash(this.machine.hash, effect.batch.digest) };
        break;
      case "readReady":
        assert(effect.index <= this.machine.index, "a read is answered from a state that has applied its slot");
        break;
      case "sendChunk":
        this.sendChunk(effect);
        break;
      case "receiveSnapshot":
        this.disk.incoming = { meta: effect.meta, chunks: new Map() };
        break;
      case "storeChunk":
        this.storeChunk(effect);
        break;
      case "loadSnapshot":
        this.hooks.later(this, (now) => ({ kind: "snapshotLoaded", meta: effect.meta, ok: this.install(effect.meta), now }));
        break;
      case "takeSnapshot":
        this.snapshotSoon();
        break;
      case "trim":
      case "changeDone":
      case "dial":
      case "forget":
      case "refused":
      case "coordination":
      case "handoverDone":
      case "wake":
      case "notice":
      case "leaving":
      case "halt":
        break;
      default:
        unreachable(effect);
    }
    this.hooks.ran(this, effect);
  }

  /** A peer that joins needs a snapshot. */
  private snapshotSoon(): void {
    const meta = this.takeSnapshot();
    if (meta !== null) {
      this.hooks.later(this, (now) => ({ kind: "snapshotTaken", meta, now }));
    }
  }

  /** Syncs the oldest `count` persists; their pledges are returned in order, to be sent before the `persisted` event. */
  sync(count: number): { readonly lsn: number; readonly sends: PersistEffect["thenSend"] } {
    const synced = this.disk.queue.splice(0, count);
    for (const effect of synced) {
      this.applySynced(effect);
    }
    return { lsn: synced.at(-1)?.lsn ?? 0, sends: synced.flatMap((effect) => effect.thenSend) };
  }

  /** A pledge whose record is synced leaves. */
  sendPledge(pledge: PersistEffect["thenSend"][number]): void {
    checkPledge(this.history, pledge, { boot: this.life, synced: this.disk.durable });
    this.hooks.send(this, pledge.to, pledge.header, pledge.message);
  }

  /** Writes a snapshot of the machine's state; null where there is nothing new. The driver delivers `snapshotTaken` some time later. */
  takeSnapshot(): SnapshotMeta | null {
    const { state } = this;
    const { index, hash } = this.machine;
    if (state === null || index !== state.decided || index <= (state.durable.snapshot?.index ?? 0)) {
      return null;
    }
    const bytes = new ByteWriter().u64(index);
    writeHash(bytes, hash);
    const content = bytes.raw(new Uint8Array(4)).finish();
    const chunks = chunksOf(content);
    const meta: SnapshotMeta = {
      index,
      stateHash: hash,
      ...snapshotBase(state, index),
      chunks: chunks.size,
      bytes: content.length,
      hash: hashBytes(content),
    };
    this.disk.snapshots.set(index, { meta, chunks });
    return meta;
  }

  private checkEffects(promisedBefore: Ballot, effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.kind === "apply") {
        checkApply(this.history, effect.slot, effect.batch);
      } else if (effect.kind === "refused") {
        checkRefused(this.history, effect.batch);
      } else if (effect.kind === "persist") {
        const parts = effect.thenSend.flatMap(({ message }) => (message.kind === "promise" ? [message] : []));
        if (parts.length > 0) {
          checkPromise(present(this.state, "the server is up").durable, parts);
        }
      }
    }
    checkRecords(
      promisedBefore,
      effects.flatMap((effect) => (effect.kind === "persist" ? effect.records : [])),
    );
  }

  private applySynced(effect: PersistEffect): void {
    const { durable } = this.disk;
    for (const record of effect.records) {
      applyRecord(durable, record);
      checkSynced(this.history, { address: this.address, replica: durable.replica }, record);
      this.noteDurable();
      if (record.kind === "snapshot" || record.kind === "snapshotInstalled") {
        for (const index of this.disk.snapshots.keys()) {
          if (index < record.meta.index) {
            this.disk.snapshots.delete(index);
          }
        }
      }
    }
  }

  /** The machine of a new life is the newest durable snapshot. */
  private loadMachine(): void {
    const index = this.disk.durable.snapshot?.index;
    this.machine = { index: SLOT_ZERO, hash: ZERO_HASH };
    if (index !== undefined) {
      const file = present(this.disk.snapshots.get(index), "the file of a durable snapshot is there");
      this.machine = machineOf(file);
    }
  }

  private sendChunk({ to, header, index, chunk }: Extract<Effect, { kind: "sendChunk" }>): void {
    const bytes = this.disk.snapshots.get(index)?.chunks.get(chunk);
    if (bytes !== undefined) {
      this.hooks.send(this, [to], header, { kind: "snapshotChunk", index, chunk, bytes, crc: crc32c(bytes) });
    }
  }

  private storeChunk({ index, chunk, bytes }: Extract<Effect, { kind: "storeChunk" }>): void {
    const { incoming } = this.disk;
    assert(incoming !== null && incoming.meta.index === index, "a chunk is stored of the snapshot that is being received");
    if (!this.hooks.takesChunk(this)) {
      return;
    }
    incoming.chunks.set(chunk, bytes);
    this.hooks.later(this, (now) => ({ kind: "chunkStored", index, chunk, now }));
  }

  /** Verifies what was received and puts it in place of the machine's state. */
  private install(meta: SnapshotMeta): boolean {
    const { incoming } = this.disk;
    assert(incoming !== null && incoming.meta.index === meta.index, "the snapshot to be loaded is the one that was received");
    if (incoming.chunks.size !== meta.chunks || hashBytes(contentOf(incoming)) !== meta.hash) {
      return false;
    }
    checkInstall(this.history, this.machine.index, meta);
    this.disk.snapshots.set(meta.index, incoming);
    this.disk.incoming = null;
    this.machine = machineOf(incoming);
    assert(this.machine.hash === meta.stateHash, "a snapshot holds the state that its record names");
    return true;
  }
}

function contentOf(file: SnapshotFile): Uint8Array {
  return concatBytes([...file.chunks].sort(([a], [b]) => a - b).map(([, bytes]) => bytes));
}

function machineOf(file: SnapshotFile): { index: Slot; hash: Hash64 } {
  const reader = new ByteReader(contentOf(file));
  assert(reader.u64() === file.meta.index, "a snapshot holds the state of its own slot");
  return { index: file.meta.index, hash: readHash(reader) };
}

function chunksOf(content: Uint8Array): Map<number, Uint8Array> {
  const chunks = new Map<number, Uint8Array>();
  for (let at = 0; at < content.length; at += CHUNK_BYTES) {
    chunks.set(chunks.size, content.slice(at, at + CHUNK_BYTES));
  }
  return chunks;
}

export function cloneDurable(durable: Durable): Durable {
  return { ...durable, accepted: new Map(durable.accepted), learned: new Map(durable.learned) };
}
