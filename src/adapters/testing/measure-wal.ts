/**
 * By hand: commits a second, latency and CPU of the log on the disk of a directory, one commit in flight, values of 300 bytes in
 * groups. node dist/src/adapters/testing/measure-wal.js DIRECTORY [seconds a row]. Slots are trimmed as they go, so that segments
 * are recycled as in a running server.
 */

import { rmSync } from "node:fs";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { ZERO_HASH } from "../../base/hash64.js";
import { ballot } from "../../paxos/ballot.js";
import { commandsBatch } from "../../paxos/batch.js";
import { genesisConfiguration } from "../../paxos/configuration.js";
import { address, diskId, slot } from "../../paxos/ids.js";
import type { WalRecord } from "../../paxos/record.js";
import { openStorage, type Storage } from "../../storage/storage.js";
import { NodeClock } from "../node-clock.js";
import { NodeFileSystem } from "../node-file-system.js";
import { NodeRandom } from "../node-random.js";

const VALUE_BYTES = 300;
const [root = ".", seconds = "4"] = process.argv.slice(2);
const configuration = genesisConfiguration([{ address: address("a:1"), diskId: diskId("0".repeat(32)) }]);

/** One row: `group` values of VALUE_BYTES in each commit, as `batches` batches, for `millis`. */
async function measure(storage: Storage, group: number, batches: number, millis: number): Promise<void> {
  const batch = commandsBatch(new Uint8Array((VALUE_BYTES * group) / batches).fill(7));
  const latencies: number[] = [];
  let at = storage.durable.trimmed + 1;
  const cpuBefore = process.cpuUsage();
  const began = performance.now();
  await new Promise<void>((resolve) => {
    const next = (): void => {
      const records: WalRecord[] = [];
      for (let i = 0; i < batches; i++) {
        records.push({ kind: "accept", ballot: ballot(1, 1), slot: slot(at++), batch });
      }
      if (latencies.length % 256 === 255 && at > 4000) {
        records.push({ kind: "trim", slot: slot(at - 2000), chain: ZERO_HASH, configuration });
      }
      const sent = performance.now();
      storage.wal.commit(records, () => {
        latencies.push(performance.now() - sent);
        if (performance.now() - began < millis) {
          next();
        } else {
          resolve();
        }
      });
    };
    next();
  });
  const elapsed = performance.now() - began;
  const cpu = process.cpuUsage(cpuBefore);
  latencies.sort((a, b) => a - b);
  const micros = (p: number): string => ((latencies[Math.floor(latencies.length * p)] ?? 0) * 1000).toFixed(0);
  const count = latencies.length;
  process.stdout.write(
    `group ${group} in ${batches} batches: ${((count / elapsed) * 1000).toFixed(0)} commits/s, p50 ${micros(0.5)} p99 ${micros(0.99)} us, CPU ${((cpu.user + cpu.system) / count).toFixed(1)} us a commit, log ${(storage.wal.diskBytes() / 2 ** 20).toFixed(0)} MiB\n`,
  );
}

for (const [group, batches] of [
  [1, 1],
  [64, 1],
  [64, 64],
  [1024, 1],
  [1024, 4],
] as const) {
  const directory = join(root, `measure-wal-${process.pid}`);
  const storage = await openStorage({
    fileSystem: new NodeFileSystem(),
    clock: new NodeClock(),
    random: new NodeRandom(),
    directory,
    onFailure: (failure) => {
      throw failure;
    },
  });
  await measure(storage, group, batches, 500);
  await measure(storage, group, batches, Number(seconds) * 1000);
  await storage.close();
  rmSync(directory, { recursive: true });
}
