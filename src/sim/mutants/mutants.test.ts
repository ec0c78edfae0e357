/**
 * The planted bugs: the list is whole and fits the program, a copy in which none is switched on runs like the program itself, and ten of
 * them, others each day, are caught again by the seed or the test that caught them when they were hunted last.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { before, test } from "node:test";
import { nextInt, seedPrng } from "../../base/prng.js";
import { runScenario } from "../run.js";
import { drawScenario } from "../scenario/draw.js";
import { drain } from "../testing/drain.js";
import { ABSENT, MUTANTS } from "./index.js";

type Kill = {
  readonly seed?: number;
  readonly schedule?: string;
  readonly invariant?: string;
  readonly virtualMs?: number;
  readonly test?: string;
};
type Planted = { readonly plant: (id: string | null) => void };

/** The numbers of PROTOCOL §7.6. */
const LISTED = 84;
const SAMPLE = 10;
const DAY_MS = 86_400_000;
/** A sampled seed takes no more virtual time than this: the sample must not keep a developer waiting. */
const SAMPLED_MS_MAX = 30_000;
/** A change of the program moves what a seed does: so many others are tried before a bug counts as not caught any more. */
const OTHER_SEEDS = 25;
/** A new named schedule gives others their seeds: so many of the schedule that caught it come first. */
const SCHEDULE_SEEDS = 12;
/** Seeds among which these are looked for. */
const SEEDS_MAX = 2000;

const root = new URL("../../../../", import.meta.url);
const planted = new URL("dist/planted/src/", root);
const kills = JSON.parse(readFileSync(new URL("src/sim/mutants/kills.json", root), "utf8")) as Readonly<Record<string, Kill>>;

before(async () => {
  const { plantAll } = (await import(new URL("scripts/plant.js", root).href)) as { readonly plantAll: () => Promise<boolean> };
  await plantAll();
});

test("every bug of the list is planted or says why not; each is there once", () => {
  const ids = [...MUTANTS, ...ABSENT].map(({ id }) => id);
  assert.equal(new Set(ids).size, ids.length);
  for (let number = 1; number <= LISTED; number++) {
    assert.ok(ids.includes(String(number)), `bug ${number} of the list`);
  }
  assert.ok(ids.filter((id) => id.startsWith("s")).length >= 10);
  assert.ok(ids.filter((id) => id.startsWith("h")).length >= 10);
});

test("every planted bug is known to be caught", () => {
  const unknown = MUTANTS.filter(({ id }) => kills[id] === undefined).map(({ id }) => id);
  assert.deepEqual(unknown, [], "npm run mutants hunts them");
});

test("docs/MUTANTS.md says what is recorded", async () => {
  const page = (await import(new URL("scripts/mutants-page.js", root).href)) as { readonly mutantsPage: (facts: unknown) => string };
  assert.equal(readFileSync(new URL("docs/MUTANTS.md", root), "utf8"), page.mutantsPage({ mutants: MUTANTS, absent: ABSENT, kills }));
});

test("with no bug switched on the planted copy does what the program does", async () => {
  const copy = (await import(new URL("sim/run.js", planted).href)) as { readonly runScenario: typeof runScenario };
  for (const seed of [1, 2]) {
    const scenario = drawScenario(seed, { minutes: 0.2 });
    const [plain, other] = [await runScenario(scenario, { drain }), await copy.runScenario(scenario, { drain })];
    assert.equal(other.traceHash, plain.traceHash);
    assert.deepEqual(other.violation, plain.violation);
  }
});

test("ten of them, chosen by date, are caught again", async (context) => {
  const day = Number(process.env["SYNOD_DAY"] ?? Math.floor(Date.now() / DAY_MS));
  const prng = seedPrng(day);
  const left = MUTANTS.filter(({ id }) => (kills[id]?.virtualMs ?? 0) <= SAMPLED_MS_MAX && kills[id] !== undefined).map(({ id }) => id);
  const sample = Array.from({ length: SAMPLE }, () => left.splice(nextInt(prng, 0, left.length), 1)[0] ?? "");
  context.diagnostic(`day ${day}: ${sample.join(", ")}; the same again with SYNOD_DAY=${day}`);
  for (const id of sample) {
    const kill = kills[id] ?? {};
    const caught = kill.seed === undefined ? failsTest(id, kill.test ?? "") : await breaksAny(id, kill.seed, kill.schedule);
    assert.ok(caught, `bug ${id} was caught by ${kill.test ?? `seed ${kill.seed}`}: npm run mutants -- --only ${id}`);
  }
});

async function breaksAny(id: string, recorded: number, schedule = "swarm"): Promise<boolean> {
  const others = Array.from({ length: OTHER_SEEDS }, (_, i) => i + 1).filter((other) => other % 10 !== 7);
  for (const seed of [recorded, ...seedsOfSchedule(schedule), ...others]) {
    if (await breaks(id, seed)) {
      return true;
    }
  }
  return false;
}

/** The first seeds of a named schedule; the swarm's come anyhow. */
function seedsOfSchedule(schedule: string): readonly number[] {
  const found: number[] = [];
  for (let seed = 1; schedule !== "swarm" && seed <= SEEDS_MAX && found.length < SCHEDULE_SEEDS; seed++) {
    if (drawScenario(seed).name === schedule) {
      found.push(seed);
    }
  }
  return found;
}

async function breaks(id: string, seed: number): Promise<boolean> {
  const load = (path: string): Promise<unknown> => import(new URL(path, planted).href);
  const { plant } = (await load("base/planted.js")) as Planted;
  const copy = (await load("sim/run.js")) as { readonly runScenario: typeof runScenario };
  plant(id);
  try {
    return (await copy.runScenario(drawScenario(seed), { drain })).violation !== null;
  } catch {
    return true; // it threw out of the simulator itself
  } finally {
    plant(null);
  }
}

function failsTest(id: string, name: string): boolean {
  const file = new URL(`${name.slice(0, name.indexOf(":"))}.test.js`, planted);
  const env: Record<string, string | undefined> = { ...process.env, SYNOD_PLANTED: id };
  delete env["NODE_TEST_CONTEXT"]; // else the child would report to this file's runner
  return spawnSync(process.execPath, ["--test", file.pathname], { env, stdio: "ignore" }).status !== 0;
}
