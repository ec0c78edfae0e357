/** The tools of last resort put together with this machine's files and randomness, for the command line; they run beside no server. */
import { NodeClock } from "../adapters/node-clock.js";
import { NodeFileSystem } from "../adapters/node-file-system.js";
import { NodeRandom } from "../adapters/node-random.js";
import { ByteReader } from "../base/bytes.js";
import { hash64 } from "../base/hash64.js";
import type { BackupPart } from "../gen/admin_pb.js";
import { readConfiguration } from "../paxos/configuration.js";
import { address as addressOf, slot as slotOf } from "../paxos/ids.js";
import { BackupBroken, type BackupContent, type BackupParts, readBackup, restoreBackup, writeBackup } from "../server/backup-file.js";
import { prepareRecovery, type Recovery, type Tools } from "../server/forced-recovery.js";
import { recoveryReport } from "../server/recovery-report.js";

function tools(): Tools {
  return { fileSystem: new NodeFileSystem(), clock: new NodeClock(), random: new NodeRandom() };
}

/** A recovery that has been looked into, and what to tell a person before it is carried out. */
export type PreparedRecovery = Pick<Recovery, "carryOut" | "release"> & {
  readonly report: readonly string[];
  readonly replica: number;
  /** The number of the lineage that it begins. */
  readonly lineage: number;
};

/** Paths are absolute. Rejects with a StorageFailure or RecoveryRefused. */
export async function prepare(from: readonly string[], to: string, address: string): Promise<PreparedRecovery> {
  const recovery = await prepareRecovery({ ...tools(), from, to, address: addressOf(address) });
  return {
    report: recoveryReport(recovery, to, address),
    replica: recovery.replica,
    lineage: recovery.lineage.number + 1,
    carryOut: () => recovery.carryOut(),
    release: () => recovery.release(),
  };
}

/** What a backup holds, for people. */
export type BackupFacts = {
  readonly slot: number;
  readonly revision: number;
  readonly keys: number;
  /** Of keys, values and history. */
  readonly dataBytes: number;
  readonly sessions: number;
  /** In the file, without its table. */
  readonly bytes: number;
  readonly stateHash: string;
  /** Paxos addresses of the members at that time. */
  readonly members: readonly string[];
};

/** Writes the parts that a server sends to a new file; resolves with the slot, and the bytes in it. Rejects with a StorageFailure or BackupBroken. */
export async function saveBackup(
  path: string,
  parts: AsyncIterable<BackupPart>,
): Promise<{ readonly slot: number; readonly bytes: number }> {
  const { index, bytes } = await writeBackup(tools().fileSystem, path, understood(parts));
  return { slot: index, bytes };
}

async function* understood(parts: AsyncIterable<BackupPart>): AsyncIterable<BackupParts> {
  for await (const { part } of parts) {
    switch (part.case) {
      case "head": {
        const { slot, chain, stateHash, configuration } = part.value;
        const base = {
          index: slotOf(Number(slot)),
          chain: hash64(chain),
          stateHash: hash64(stateHash),
          configuration: readConfiguration(new ByteReader(configuration)),
        };
        yield { kind: "head", base };
        break;
      }
      case "chunk":
        yield { kind: "chunk", bytes: part.value };
        break;
      case "end":
        yield { kind: "end", chunks: Number(part.value.chunks), bytes: Number(part.value.bytes), hash: hash64(part.value.hash) };
        break;
      default:
        throw new BackupBroken("The server sent a part that this version does not know.");
    }
  }
}

/** Reads a backup whole. Rejects with a StorageFailure. */
export async function inspectBackup(path: string): Promise<BackupFacts> {
  return factsOf(await readBackup(tools().fileSystem, path));
}

/** Makes the first data directory of a new cluster. Rejects with a StorageFailure. */
export async function restore(path: string, to: string, address: string): Promise<BackupFacts & { readonly clusterId: string }> {
  const restored = await restoreBackup({ ...tools(), path, to, address: addressOf(address) });
  return { ...factsOf(restored), clusterId: restored.clusterId.toString(16).padStart(16, "0") };
}

function factsOf({ meta, stats }: BackupContent): BackupFacts {
  const { revision, keys, dataBytes, sessions } = stats;
  const members = meta.configuration.roster.map(({ address }) => String(address));
  return { slot: meta.index, revision, keys, dataBytes, sessions, bytes: meta.bytes, stateHash: meta.stateHash, members };
}
