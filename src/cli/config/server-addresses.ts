/**
 * The rules of a server's addresses: who it is in the list of replicas, and what the spellings of loopback mean.
 * A mistake here founds the wrong cluster or none, so each has a message of its own. It must never look at the network.
 */
import { type Address, isLoopback, isWildcard, joinAddress, parseAddress } from "../../client/address.js";
import { REPLICAS_MAX } from "../../server/config.js";
import { badArgument } from "../errors.js";
import type { RawValue } from "./sources.js";

/** The addresses as `ServerConfig` holds them. */
export type ServerAddresses = {
  readonly clientListen: { readonly host: string; readonly port: number };
  readonly clientAddress: string;
  readonly paxosListen: { readonly host: string; readonly port: number };
  readonly paxosAddress: string;
  readonly replicas: readonly string[];
  readonly join: readonly string[];
  readonly warnings: readonly string[];
};

type Written = { readonly field: string; readonly text: string; readonly address: Address; readonly where: string };

export type RawAddresses = {
  readonly client: RawValue;
  readonly paxos: RawValue;
  /** One of the two is empty. */
  readonly replicas: readonly RawValue[];
  readonly join: readonly RawValue[];
};

/** Reads and checks the address settings together. Throws `CliError`. */
export function serverAddresses(raw: RawAddresses): ServerAddresses {
  const client = written("my_addr", raw.client);
  const paxos = written("my_paxos", raw.paxos);
  const replicas = raw.replicas.map((one) => written("replica", one));
  const join = raw.join.map((one) => written("join", one));
  if (client.address.port === paxos.address.port && sharesHost(client.address, paxos.address)) {
    throw badArgument(
      `my_addr '${client.text}' and my_paxos '${paxos.text}' are the same address; clients and servers need a port each`,
      `another port for one of them, such as my_addr:'${joinAddress(client.address.host, otherPort(client.address.port))}'`,
    );
  }
  if (join.length > 0) {
    checkList(join);
    checkJoin(paxos, join);
  } else {
    checkList(replicas);
    checkMembership(paxos, replicas);
    checkReach(replicas);
  }
  // Who joins has no list of its own: the cluster's roster will be its truth.
  const list = join.length > 0 ? [paxos] : replicas;
  return {
    clientListen: { host: client.address.host, port: client.address.port },
    clientAddress: announced(client.address, paxos.address),
    paxosListen: { host: paxos.address.host, port: paxos.address.port },
    paxosAddress: paxos.address.canonical,
    replicas: list.map((replica) => replica.address.canonical).sort(),
    join: join.map((member) => member.address.canonical),
    warnings: [...wildcardWarnings(client, paxos), ...spellingWarnings(paxos, list)],
  };
}

/** A server joins through others, and must be named so that they can dial it. */
function checkJoin(paxos: Written, join: readonly Written[]): void {
  const own = join.find((member) => member.address.canonical === paxos.address.canonical);
  if (own !== undefined) {
    throw badArgument(
      `join '${own.text}' (${own.where}) is this server's own my_paxos; allowed are addresses of servers that run already`,
      `join:${exampleFor("join")}, the my_paxos of a running server`,
    );
  }
  const remote = join.find((member) => !isLoopback(member.address.host) && !isWildcard(member.address.host));
  if (remote !== undefined && (isLoopback(paxos.address.host) || isWildcard(paxos.address.host))) {
    throw badArgument(
      `my_paxos '${paxos.text}' is known to other servers as ${paxos.address.canonical}, which means themselves, while '${remote.text}' is on a network; allowed is an address by which they reach this server`,
      `my_paxos:'${joinAddress("10.0.0.4", paxos.address.port)}', with this machine's address`,
    );
  }
}

function written(field: string, raw: RawValue): Written {
  const text = String(raw.value);
  const address = parseAddress(text);
  if ("problem" in address) {
    throw badArgument(
      `${field} '${text}' ${address.problem} (${raw.origin.where}); allowed is ${address.allowed}`,
      `${field}:${exampleFor(field)}`,
    );
  }
  return { field, text, address, where: raw.origin.where };
}

function exampleFor(field: string): string {
  return field === "my_addr" ? "'127.0.0.1:8000'" : "'127.0.0.1:9000'";
}

function otherPort(port: number): number {
  return port > 1000 ? port - 1000 : port + 1000;
}

/** Two listeners collide on one port where the hosts are equal or one is every interface. */
function sharesHost(one: Address, other: Address): boolean {
  return one.canonical === other.canonical || isWildcard(one.host) || isWildcard(other.host);
}

