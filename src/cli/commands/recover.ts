/**
 * `synod recover`: one new data directory out of those that are left, when a majority of the voters is lost for good. It says what may
 * be lost, and makes nothing before a person, or --yes, has said so.
 */
import { realpathSync } from "node:fs";
import { basename, dirname, join, resolve, sep } from "node:path";
import { createInterface } from "node:readline/promises";
import { parseAddress } from "../../client/address.js";
import { badArgument, CliError, EXIT } from "../errors.js";
import { type Flags, isSet, textFlag } from "../flags.js";
import { storageError } from "../storage-error.js";

/** What a person types to go on. */
const WORD = "recover";

/** Resolves to the exit status. */
export async function runRecover(flags: Flags): Promise<number> {
  const from = directories(flags);
  const { to: asked, address } = target(flags);
  const to = realPath(asked);
  const above = from.find((path) => to === path || to.startsWith(`${path}${sep}`));
  if (above !== undefined) {
    const where = to === above ? "is" : "lies in";
    throw badArgument(
      `--to ${to} ${where} one of the directories to recover from, which are never written to`,
      "a new directory elsewhere",
    );
  }
  const { prepare } = await import("../../main/last-resort.js");
  try {
    const recovery = await prepare(from, to, address);
    try {
      process.stdout.write(`${recovery.report.join("\n")}\n`);
      await confirm(isSet(flags, "yes"));
      await recovery.carryOut();
    } finally {
      await recovery.release();
    }
    process.stdout.write(nextSteps(recovery.replica, to, address));
    return EXIT.ok;
  } catch (error) {
    throw refusal(error) ?? storageError(error) ?? error;
  }
}

function directories(flags: Flags): readonly string[] {
  const { from } = flags;
  const texts = Array.isArray(from) ? from.map(String) : [];
  if (texts.length === 0) {
    throw badArgument("--from is missing: the data directories that are left", "synod recover --help");
  }
  const paths = texts.map(realPath);
  const twice = paths.find((path, i) => paths.indexOf(path) !== i);
  if (twice !== undefined) {
    throw badArgument(`--from names ${twice} twice`, "each directory once");
  }
  return paths;
}

/** One spelling of each directory: absolute, and without links as far as it exists. */
function realPath(text: string): string {
  const path = resolve(text);
  try {
    return realpathSync(path);
  } catch {
    const parent = dirname(path);
    return parent === path ? path : join(realPath(parent), basename(path));
  }
}

/** The data directory to make, and the Paxos address of the server that will run on it, as the configuration lists it. */
export function target(flags: Flags): { readonly to: string; readonly address: string } {
  return {
    to: resolve(required(flags, "to", "a directory that does not exist yet", "--to /var/lib/synod")),
    address: paxosAddress(required(flags, "address", "the my_paxos of the server that will run on it", "--address 10.0.0.1:9000")),
  };
}

function required(flags: Flags, name: string, what: string, example: string): string {
  const text = textFlag(flags, name);
  if (text === undefined || text === "") {
    throw badArgument(`--${name} is missing: ${what}`, example);
  }
  return text;
}

function paxosAddress(text: string): string {
  const address = parseAddress(text);
  if ("problem" in address) {
    throw badArgument(`--address '${text}' ${address.problem}; allowed is ${address.allowed}`, "--address 127.0.0.1:9000");
  }
  return address.canonical;
}

async function confirm(isAgreed: boolean): Promise<void> {
  if (isAgreed) {
    return;
  }
  if (!process.stdin.isTTY) {
    throw new CliError("nothing was made: this is to be confirmed at a terminal", { exitCode: EXIT.error, hint: "--yes, if you agree" });
  }
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  // Ctrl-C and Ctrl-D are answers too.
  const answer = await terminal.question(`Type "${WORD}" to make it: `).catch(() => "");
  terminal.close();
  if (answer.trim() !== WORD) {
    throw new CliError("nothing was made", { exitCode: EXIT.error });
  }
}

/** Directories that do not belong together, known by the error's name: this file loads no protocol. */
function refusal(error: unknown): CliError | undefined {
  return error instanceof Error && error.name === "RecoveryRefused"
    ? new CliError(error.message, { exitCode: EXIT.invalidInput, cause: error })
    : undefined;
}

function nextSteps(replica: number, to: string, address: string): string {
  return `Made ${to}: replica ${replica}, the only voter. Now:
  1. Start it: synod server with data_dir:'${to}', my_paxos:'${address}', and the list of replicas as before (with ${address} in it).
  2. Set the data directories of all other servers aside, and start those servers with empty ones: they join by themselves.
`;
}
