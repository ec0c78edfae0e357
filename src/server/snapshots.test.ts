/** Snapshots by themselves: in which order a received state takes over. */
import { deepEqual } from "node:assert/strict";
import { test } from "node:test";
import { hashBytes, ZERO_HASH } from "../base/hash64.js";
import { Store } from "../kv/store.js";
import { genesisConfiguration } from "../paxos/configuration.js";
import { address, diskId, slot } from "../paxos/ids.js";
import type { SnapshotMeta } from "../paxos/message.js";
import { createReplica } from "../paxos/replica.js";
import { Applier } from "./applier.js";
import { SILENT_LOGGER } from "./logger.js";
import { Snapshots } from "./snapshots.js";
import { MemoryDisk } from "./testing/memory-disk.js";
import { VirtualClock } from "./testing/virtual-clock.js";

const SELF = address("127.0.0.1:9000");
const META: SnapshotMeta = {
  index: slot(3),
  chain: ZERO_HASH,
  stateHash: ZERO_HASH,
  configuration: genesisConfiguration([{ address: SELF, diskId: diskId("1".repeat(32)) }]),
  chunks: 0,
  bytes: 0,
  hash: hashBytes(new Uint8Array(0)),
};

test("the gap is told before anything behind a received snapshot is applied", async () => {
  const seen: string[] = [];
  const clock = new VirtualClock();
  const received = Store.empty();
  for (let at = 1; at <= META.index; at++) {
    received.skipSlot(at);
  }
  const applier = new Applier({
    store: Store.empty(),
    sink: { onReply: () => {} },
    onApplied: (at) => seen.push(`applied ${at}`),
    later: (callback) => clock.endOfTurn(callback),
  });
  const snapshots = new Snapshots({
    everySlots: 1000,
    everyBytes: 1 << 20,
    clock,
    store: new MemoryDisk(clock, 1).open().storage.snapshots,
    log: SILENT_LOGGER,
    replica: createReplica({
      address: SELF,
      clientAddress: "127.0.0.1:8000",
      list: [SELF],
      seed: 1,
      pingMs: 100,
      grantMs: 600,
      suspectMs: 600,
      windowSlots: 64,
      windowBytes: 1 << 20,
      keepSlots: 10,
      keepBytes: 0,
    }),
    applier,
    restore: () => ({ write: () => {}, step: () => true, finish: () => received }),
    deliver: (event) => seen.push(event.kind),
    sendChunk: () => {},
    onGap: () => seen.push("gap"),
    guard: (work) => work(),
    fatal: (error) => seen.push(String(error)),
  });
  snapshots.onEffect({ kind: "receiveSnapshot", meta: META });
  snapshots.onEffect({ kind: "loadSnapshot", meta: META });
  for (let k = 0; k < 50; k++) {
    await Promise.resolve();
  }
  deepEqual(seen, ["gap", "applied 3", "snapshotLoaded"]);
});
