/**
 * A process that holds a data directory, for tests that need a second one: it opens the storage, says so on standard output,
 * and commits accepts as fast as it can, telling each acknowledged slot, until it is killed. Arguments: directory, "hold" or "write".
 */
import { ballot } from "../../paxos/ballot.js";
import { commandsBatch } from "../../paxos/batch.js";
import { slot } from "../../paxos/ids.js";
import { openStorage, type Storage } from "../../storage/storage.js";
import { NodeClock } from "../node-clock.js";
import { NodeFileSystem } from "../node-file-system.js";
import { NodeRandom } from "../node-random.js";

const [directory = "", mode = "hold"] = process.argv.slice(2);

/** The value that slot `at` gets, whoever writes it. */
function valueAt(at: number): Uint8Array {
  return new Uint8Array(300 + (at % 900)).fill(at % 251);
}

function writeFrom(storage: Storage, at: number): void {
  storage.wal.commit([{ kind: "accept", ballot: ballot(1, 1), slot: slot(at), batch: commandsBatch(valueAt(at)) }], () => {
    process.stdout.write(`${at}\n`);
    writeFrom(storage, at + 1);
  });
}

try {
  const storage = await openStorage({
    fileSystem: new NodeFileSystem(),
    clock: new NodeClock(),
    random: new NodeRandom(),
    directory,
    segmentBytes: 256 * 1024,
    onFailure: (failure) => {
      throw failure;
    },
  });
  process.stdout.write(`open ${storage.durable.boot}\n`);
  if (mode === "write") {
    writeFrom(storage, storage.durable.accepted.size + 1);
  } else {
    process.stdin.on("end", () => process.exit(0)).resume();
  }
} catch (error) {
  process.stdout.write(`refused ${error instanceof Error ? error.message : String(error)}\n`);
}
