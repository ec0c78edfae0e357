/**
 * What `synod up` shall start: how many servers, where, with which data. Reads arguments and what an earlier `up` left in the
 * data directory; the servers' list is part of their data, so it never changes behind the user's back. Starts nothing.
 */
import { join, resolve } from "node:path";
import { isWildcard, joinAddress, parseAddress } from "../../client/address.js";
import { REPLICAS_MAX } from "../../server/config.js";
import { quoteText } from "../config/text-format.js";
import { badArgument } from "../errors.js";
import { type Flags, textFlag } from "../flags.js";
import type { ClusterFile } from "./state.js";

export type UpPlan = {
  /** Absolute. */
  readonly dataDir: string;
  /** As the user wrote it, for messages. */
  readonly dataDirShown: string;
  readonly host: string;
  readonly failRate: string | undefined;
  readonly servers: readonly PlannedServer[];
};

export type PlannedServer = {
  /** From 1. */
  readonly number: number;
  /** `host:port` to listen on for clients, as given to the server. */
  readonly clientListen: string;
  /** `host:port` that clients dial. */
  readonly clientAddress: string;
  readonly paxosAddress: string;
  readonly dataDir: string;
  readonly logFile: string;
  /** The same below the data directory as the user wrote it. */
  readonly logFileShown: string;
  /** The argument of `synod server`. */
  readonly argument: string;
};

export const DEFAULT_SERVERS = 5;
const DEFAULT_DATA_DIR = "./synod-data";
const DEFAULT_HOST = "127.0.0.1";
const DEFAULT_PORT = 8000;
const DEFAULT_PAXOS_PORT = 9000;
const PORT_MAX = 65_535;

/** The data directory that `flags` name: absolute, and as written. */
export function upDataDir(flags: Flags): { readonly dataDir: string; readonly shown: string } {
  const shown = textFlag(flags, "dataDir") ?? DEFAULT_DATA_DIR;
  return { dataDir: resolve(shown), shown };
}

/** The plan that the arguments and `saved` make. Throws `CliError`. */
export function planUp(countText: string | undefined, flags: Flags, saved: ClusterFile | undefined): UpPlan {
  const { dataDir, shown } = upDataDir(flags);
  const count = readCount(countText) ?? saved?.servers ?? DEFAULT_SERVERS;
  const host = readHost(textFlag(flags, "host") ?? saved?.host ?? DEFAULT_HOST);
  const port = readPort("--port", textFlag(flags, "port")) ?? saved?.port ?? DEFAULT_PORT;
  const paxosPort = readPort("--paxos-port", textFlag(flags, "paxosPort")) ?? saved?.paxosPort ?? DEFAULT_PAXOS_PORT;
  checkRanges(count, port, paxosPort);
  checkSaved({ servers: count, host, port, paxosPort }, saved, shown);
  const failRate = readFailRate(textFlag(flags, "failRate"));
  const paxosHost = paxosHostOf(host);
  const numbers = Array.from({ length: count }, (_, index) => index);
  const replicas = numbers.map((index) => joinAddress(paxosHost, paxosPort + index));
  const servers = numbers.map((index): PlannedServer => {
    const clientListen = joinAddress(host, port + index);
    const paxosAddress = replicas[index] ?? "";
    const serverDir = join(dataDir, String(index + 1));
    const settings = [
      `my_addr: ${quoteText(clientListen)}`,
      `my_paxos: ${quoteText(paxosAddress)}`,
      ...replicas.map((replica) => `replica: ${quoteText(replica)}`),
      `data_dir: ${quoteText(join(serverDir, "data"))}`,
      ...(failRate === undefined ? [] : [`fail_rate: ${failRate}`]),
    ];
    return {
      number: index + 1,
      clientListen,
      clientAddress: canonical(clientListen),
      paxosAddress,
      dataDir: serverDir,
      logFile: join(serverDir, "server.log"),
      logFileShown: `${shown}/${index + 1}/server.log`,
      argument: settings.join(" "),
    };
  });
  return { dataDir, dataDirShown: shown, host, failRate, servers };
}

