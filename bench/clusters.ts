/** Clusters that a benchmark starts: Synod's and the peer's, each in a temporary folder, behind one shape. */

import { execFile, execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { create, toBinary } from "@bufbuild/protobuf";
import { SynodClient } from "../src/client/index.js";
import { GetRequestSchema, PutRequestSchema } from "../src/gen/keyvaluestore_pb.js";
import { freePort, start, stop, until } from "./processes.js";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../..", import.meta.url));
const HOST = "127.0.0.1";
const READY_MS = 30_000;

/** What all rows send: 16 bytes of key, 256 of value. */
export const KEY = "benchmark-key-01";
export const VALUE = "v".repeat(256);

export type Target = { readonly host: string; readonly port: number; readonly path: string; readonly message: Uint8Array };
export type Cluster = {
  readonly name: string;
  readonly version: string;
  /** The coordinator's process first. */
  readonly pids: readonly number[];
  readonly put: Target;
  /** The same put at each server, the coordinator first. */
  readonly puts: readonly Target[];
  readonly get: Target;
  /** The store's revision, to count what was really written. */
  revision(): Promise<number>;
  stop(): Promise<void>;
};

const putMessage = toBinary(PutRequestSchema, create(PutRequestSchema, { key: KEY, value: VALUE }));
const synodPut = (port: number): Target => ({ host: HOST, port, path: "/keyvaluestore.KeyValueStore/PutPair", message: putMessage });
// etcd's PutRequest and RangeRequest begin with the same fields as ours: 1 key, 2 value.
const etcdPut = (port: number): Target => ({ host: HOST, port, path: "/etcdserverpb.KV/Put", message: putMessage });

type Started = ReturnType<typeof start>;

async function ports(count: number): Promise<number[]> {
  const found: number[] = [];
  while (found.length < count) {
    const port = await freePort();
    if (!found.includes(port)) {
      found.push(port);
    }
  }
  return found;
}

async function stopAll(children: readonly Started[], folder: string): Promise<void> {
  await Promise.all(children.map(stop));
  rmSync(folder, { recursive: true, force: true });
}

/** `count` servers, each by the command line that a user types. */
export async function startSynod(count: number): Promise<Cluster> {
  const folder = mkdtempSync(join(tmpdir(), "synod-bench-"));
  const client = await ports(count);
  const paxos = await ports(count);
  const replicas = paxos.map((port) => `replica:'${HOST}:${port}'`).join(" ");
  const children = client.map((port, i) => {
    const argument = `my_addr:'${HOST}:${port}' my_paxos:'${HOST}:${paxos[i]}' data_dir:'${join(folder, String(i))}' ${replicas}`;
    return start(process.execPath, [join(root, "bin", "synod"), "server", argument], join(folder, `server-${i}.log`));
  });
  const clients = client.map((port) => new SynodClient({ endpoints: [`${HOST}:${port}`] }));
  try {
    const first = await until("a Synod coordinator that all follow", READY_MS, async () => {
      const statuses = await Promise.all(clients.map((one) => one.status()));
      const coordinators = new Set(statuses.map((status) => status.coordinator));
      const at = statuses.findIndex((status) => status.role === "coordinator");
      return coordinators.size === 1 && at >= 0 ? at : null;
    });
    const order = [first, ...client.keys()].filter((at, i) => i === 0 || at !== first);
    const coordinator = clients[first] as SynodClient;
    const port = client[first] as number;
    return {
      name: "synod",
      version: (await coordinator.status()).version,
      pids: order.map((at) => (children[at] as Started).pid),
      put: synodPut(port),
      puts: order.map((at) => synodPut(client[at] as number)),
      get: {
        host: HOST,
        port,
        path: "/keyvaluestore.KeyValueStore/GetValue",
        message: toBinary(GetRequestSchema, create(GetRequestSchema, { key: KEY })),
      },
      revision: async () => Number((await coordinator.status()).revision),
      stop: async () => {
        for (const one of clients) {
          one.close();
        }
        await stopAll(children, folder);
      },
    };
  } catch (error) {
    await stopAll(children, folder);
    throw error;
  }
}

/** Whether the peer can be measured here. */
export function hasEtcd(): boolean {
  try {
    execFileSync("etcd", ["--version"]);
    execFileSync("etcdctl", ["version"], { env: { ...process.env, ETCDCTL_API: "3" } });
    return true;
  } catch {
    return false; // not installed: the caller says so
  }
}

type EtcdStatus = {
  readonly Endpoint: string;
  readonly Status: {
    readonly leader: number;
    readonly version: string;
    readonly header: { readonly member_id: number; readonly revision: number };
  };
};

/** Three or more etcd members with default settings. */
export async function startEtcd(count: number): Promise<Cluster> {
  const folder = mkdtempSync(join(tmpdir(), "etcd-bench-"));
  const client = await ports(count);
  const peer = await ports(count);
  const cluster = peer.map((port, i) => `n${i}=http://${HOST}:${port}`).join(",");
  const children = client.map((port, i) => {
    const urls = { client: `http://${HOST}:${port}`, peer: `http://${HOST}:${peer[i]}` };
    const args = [
      "--name",
      `n${i}`,
      "--data-dir",
      join(folder, String(i)),
      "--initial-cluster",
      cluster,
      "--log-level",
      "error",
      "--listen-client-urls",
      urls.client,
      "--advertise-client-urls",
      urls.client,
      "--listen-peer-urls",
      urls.peer,
      "--initial-advertise-peer-urls",
      urls.peer,
    ];
    return start("etcd", args, join(folder, `server-${i}.log`));
  });
  const endpoints = client.map((port) => `${HOST}:${port}`);
  const status = async (): Promise<EtcdStatus[]> => {
    const env = { ...process.env, ETCDCTL_API: "3" };
    const { stdout } = await run("etcdctl", ["--endpoints", endpoints.join(","), "endpoint", "status", "-w", "json"], { env });
    return JSON.parse(stdout) as EtcdStatus[];
  };
  try {
    const leader = await until("an etcd leader", READY_MS, async () => {
      const members = await status();
      const found = members.find((member) => member.Status.leader === member.Status.header.member_id);
      return members.length === count && found !== undefined ? found : null;
    });
    const at = endpoints.indexOf(leader.Endpoint);
    const port = client[at] as number;
    const order = [at, ...client.keys()].filter((index, i) => i === 0 || index !== at);
    return {
      name: "etcd",
      version: leader.Status.version,
      pids: order.map((index) => (children[index] as Started).pid),
      put: etcdPut(port),
      puts: order.map((index) => etcdPut(client[index] as number)),
      get: {
        host: HOST,
        port,
        path: "/etcdserverpb.KV/Range",
        message: toBinary(GetRequestSchema, create(GetRequestSchema, { key: KEY })),
      },
      revision: async () => Math.max(...(await status()).map((member) => member.Status.header.revision)),
      stop: () => stopAll(children, folder),
    };
  } catch (error) {
    await stopAll(children, folder);
    throw error;
  }
}
