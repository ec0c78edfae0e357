/**
 * The files of `synod up` in its data directory: cluster.json says what the data belongs to, up.json which processes run now
 * (and is the lock: one `up` per data directory). It must never remove what it does not know.
 */
import {
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { CliError, EXIT } from "../errors.js";
import { makeDirectories } from "./directories.js";
import { isRunning, type ProcessRecord, recordOf } from "./processes.js";

const CLUSTER_FILE = z.object({
  format: z.literal(1),
  servers: z.number().int().min(1),
  host: z.string(),
  port: z.number().int(),
  paxosPort: z.number().int(),
});
const PROCESS = z.object({ pid: z.number().int().min(1), token: z.string() });
const UP_FILE = z.object({ up: PROCESS, servers: z.array(PROCESS.extend({ number: z.number().int() })) });

/** What the data belongs to. */
export type ClusterFile = z.infer<typeof CLUSTER_FILE>;
/** What runs. */
export type UpFile = z.infer<typeof UP_FILE>;

const CLUSTER_NAME = "cluster.json";
const UP_NAME = "up.json";
/** What `synod server` makes in the same folder where it is told no data_dir: `127.0.0.1_9000`. */
const OF_SERVER = /_[0-9]+$/;
/** In every file system of its own that is mounted. */
const LOST_FOUND = "lost+found";
/** Names that are listed of a folder that is not ours. */
const NAMES_SHOWN = 3;

/** Throws `CliError` where a new cluster would be made among things that are not of `up`: `down --wipe` might take one for its own. */
export function refuseForeign(dataDir: string, shown: string): void {
  const names = existsSync(dataDir) && statSync(dataDir).isDirectory() ? readdirSync(dataDir) : [];
  const strange = names.filter((name) => !name.startsWith(UP_NAME) && !OF_SERVER.test(name) && name !== LOST_FOUND).sort();
  if (strange.length > 0 && !names.includes(CLUSTER_NAME)) {
    const more = strange.length > NAMES_SHOWN ? ` and ${strange.length - NAMES_SHOWN} more` : "";
    throw new CliError(`${shown} is not empty, and holds no data of synod up: ${strange.slice(0, NAMES_SHOWN).join(", ")}${more}`, {
      exitCode: EXIT.error,
      hint: "--data-dir with an empty or new folder",
    });
  }
}

/** What an earlier `up` left; undefined where none was here. Throws `CliError` where the file is damaged. */
export function readClusterFile(dataDir: string): ClusterFile | undefined {
  const path = join(dataDir, CLUSTER_NAME);
  if (!existsSync(path)) {
    return undefined;
  }
  const parsed = CLUSTER_FILE.safeParse(parseJson(path));
  if (!parsed.success) {
    throw new CliError(`${path} is damaged, or from a newer version`, { exitCode: EXIT.io, hint: "another --data-dir" });
  }
  return parsed.data;
}

/** Makes the data directory and says in it what it belongs to. */
export function writeClusterFile(dataDir: string, file: ClusterFile): void {
  try {
    makeDirectories(dataDir);
    writeFileSync(join(dataDir, CLUSTER_NAME), `${JSON.stringify(file)}\n`);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CliError(`the data directory ${dataDir} cannot be written: ${reason}`, {
      exitCode: EXIT.io,
      hint: "another --data-dir",
      cause: error,
    });
  }
}

/** What runs here, as last written; undefined where nothing was written or it cannot be read. */
export function readUpFile(dataDir: string): UpFile | undefined {
  const parsed = UP_FILE.safeParse(parseJson(join(dataDir, UP_NAME)));
  return parsed.success ? parsed.data : undefined;
}

/** The processes of `file` that still run. */
export function stillRunning(file: UpFile | undefined): { readonly up: ProcessRecord | undefined; readonly servers: UpFile["servers"] } {
  return {
    up: file !== undefined && isRunning(file.up) ? file.up : undefined,
    servers: file?.servers.filter(isRunning) ?? [],
  };
}

/** Throws `CliError` where another `up` runs on `dataDir`, or servers of an earlier one still do. */
export function refuseIfRunning(dataDir: string, shown: string): void {
  const { up, servers } = stillRunning(readUpFile(dataDir));
  if (up !== undefined) {
    throw new CliError(`synod up already runs on ${shown} (process ${up.pid})`, {
      exitCode: EXIT.error,
      hint: `synod client to use it, synod down --data-dir ${shown} to stop it, or another --data-dir with other ports`,
    });
  }
  if (servers.length > 0) {
    const pids = servers.map((server) => server.pid).join(", ");
    throw new CliError(`servers of an earlier synod up still run on ${shown} (processes ${pids})`, {
      exitCode: EXIT.error,
      hint: `synod down --data-dir ${shown}, then synod up again`,
    });
  }
}

/** Makes this process the one `up` of `dataDir`. Throws `CliError` as `refuseIfRunning` does. */
export function lockUp(dataDir: string, shown: string): void {
  refuseIfRunning(dataDir, shown);
  const path = join(dataDir, UP_NAME);
  rmSync(path, { force: true });
  try {
    closeSync(openSync(path, "wx"));
  } catch (error) {
    throw new CliError(`another synod up is just starting on ${shown}`, { exitCode: EXIT.error, hint: "synod status", cause: error });
  }
  writeUpFile(dataDir, []);
}

/** Writes down which servers run. */
export function writeUpFile(dataDir: string, servers: UpFile["servers"]): void {
  const file: UpFile = { up: recordOf(process.pid), servers: [...servers] };
  const path = join(dataDir, UP_NAME);
  writeFileSync(`${path}.new`, `${JSON.stringify(file)}\n`);
  renameSync(`${path}.new`, path);
}

/** Gives the data directory up, once nothing runs. */
export function unlockUp(dataDir: string): void {
  rmSync(join(dataDir, UP_NAME), { force: true });
}

/** Removes what `up` made in `dataDir`, and the directory where nothing else is in it. Returns what was removed. */
export function wipe(dataDir: string, cluster: ClusterFile): readonly string[] {
  const removed: string[] = [];
  for (let number = 1; number <= cluster.servers; number++) {
    const path = join(dataDir, String(number));
    if (existsSync(path)) {
      rmSync(path, { recursive: true });
      removed.push(path);
    }
  }
  unlockUp(dataDir);
  unlinkSync(join(dataDir, CLUSTER_NAME));
  if (readdirSync(dataDir).length === 0) {
    rmdirSync(dataDir);
  }
  return removed;
}

function parseJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return undefined; // absent or damaged: the caller says which matters
  }
}
