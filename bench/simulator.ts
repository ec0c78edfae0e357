/**
 * `npm run bench:sim`: how fast the simulator is, and its seeds run in pieces with their coverage summed: what a claim of so many clean
 * seeds rests on. Pieces are `synod sim` processes; a finished one is kept in a file, so that a run may be stopped and go on.
 *
 * `-- [--from N] [--seeds N] [--jobs N] [--speed] [--write]`. See METHOD.md.
 */
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { missingCoverage } from "../src/sim/checkers/coverage.js";
import { Tally } from "../src/sim/engine/tally.js";
import { runScenario } from "../src/sim/run.js";
import { drawScenario } from "../src/sim/scenario/draw.js";
import type { Scenario } from "../src/sim/scenario/scenario.js";

const root = fileURLToPath(new URL("../..", import.meta.url));
/** Seeds of one process. */
const PIECE_SEEDS = 100;
const SPEED_SEEDS = 40;
/** Runs that only warm up the runtime's compiler. */
const WARM_SEEDS = 8;
const SPEED_SERVERS = 5;
const SPEED_VIRTUAL_MS = 60_000;
/** What Node lets promises settle with. */
const drain = (): Promise<void> => new Promise((resolve) => process.nextTick(resolve));

type Piece = {
  readonly from: number;
  readonly seeds: number;
  readonly commit: string;
  readonly broken: readonly { readonly seed: number; readonly violation: unknown }[];
  readonly virtualMs: number;
  readonly events: number;
  readonly decided: number;
  readonly operations: number;
  readonly seen: Readonly<Record<string, number>>;
};

/** What `synod sim --json` prints: a line for each seed, and one for all. */
type Line = Piece & { readonly summary?: true; readonly seed?: number; readonly violation?: unknown };

type Speed = {
  readonly seeds: number;
  readonly perSecond: number;
  readonly events: number;
  readonly operations: number;
  readonly decided: number;
  readonly restarts: number;
  readonly snapshots: number;
  readonly windows: number;
};

/** Five servers and sixty virtual seconds of whatever faults and clients the seed draws; CPU time of this process, which has one thread for it. */
async function measureSpeed(): Promise<Speed> {
  const sum = { cpu: 0, events: 0, operations: 0, decided: 0, restarts: 0, snapshots: 0, windows: 0 };
  let measured = 0;
  for (let seed = 1; measured < SPEED_SEEDS; seed++) {
    const drawn = drawScenario(seed, { servers: SPEED_SERVERS, minutes: SPEED_VIRTUAL_MS / 60_000 });
    if (drawn.name !== "swarm") {
      continue;
    }
    const scenario: Scenario = { ...drawn, durationMs: SPEED_VIRTUAL_MS };
    const before = process.cpuUsage();
    const { violation, events, operations, decided, tally } = await runScenario(scenario, { drain });
    const { user, system } = process.cpuUsage(before);
    if (violation !== null) {
      throw new Error(`seed ${seed}: ${violation.message}`);
    }
    if (seed > WARM_SEEDS) {
      measured++;
      sum.cpu += (user + system) / 1e6;
      sum.events += events;
      sum.operations += operations.length;
      sum.decided += decided;
      sum.restarts += tally.of("restart");
      sum.snapshots += tally.of("snapshot taken");
      sum.windows += scenario.faults.length;
    }
  }
  const mean = (total: number): number => Math.round(total / measured);
  return {
    seeds: measured,
    perSecond: measured / sum.cpu,
    events: mean(sum.events),
    operations: mean(sum.operations),
    decided: mean(sum.decided),
    restarts: mean(sum.restarts),
    snapshots: mean(sum.snapshots),
    windows: mean(sum.windows),
  };
}

/** Runs the seeds of one piece in a process of its own. */
function runPiece(from: number, seeds: number, commit: string): Promise<Piece> {
  return new Promise((resolve, reject) => {
    const child = spawn(
      process.execPath,
      [join(root, "bin", "synod"), "sim", "--seed", `${from}`, "--seeds", `${seeds}`, "--json", "--no-shrink"],
      {
        stdio: ["ignore", "pipe", "inherit"],
      },
    );
    let text = "";
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
    });
    child.on("close", () => {
      const lines = text
        .split("\n")
        .filter((line) => line.startsWith("{"))
        .map((line) => JSON.parse(line) as Line);
      const total = lines.find((line) => line.summary === true);
      if (total === undefined || total.seeds !== seeds) {
        reject(new Error(`seeds ${from} to ${from + seeds - 1} did not come to their end: ${text.slice(-500)}`));
        return;
      }
      const broken = lines.filter((line) => line.seed !== undefined && line.violation !== null);
      const { virtualMs, events, decided, operations, seen } = total;
      resolve({
        from,
        seeds,
        commit,
        broken: broken.map((line) => ({ seed: line.seed ?? 0, violation: line.violation })),
        virtualMs,
        events,
        decided,
        operations,
        seen,
      });
    });
  });
}

