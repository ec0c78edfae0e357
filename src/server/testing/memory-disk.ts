/** A log and snapshots in memory for tests of the server layer: what was not synced when the server is killed is gone. The real ones have tests of their own. */
import { assert, present } from "../../base/assert.js";
import { concatBytes } from "../../base/bytes.js";
import { hashBytes } from "../../base/hash64.js";
import { type DiskId, diskId } from "../../paxos/ids.js";
import type { SnapshotMeta } from "../../paxos/message.js";
import { applyRecord, type Durable, virginDurable, type WalRecord } from "../../paxos/record.js";
import type { SnapshotBase, SnapshotReceiver, SnapshotStore, SnapshotWriter } from "../../ports/snapshot-store.js";
import { StorageFailure } from "../../storage/storage-failure.js";
import type { ServerStorage } from "../storage-port.js";
import type { VirtualClock } from "./virtual-clock.js";

/** A sync takes so long, and giving up a snapshot. Milliseconds. */
const SYNC_MS = 0.125;
const ABORT_MS = 20;

/** The calls of the snapshot store that need space. */
export type SpaceCall = "create" | "push" | "finish" | "receive" | "storeChunk" | "place";

export class MemoryDisk {
  private readonly clock: VirtualClock;
  private readonly id: DiskId;
  private records: WalRecord[] = [];
  private readonly files = new Map<number, { readonly meta: SnapshotMeta; readonly chunks: readonly Uint8Array[] }>();
  /** Which life of the server may still write. */
  private life = 0;
  /** Syncs so far. */
  commits = 0;
  /** While true no sync ends. */
  stalled = false;
  /** Free space is below the reserve. */
  full = false;
  /** These calls find no space; how many did. */
  readonly refuses = new Set<SpaceCall>();
  refused = 0;
  private waiting: (() => void)[] = [];

  constructor(clock: VirtualClock, name: number) {
    this.clock = clock;
    this.id = diskId(name.toString(16).padStart(32, "0"));
  }

  /** Begins a life: what recovery returns, and the storage for it. */
  open(): { readonly durable: Durable; readonly storage: ServerStorage } {
    this.life++;
    const durable = virginDurable(this.id);
    for (const record of this.records) {
      applyRecord(durable, record);
    }
    const boot: WalRecord = { kind: "boot", diskId: this.id, boot: durable.boot + 1 };
    this.records.push(boot);
    applyRecord(durable, boot);
    return { durable, storage: this.storageOf(this.life) };
  }

  /** The snapshot that recovery names. */
  chunksOf(meta: SnapshotMeta): readonly Uint8Array[] {
    return present(this.files.get(meta.index), "a named snapshot is there").chunks;
  }

  /** The power is cut: commits under way never were. */
  kill(): void {
    this.life++;
    this.waiting = [];
  }

  release(): void {
    this.stalled = false;
    for (const finish of this.waiting.splice(0)) {
      finish();
    }
  }

  private storageOf(life: number): ServerStorage {
    return {
      wal: {
        commit: (records, done) => {
          this.clock.after(SYNC_MS, () => this.sync(life, records, done));
        },
        diskBytes: () => this.records.length,
      },
      snapshots: this.snapshotsOf(),
      warnings: [],
      spaceLow: () => this.full,
      diskBytes: () => this.records.length,
      close: async () => {},
    };
  }

  private sync(life: number, records: readonly WalRecord[], done: () => void): void {
    const finish = (): void => {
      if (life === this.life) {
        this.commits++;
        this.records.push(...records);
        done();
      }
    };
    if (this.stalled) {
      this.waiting.push(finish);
    } else {
      finish();
    }
  }

  private needSpace(call: SpaceCall): void {
    if (this.refuses.has(call)) {
      this.refused++;
      throw new StorageFailure("full", `no space to ${call}`, { path: "/memory", remedy: "Free space." });
    }
  }

  private snapshotsOf(): SnapshotStore {
    const { files } = this;
    const site = { writing: false };
    return {
      latest: () => null,
      create: async (base) => this.writer(base, site),
      receive: async (meta) => this.receiver(meta),
      async *chunks(index) {
        yield* present(files.get(index), "a snapshot that is loaded is there").chunks;
      },
      readChunk: async (index, chunk) => files.get(index)?.chunks[chunk] ?? null,
      diskBytes: () => 0,
    };
  }

  private writer(base: SnapshotBase, site: { writing: boolean }): SnapshotWriter {
    assert(!site.writing, "one snapshot is written at a time");
    this.needSpace("create");
    site.writing = true;
    const chunks: Uint8Array[] = [];
    return {
      push: async (chunk) => {
        this.needSpace("push");
        chunks.push(chunk.slice());
      },
      finish: async () => {
        this.needSpace("finish");
        const all = concatBytes(chunks);
        const meta = { ...base, chunks: chunks.length, bytes: all.length, hash: hashBytes(all) };
        this.files.set(meta.index, { meta, chunks });
        site.writing = false;
        return meta;
      },
      abort: async () => {
        await new Promise<void>((resolve) => {
          this.clock.after(ABORT_MS, resolve);
        });
        site.writing = false;
      },
    };
  }

  private receiver(meta: SnapshotMeta): SnapshotReceiver {
    this.needSpace("receive");
    const chunks: Uint8Array[] = [];
    return {
      meta,
      storeChunk: async (chunk, bytes) => {
        this.needSpace("storeChunk");
        chunks[chunk] = bytes.slice();
      },
      finish: async () => {
        this.needSpace("place");
        const all = concatBytes(chunks);
        const ok = all.length === meta.bytes && hashBytes(all) === meta.hash;
        if (ok) {
          this.files.set(meta.index, { meta, chunks });
        }
        return ok;
      },
      abort: async () => {},
    };
  }
}
