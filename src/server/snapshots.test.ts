/**
 * Snapshots by themselves and in whole servers in virtual time: in which order a received state takes over, and what a disk
 * without space at each of their calls does to the server (nothing) and to the snapshot (there will be another).
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { present } from "../base/assert.js";
import { hashBytes, ZERO_HASH } from "../base/hash64.js";
import { Store } from "../kv/store.js";
import { genesisConfiguration } from "../paxos/configuration.js";
import { address, diskId, slot } from "../paxos/ids.js";
import type { SnapshotMeta } from "../paxos/message.js";
import { createReplica } from "../paxos/replica.js";
import { Applier } from "./applier.js";
import { SILENT_LOGGER } from "./logger.js";
import { Snapshots } from "./snapshots.js";
import { TestCluster } from "./testing/cluster.js";
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
      removeAfterMs: 0,
      stableMs: 0,
      minVoters: 1,
      join: [],
      electable: true,
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

for (const call of ["create", "push", "finish"] as const) {
  test(`a disk without space at ${call} costs the snapshot, not the server, and the next one comes when there is space`, async () => {
    const cluster = await TestCluster.started(1, { snapshotEverySlots: 10 });
    const disk = cluster.disk(0);
    const putAll = async (count: number): Promise<void> => {
      for (let k = 0; k < count; k++) {
        equal(await cluster.outcomeOf(cluster.put(0, `k${k}`, "v")), "ok");
      }
    };
    disk.refuses.add(call);
    await putAll(50); // each snapshot that fails is still being given up when the next is due
    ok(disk.refused >= 2);
    equal(cluster.server(0).replicaStatus().snapshotSlot, 0);
    disk.refuses.clear();
    await putAll(50);
    await cluster.until(() => cluster.server(0).replicaStatus().snapshotSlot > 50);
    deepEqual(cluster.exits, []);
  });
}

for (const call of ["receive", "storeChunk", "place"] as const) {
  test(`a disk without space at ${call} delays the snapshot that a server needs from another, and ends nobody`, async () => {
    const cluster = await TestCluster.started(3, { snapshotEverySlots: 20, keepSlots: 5, keepBytes: 0 });
    const at = present(cluster.coordinator(), "there is a coordinator");
    const away = at === 0 ? 1 : 0;
    cluster.kill(away);
    for (let k = 0; k < 100; k++) {
      equal(await cluster.outcomeOf(cluster.put(at, `k${k}`, `v${k}`)), "ok");
    }
    await cluster.until(() => cluster.server(at).replicaStatus().trimmed > 50);
    const disk = cluster.disk(away);
    disk.refuses.add(call);
    await cluster.start(away);
    await cluster.until(() => disk.refused >= 2);
    deepEqual(cluster.exits, []);
    disk.refuses.clear();
    equal(await cluster.outcomeOf(cluster.get(away, "k99", 30_000)), "v99");
    deepEqual(cluster.exits, []);
  });
}
