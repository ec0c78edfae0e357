/** A backup on its way out: a view of the whole state, what the log says of it, and the hash over what was handed out. It changes nothing. */
import { chainHash, type Hash64, ZERO_HASH } from "../base/hash64.js";
import type { KvStore, ReadView } from "../kv/kv-store.js";
import type { Revision } from "../kv/model.js";
import { type ClusterId, type Lineage, slot } from "../paxos/ids.js";
import { type ReplicaState, snapshotBase } from "../paxos/replica.js";
import type { SnapshotBase } from "../ports/snapshot-store.js";
import { hashChunk } from "../storage/snapshot-file.js";

export class Backup {
  readonly base: SnapshotBase;
  readonly revision: Revision;
  readonly clusterId: ClusterId;
  readonly lineage: Lineage;
  private readonly view: ReadView;
  private chunks = 0;
  private bytes = 0;
  private hash: Hash64 = ZERO_HASH;

  /** Not while a batch is being applied. Memory that it shows is not reclaimed until it is done or closed. */
  constructor(store: KvStore, replica: ReplicaState) {
    this.view = store.openReadView();
    const index = slot(this.view.slot);
    this.base = { index, stateHash: this.view.stateHash, ...snapshotBase(replica, index) };
    this.revision = this.view.revision;
    this.clusterId = replica.durable.clusterId;
    this.lineage = replica.durable.lineage;
  }

  get done(): boolean {
    return this.view.done;
  }

  /** Works for about `units` microseconds; the next chunk when one is full, else undefined. */
  next(units: number): Uint8Array | undefined {
    const chunk = this.view.next(units);
    if (chunk !== undefined) {
      this.chunks++;
      this.bytes += chunk.length;
      this.hash = chainHash(this.hash, hashChunk(chunk));
    }
    return chunk;
  }

  /** What was handed out in all. */
  end(): { readonly chunks: number; readonly bytes: number; readonly hash: Hash64 } {
    return { chunks: this.chunks, bytes: this.bytes, hash: this.hash };
  }

  close(): void {
    if (!this.view.done) {
      this.view.close();
    }
  }
}
