/**
 * How people name a member: its ReplicaId, its Paxos address, its client address, or `self` for the server that is asked. Resolves
 * names against a server's view. It must never guess between two.
 */
import { parseAddress } from "../../client/address.js";
import type { Member, StatusResponse } from "../../client/index.js";
import { CliError, EXIT } from "../errors.js";

const REPLICA_ID = /^[0-9]{1,15}$/;

/** The members of the cluster, without servers that are merely known, in order of their ids. */
export function membersOf(view: StatusResponse): readonly Member[] {
  return view.members.filter(({ kind }) => kind === "voter" || kind === "observer").sort((a, b) => Number(a.replicaId - b.replicaId));
}

/** `3 (10.0.0.3:9000)`. */
export function describeMember({ replicaId, paxosAddress }: Pick<Member, "replicaId" | "paxosAddress">): string {
  return `${replicaId} (${paxosAddress})`;
}

/** The member that `name` means; undefined for a ReplicaId that no member has. Throws `CliError` where it means none, or two. */
export function findMember(view: StatusResponse, name: string, self: bigint): Member | undefined {
  const members = membersOf(view);
  if (name === "self") {
    return members.find(({ replicaId }) => replicaId === self);
  }
  if (REPLICA_ID.test(name)) {
    return members.find(({ replicaId }) => replicaId === BigInt(name));
  }
  const found = members.filter((member) => isAt(member, canonicalOf(name)));
  const [first, second] = found;
  if (first === undefined) {
    const list = members.map(describeMember).join(", ");
    throw new CliError(`'${name}' is no member; the members are ${list}`, {
      exitCode: EXIT.invalidInput,
      hint: "synod member list; one that was removed is known by its id alone, not by an address",
    });
  }
  if (second !== undefined) {
    throw new CliError(
      `'${name}' is two members, ${found.map(({ replicaId }) => replicaId).join(" and ")}: its disk was lost, and the new one joined under a new id`,
      {
        exitCode: EXIT.invalidInput,
        hint: `the id: ${first.replicaId} is the lost disk`,
      },
    );
  }
  return first;
}

/** Whether `name` is an id or an address that no member has, as those of a member that was removed. */
export function isNobody(view: StatusResponse, name: string, self: bigint): boolean {
  if (isIdentity(name)) {
    return findMember(view, name, self) === undefined;
  }
  const address = parseAddress(name);
  return "canonical" in address && !membersOf(view).some((member) => isAt(member, address.canonical));
}

/** Whether `name` is a ReplicaId, or `self`: such a name keeps its meaning when its member has gone. */
export function isIdentity(name: string): boolean {
  return name === "self" || REPLICA_ID.test(name);
}

/** The ReplicaId that `name` means, of a member or not. */
export function idOf(view: StatusResponse, name: string, self: bigint): number {
  const id = findMember(view, name, self)?.replicaId ?? (name === "self" ? self : BigInt(name));
  if (id === 0n) {
    throw new CliError(`'${name}' is no ReplicaId; allowed is a whole number above 0`, {
      exitCode: EXIT.invalidInput,
      hint: "synod member list",
    });
  }
  return Number(id);
}

/** The newest member at this Paxos address. */
export function newestAt(view: StatusResponse, paxosAddress: string): Member | undefined {
  return newestOf(membersOf(view), paxosAddress);
}

/** The newest of those at this Paxos address: a lost disk and the one that took its place have one address. */
export function newestOf(members: readonly Member[], paxosAddress: string): Member | undefined {
  return members
    .filter((member) => member.paxosAddress === paxosAddress)
    .reduce<Member | undefined>((best, one) => (best === undefined || one.replicaId > best.replicaId ? one : best), undefined);
}

function canonicalOf(name: string): string {
  const parsed = parseAddress(name);
  return "canonical" in parsed ? parsed.canonical : name;
}

function isAt({ paxosAddress, clientAddress }: Member, address: string): boolean {
  return paxosAddress === address || clientAddress === address;
}
