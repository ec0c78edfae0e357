/** `synod down`: stops the servers that `synod up` started, from anywhere, and removes their data where asked. It must never end a process that is not ours. */
import { setTimeout as delay } from "node:timers/promises";
import { CliError, EXIT } from "../errors.js";
import { type Flags, isSet } from "../flags.js";
import { STOP_MS_MAX } from "../up/cluster.js";
import { upDataDir } from "../up/plan.js";
import { isRunning, type ProcessRecord } from "../up/processes.js";
import { readClusterFile, readUpFile, stillRunning, unlockUp, wipe } from "../up/state.js";

/** `up` itself waits STOP_MS_MAX for its servers before it kills them; the rest is room to say so. */
const UP_MS_MAX = STOP_MS_MAX + 5000;
const POLL_MS = 50;

/** Resolves to the exit status: 0 also where nothing ran. */
export async function runDown(flags: Flags): Promise<number> {
  const { dataDir, shown } = upDataDir(flags);
  const cluster = readClusterFile(dataDir);
  const { up, servers } = stillRunning(readUpFile(dataDir));
  if (up !== undefined) {
    await end([up], UP_MS_MAX);
  }
  await end(servers.filter(isRunning), STOP_MS_MAX);
  process.stdout.write(
    servers.length === 0
      ? `Nothing runs on ${shown}.\n`
      : `Stopped ${servers.length} ${servers.length === 1 ? "server" : "servers"} on ${shown}.\n`,
  );
  if (cluster === undefined) {
    if (isSet(flags, "wipe")) {
      throw new CliError(`${shown} holds no data of synod up; nothing is removed`, {
        exitCode: EXIT.error,
        hint: "--data-dir with the folder that synod up was given",
      });
    }
    return EXIT.ok;
  }
  unlockUp(dataDir);
  if (isSet(flags, "wipe")) {
    const removed = wipe(dataDir, cluster);
    process.stdout.write(`Removed ${removed.length === 0 ? "what was left of it" : removed.join(", ")}.\n`);
  }
  return EXIT.ok;
}

/** SIGTERM, then SIGKILL for those that run on. */
async function end(processes: readonly ProcessRecord[], timeoutMs: number): Promise<void> {
  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    const left = processes.filter(isRunning);
    for (const one of left) {
      send(one, signal);
    }
    const endsAt = performance.now() + timeoutMs;
    while (left.some(isRunning) && performance.now() < endsAt) {
      await delay(POLL_MS);
    }
  }
}

function send(target: ProcessRecord, signal: "SIGTERM" | "SIGKILL"): void {
  try {
    process.kill(target.pid, signal);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ESRCH") {
      return; // it ended in between
    }
    throw new CliError(`process ${target.pid} cannot be stopped: ${String(error)}`, {
      exitCode: EXIT.error,
      hint: "the user who ran synod up",
      cause: error,
    });
  }
}
