/**
 * Asks every server that can be found for its status: the endpoints given, then those that the answers name.
 * It must never take silence for an answer: a server that does not answer is a row too.
 */
import { parseAddress } from "../../client/address.js";
import type { SynodClient } from "../../client/client.js";
import type { StatusResponse } from "../../client/index.js";
import { toCliError } from "../errors.js";
import { newestOf } from "../members/names.js";

/** One server, answered or not. */
export type ServerRow = {
  /** `host:port` that was asked; empty where no client address is known. */
  readonly endpoint: string;
  /** As far as known. */
  readonly paxosAddress: string;
  readonly replicaId: number;
} & (
  | { readonly status: StatusResponse; readonly error: undefined }
  | { readonly status: undefined /** Why there is no answer. */; readonly error: string }
);

/** No cluster is larger; a bound on what wrong answers can make a tool ask. */
const SERVERS_MAX = 256;
const NOT_HEARD = "not heard from yet, so its client address is not known";

type Known = { readonly paxosAddress: string; readonly replicaId: number };

/** Rows in order of replica, those unknown last. `paxosOf`: whose endpoint it is, where the caller knows that before anybody answers. */
export async function gatherStatus(
  client: SynodClient,
  endpoints: readonly string[],
  paxosOf: ReadonlyMap<string, string> = new Map(),
): Promise<readonly ServerRow[]> {
  const asked = new Map<string, Known>();
  const rows: ServerRow[] = [];
  let next: ReadonlyMap<string, Known> = new Map(
    endpoints.map((endpoint) => [endpoint, { paxosAddress: paxosOf.get(endpoint) ?? "", replicaId: 0 }]),
  );
  while (next.size > 0 && asked.size < SERVERS_MAX) {
    for (const [endpoint, known] of next) {
      asked.set(endpoint, known);
    }
    rows.push(...(await Promise.all([...next].map(([endpoint, known]) => ask(client, endpoint, known)))));
    next = newMembers(rows, asked);
  }
  return countedOnce(withSilentMembers(withoutRepetition(rows))).sort(compareRows);
}

async function ask(client: SynodClient, endpoint: string, known: Known): Promise<ServerRow> {
  try {
    const status = await client.status({ endpoint });
    return { endpoint, paxosAddress: status.paxosAddress, replicaId: Number(status.replicaId), status, error: undefined };
  } catch (error) {
    return { endpoint, ...known, status: undefined, error: toCliError(error).message };
  }
}

/** Client addresses that answers name and nobody has asked yet; a server that already answered under another name is not asked again. */
function newMembers(rows: readonly ServerRow[], asked: ReadonlyMap<string, Known>): ReadonlyMap<string, Known> {
  const answered = new Set(rows.filter((row) => row.status !== undefined).map((row) => row.paxosAddress));
  const found = new Map<string, Known>();
  for (const member of rows.flatMap((row) => membersKnown(row.status))) {
    const address = parseAddress(member.clientAddress);
    if ("canonical" in address && !asked.has(address.canonical) && !answered.has(member.paxosAddress)) {
      found.set(address.canonical, { paxosAddress: member.paxosAddress, replicaId: Number(member.replicaId) });
    }
  }
  return found;
}

/** Whom a server knows, without those that are no members and gone: a server that was removed is missed by nobody. */
function membersKnown(status: StatusResponse | undefined) {
  return (status?.members ?? []).filter(({ kind, live }) => kind !== "other" || live);
}

/** One server may have been asked under two names; and one that did not answer may be known from the answers of others. */
function withoutRepetition(rows: readonly ServerRow[]): readonly ServerRow[] {
  const members = rows.flatMap((row) => row.status?.members ?? []);
  const seen = new Set<string>();
  const kept: ServerRow[] = [];
  for (const row of rows) {
    if (row.status !== undefined) {
      const identity = `${row.status.clusterId} ${row.paxosAddress}`;
      if (!seen.has(identity)) {
        kept.push(row);
      }
      seen.add(identity);
      continue;
    }
    const member =
      members.find((one) => {
        const address = parseAddress(one.clientAddress);
        return "canonical" in address && address.canonical === row.endpoint;
      }) ?? newestOf(members, row.paxosAddress);
    const known = member === undefined ? row : { ...row, paxosAddress: member.paxosAddress, replicaId: Number(member.replicaId) };
    kept.push(known);
  }
  return kept;
}

/** Members whose client address nobody knows, since they were never heard from. */
function withSilentMembers(rows: readonly ServerRow[]): ServerRow[] {
  const all = [...rows];
  for (const status of rows.flatMap((row) => row.status ?? [])) {
    const members = [...membersKnown(status), ...status.voters.map((voter) => ({ ...voter, clientAddress: "" }))];
    for (const member of members) {
      if (!all.some((row) => row.paxosAddress === member.paxosAddress)) {
        all.push({
          endpoint: member.clientAddress,
          paxosAddress: member.paxosAddress,
          replicaId: Number(member.replicaId),
          status: undefined,
          error: NOT_HEARD,
        });
      }
    }
  }
  return all;
}

/**
 * An endpoint that does not answer, and of which nobody says whose it is, may be that of a member whose client address is not known:
 * as two rows one server would be counted twice. Which member it is nobody can tell, so the members' rows stay, and name it.
 */
function countedOnce(rows: readonly ServerRow[]): ServerRow[] {
  const isNobodys = (row: ServerRow): boolean => row.status === undefined && row.paxosAddress === "";
  const strays = rows.filter(isNobodys);
  if (strays.length === 0 || !rows.some((row) => row.error === NOT_HEARD)) {
    return [...rows];
  }
  const [only] = strays;
  const which =
    strays.length === 1
      ? `it may be ${only?.endpoint}, of which nobody knows whose it is: ${only?.error}`
      : `it may be one of ${strays.map(({ endpoint }) => endpoint).join(", ")}, which do not answer either`;
  return rows.filter((row) => !isNobodys(row)).map((row) => (row.error === NOT_HEARD ? { ...row, error: `${NOT_HEARD}; ${which}` } : row));
}

function compareRows(a: ServerRow, b: ServerRow): number {
  const rank = (row: ServerRow): number => (row.replicaId === 0 ? Number.POSITIVE_INFINITY : row.replicaId);
  if (rank(a) !== rank(b)) {
    return rank(a) - rank(b);
  }
  const [left, right] = [a.paxosAddress || a.endpoint, b.paxosAddress || b.endpoint];
  return left < right ? -1 : left > right ? 1 : 0;
}
