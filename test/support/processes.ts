/**
 * The processes of a test: `synod` commands run to their end, and servers that stay. It must never signal a process that it did
 * not start, and leaves none behind: whatever still runs when the test process ends is killed by its pid.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The checkout. */
export const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const SYNOD = join(ROOT, "bin", "synod");
/** Below the range from which the system takes the ports of outgoing connections: a server that is down finds its port free again. */
const PORT_FIRST = 11_000;
const PORT_COUNT = 20_000;
const RUN_PATIENCE_MS = 30_000;

const running = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of running) {
    // `synod up` has servers of its own, which it ends when it is asked to end and could not when killed.
    child.kill(child.spawnargs.includes("up") ? "SIGTERM" : "SIGKILL");
  }
});
for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
  process.once(signal, () => process.exit(1));
}

/** What the user's environment or the test runner says must not reach the command. */
function environment(extra: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) => !/^(SYNOD_|ETCDCTL_|NODE_TEST_CONTEXT$|NODE_OPTIONS$|FORCE_COLOR$)/.test(name),
  );
  return { ...Object.fromEntries(kept), NO_COLOR: "1", ...extra };
}

function tracked<T extends ChildProcess>(child: T): T {
  running.add(child);
  child.once("exit", () => running.delete(child));
  child.once("error", () => running.delete(child));
  return child;
}

/** How a process ended. */
export type Ending = { readonly status: number | null; readonly signal: NodeJS.Signals | null };

/** Resolves with how `child` ended, also if it has. */
export async function ending(child: ChildProcess): Promise<Ending> {
  if (child.exitCode === null && child.signalCode === null) {
    await once(child, "exit");
  }
  return { status: child.exitCode, signal: child.signalCode };
}

export type RunResult = Ending & { readonly stdout: string; readonly stderr: string };
export type RunOptions = {
  /** What the command reads on stdin; nothing by default. */
  readonly input?: string | Uint8Array;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** It is killed after this. */
  readonly withinMs?: number;
};

/** Runs `synod ARGS` to its end. */
export async function synod(args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const child = spawnSynod(args, options);
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  child.stdin.on("error", () => undefined); // it may end without reading all of it
  child.stdin.end(options.input ?? "");
  const timer = setTimeout(() => child.kill("SIGKILL"), options.withinMs ?? RUN_PATIENCE_MS);
  const [status, signal] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
  clearTimeout(timer);
  return { status, signal, stdout, stderr };
}

/** Starts `synod ARGS` with pipes. */
export function spawnSynod(args: readonly string[], options: Pick<RunOptions, "env" | "cwd"> = {}) {
  const where = options.cwd === undefined ? {} : { cwd: options.cwd };
  return tracked(spawn(process.execPath, [SYNOD, ...args], { stdio: ["pipe", "pipe", "pipe"], env: environment(options.env), ...where }));
}

/** Makes of a command line another that runs it elsewhere, as the very process that is started: signals must reach the command. */
export type Elsewhere = (command: readonly string[]) => readonly string[];

/** Starts `synod ARGS` in the background; what it prints is appended to `logPath`. */
export function startSynod(args: readonly string[], logPath: string, elsewhere: Elsewhere = (command) => command): ChildProcess {
  const log = openSync(logPath, "a");
  const [command = "", ...rest] = elsewhere([process.execPath, SYNOD, ...args]);
  const child = tracked(spawn(command, rest, { stdio: ["ignore", log, log], env: environment() }));
  closeSync(log);
  return child;
}

/** Starts another program with its output in pipes, and stdin empty. */
export function startProgram(command: string, args: readonly string[]) {
  return tracked(spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] }));
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  const bound = await new Promise<boolean>((resolve) => {
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => resolve(true));
  });
  if (bound) {
    server.close();
    await once(server, "close");
  }
  return bound;
}

/** `count` successive ports of the loopback interface that were free a moment ago; the first is drawn at random. */
export async function freePorts(count: number): Promise<readonly number[]> {
  for (;;) {
    const first = PORT_FIRST + Math.floor(Math.random() * (PORT_COUNT - count));
    const ports = Array.from({ length: count }, (_, i) => first + i);
    const free = await Promise.all(ports.map(isFree));
    if (free.every(Boolean)) {
      return ports;
    }
  }
}
