/**
 * Hunts the bugs that scripts/plant.js has planted: seeds of the simulator until one breaks a promise, or the tests of a folder until one
 * fails. A seed that breaks one without the bug proves nothing of it, and is reported as what it is. Prints a table, writes docs/MUTANTS.md and
 * src/sim/mutants/kills.json; exit status 1 where a bug survives.
 *
 * `npm run mutants -- [--only ID,...] [--seeds N] [--jobs N] [--anew]`: --anew forgets the seeds recorded before, else those are tried first.
 */
import { fork, spawn } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { mutantsPage } from "./mutants-page.js";
import { plantAll } from "./plant.js";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const killsFile = join(root, "src", "sim", "mutants", "kills.json");
const pageFile = join(root, "docs", "MUTANTS.md");
const planted = join(root, "dist", "planted", "src");
/** Seeds that one worker runs before others get their turn. */
const SEEDS_AT_ONCE = 20;
/** Real time of one seed; a bug that makes the run go on for ever is caught by it. */
const SEED_MS_MAX = 600_000;
const TEST_MS_MAX = 300_000;

const { values } = parseArgs({
  options: {
    only: { type: "string" },
    seeds: { type: "string", default: "2000" },
    jobs: { type: "string", default: String(Math.min(2, availableParallelism())) },
    anew: { type: "boolean", default: false },
  },
});

await plantAll();
const { MUTANTS, ABSENT } = await import(pathToFileURL(join(root, "dist", "src", "sim", "mutants", "index.js")).href);
const { drawScenario } = await import(pathToFileURL(join(root, "dist", "src", "sim", "scenario", "draw.js")).href);
const only = values.only?.split(",");
const unknown = only?.filter((id) => !MUTANTS.some((mutant) => mutant.id === id)) ?? [];
if (unknown.length > 0) {
  console.error(`Error: no bug is planted under ${unknown.join(", ")}.`);
  process.exit(1);
}
const hunted = MUTANTS.filter(({ id }) => only === undefined || only.includes(id));
const seedsMax = Number(values.seeds);
const kills = existsSync(killsFile) ? JSON.parse(readFileSync(killsFile, "utf8")) : {};
const began = Date.now();
let broken = 0;

class Worker {
  constructor() {
    this.child = null;
    this.answer = null;
  }

  /** Runs seeds from..from + count - 1 with the bug; the first that breaks a promise, or null. */
  async run(id, seeds) {
    if (this.child === null) {
      this.child = fork(join(root, "scripts", "mutant-worker.js"), { stdio: ["ignore", "inherit", "inherit", "ipc"] });
      this.child.on("message", (message) => this.answer?.(message));
      this.child.on("exit", () => {
        this.child = null;
        this.answer?.({ crashed: true });
      });
    }
    const { child } = this;
    let timer;
    const answered = await new Promise((resolve) => {
      this.answer = resolve;
      timer = setTimeout(() => {
        child.kill("SIGKILL");
        resolve({ endless: true });
      }, SEED_MS_MAX);
      child.send({ id, seeds });
    });
    clearTimeout(timer);
    this.answer = null;
    return answered;
  }

  end() {
    this.child?.removeAllListeners("exit");
    this.child?.kill();
  }
}

/** One test file with the bug: the name of the test that fails, or null. */
function runTest(id, folder, file) {
  return new Promise((resolve) => {
    const path = join(planted, folder, `${file}.test.js`);
    const child = spawn(process.execPath, ["--test", "--test-reporter=tap", path], {
      env: { ...process.env, SYNOD_PLANTED: id, NODE_TEST_CONTEXT: undefined },
      stdio: ["ignore", "pipe", "ignore"],
    });
    let out = "";
    child.stdout.on("data", (data) => {
      out += data;
    });
    const timer = setTimeout(() => child.kill("SIGKILL"), TEST_MS_MAX);
    child.on("close", (status) => {
      clearTimeout(timer);
      const failed = /^ *not ok \d+ - (.*)$/m.exec(out)?.[1];
      resolve(status === 0 ? null : (failed ?? "the file did not end"));
    });
  });
}

/** The dialogues of the core are schedules too, written by hand: what no seed met is hunted there. */
const DIALOGUES = { folder: "paxos", files: ["transcript"] };

async function huntByTests(id, hunt) {
  for (const file of hunt.files) {
    const test = await runTest(id, hunt.folder, file);
    if (test !== null && (await runTest("", hunt.folder, file)) === null) {
      return { test: `${hunt.folder}/${file}: ${test}` };
    }
  }
  return null;
}

