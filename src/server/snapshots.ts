/**
 * Snapshots on their way: our own state to disk, chunks of it to a peer that lags, and a peer's to disk and into a fresh state
 * machine that replaces ours at once. All of it in slices between the requests. Nothing is reported to the replica before the
 * storage has verified it. A full disk only ends the snapshot; any other failure of the disk ends the server.
 */
import { assert } from "../base/assert.js";
import { MalformedBytes } from "../base/bytes.js";
import { crc32c } from "../base/crc32c.js";
import type { KvStore, ReadView, Restore } from "../kv/kv-store.js";
import { type Address, type Slot, slot as slotOf } from "../paxos/ids.js";
import type { Header, SnapshotChunk, SnapshotMeta } from "../paxos/message.js";
import { type ReplicaState, snapshotBase } from "../paxos/replica.js";
import type { Clock } from "../ports/clock.js";
import type { SnapshotBase, SnapshotReceiver, SnapshotStore, SnapshotWriter } from "../ports/snapshot-store.js";
import { StorageFailure } from "../storage/storage-failure.js";
import type { Applier } from "./applier.js";
import type { Logger } from "./logger.js";
import type { ServerEffect, TimelessEvent } from "./replica-driver.js";

/** Work on a snapshot in one turn, in the state machine's units of about a microsecond, and the pause after it. */
const SLICE_UNITS = 1500;
const PAUSE_MS = 1;

export type SnapshotsOptions = {
  readonly everySlots: number;
  readonly everyBytes: number;
  readonly clock: Clock;
  readonly store: SnapshotStore;
  readonly log: Logger;
  readonly replica: ReplicaState;
  readonly applier: Applier;
  /** A fresh state machine to be filled from chunks; throws on bytes that are no snapshot. */
  readonly restore: () => Restore;
  readonly deliver: (event: TimelessEvent) => void;
  readonly sendChunk: (to: Address, header: Header, chunk: SnapshotChunk) => void;
  /** The state is about to be replaced: replies between are missed. Called before anything behind the gap is applied. */
  readonly onGap: () => void;
  /** Runs work that may throw; a failure ends the server. */
  readonly guard: (work: () => void) => void;
  readonly fatal: (error: unknown) => void;
};

type SnapshotEffect = Extract<ServerEffect, { kind: "sendChunk" | "receiveSnapshot" | "storeChunk" | "loadSnapshot" }>;

export class Snapshots {
  private readonly options: SnapshotsOptions;
  /** The view being written down; null while none is. Another one there means: give up. */
  private taking: ReadView | null = null;
  /** The store has a writer of ours, or is about to: until it is finished or wholly given up it takes no other. */
  private writing = false;
  private loading = false;
  private stopped = false;
  private bytesSince = 0;
  private lastSlot: Slot;
  private receiver: SnapshotReceiver | null = null;
  /** The receiver takes one call at a time: each waits for the one before. */
  private receiverCalls: Promise<void> = Promise.resolve();

  constructor(options: SnapshotsOptions) {
    this.options = options;
    this.lastSlot = options.applier.applied;
  }

  /** A batch of `bytes` was applied and the state machine is between two batches. */
  onApplied(slot: Slot, bytes: number): void {
    this.bytesSince += bytes;
    const due = slot - this.lastSlot >= this.options.everySlots || this.bytesSince >= this.options.everyBytes;
    if (due && !this.writing && !this.loading && !this.stopped) {
      this.begin();
    }
  }

  /** A server that joins needs one: it is taken at once, unless one is on its way or there is nothing new to tell. */
  takeNow(): void {
    const { applier } = this.options;
    if (applier.applied > this.lastSlot && !applier.store.busy && !this.writing && !this.loading && !this.stopped) {
      this.begin();
    }
  }

  onEffect(effect: SnapshotEffect): void {
    switch (effect.kind) {
      case "sendChunk":
        this.background(this.sendChunk(effect));
        return;
      case "receiveSnapshot":
        this.queueCall(() => this.receive(effect.meta));
        return;
      case "storeChunk":
        this.queueCall(() => this.storeChunk(effect));
        return;
      default:
        this.queueCall(() => this.load(effect.meta));
    }
  }

  stop(): void {
    this.stopped = true;
    this.giveUp();
  }

  /** Opens a view of the state as it is now, and begins to write it down. */
  private begin(): void {
    const { applier, replica } = this.options;
    const view = applier.store.openReadView();
    const index = slotOf(view.slot);
    assert(index === applier.applied, "a view shows what was applied");
    this.lastSlot = index;
    this.bytesSince = 0;
    this.taking = view;
    this.writing = true;
    this.background(this.take(view, { index, stateHash: view.stateHash, ...snapshotBase(replica, index) }));
  }

  private async take(view: ReadView, base: SnapshotBase): Promise<void> {
    let writer: SnapshotWriter | null = null;
    let meta: SnapshotMeta | null = null;
    try {
      writer = await this.options.store.create(base);
      meta = await this.writeDown(view, writer);
    } catch (error) {
      endUnlessFull(error);
      this.options.log.log("error", "snapshot-failed", "The disk is too full for a snapshot; the log grows until one succeeds.");
    }
    if (meta === null) {
      this.giveUp();
      await writer?.abort();
    }
    this.taking = null;
    this.writing = false;
    if (meta !== null) {
      this.onTaken(meta);
    }
  }

