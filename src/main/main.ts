/**
 * The composition root: from a checked configuration to a server that runs, with its data directory opened and its ports bound.
 * The command line calls it; nothing else in the product picks adapters or opens files.
 */
import { NodeClock } from "../adapters/node-clock.js";
import { NodeFileSystem } from "../adapters/node-file-system.js";
import { NodeRandom } from "../adapters/node-random.js";
import type { Configuration } from "../paxos/configuration.js";
import type { Durable } from "../paxos/record.js";
import type { RunningServer, ServerConfig } from "../server/config.js";
import type { Logger } from "../server/logger.js";
import { openStorage, type Storage } from "../storage/storage.js";
import { StorageFailure } from "../storage/storage-failure.js";
import { assemble } from "./assemble.js";
import { createLogger } from "./pino-logger.js";

/** Segments of the log are made of blocks of this size. */
const SEGMENT_STEP_BYTES = 4096;

/**
 * Starts a server and resolves once it listens on both ports. Rejects with a StorageFailure where its data directory cannot
 * be used (locked, foreign, damaged, of a newer version), or with the system's error where a port cannot; nothing is held then.
 */
export async function runServer(config: ServerConfig): Promise<RunningServer> {
  const log = createLogger({ level: config.logLevel, format: config.logFormat, server: config.paxosAddress });
  const clock = new NodeClock();
  // Until there is a server that ends on it, a failed disk is remembered: the server is told as soon as it exists.
  const disk: { failure: StorageFailure | null; onFailure: (failure: StorageFailure) => void } = {
    failure: null,
    onFailure: (failure) => {
      disk.failure = failure;
    },
  };
  const storage = await openStorage({
    fileSystem: new NodeFileSystem(),
    clock,
    random: new NodeRandom(),
    directory: config.dataDir,
    segmentBytes: Math.ceil(config.segmentBytes / SEGMENT_STEP_BYTES) * SEGMENT_STEP_BYTES,
    onFailure: (failure) => disk.onFailure(failure),
  });
  const foreign = foreignOwner(config, storage);
  if (foreign !== null) {
    await storage.close();
    throw foreign;
  }
  const warnings = introduce(config, storage, log);
  return assemble({
    config,
    log,
    clock,
    storage: { ...storage, warnings },
    durable: storage.durable,
    onServer: (server) => {
      disk.onFailure = (failure) => server.fatal(failure);
      if (disk.failure !== null) {
        server.fatal(disk.failure);
      }
    },
  });
}

/** The refusal of a directory that belongs to another server of a cluster, or null: two servers must never speak under one identity. */
function foreignOwner({ paxosAddress, dataDir }: ServerConfig, { durable }: Storage): StorageFailure | null {
  const own = configurationsOf(durable)
    .flatMap(({ roster }) => roster)
    .find(({ replica }) => replica === durable.replica);
  if (own === undefined || own.address === paxosAddress) {
    return null;
  }
  return new StorageFailure("foreign", `this directory belongs to the server ${own.address}, not to ${paxosAddress}`, {
    path: dataDir,
    remedy: `Start it with my_paxos '${own.address}', or give this server a data_dir of its own.`,
  });
}

/** All that the disk holds: who joined, or was made by a recovery, is not in the one that its log begins with. An id has one address for ever. */
function configurationsOf({ trimmedConfiguration, snapshot, learned, accepted }: Durable): readonly Configuration[] {
  const batches = [...learned.values(), ...[...accepted.values()].map(({ batch }) => batch)];
  const entries = batches.flatMap((batch) => (batch.kind === "configuration" ? [batch.configuration] : []));
  return [trimmedConfiguration, snapshot?.configuration ?? null, ...entries].filter((one) => one !== null);
}

/** Says on what the server stands; returns what `status` should repeat. */
function introduce(config: ServerConfig, storage: Storage, log: Logger): readonly string[] {
  const { durable, isNew } = storage;
  if (isNew) {
    // Only the log says so: a server that joins the founding is well, and one that lost its disk is told so by the others (`blocked`).
    log.log("warn", "empty-data-directory", `This server starts with an empty data directory: ${config.dataDir}.`);
  }
  for (const text of config.warnings) {
    log.log("warn", "configuration", text);
  }
  for (const text of storage.warnings) {
    log.log("warn", "recovery", text);
  }
  const snapshot = durable.snapshot?.index ?? 0;
  log.log("info", "starting", `Synod ${config.version} starts on ${config.dataDir}.`, {
    boot: durable.boot,
    replica: durable.replica,
    snapshot,
    entries: durable.accepted.size + durable.learned.size,
  });
  return storage.warnings;
}