/** The servers' Paxos addresses by those for clients: known here also of a server that never answered. */
export function paxosOf(plan: UpPlan): ReadonlyMap<string, string> {
  return new Map(plan.servers.map(({ clientAddress, paxosAddress }) => [clientAddress, paxosAddress]));
}

/** What the next `up` on this data directory must know. */
export function clusterFileOf(plan: UpPlan): ClusterFile {
  const portOf = (address: string | undefined): number => Number(address?.slice(address.lastIndexOf(":") + 1));
  return {
    format: 1,
    servers: plan.servers.length,
    host: plan.host,
    port: portOf(plan.servers[0]?.clientListen),
    paxosPort: portOf(plan.servers[0]?.paxosAddress),
  };
}

/** All servers are on this machine: where clients may come from anywhere, the servers' own port still need not be open. */
function paxosHostOf(host: string): string {
  if (isWildcard(host)) {
    return host === "::" ? "::1" : DEFAULT_HOST;
  }
  return host;
}

function canonical(address: string): string {
  const parsed = parseAddress(address);
  return "canonical" in parsed ? parsed.canonical : address;
}

function readCount(text: string | undefined): number | undefined {
  if (text === undefined) {
    return undefined;
  }
  const count = /^[0-9]{1,3}$/.test(text) ? Number(text) : 0;
  if (count < 1 || count > REPLICAS_MAX) {
    throw badArgument(`the number of servers is '${text}'; allowed is a whole number from 1 to ${REPLICAS_MAX}`, "synod up 5");
  }
  return count;
}

function readHost(text: string): string {
  const parsed = parseAddress(joinAddress(text.replace(/^\[|\]$/g, ""), 1));
  if ("problem" in parsed || text === "") {
    throw badArgument(`--host is '${text}'; allowed is a host name or an IP address of this machine, without a port`, "--host 127.0.0.1");
  }
  return parsed.host;
}

function readPort(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) {
    return undefined;
  }
  const port = /^[1-9][0-9]{0,4}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > PORT_MAX) {
    throw badArgument(
      `${flag} is '${text}'; allowed is a port from 1 to ${PORT_MAX}`,
      `${flag} ${flag === "--port" ? DEFAULT_PORT : DEFAULT_PAXOS_PORT}`,
    );
  }
  return port;
}

function readFailRate(text: string | undefined): string | undefined {
  if (text === undefined) {
    return undefined;
  }
  const rate = /^(0|1)?\.?[0-9]+$/.test(text) ? Number(text) : Number.NaN;
  if (!(rate >= 0 && rate < 1)) {
    throw badArgument(`--fail-rate is '${text}'; allowed is a number from 0 up to but not including 1`, "--fail-rate 0.3");
  }
  return String(rate);
}

function checkRanges(count: number, port: number, paxosPort: number): void {
  const last = Math.max(port, paxosPort) + count - 1;
  if (last > PORT_MAX) {
    throw badArgument(
      `${count} servers from port ${Math.max(port, paxosPort)} would need port ${last}; allowed are ports up to ${PORT_MAX}`,
      "lower ports",
    );
  }
  if (Math.abs(port - paxosPort) < count) {
    throw badArgument(
      `--port ${port} and --paxos-port ${paxosPort} overlap: ${count} servers need ${count} ports from each on`,
      `--port ${port} --paxos-port ${port + 1000 <= PORT_MAX - count ? port + 1000 : port - 1000}`,
    );
  }
}

/** The list of replicas is in the servers' data: another list would be another cluster. Client ports may change freely. */
function checkSaved(asked: Omit<ClusterFile, "format">, saved: ClusterFile | undefined, shown: string): void {
  if (saved === undefined) {
    return;
  }
  const has = `${saved.servers} servers with Paxos ports from ${joinAddress(paxosHostOf(saved.host), saved.paxosPort)}`;
  const wants = `${asked.servers} servers with Paxos ports from ${joinAddress(paxosHostOf(asked.host), asked.paxosPort)}`;
  if (has !== wants) {
    throw badArgument(
      `the data in ${shown} belongs to ${has}; asked for are ${wants}`,
      `synod up --data-dir ${shown} without other numbers, to resume; another --data-dir; or synod down --wipe --data-dir ${shown}, which removes the data`,
    );
  }
}
