/**
 * `synod member list | add | remove | promote | replace`, and `synod handover`. Whether the cluster can bear a change is the
 * coordinator's to say; here it is asked for, waited for until it is settled, and told.
 */
import type { MemberChange, StatusResponse } from "../../client/index.js";
import { clientOptions, parseTimeout } from "../client-options.js";
import { CliError, EXIT } from "../errors.js";
import { type Flags, isSet, textFlag } from "../flags.js";
import { arrive, joinCommand, newAddress } from "../members/arrive.js";
import { describeMember, findMember, idOf, isIdentity, isNobody, membersOf, newestAt } from "../members/names.js";
import { Operator } from "../members/operator.js";
import { type MembersFormat, renderChange, renderMembers } from "../members/view.js";
import { painter } from "../table.js";

/** How long a change may take until it is settled, and a new server until it votes: data has to be copied. Milliseconds. */
const SETTLE_MS = 30_000;
const ARRIVE_MS = 600_000;

/** Prints the members as the coordinator knows them; 5 where the cluster is blocked. */
export async function runMemberList(flags: Flags): Promise<number> {
  using operator = operatorOf(flags);
  const view = await operator.view();
  process.stdout.write(renderMembers(view, formatOf(flags), painter(process.stdout, process.env)));
  return view.blocked === "" ? EXIT.ok : EXIT.unhealthy;
}

export async function runMemberRemove(name: string, flags: Flags): Promise<number> {
  const waitMs = waitOf(flags, SETTLE_MS);
  using operator = operatorOf(flags);
  const view = await operator.view();
  const replica = idOf(view, name, await operator.self());
  const member = membersOf(view).find(({ replicaId }) => replicaId === BigInt(replica));
  const who = member === undefined ? String(replica) : describeMember(member);
  return change(operator, flags, { change: { kind: "remove", replica }, done: `removed ${who}`, wasSo: `${who} is no member`, waitMs });
}

export async function runMemberPromote(name: string, flags: Flags): Promise<number> {
  const waitMs = waitOf(flags, SETTLE_MS);
  using operator = operatorOf(flags);
  const view = await operator.view();
  const replica = idOf(view, name, await operator.self());
  const member = membersOf(view).find(({ replicaId }) => replicaId === BigInt(replica));
  const who = member === undefined ? String(replica) : describeMember(member);
  return change(operator, flags, { change: { kind: "promote", replica }, done: `${who} votes`, wasSo: `${who} votes already`, waitMs });
}

/** Waits for a new server and makes it a voter; without an address it says how to start one. */
export async function runMemberAdd(text: string | undefined, flags: Flags): Promise<number> {
  const waitMs = waitOf(flags, ARRIVE_MS);
  using operator = operatorOf(flags);
  const view = await operator.view();
  const staysObserver = isSet(flags, "observer");
  if (text === undefined) {
    process.stdout.write(`${joinCommand(view, undefined, staysObserver)}\n`);
    return EXIT.ok;
  }
  const address = newAddress(view, text);
  const { member, slot } = await arrive(operator, { address, staysObserver, waitMs, say });
  const done = `${describeMember(member)} ${staysObserver && member.kind !== "voter" ? "has caught up, and observes" : "votes"}`;
  return report(operator, flags, { done, slot, waitMs });
}

