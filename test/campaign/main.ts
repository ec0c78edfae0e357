/**
 * `npm run campaign -- --minutes M --servers N [--seed S] [--out FILE]`: real server processes under real faults and load, for as long
 * as told; then what clients were told is compared with what the store holds. Prints what it saw; with --write as a page of
 * bench/results/ too. Exits 1 where something is wrong, and names the folder with the history and the servers' logs and data.
 *
 * This is the outer half: it makes the folder and, where the system allows, network and mount namespaces for run.ts, and removes all
 * of that, also on Ctrl-C. See docs/TESTING.md.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { UNSHARE, whyNoNamespaces } from "../support/cut-network.js";
import type { CampaignOptions, Outcome } from "./campaign.js";
import { summary, writePage } from "./report.js";

const BAD_ARGUMENTS = 128;
const RUN = fileURLToPath(new URL("run.js", import.meta.url));
const SERVERS_MAX = 9;

function fail(message: string): never {
  console.error(`Error: ${message}`);
  process.exit(BAD_ARGUMENTS);
}

type Bounds = { readonly min: number; readonly max: number; readonly isWhole: boolean };

function number(flag: string, text: string, { min, max, isWhole }: Bounds): number {
  const value = Number(text);
  if (text.trim() === "" || !(value >= min && value <= max) || (isWhole && !Number.isInteger(value))) {
    fail(`--${flag} ${text}: give ${isWhole ? "a whole number" : "a number"} from ${min} to ${max}`);
  }
  return value;
}

function readFlags() {
  try {
    return parseArgs({
      options: {
        minutes: { type: "string", default: "10" },
        servers: { type: "string", default: "3" },
        seed: { type: "string" },
        clients: { type: "string", default: "8" },
        rate: { type: "string", default: "150" },
        out: { type: "string" },
        keep: { type: "boolean", default: false },
        loopback: { type: "boolean", default: false },
        write: { type: "boolean", default: false },
      },
    }).values;
  } catch (error) {
    return fail(
      `${error instanceof Error ? error.message : String(error)}\n` +
        "try: npm run campaign -- --minutes 10 --servers 5 [--seed S] [--out FILE] [--clients N] [--rate PER_SECOND] [--loopback] [--keep] [--write]",
    );
  }
}

/** Runs the campaign in a process of its own; null where it came to no outcome. */
async function runInside(options: CampaignOptions, folder: string): Promise<Outcome | null> {
  const command = [process.execPath, RUN, JSON.stringify(options)];
  const [program = "", ...args] = options.obstacle === null ? [...UNSHARE, ...command] : command;
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  // With this process dead its end of stdin closes, and the inner one ends too.
  const child = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"], env: { ...env, TMPDIR: folder } });
  passSignalsTo(child);
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
  });
  await once(child, "close");
  return text.trim() === "" ? null : (JSON.parse(text) as Outcome);
}

let interrupted = false;

/** The inner process ends its servers first; only then is their folder removed. */
function passSignalsTo(child: ChildProcess): void {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      interrupted = true;
      child.kill("SIGTERM");
    });
  }
}

async function main(): Promise<number> {
  const flags = readFlags();
  const options: CampaignOptions = {
    minutes: number("minutes", flags.minutes, { min: 0.1, max: 1440, isWhole: false }),
    servers: number("servers", flags.servers, { min: 1, max: SERVERS_MAX, isWhole: true }),
    seed: number("seed", flags.seed ?? `${Date.now() % 1_000_000}`, { min: 0, max: 0xffff_ffff, isWhole: true }),
    clients: number("clients", flags.clients, { min: 1, max: 64, isWhole: true }),
    rate: number("rate", flags.rate, { min: 1, max: 2000, isWhole: true }),
    out: flags.out === undefined ? null : resolve(flags.out),
    keeps: flags.keep,
    obstacle: flags.loopback ? "--loopback was given" : whyNoNamespaces(),
  };
  const { minutes, servers, seed, obstacle } = options;
  console.error(`campaign of ${minutes} minutes, ${servers} servers, seed ${seed}`);
  if (obstacle !== null) {
    console.error(`All servers share the loopback interface, and no fault of the network or of a full disk is made: ${obstacle}`);
  }
  const folder = mkdtempSync(join(tmpdir(), "synod-campaign-"));
  let outcome: Outcome | null = null;
  try {
    outcome = await runInside(options, folder);
  } finally {
    const isGood = outcome?.violations.length === 0 && !options.keeps;
    if (interrupted || isGood || (existsSync(folder) && readdirSync(folder).length === 0)) {
      rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
    } else {
      console.error(`kept: ${folder}`);
    }
  }
  if (outcome === null) {
    console.error(interrupted ? "The campaign was interrupted: no result." : "The campaign came to no result.");
    return 1;
  }
  console.log(summary(outcome));
  if (flags.write) {
    console.log(`written: ${writePage(outcome)}`);
  }
  return outcome.violations.length === 0 ? 0 : 1;
}

process.exitCode = await main();
