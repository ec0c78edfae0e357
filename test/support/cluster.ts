/**
 * A cluster of server processes in a temporary folder. Use it through `withCluster`, which ends every process and removes the
 * folder whatever happens, and shows the servers' logs when the test fails.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { type StatusResponse, SynodClient, type SynodClientOptions } from "../../src/client/index.js";
import { Load, type LoadOptions } from "./load.js";
import { freePorts } from "./processes.js";
import { ServerProcess, type Settings } from "./server-process.js";
import { Hopeless, until } from "./wait.js";

const HOST = "127.0.0.1";
/** Of each server's log, at the end of a failed test. */
const LOG_LINES_SHOWN = 40;
const LOG_LINE_CHARS = 400;
/** Of a line that says why a server died. */
const FATAL_LINE_CHARS = 4000;

/** Machines of their own for the servers; ports need not be drawn there. */
export type Machines = {
  addressOf(index: number): string;
  commandOn(index: number, command: readonly string[]): readonly string[];
};
const MACHINE_CLIENT_PORT = 8000;
const MACHINE_PAXOS_PORT = 9000;

export type ClusterOptions = {
  readonly size: number;
  /** How many of them found the cluster, and start with it; all by default. The others know these as whom to join, once a test starts them. */
  readonly founders?: number;
  /** For all servers. */
  readonly settings?: Settings;
  /** The list of replicas that the founding server `index` is given; all in one order by default. */
  readonly replicasOf?: (index: number, replicas: readonly string[]) => readonly string[];
  /** Whether `withCluster` starts the servers and waits for a coordinator; true by default. */
  readonly starts?: boolean;
  /** By default all servers share the loopback interface. */
  readonly machines?: Machines;
  /** The data directory of server `index` where it is not in the cluster's folder. */
  readonly dataDirOf?: (index: number) => string | undefined;
};

export class Cluster {
  readonly folder: string;
  readonly servers: readonly ServerProcess[];
  private readonly founders: number;
  private readonly observer: SynodClient;
  private readonly clients: SynodClient[] = [];
  private readonly loads: Load[] = [];

  private constructor(folder: string, addresses: readonly string[], options: ClusterOptions) {
    const { size, founders = size, machines } = options;
    this.folder = folder;
    this.founders = founders;
    const clientAddresses = addresses.slice(0, size);
    const paxosAddresses = addresses.slice(size);
    this.observer = new SynodClient({ endpoints: clientAddresses });
    const founding = paxosAddresses.slice(0, founders);
    this.servers = clientAddresses.map((clientAddress, index) => {
      return new ServerProcess({
        index,
        clientAddress,
        paxosAddress: paxosAddresses[index] ?? "",
        dataDir: options.dataDirOf?.(index) ?? join(folder, `server-${index}`),
        logPath: join(folder, `server-${index}.log`),
        replicas: index < founders ? (options.replicasOf?.(index, founding) ?? founding) : [],
        join: index < founders ? [] : founding,
        settings: options.settings ?? {},
        client: this.observer,
        ...(machines === undefined ? {} : { elsewhere: (command) => machines.commandOn(index, command) }),
      });
    });
  }

  /** Draws ports and a folder; starts nothing. */
  static async create(options: ClusterOptions): Promise<Cluster> {
    return new Cluster(mkdtempSync(join(tmpdir(), "synod-test-")), await addressesFor(options), options);
  }

  get endpoints(): readonly string[] {
    return this.servers.map((server) => server.clientAddress);
  }

  server(index: number): ServerProcess {
    const server = this.servers[index];
    assert.ok(server !== undefined, `there is a server ${index}`);
    return server;
  }

  /** All servers but those of `indices`. */
  others(...indices: readonly number[]): readonly ServerProcess[] {
    return this.servers.filter((server) => !indices.includes(server.index));
  }

  /** Starts all servers that found the cluster, or those of `indices`. */
  start(...indices: readonly number[]): void {
    for (const index of indices.length === 0 ? Array(this.founders).keys() : indices) {
      this.server(index).start();
    }
  }

  /** A client that is closed with the cluster; of all servers by default. */
  client(options: Partial<SynodClientOptions> = {}): SynodClient {
    const client = new SynodClient({ endpoints: this.endpoints, timeoutMs: 15_000, ...options });
    this.clients.push(client);
    return client;
  }

  /** A client of server `index` alone. */
  clientOf(index: number, options: Partial<SynodClientOptions> = {}): SynodClient {
    return this.client({ endpoints: [this.server(index).clientAddress], ...options });
  }

  /** Writers through all servers, or those of `through`; they begin at once and end with the cluster, if not before. */
  load(options: LoadOptions & { readonly through?: readonly number[] }): Load {
    const through = options.through?.map((index) => this.server(index).clientAddress);
    const load = new Load(through ?? this.endpoints, options);
    this.loads.push(load);
    return load;
  }

  async statusOf(index: number): Promise<StatusResponse> {
    const status = await this.server(index).status();
    assert.ok(status !== null, `server ${index} answers Status`);
    return status;
  }

  /** Waits until the status of server `index` is as wanted, and returns it. */
  awaitStatus(index: number, what: string, isWanted: (status: StatusResponse) => boolean, withinMs?: number): Promise<StatusResponse> {
    return until(
      `server ${index}: ${what}`,
      async () => {
        this.assertNoCrash();
        const status = await this.server(index).status();
        return status !== null && isWanted(status) ? status : null;
      },
      withinMs,
    );
  }

