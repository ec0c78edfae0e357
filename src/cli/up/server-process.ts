/** One server as a child process of `synod up`, its log in a file. It must never start itself again. */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readSync, renameSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { CliError, EXIT } from "../errors.js";
import { makeDirectories } from "./directories.js";
import type { PlannedServer } from "./plan.js";
import { type ProcessRecord, recordOf } from "./processes.js";

/** How a server ended. */
export type Ending = {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Whether `up` told it to. */
  readonly wasAsked: boolean;
};

/** A log larger than this is set aside as server.log.1 when the server starts. Bytes. */
export const LOG_BYTES_MAX = 10 * 1024 * 1024;
/** How much of the log's end is shown. */
const TAIL_BYTES = 16 * 1024;
const TAIL_LINES = 12;

const LAUNCHER = fileURLToPath(new URL("../../../../bin/synod", import.meta.url));

/** A child that runs, or ran. */
export class ServerProcess {
  readonly planned: PlannedServer;
  readonly record: ProcessRecord;
  readonly ended: Promise<Ending>;
  private readonly child: ChildProcess;
  private readonly logStart: number;
  private wasAsked = false;
  private hasEnded = false;

  /** Starts it. Throws `CliError` where the log cannot be written. */
  constructor(planned: PlannedServer) {
    this.planned = planned;
    const log = openLog(planned.logFile);
    this.logStart = log.size;
    // A session of its own: Ctrl-C reaches only `up`, which then stops the servers in order.
    this.child = spawn(process.execPath, [LAUNCHER, "server", planned.argument], {
      stdio: ["ignore", log.descriptor, log.descriptor],
      detached: true,
      env: { SYNOD_LOG_FORMAT: "pretty", ...process.env },
    });
    closeSync(log.descriptor);
    this.record = recordOf(this.child.pid ?? 0);
    this.ended = new Promise((resolve) => {
      this.child.once("exit", (code, signal) => {
        this.hasEnded = true;
        resolve({ code, signal, wasAsked: this.wasAsked });
      });
      this.child.once("error", () => {
        this.hasEnded = true;
        resolve({ code: EXIT.error, signal: null, wasAsked: false });
      });
    });
  }

  get isRunning(): boolean {
    return !this.hasEnded;
  }

  /** SIGTERM to stop gracefully, SIGKILL to kill. */
  send(signal: "SIGTERM" | "SIGKILL"): void {
    this.wasAsked = true;
    this.child.kill(signal);
  }

  /** The last lines that this life of the server wrote to its log. */
  tail(): string {
    const descriptor = openSync(this.planned.logFile, "r");
    try {
      const end = statSync(this.planned.logFile).size;
      const from = Math.max(this.logStart, end - TAIL_BYTES);
      const bytes = Buffer.alloc(Math.max(0, end - from));
      readSync(descriptor, bytes, 0, bytes.length, from);
      return bytes.toString("utf8").trimEnd().split("\n").slice(-TAIL_LINES).join("\n");
    } finally {
      closeSync(descriptor);
    }
  }
}

/** `was killed by SIGKILL`, `ended with status 70`. */
export function describeEnding(ending: Ending): string {
  return ending.signal === null ? `ended with status ${ending.code}` : `was ended by ${ending.signal}`;
}

function openLog(path: string): { readonly descriptor: number; readonly size: number } {
  try {
    makeDirectories(dirname(path));
    if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) > LOG_BYTES_MAX) {
      renameSync(path, `${path}.1`);
    }
    const descriptor = openSync(path, "a");
    return { descriptor, size: statSync(path).size };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CliError(`the log ${path} cannot be written: ${reason}`, { exitCode: EXIT.io, hint: "another --data-dir", cause: error });
  }
}
