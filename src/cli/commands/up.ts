/**
 * `synod up`: several servers on this machine and a prompt to use and break them; without a terminal it runs until it is stopped.
 * It must never leave a server running when it ends, and never remove data.
 */
import { SynodClient } from "../../client/client.js";
import { CliError, EXIT } from "../errors.js";
import type { Flags } from "../flags.js";
import { historyPath } from "../repl/history.js";
import { Interpreter } from "../repl/interpreter.js";
import { Prompt } from "../repl/prompt.js";
import { judge } from "../status/health.js";
import { renderTable } from "../table.js";
import { waitForAgreement } from "../up/agreement.js";
import { Cluster, describeReady, describeReturn, describeServerEnding } from "../up/cluster.js";
import { clusterCommands } from "../up/commands.js";
import { clusterFileOf, paxosOf, planUp, type UpPlan, upDataDir } from "../up/plan.js";
import { checkPortsFree } from "../up/ports.js";
import { lockUp, readClusterFile, refuseForeign, refuseIfRunning, writeClusterFile } from "../up/state.js";

/** How long the servers may take to agree before the prompt comes all the same. Milliseconds. */
const AGREE_MS_MAX = 15_000;
/** One status call while waiting; short, since it is asked again. Milliseconds. */
const STATUS_MS = 1000;

/** Stops asked for from outside: the first gracefully, the second at once. */
type Stops = { readonly asked: AbortController; readonly hurry: AbortController };

/** Runs until the user leaves or a signal comes. Resolves to the exit status. */
export async function runUp(count: string | undefined, flags: Flags): Promise<number> {
  const { dataDir, shown } = upDataDir(flags);
  refuseIfRunning(dataDir, shown);
  refuseForeign(dataDir, shown);
  const saved = readClusterFile(dataDir);
  const plan = planUp(count, flags, saved);
  await checkPortsFree(plan);
  writeClusterFile(dataDir, clusterFileOf(plan));
  lockUp(dataDir, shown);
  const isResumed = saved !== undefined;
  const stops = listenForStops();
  const reports = { announce: (text: string): void => void process.stdout.write(`${text}\n`) };
  const ended = new AbortController();
  const cluster = new Cluster(plan, (server, ending) => {
    const back = process.stdin.isTTY ? `; ${describeReturn(server.planned, ending)}` : "";
    reports.announce(`${describeServerEnding(server, ending)}${back}. The end of its log:\n${indent(server.tail())}`);
    if (cluster.running.length === 0) {
      ended.abort();
    }
  });
  using client = new SynodClient({ endpoints: plan.servers.map((server) => server.clientAddress) });
  let endedAlone = false;
  try {
    process.stdout.write(`${intro(plan, isResumed)}\n`);
    cluster.startAll();
    await reportAgreement(cluster, AbortSignal.any([stops.asked.signal, ended.signal]));
    if (!stops.asked.signal.aborted && !ended.signal.aborted) {
      await serve(cluster, client, { stops, ended: ended.signal, reports });
    }
    endedAlone = ended.signal.aborted && !stops.asked.signal.aborted;
  } finally {
    await stopCluster(cluster, stops);
  }
  if (endedAlone) {
    throw new CliError("no server is left running", { exitCode: EXIT.error, hint: `the logs, ${plan.servers[0]?.logFile} and so on` });
  }
  return EXIT.ok;
}

type ServeContext = { readonly stops: Stops; readonly ended: AbortSignal; readonly reports: { announce: (text: string) => void } };

/** The prompt on a terminal; elsewhere waits to be stopped. */
async function serve(cluster: Cluster, client: SynodClient, context: ServeContext): Promise<void> {
  const stop = AbortSignal.any([context.stops.asked.signal, ...(process.stdin.isTTY ? [] : [context.ended])]);
  if (!process.stdin.isTTY) {
    process.stdout.write("Running until SIGTERM or SIGINT.\n");
    await new Promise<void>((resolve) => stop.addEventListener("abort", () => resolve(), { once: true }));
    return;
  }
  const interpreter = new Interpreter(client, clusterCommands(cluster, client));
  process.stdout.write("HELP lists the commands of this prompt; EXIT or Ctrl-C stops the servers and keeps their data.\n");
  const prompt = new Prompt(interpreter, {
    prompt: "synod> ",
    history: historyPath(process.env),
    input: process.stdin,
    output: process.stdout,
  });
  context.reports.announce = (text) => prompt.announce(text);
  stop.addEventListener("abort", () => prompt.close(), { once: true });
  await prompt.done;
  context.reports.announce = (text) => void process.stdout.write(`${text}\n`);
}

async function reportAgreement(cluster: Cluster, signal: AbortSignal): Promise<void> {
  using client = new SynodClient({ endpoints: cluster.plan.servers.map((server) => server.clientAddress), timeoutMs: STATUS_MS });
  const endpoints = (): readonly string[] => cluster.running.map((server) => server.planned.clientAddress);
  const { coordinator, rows } = await waitForAgreement(client, endpoints, {
    timeoutMs: AGREE_MS_MAX,
    paxosOf: paxosOf(cluster.plan),
    signal,
  });
  if (signal.aborted) {
    return;
  }
  if (coordinator !== undefined) {
    process.stdout.write(`${describeReady(coordinator, cluster.running)}\n`);
    return;
  }
  const health = judge(rows);
  process.stdout.write(
    `Not ready after ${AGREE_MS_MAX / 1000} s: ${health.summary}\n${health.notes.map((note) => `  ${note}\n`).join("")}`,
  );
}

async function stopCluster(cluster: Cluster, stops: Stops): Promise<void> {
  stops.asked.abort();
  const count = cluster.running.length;
  if (count > 0) {
    process.stdout.write(`Stopping ${count} ${count === 1 ? "server" : "servers"} ...\n`);
  }
  await cluster.stopAll(stops.hurry.signal);
  if (count > 0) {
    process.stdout.write(`Stopped. The data stays in ${cluster.plan.dataDirShown}: synod up resumes, synod down --wipe removes it.\n`);
  }
}

/** The first signal asks to stop, any further one to hurry. */
function listenForStops(): Stops {
  const stops = { asked: new AbortController(), hurry: new AbortController() };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => (stops.asked.signal.aborted ? stops.hurry : stops.asked).abort());
  }
  return stops;
}

function intro(plan: UpPlan, isResumed: boolean): string {
  const rows = plan.servers.map((server) => [String(server.number), server.clientAddress, server.paxosAddress, server.logFileShown]);
  const what = `${plan.servers.length} ${plan.servers.length === 1 ? "server" : "servers"}`;
  const how = isResumed ? `Resuming ${what} with the data in` : `Starting ${what} with new data in`;
  const failing = plan.failRate === undefined ? "" : `, refusing messages with probability ${plan.failRate}`;
  return `${how} ${plan.dataDirShown}${failing}\n\n${renderTable(["SERVER", "CLIENTS", "PAXOS", "LOG"], rows)}`;
}

function indent(text: string): string {
  return text
    .split("\n")
    .map((line) => `  ${line}`)
    .join("\n");
}