  /**
   * Waits until a server coordinates whose configuration is settled, its voters being the servers of `indices` and no others; returns
   * that server's status. Only then may the next one fail.
   */
  awaitVoters(indices: readonly number[], withinMs?: number): Promise<StatusResponse> {
    const wanted = indices.map((index) => this.server(index).paxosAddress).sort();
    return until(
      `the settled voters to be servers ${indices.join(", ")}`,
      async () => {
        this.assertNoCrash();
        const statuses = await Promise.all(this.servers.map((server) => server.status()));
        const told = statuses.find((status) => status?.configuration?.settled === true) ?? null;
        const voters = told?.voters.map((voter) => voter.paxosAddress).sort();
        return told?.blocked === "" && voters?.join() === wanted.join() ? told : null;
      },
      withinMs,
    );
  }

  /** The server at this Paxos address. */
  serverAt(paxosAddress: string): ServerProcess {
    const server = this.servers.find((one) => one.paxosAddress === paxosAddress);
    assert.ok(server !== undefined, `a server of the test is at ${paxosAddress}`);
    return server;
  }

  /** Waits until all of `servers` (default: all that run) follow one coordinator among them; returns its index. */
  awaitCoordinator(servers: readonly ServerProcess[] = this.servers.filter((server) => server.running)): Promise<number> {
    return until(`one coordinator of servers ${servers.map((server) => server.index).join(", ")}`, async () => {
      this.assertNoCrash();
      const statuses = await Promise.all(servers.map((server) => server.status()));
      const leading = statuses.findIndex((status) => status?.role === "coordinator");
      const address = servers[leading]?.paxosAddress;
      return address !== undefined && statuses.every((status) => status?.coordinator === address && status.blocked === "")
        ? (servers[leading]?.index ?? null)
        : null;
    });
  }

  /** Waits until all of `servers` (default: all that run) have applied the same slots, then checks that their states are equal. */
  async awaitEqual(servers: readonly ServerProcess[] = this.servers.filter((server) => server.running)): Promise<StatusResponse> {
    const statuses = await until(`servers ${servers.map((server) => server.index).join(", ")} to apply the same slots`, async () => {
      this.assertNoCrash();
      const asked = await Promise.all(servers.map((server) => server.status()));
      const answered = asked.filter((status) => status !== null);
      const isEqual = answered.every((status) => status.appliedSlot === answered[0]?.appliedSlot && status.stateHash !== "");
      return answered.length === servers.length && isEqual ? answered : null;
    });
    const [first] = statuses;
    assert.ok(first !== undefined, "at least one server runs");
    for (const status of statuses) {
      const { stateHash, revision, keys, dataBytes } = status;
      assert.deepEqual(
        { stateHash, revision, keys, dataBytes },
        { stateHash: first.stateHash, revision: first.revision, keys: first.keys, dataBytes: first.dataBytes },
        `the state of ${status.paxosAddress} and of ${first.paxosAddress} at slot ${first.appliedSlot}`,
      );
    }
    return first;
  }

  /** Runs `body` as a subtest that the following ones build on: where it fails, the whole test ends. */
  async step(t: TestContext, name: string, body: (cluster: Cluster) => Promise<void>): Promise<void> {
    let failure: unknown;
    await t.test(name, async () => {
      try {
        await body(this);
      } catch (error) {
        failure = error;
        throw error;
      }
    });
    if (failure !== undefined) {
      throw failure;
    }
  }

  /** Throws if a server ended that nobody ended. */
  assertNoCrash(): void {
    const crash = this.servers.map((server) => server.crash).find((text) => text !== null);
    if (crash !== undefined && crash !== null) {
      throw new Hopeless(crash);
    }
  }

  /** Prints the end of every server's log, for a test that failed; what killed a server comes whole. */
  showLogs(): void {
    for (const server of this.servers) {
      const lines = server.log.trimEnd().split("\n");
      const fatal = lines.filter((line) => line.includes('"level":60')).map((line) => line.slice(0, FATAL_LINE_CHARS));
      const told = lines.filter((line) => !line.includes('"code":"last-steps"')).slice(-LOG_LINES_SHOWN);
      const shown = [...told.map((line) => line.slice(0, LOG_LINE_CHARS)), ...fatal].map((line) => `    ${line}`).join("\n");
      console.error(`server ${server.index} (${server.clientAddress}, ${server.paxosAddress}), the end of its log:\n${shown}`);
    }
  }

  /** Ends every process and removes the folder, or names it. */
  async close(keep = false): Promise<void> {
    for (const client of [this.observer, ...this.clients]) {
      client.close();
    }
    await Promise.all([...this.servers.map((server) => server.kill()), ...this.loads.map((load) => load.stop())]);
    if (keep) {
      console.error(`kept: ${this.folder}`);
    } else {
      rmSync(this.folder, { recursive: true, force: true });
    }
  }
}

/** The client addresses of all servers, then their Paxos addresses. */
async function addressesFor({ size, machines }: ClusterOptions): Promise<readonly string[]> {
  if (machines === undefined) {
    return (await freePorts(2 * size)).map((port) => `${HOST}:${port}`);
  }
  return [MACHINE_CLIENT_PORT, MACHINE_PAXOS_PORT].flatMap((port) =>
    Array.from({ length: size }, (_, index) => `${machines.addressOf(index)}:${port}`),
  );
}

/** Runs `body` with a cluster of its own. With KEEP_FAILED=1 in the environment the folder of a failed test stays, and is named. */
export async function withCluster(options: ClusterOptions, body: (cluster: Cluster) => Promise<void>): Promise<void> {
  const cluster = await Cluster.create(options);
  let keep = false;
  try {
    if (options.starts !== false) {
      cluster.start();
      await cluster.awaitCoordinator();
    }
    await body(cluster);
    cluster.assertNoCrash();
  } catch (error) {
    cluster.showLogs();
    const { KEEP_FAILED } = process.env;
    keep = KEEP_FAILED === "1";
    throw error;
  } finally {
    await cluster.close(keep);
  }
}