function checkList(replicas: readonly Written[]): void {
  const field = replicas[0]?.field ?? "replica";
  if (replicas.length > REPLICAS_MAX) {
    throw badArgument(
      `${field} is given ${replicas.length} times; allowed are at most ${REPLICAS_MAX} servers`,
      "an odd number of servers, 3 or 5",
    );
  }
  const seen = new Map<string, Written>();
  for (const replica of replicas) {
    const { canonical } = replica.address;
    const earlier = seen.get(canonical);
    if (earlier !== undefined && earlier.text === replica.text) {
      throw badArgument(
        `${field} '${replica.text}' is listed twice (${earlier.where}, then ${replica.where}); allowed is each server once`,
        "leaving out one of them",
      );
    }
    if (earlier !== undefined) {
      throw badArgument(
        `${field} '${earlier.text}' and ${field} '${replica.text}' are the same server, ${canonical} (localhost, 0.0.0.0 and 127.0.0.1 are all dialled as loopback); allowed is each server once`,
        "leaving out one of them, and one spelling for all",
      );
    }
    seen.set(canonical, replica);
  }
}

function checkMembership(paxos: Written, replicas: readonly Written[]): void {
  if (replicas.some((replica) => replica.address.canonical === paxos.address.canonical)) {
    return;
  }
  const list = replicas.map((replica) => `'${replica.text}'`).join(", ");
  const sameHost = replicas.filter((replica) => isLoopback(replica.address.host)).length > 0;
  const samePort = replicas.find((replica) => replica.address.port === paxos.address.port);
  if (isWildcard(paxos.address.host) && samePort !== undefined && !sameHost) {
    throw badArgument(
      `my_paxos '${paxos.text}' is known to other servers as ${paxos.address.canonical}, which is not among the replicas (${list}); 0.0.0.0 is no address that others can dial`,
      `my_paxos:'${samePort.text}', the address by which the others reach this server`,
    );
  }
  const known = paxos.text === paxos.address.canonical ? "" : ` (${paxos.address.canonical})`;
  throw badArgument(
    `my_paxos '${paxos.text}'${known} is not among the replicas (${list}); allowed is one of them`,
    samePort === undefined ? `adding replica:'${paxos.text}' to the list of every server` : `my_paxos:'${samePort.text}'`,
  );
}

/** A list that mixes loopback with addresses of a network means a different server on each machine. */
function checkReach(replicas: readonly Written[]): void {
  const local = replicas.find((replica) => isLoopback(replica.address.host));
  const remote = replicas.find((replica) => !isLoopback(replica.address.host));
  if (local !== undefined && remote !== undefined) {
    throw badArgument(
      `replica '${local.text}' is dialled as ${local.address.canonical}, by every server on its own machine, while replica '${remote.text}' is on a network; allowed is one kind for all`,
      "an address that every server can dial for each replica",
    );
  }
}

/** Where my_addr is every interface, others reach it by the host by which they reach my_paxos. */
function announced(client: Address, paxos: Address): string {
  if (!isWildcard(client.host)) {
    return client.canonical;
  }
  const host = paxos.canonical.slice(0, paxos.canonical.lastIndexOf(":")).replace(/^\[|\]$/g, "");
  return joinAddress(host, client.port);
}

function wildcardWarnings(client: Written, paxos: Written): readonly string[] {
  const open = [client, paxos].filter((one) => isWildcard(one.address.host));
  if (open.length === 0) {
    return [];
  }
  const names = open.map((one) => `${one.field} '${one.text}'`).join(" and ");
  const others = open.includes(paxos)
    ? `; in the list of replicas it stands for ${paxos.address.canonical}, so all servers must run on this machine`
    : "";
  return [
    `${names} listen${open.length === 1 ? "s" : ""} on every interface of this machine, without TLS or passwords: whoever reaches it can read and write${others}`,
  ];
}

/** Spellings that differ mean the same server after all; said aloud, since the same list elsewhere may mean another. */
function spellingWarnings(paxos: Written, replicas: readonly Written[]): readonly string[] {
  const warnings: string[] = [];
  const own = replicas.find((replica) => replica.address.canonical === paxos.address.canonical);
  if (own !== undefined && own.text.toLowerCase() !== paxos.text.toLowerCase()) {
    warnings.push(
      `my_paxos '${paxos.text}' is taken to be replica '${own.text}': both are dialled as ${paxos.address.canonical}; write one spelling in both places`,
    );
  }
  const local = replicas.filter((replica) => isLoopback(replica.address.host));
  const hosts = new Set(local.map((replica) => replica.address.host));
  const canonicalHosts = new Set(local.map((replica) => replica.address.canonical.replace(/:[0-9]+$/, "")));
  if (hosts.size > 1 && canonicalHosts.size < hosts.size) {
    warnings.push(
      `the replicas are spelled with ${[...hosts].join(", ")}: all are dialled as loopback; write one spelling on every server`,
    );
  }
  return warnings;
}
