/** The commands that the prompt of `synod up` has besides those of the store: SERVERS, STATUS, KILL, STOP, START. */
import type { SynodClient } from "../../client/client.js";
import { CliError, EXIT } from "../errors.js";
import type { ReplCommand } from "../repl/interpreter.js";
import { gatherStatus } from "../status/gather.js";
import { judge } from "../status/health.js";
import { renderStatus } from "../status/view.js";
import { painter } from "../table.js";
import { waitForAnswer } from "./agreement.js";
import { type Cluster, describeFailedStart, describeServerEnding } from "./cluster.js";
import { paxosOf } from "./plan.js";

/** How long START waits for the server to answer. Milliseconds. */
const START_MS_MAX = 10_000;

/** The commands over `cluster`, in the order of HELP. */
export function clusterCommands(cluster: Cluster, client: SynodClient): readonly ReplCommand[] {
  const byNumber = (name: string, summary: string, run: (number: number, signal: AbortSignal) => Promise<string>): ReplCommand => ({
    name,
    usage: `${name} number`,
    summary,
    wordsMin: 1,
    wordsMax: 1,
    run: ([text = ""], signal) => run(readNumber(text, cluster.plan.servers.length), signal),
  });
  return [
    {
      name: "STATUS",
      usage: "STATUS",
      summary: "what every server says of itself",
      wordsMin: 0,
      wordsMax: 0,
      run: () => statusText(cluster, client),
    },
    {
      name: "SERVERS",
      usage: "SERVERS",
      summary: "addresses and processes",
      wordsMin: 0,
      wordsMax: 0,
      run: async () => cluster.describe(),
    },
    byNumber("KILL", "end a server at once, as a crash would (kill -9)", async (number) => {
      await cluster.kill(number);
      return `server ${number} is killed; START ${number} brings it back with its data`;
    }),
    byNumber("STOP", "stop a server gracefully (SIGTERM)", async (number) => {
      const ending = await cluster.stop(number);
      const how = ending.code === 0 ? "" : ` (${ending.signal ?? `status ${ending.code}`})`;
      return `server ${number} is stopped${how}; START ${number} brings it back with its data`;
    }),
    byNumber("START", "start a server again", (number, signal) => startAgain(cluster, client, number, signal)),
  ];
}

async function startAgain(cluster: Cluster, client: SynodClient, number: number, signal: AbortSignal): Promise<string> {
  const server = cluster.start(number);
  const ended = server.ended.then((ending) => ending);
  const answered = waitForAnswer(client, server.planned.clientAddress, { timeoutMs: START_MS_MAX, signal });
  const first = await Promise.race([answered, ended]);
  if (typeof first === "object") {
    throw new CliError(`${describeServerEnding(server, first)} when it started:\n${server.tail()}`, {
      exitCode: EXIT.error,
      hint: describeFailedStart(server.planned, first),
    });
  }
  return first
    ? `server ${number} runs (process ${server.record.pid})`
    : `server ${number} is started and does not answer yet; its log is ${server.planned.logFile}`;
}

async function statusText(cluster: Cluster, client: SynodClient): Promise<string> {
  const rows = await gatherStatus(
    client,
    cluster.plan.servers.map((server) => server.clientAddress),
    paxosOf(cluster.plan),
  );
  const view = { format: "table", columns: process.stdout.columns, paint: painter(process.stdout, process.env) } as const;
  return renderStatus(rows, judge(rows), view).trimEnd();
}

function readNumber(text: string, count: number): number {
  const number = /^[0-9]+$/.test(text) ? Number(text) : 0;
  if (number < 1 || number > count) {
    throw new CliError(`'${text}' is not a server; allowed is a number from 1 to ${count}`, {
      exitCode: EXIT.invalidInput,
      hint: "SERVERS",
    });
  }
  return number;
}