/** All pieces, those that a former run left included; several at a time. */
async function runPieces(from: number, seeds: number, jobs: number, commit: string): Promise<readonly Piece[]> {
  const folder = join(root, "dist", "bench", `simulator-${commit}`);
  mkdirSync(folder, { recursive: true });
  const pieces: Piece[] = [];
  const todo: number[] = [];
  for (let at = from; at < from + seeds; at += PIECE_SEEDS) {
    todo.push(at);
  }
  const work = async (): Promise<void> => {
    for (let at = todo.shift(); at !== undefined; at = todo.shift()) {
      const count = Math.min(PIECE_SEEDS, from + seeds - at);
      const file = join(folder, `${at}-${count}.json`);
      const piece = existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as Piece) : await runPiece(at, count, commit);
      writeFileSync(`${file}.new`, JSON.stringify(piece));
      renameSync(`${file}.new`, file);
      pieces.push(piece);
      const done = pieces.reduce((sum, one) => sum + one.seeds, 0);
      const broken = pieces.flatMap((one) => one.broken);
      console.log(`${done} of ${seeds} seeds, ${broken.length} violations ${broken.map(({ seed }) => seed).join(" ")}`);
    }
  };
  await Promise.all(Array.from({ length: jobs }, work));
  return pieces;
}

/** The result as a page: what ran, what it saw, what it never saw. */
function page(pieces: readonly Piece[], speed: Speed | null, facts: readonly string[]): string {
  const tally = new Tally();
  const sum = (of: (piece: Piece) => number): number => pieces.reduce((total, piece) => total + of(piece), 0);
  for (const { seen } of pieces) {
    for (const [name, count] of Object.entries(seen)) {
      tally.add(name, count);
    }
  }
  const broken = pieces.flatMap((piece) => piece.broken);
  const first = Math.min(...pieces.map(({ from }) => from));
  const seeds = sum(({ seeds: count }) => count);
  const missing = missingCoverage(tally, seeds);
  const lines = ["# The simulator", "", ...facts.map((fact) => `- ${fact}`), ""];
  if (speed !== null) {
    lines.push(
      `Speed: ${speed.perSecond.toFixed(2)} seeds a second of CPU on one core, each of ${SPEED_SERVERS} servers and 60 virtual seconds under faults, the healing and all checks included (${speed.seeds} seeds; on average ${speed.events} events, ${speed.operations} operations of clients, ${speed.decided} slots, ${speed.restarts} restarts, ${speed.snapshots} snapshots, ${speed.windows} faults).`,
      "",
    );
  }
  if (pieces.length > 0) {
    lines.push(
      `Seeds ${first} to ${first + seeds - 1}: ${broken.length === 0 ? "no violation" : `${broken.length} violations: ${JSON.stringify(broken)}`}.`,
      `${Math.round(sum(({ virtualMs }) => virtualMs) / 3_600_000)} hours of virtual time, ${sum(({ events }) => events)} events, ${sum(({ decided }) => decided)} decided slots, ${sum(({ operations }) => operations)} operations of clients.`,
      missing.length === 0 ? "Every case that a batch must have seen was seen." : `Never seen: ${missing.join(", ")}.`,
      "",
      "| seen | times |",
      "|---|---|",
      ...[...tally.counts].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, count]) => `| ${name} | ${count} |`),
      "",
    );
  }
  return lines.join("\n");
}

const { values } = parseArgs({
  options: {
    from: { type: "string", default: "1" },
    seeds: { type: "string", default: "0" },
    jobs: { type: "string", default: "2" },
    speed: { type: "boolean", default: false },
    write: { type: "boolean", default: false },
  },
});
const git = (...args: string[]): string => execFileSync("git", args, { cwd: root, encoding: "utf8" }).trim();
const commit = git("rev-parse", "--short", "HEAD");
const speed = values.speed ? await measureSpeed() : null;
const pieces = await runPieces(Number(values.from), Number(values.seeds), Number(values.jobs), commit);
const day = new Date().toISOString().slice(0, 10);
const facts = [
  `commit ${commit}, ${day}`,
  `Node ${process.versions.node}, ${cpus().length} cores of ${cpus()[0]?.model ?? "an unknown kind"}`,
];
const text = page(pieces, speed, facts);
console.log(text);
if (values.write) {
  writeFileSync(join(root, "bench", "results", `simulator-${day}-${commit}.md`), text);
}
process.exitCode = pieces.some(({ broken }) => broken.length > 0) ? 1 : 0;
