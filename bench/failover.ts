/**
 * How long writes stand still when the coordinator fails: an open loop of writes goes to all servers in turn, the coordinator's
 * process is killed (or stopped), and the longest time without a successful write counts, from the fault on.
 */
import { Client, credentials } from "@grpc/grpc-js";
import type { Cluster, Target } from "./clusters.js";

export type Fault = "SIGKILL" | "SIGSTOP";
export type Gap = {
  readonly system: string;
  readonly fault: Fault;
  readonly gapMs: number;
  readonly succeeded: number;
  readonly failed: number;
};

/** A write every so often, whatever became of those before. */
const WRITE_EVERY_MS = 10;
const BEFORE_MS = 1000;
const AFTER_MS = 4000;
const DEADLINE_MS = 3000;

function write(client: Client, target: Target): Promise<void> {
  const same = (bytes: Buffer): Buffer => bytes;
  return new Promise((resolve, reject) => {
    const deadline = Date.now() + DEADLINE_MS;
    client.makeUnaryRequest(target.path, same, same, Buffer.from(target.message), { deadline }, (error) =>
      error === null ? resolve() : reject(error),
    );
  });
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** One trial. The cluster is of no use afterwards: its coordinator is dead, or has just been woken. */
export async function measureGap(cluster: Cluster, fault: Fault): Promise<Gap> {
  const clients = cluster.puts.map((target) => new Client(`${target.host}:${target.port}`, credentials.createInsecure()));
  const successes: number[] = [];
  const open: Promise<void>[] = [];
  let failed = 0;
  let turn = 0;
  const timer = setInterval(() => {
    const at = turn++ % clients.length;
    const client = clients[at];
    const target = cluster.puts[at];
    if (client !== undefined && target !== undefined) {
      const done = write(client, target).then(
        () => void successes.push(performance.now()),
        () => void failed++,
      );
      open.push(done);
    }
  }, WRITE_EVERY_MS);
  await sleep(BEFORE_MS);
  const faultAt = performance.now();
  const [coordinator] = cluster.pids;
  if (coordinator === undefined) {
    throw new Error("a cluster has processes");
  }
  process.kill(coordinator, fault);
  await sleep(AFTER_MS);
  clearInterval(timer);
  if (fault === "SIGSTOP") {
    process.kill(coordinator, "SIGCONT");
  }
  await Promise.all(open);
  for (const client of clients) {
    client.close();
  }
  return { system: cluster.name, fault, gapMs: longestGap(successes, faultAt), succeeded: successes.length, failed };
}

function longestGap(successes: readonly number[], from: number): number {
  let last = from;
  let longest = 0;
  for (const at of [...successes].sort((a, b) => a - b)) {
    if (at > from) {
      longest = Math.max(longest, at - last);
      last = at;
    }
  }
  return longest;
}
