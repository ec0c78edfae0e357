/**
 * `npm run bench`: measures put and get of a three-server cluster at several loads, in turns with the peer, and the idle cost of
 * five servers. Prints a table; with --write commits-to-be rows go to bench/results/. See METHOD.md for what the figures mean.
 */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { cpus, release } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { type Cluster, hasEtcd, startEtcd, startSynod } from "./clusters.js";
import { type Gap, measureGap } from "./failover.js";
import { h2load, type Load, type Measured } from "./h2load.js";
import { cpuMicros, residentBytes } from "./processes.js";

const root = fileURLToPath(new URL("../..", import.meta.url));
const SERVERS = 3;
const FAILOVER_TRIALS = 5;
const IDLE_SERVERS = 5;
const IDLE_MS = 20_000;
/** What a load of so many requests in flight looks like. */
const SHAPES: Readonly<Record<number, Load>> = {
  1: { connections: 1, streams: 1 },
  64: { connections: 8, streams: 8 },
  256: { connections: 16, streams: 16 },
  1024: { connections: 16, streams: 64 },
};
/** Requests per row at each load, chosen so that a row takes some seconds. */
const REQUESTS: Readonly<Record<number, number>> = { 1: 5000, 64: 60_000, 256: 120_000, 1024: 150_000 };

type Row = {
  readonly system: string;
  readonly version: string;
  readonly operation: "put" | "get";
  readonly load: string;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly requests: number;
  readonly coordinatorMicros: number;
  readonly otherMicros: number;
  readonly clusterMicros: number;
};

async function measure(cluster: Cluster, operation: "put" | "get", load: Load, requests: number): Promise<Row> {
  const before = await cluster.revision();
  const cpuBefore = cluster.pids.map(cpuMicros);
  const measured: Measured = await h2load(cluster[operation], load, requests);
  const cpu = cluster.pids.map((pid, i) => (cpuMicros(pid) - (cpuBefore[i] ?? 0)) / requests);
  const written = (await cluster.revision()) - before;
  if (measured.succeeded !== requests || written !== (operation === "put" ? requests : 0)) {
    throw new Error(`${cluster.name} ${operation}: ${measured.succeeded} of ${requests} succeeded, the revision moved by ${written}`);
  }
  const [coordinator = 0, ...others] = cpu;
  return {
    system: cluster.name,
    version: cluster.version,
    operation,
    load: `${load.connections}x${load.streams}`,
    perSecond: Math.round(requests / measured.seconds),
    p50Ms: measured.p50Ms,
    p99Ms: measured.p99Ms,
    requests,
    coordinatorMicros: coordinator,
    otherMicros: others.reduce((sum, one) => sum + one, 0) / Math.max(others.length, 1),
    clusterMicros: cpu.reduce((sum, one) => sum + one, 0),
  };
}

async function measureLoads(clusters: readonly Cluster[], loads: readonly number[], requests: number | null): Promise<Row[]> {
  const rows: Row[] = [];
  for (const cluster of clusters) {
    await h2load(cluster.put, { connections: 8, streams: 8 }, 20_000); // warm: compiled code, filled caches, a key to read
  }
  for (const inFlight of loads) {
    const load = SHAPES[inFlight];
    if (load === undefined) {
      throw new Error(`--loads: ${inFlight} is none of ${Object.keys(SHAPES).join(", ")}`);
    }
    for (const operation of ["put", "get"] as const) {
      for (const cluster of clusters) {
        const row = await measure(cluster, operation, load, requests ?? REQUESTS[inFlight] ?? 10_000);
        rows.push(row);
        console.error(`${row.system} ${row.operation} ${row.load}: ${row.perSecond}/s`);
      }
    }
  }
  return rows;
}

async function measureFailover(withPeer: boolean): Promise<Gap[]> {
  const gaps: Gap[] = [];
  for (const fault of ["SIGKILL", "SIGSTOP"] as const) {
    for (let trial = 0; trial < FAILOVER_TRIALS; trial++) {
      for (const start of withPeer ? [startSynod, startEtcd] : [startSynod]) {
        const cluster = await start(SERVERS);
        try {
          const gap = await measureGap(cluster, fault);
          gaps.push(gap);
          console.error(
            `${gap.system} ${fault}: ${gap.gapMs.toFixed(0)} ms without a write, ${gap.failed} of ${gap.failed + gap.succeeded} writes failed`,
          );
        } finally {
          await cluster.stop();
        }
      }
    }
  }
  return gaps;
}

type Idle = { readonly server: number; readonly cpuPercent: number; readonly residentMiB: number };

