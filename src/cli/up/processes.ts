/** Tells whether a process is the one that was started, although its number may have been given to another since. It must never end one itself. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";

/**
 * A text that no other process with the same number has, as long as the machine runs: when it started. Undefined where the
 * process is gone, or has ended and waits for its parent.
 */
export function processToken(pid: number): string | undefined {
  if (process.platform !== "linux") {
    const started = spawnSync("ps", ["-o", "lstart=", "-p", String(pid)], { encoding: "utf8" }).stdout?.trim();
    return started === undefined || started === "" ? undefined : started;
  }
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name in brackets may hold anything, so fields are counted from behind it: state is the 1st, starttime the 20th.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const isEnded = fields[0] === "Z" || fields[0] === "X";
    return isEnded ? undefined : `${readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()}:${fields[19]}`;
  } catch {
    return undefined; // no such process
  }
}

/** A process as written down when it was started. */
export type ProcessRecord = { readonly pid: number; readonly token: string };

/** Whether that very process still runs. */
export function isRunning(record: ProcessRecord): boolean {
  return processToken(record.pid) === record.token;
}

/** What to write down about `pid`, which runs. */
export function recordOf(pid: number): ProcessRecord {
  return { pid, token: processToken(pid) ?? "" };
}
