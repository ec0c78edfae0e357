/** Drives one unary gRPC method with h2load and reads what it measured. Knows nothing of the system behind the port. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** `connections` x `streams` requests in flight. */
export type Load = { readonly connections: number; readonly streams: number };

export type Measured = {
  readonly requests: number;
  readonly succeeded: number;
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  /** Bytes of response bodies: equal answers give equal sums. */
  readonly bodyBytes: number;
};

/** One gRPC message as it goes over the wire: a flag, the length, the bytes. */
export function grpcFrame(message: Uint8Array): Uint8Array {
  const frame = new Uint8Array(5 + message.length);
  new DataView(frame.buffer).setUint32(1, message.length);
  frame.set(message, 5);
  return frame;
}

/** Sends `requests` times the same message; rejects where h2load fails. */
export async function h2load(
  target: { host: string; port: number; path: string; message: Uint8Array },
  load: Load,
  requests: number,
): Promise<Measured> {
  const folder = mkdtempSync(join(tmpdir(), "synod-h2load-"));
  try {
    const body = join(folder, "body");
    const log = join(folder, "log");
    writeFileSync(body, grpcFrame(target.message));
    const args = [
      "-n",
      String(requests),
      "-c",
      String(load.connections),
      "-m",
      String(load.streams),
      "-t",
      "1",
      "-d",
      body,
      "--log-file",
      log,
      "-H",
      "content-type: application/grpc",
      "-H",
      "te: trailers",
      `http://${target.host}:${target.port}${target.path}`,
    ];
    const child = spawn("h2load", args, { stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    child.stdout.on("data", (chunk) => {
      output += chunk;
    });
    child.stderr.on("data", (chunk) => {
      output += chunk;
    });
    const [status] = await once(child, "close");
    if (status !== 0) {
      throw new Error(`h2load ended with ${status}: ${output.slice(-500)}`);
    }
    return { ...readSummary(output), ...readLatencies(log), requests };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function readSummary(output: string): Pick<Measured, "succeeded" | "seconds" | "bodyBytes"> {
  const finished = /finished in ([\d.]+)(us|ms|s)/.exec(output);
  const statuses = /status codes: (\d+) 2xx/.exec(output);
  const traffic = /traffic: .*?\((\d+)\) data/.exec(output);
  if (finished === null || statuses === null) {
    throw new Error(`h2load said what is not understood: ${output.slice(-500)}`);
  }
  const unit = finished[2] === "s" ? 1 : finished[2] === "ms" ? 1e-3 : 1e-6;
  return { seconds: Number(finished[1]) * unit, succeeded: Number(statuses[1]), bodyBytes: Number(traffic?.[1] ?? 0) };
}

/** The log has one line a request: start, status, duration in microseconds. */
function readLatencies(path: string): Pick<Measured, "p50Ms" | "p99Ms" | "maxMs"> {
  const durations = readFileSync(path, "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => Number(line.split("\t")[2]));
  durations.sort((a, b) => a - b);
  const at = (quantile: number): number =>
    (durations[Math.min(durations.length - 1, Math.floor(durations.length * quantile))] ?? Number.NaN) / 1000;
  return { p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) };
}