async function measureIdle(): Promise<Idle[]> {
  const cluster = await startSynod(IDLE_SERVERS);
  try {
    await new Promise((resolve) => setTimeout(resolve, 2000));
    const before = cluster.pids.map(cpuMicros);
    await new Promise((resolve) => setTimeout(resolve, IDLE_MS));
    return cluster.pids.map((pid, server) => ({
      server,
      cpuPercent: (100 * (cpuMicros(pid) - (before[server] ?? 0))) / (IDLE_MS * 1000),
      residentMiB: residentBytes(pid) / 1024 / 1024,
    }));
  } finally {
    await cluster.stop();
  }
}

function ratio(rows: readonly Row[], row: Row): string {
  const peer = rows.find((other) => other.system !== row.system && other.load === row.load && other.operation === row.operation);
  return row.system === "synod" && peer !== undefined ? `${(row.perSecond / peer.perSecond).toFixed(1)}x` : "";
}

function gapLines(gaps: readonly Gap[]): string[] {
  const lines = ["", "| system | fault of the coordinator | longest time without a write, ms, each trial | median |", "|---|---|---|---|"];
  for (const fault of ["SIGKILL", "SIGSTOP"] as const) {
    for (const system of new Set(gaps.map((gap) => gap.system))) {
      const found = gaps.filter((gap) => gap.system === system && gap.fault === fault).map((gap) => Math.round(gap.gapMs));
      const median = [...found].sort((a, b) => a - b)[Math.floor(found.length / 2)];
      lines.push(`| ${system} | ${fault} | ${found.join(", ")} | ${median} |`);
    }
  }
  return gaps.length === 0 ? [] : lines;
}

function table(rows: readonly Row[], idle: readonly Idle[], gaps: readonly Gap[]): string {
  const lines: string[] = [];
  if (rows.length > 0) {
    lines.push(
      "| system | op | in flight | ops/s | to the peer | p50 ms | p99 ms | coordinator µs | other µs | cluster µs |",
      "|---|---|---|---|---|---|---|---|---|---|",
    );
  }
  for (const row of rows) {
    const figures = [
      row.p50Ms.toFixed(2),
      row.p99Ms.toFixed(2),
      row.coordinatorMicros.toFixed(1),
      row.otherMicros.toFixed(1),
      row.clusterMicros.toFixed(1),
    ];
    lines.push(
      `| ${row.system} ${row.version} | ${row.operation} | ${row.load} | ${row.perSecond} | ${ratio(rows, row)} | ${figures.join(" | ")} |`,
    );
  }
  if (idle.length > 0) {
    lines.push("", `| idle, ${idle.length} servers, ${IDLE_MS / 1000} s | CPU of one core | resident |`, "|---|---|---|");
    for (const one of idle) {
      lines.push(
        `| ${one.server === 0 ? "coordinator" : `server ${one.server}`} | ${one.cpuPercent.toFixed(2)} % | ${one.residentMiB.toFixed(0)} MiB |`,
      );
    }
  }
  return [...lines, ...gapLines(gaps)].join("\n");
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      loads: { type: "string", default: "1,64,256,1024" },
      requests: { type: "string" },
      idle: { type: "boolean", default: false },
      failover: { type: "boolean", default: false },
      "no-peer": { type: "boolean", default: false },
      write: { type: "boolean", default: false },
    },
  });
  const rows: Row[] = [];
  const withPeer = !values["no-peer"] && hasEtcd();
  const isPart = values.idle || values.failover;
  if (!isPart || values.write) {
    const clusters = [await startSynod(SERVERS)];
    try {
      if (withPeer) {
        clusters.push(await startEtcd(SERVERS));
      } else {
        console.error("etcd is not measured: left out, or not installed (Debian: etcd-server, etcd-client)");
      }
      rows.push(
        ...(await measureLoads(
          clusters,
          values.loads.split(",").map(Number),
          values.requests === undefined ? null : Number(values.requests),
        )),
      );
    } finally {
      await Promise.all(clusters.map((cluster) => cluster.stop()));
    }
  }
  const idle = values.idle || values.write ? await measureIdle() : [];
  const gaps = values.failover || values.write ? await measureFailover(withPeer) : [];
  const text = table(rows, idle, gaps);
  console.log(text);
  if (values.write) {
    write({ rows, idle, gaps }, text);
  }
}

function write(results: { rows: readonly Row[]; idle: readonly Idle[]; gaps: readonly Gap[] }, text: string): void {
  const commit = execFileSync("git", ["rev-parse", "--short", "HEAD"], { cwd: root, encoding: "utf8" }).trim();
  const date = new Date().toISOString().slice(0, 10);
  const machine = { cpu: cpus()[0]?.model ?? "", cores: cpus().length, kernel: release(), node: process.version };
  const path = join(root, "bench", "results", `${date}-${commit}`);
  writeFileSync(`${path}.json`, `${JSON.stringify({ date, commit, machine, ...results }, null, 2)}\n`);
  const heading = `# ${date}, commit ${commit}\n\n${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, Node ${machine.node}; see ../METHOD.md.\n\n`;
  writeFileSync(`${path}.md`, `${heading}${text}\n`);
}

await main();
