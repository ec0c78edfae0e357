/** The tools of last resort put together with this machine's files and randomness, for the command line; they run beside no server. */
import { NodeClock } from "../adapters/node-clock.js";
import { NodeFileSystem } from "../adapters/node-file-system.js";
import { NodeRandom } from "../adapters/node-random.js";
import { address as addressOf } from "../paxos/ids.js";
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