/** Schedule and kinds of faults of each seed that may be tried, and how it ends: without a quorum, or with servers that are left behind. Long ones (20 virtual minutes) are left out. */
const seedsOf = new Map();
for (let seed = 1; seed <= seedsMax; seed++) {
  if (seed % 10 !== 7) {
    const { name, faults, core, left } = drawScenario(seed);
    const end = core.length === 0 ? ["blocked"] : left.length > 0 ? ["left behind"] : [];
    seedsOf.set(seed, new Set([name, ...faults.map(({ kind }) => kind), ...end]));
  }
}

/** Seeds in the order in which they are tried: the recorded one, those where the bug should be met or was met before, the rest. */
function seedsFor({ id, hunt }) {
  const recorded = values.anew ? undefined : kills[id]?.seed;
  const before = values.anew || kills[id]?.schedule === "swarm" ? [] : [kills[id]?.schedule];
  const wanted = [...hunt.prefer, ...before];
  const preferred = [...seedsOf].filter(([, names]) => wanted.some((name) => names.has(name))).map(([seed]) => seed);
  return [...new Set([...(recorded === undefined ? [] : [recorded]), ...preferred, ...seedsOf.keys()])];
}

async function huntBySeeds(worker, mutant) {
  const { id } = mutant;
  const seeds = seedsFor(mutant);
  let at = 0;
  while (at < seeds.length) {
    const chunk = seeds.slice(at, at + (at === 0 ? 1 : SEEDS_AT_ONCE));
    const answer = await worker.run(id, chunk);
    const lost = answer.crashed
      ? { invariant: "error", message: "the process died" }
      : { invariant: "endless", message: "the run does not end" };
    const { seed = chunk[0], violation = lost, ...rest } = answer;
    if (rest.clean === true) {
      at += chunk.length;
      continue;
    }
    const { clean } = await worker.run(null, [seed]);
    if (clean === true) {
      return {
        seed,
        invariant: violation.invariant,
        schedule: rest.schedule ?? "",
        virtualMs: rest.virtualMs ?? 0,
        message: violation.message,
      };
    }
    broken++;
    console.error(`Seed ${seed} breaks a promise although no bug is planted: synod sim --seed ${seed}`);
    at = seeds.indexOf(seed) + 1;
  }
  return null;
}

const waiting = [...hunted];
const results = new Map();

async function work() {
  const worker = new Worker();
  for (let mutant = waiting.shift(); mutant !== undefined; mutant = waiting.shift()) {
    const from = Date.now();
    const { id, hunt } = mutant;
    const kill =
      hunt.by === "test" ? await huntByTests(id, hunt) : ((await huntBySeeds(worker, mutant)) ?? (await huntByTests(id, DIALOGUES)));
    results.set(id, kill);
    save();
    show(mutant, kill, Date.now() - from);
  }
  worker.end();
}

/** Keeps what is known so far: a hunt may be ended at any time. */
function save() {
  for (const [id, kill] of results) {
    const { message: _message, ...kept } = kill ?? {};
    kills[id] = kill === null ? undefined : kept;
  }
  const ordered = Object.fromEntries(MUTANTS.filter(({ id }) => kills[id] !== undefined).map(({ id }) => [id, kills[id]]));
  writeFileSync(killsFile, `${JSON.stringify(ordered, null, 2)}\n`);
  writeFileSync(pageFile, mutantsPage({ mutants: MUTANTS, absent: ABSENT, kills: ordered }));
}

function show({ id, name }, kill, ms) {
  const by = kill === null ? "SURVIVES" : (kill.test ?? `seed ${kill.seed} (${kill.schedule}), invariant ${kill.invariant}`);
  const done = `${results.size}/${hunted.length}`;
  console.log(`${done.padStart(7)}  ${id.padEnd(4)} ${by}  [${(ms / 1000).toFixed(1)} s]  ${name}`);
}

await Promise.all(Array.from({ length: Number(values.jobs) }, work));
const survivors = hunted.filter(({ id }) => results.get(id) === null);
console.log(`${hunted.length - survivors.length} of ${hunted.length} bugs were caught, in ${Math.round((Date.now() - began) / 1000)} s.`);
if (survivors.length > 0) {
  console.log(`Not caught: ${survivors.map(({ id, name }) => `${id} (${name})`).join(" ")}`);
}
process.exitCode = survivors.length > 0 || broken > 0 ? 1 : 0;