  private onTaken(meta: SnapshotMeta): void {
    const { index, bytes, chunks } = meta;
    this.options.log.log("info", "snapshot-taken", `A snapshot of slot ${index} is on disk.`, { slot: index, bytes, chunks });
    this.options.guard(() => this.options.deliver({ kind: "snapshotTaken", meta }));
  }

  /** Null where it was given up meanwhile. */
  private async writeDown(view: ReadView, writer: SnapshotWriter): Promise<SnapshotMeta | null> {
    while (this.taking === view && !view.done) {
      const chunk = view.next(SLICE_UNITS);
      if (chunk !== undefined) {
        await writer.push(chunk);
      }
      await this.pause();
    }
    if (this.taking !== view) {
      return null;
    }
    view.close();
    const meta = await writer.finish();
    return this.taking === view ? meta : null;
  }

  /** A newer state takes over, the disk is full, or the server stops. */
  private giveUp(): void {
    const view = this.taking;
    this.taking = null;
    if (view !== null && !view.done) {
      view.close();
    }
  }

  private async sendChunk({ to, header, index, chunk }: Extract<SnapshotEffect, { kind: "sendChunk" }>): Promise<void> {
    const bytes = await this.options.store.readChunk(index, chunk);
    if (bytes !== null && !this.stopped) {
      this.options.sendChunk(to, header, { kind: "snapshotChunk", index, chunk, bytes, crc: crc32c(bytes) });
    }
  }

  private async receive(meta: SnapshotMeta): Promise<void> {
    this.receiver = null;
    try {
      this.receiver = await this.options.store.receive(meta);
    } catch (error) {
      endUnlessFull(error);
      this.refuse(meta, error); // chunks find no receiver; the replica asks again, here or elsewhere, as for one that is lost
    }
  }

  private async storeChunk({ index, chunk, bytes }: Extract<SnapshotEffect, { kind: "storeChunk" }>): Promise<void> {
    if (this.receiver?.meta.index !== index) {
      return;
    }
    try {
      await this.receiver.storeChunk(chunk, bytes);
      this.options.guard(() => this.options.deliver({ kind: "chunkStored", index, chunk }));
    } catch (error) {
      if (!(error instanceof MalformedBytes)) {
        endUnlessFull(error);
      }
      this.options.log.log("warn", "chunk-refused", `Chunk ${chunk} of the snapshot of slot ${index} was not stored: ${String(error)}`);
    }
  }

  /** Verifies what was received, fills a fresh state machine from it, and lets that one take over. */
  private async load(meta: SnapshotMeta): Promise<void> {
    const { receiver } = this;
    this.receiver = null;
    this.loading = true;
    this.giveUp();
    const complete = receiver !== null && receiver.meta.index === meta.index && (await this.place(receiver));
    const store = complete ? await this.restore(meta) : null;
    this.loading = false;
    this.options.guard(() => this.takeOver(meta, store));
  }

  /** Whether what was received verifies, and is in place. */
  private async place(receiver: SnapshotReceiver): Promise<boolean> {
    try {
      const verified = await receiver.finish();
      if (!verified) {
        this.refuse(receiver.meta, "it does not verify");
      }
      return verified;
    } catch (error) {
      endUnlessFull(error);
      await receiver.abort();
      this.refuse(receiver.meta, error);
      return false;
    }
  }

  private refuse({ index }: SnapshotMeta, reason: unknown): void {
    this.options.log.log("warn", "snapshot-rejected", `The snapshot of slot ${index} from another server is not taken: ${String(reason)}`);
  }

  private async restore(meta: SnapshotMeta): Promise<KvStore> {
    const restore = this.options.restore();
    for await (const chunk of this.options.store.chunks(meta.index)) {
      restore.write(chunk);
      while (!restore.step(SLICE_UNITS)) {
        await this.pause();
      }
    }
    return restore.finish();
  }

  private takeOver(meta: SnapshotMeta, store: KvStore | null): void {
    const { log, deliver, applier, onGap } = this.options;
    if (store === null) {
      deliver({ kind: "snapshotLoaded", meta, ok: false });
      return;
    }
    this.lastSlot = meta.index;
    this.bytesSince = 0;
    // First: slots behind the snapshot are applied at once, and what they say of our session is read in the light of the gap.
    onGap();
    applier.replaceStore(store);
    log.log("info", "snapshot-loaded", `The state of slot ${meta.index} was taken over from another server.`, { slot: meta.index });
    deliver({ kind: "snapshotLoaded", meta, ok: true });
  }

  private queueCall(call: () => Promise<void>): void {
    this.receiverCalls = this.receiverCalls.then(() => (this.stopped ? undefined : call())).catch((error: unknown) => this.onError(error));
  }

  private background(work: Promise<void>): void {
    work.catch((error: unknown) => this.onError(error));
  }

  private onError(error: unknown): void {
    if (!this.stopped) {
      this.options.fatal(error);
    }
  }

  /** The rest of the server comes first. */
  private pause(): Promise<void> {
    return new Promise((resolve) => {
      this.options.clock.after(PAUSE_MS, resolve);
    });
  }
}

/** Throws `error` on, unless it is want of space, which only ends a snapshot: the log itself has a reserve. */
function endUnlessFull(error: unknown): void {
  if (!(error instanceof StorageFailure && error.kind === "full")) {
    throw error;
  }
}