/** The new server votes before the old one goes, so that no fault in between costs more than it would have before. */
export async function runMemberReplace(oldName: string, newText: string, flags: Flags): Promise<number> {
  const waitMs = waitOf(flags, ARRIVE_MS);
  using operator = operatorOf(flags);
  const view = await operator.view();
  const address = newAddress(view, newText);
  const self = await operator.self();
  const successor = newestAt(view, address);
  if (successor?.kind === "voter" && isNobody(view, oldName, self)) {
    const wasSo = `${describeMember(successor)} votes already, and ${oldName} is no member`;
    // The coordinator knows which ids it gave, so that a mistaken one is refused; of an address that has no member nobody knows more.
    return isIdentity(oldName)
      ? change(operator, flags, { change: { kind: "remove", replica: idOf(view, oldName, self) }, done: wasSo, wasSo, waitMs })
      : report(operator, flags, { done: wasSo, slot: 0, waitMs });
  }
  const old = findMember(view, oldName, self);
  if (old === undefined) {
    throw new CliError(`'${oldName}' is no member; the members are ${membersOf(view).map(describeMember).join(", ")}`, {
      exitCode: EXIT.invalidInput,
      hint: "synod member list; synod member add, if the old one is gone already",
    });
  }
  if (old.replicaId === newestAt(view, address)?.replicaId) {
    throw new CliError(`${describeMember(old)} cannot replace itself; allowed is the my_paxos of another server`, {
      exitCode: EXIT.invalidInput,
      hint: "synod member replace OLD NEW; a server whose disk was lost comes back by itself, under a new id",
    });
  }
  const { member } = await arrive(operator, { address, staysObserver: false, waitMs, say });
  await operator.settled(0, waitMs);
  return change(operator, flags, {
    change: { kind: "remove", replica: Number(old.replicaId) },
    done: `${describeMember(member)} replaces ${describeMember(old)}`,
    wasSo: `${describeMember(member)} votes, and ${describeMember(old)} is no member`,
    waitMs,
  });
}

/** Lets another voter coordinate. */
export async function runHandover(name: string | undefined, flags: Flags): Promise<number> {
  using operator = operatorOf(flags);
  const heir = name === undefined ? undefined : await addressOf(operator, name);
  const coordinator = await operator.handover(heir);
  process.stdout.write(formatOf(flags) === "json" ? `${JSON.stringify({ result: "OK", coordinator })}\n` : `${coordinator} coordinates\n`);
  return EXIT.ok;
}

async function addressOf(operator: Operator, name: string): Promise<string> {
  const view = await operator.view();
  const member = findMember(view, name, await operator.self());
  if (member === undefined) {
    throw new CliError(`'${name}' is no member; the members are ${membersOf(view).map(describeMember).join(", ")}`, {
      exitCode: EXIT.invalidInput,
      hint: "synod member list",
    });
  }
  return member.paxosAddress;
}

type Wanted = { readonly change: MemberChange; readonly done: string; readonly wasSo: string; readonly waitMs: number };
type Done = { readonly done: string; readonly slot: number; readonly waitMs: number };

async function change(operator: Operator, flags: Flags, wanted: Wanted): Promise<number> {
  const slot = await operator.change(wanted.change);
  return report(operator, flags, { done: slot === 0 ? wanted.wasSo : wanted.done, slot, waitMs: wanted.waitMs });
}

/** A change is told once it is settled: until then a power loss of all could leave voters that do not know of it. */
async function report(operator: Operator, flags: Flags, { done, slot, waitMs }: Done): Promise<number> {
  const { isSettled, view } = await operator.settled(slot, waitMs);
  process.stdout.write(renderChange({ text: done, slot, settled: isSettled, view }, formatOf(flags)));
  if (!isSettled) {
    process.stderr.write(`${unsettledText(view, slot)}\n`);
  }
  return isSettled ? EXIT.ok : EXIT.unhealthy;
}

function unsettledText(view: StatusResponse, slot: number): string {
  const reason = view.blocked === "" ? "it is not on the disks of all voters that answer" : view.blocked;
  return `Decided at slot ${slot}, and not settled yet: ${reason}. synod member list shows when it is.`;
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

function operatorOf(flags: Flags): Operator {
  return new Operator(clientOptions(flags, process.env));
}

function waitOf(flags: Flags, usualMs: number): number {
  return parseTimeout(textFlag(flags, "wait") ?? `${usualMs}ms`, "--wait", usualMs);
}

function formatOf(flags: Flags): MembersFormat {
  const format = textFlag(flags, "writeOut");
  return format === "json" || format === "simple" ? format : "table";
}
