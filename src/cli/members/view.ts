/** How members and changes look: a table, comma-separated lines, or JSON. It must never ask a server. */
import type { Member, StatusResponse } from "../../client/index.js";
import { type Paint, renderTable } from "../table.js";
import { describeMember, membersOf } from "./names.js";

export type MembersFormat = "table" | "simple" | "json";

/** The members as one server knows them. */
export function renderMembers(view: StatusResponse, format: MembersFormat, paint: Paint): string {
  const { configuration } = view;
  if (format === "json") {
    return `${JSON.stringify({
      epoch: Number(configuration?.epoch ?? 0n),
      slot: Number(configuration?.slot ?? 0n),
      tieBreak: Number(configuration?.tieBreak ?? 0n),
      settled: configuration?.settled ?? null,
      blocked: view.blocked,
      members: membersOf(view).map(memberJson),
    })}\n`;
  }
  const rows = membersOf(view).map((member) => row(view, member));
  if (format === "simple") {
    return rows.map((cells) => `${cells.join(", ")}\n`).join("");
  }
  const table = renderTable(["ID", "PAXOS", "CLIENT", "KIND", "ANSWERS", "LAG", "NOTE"], rows, [0, 5]);
  const blocked = view.blocked === "" ? "" : `${paint(view.blocked, "red")}\n`;
  return `${table}\n${configurationLine(view)}\n${blocked}`;
}

/** `configuration 7 of slot 120, settled: voters 1 2* 3 (* breaks ties)`. */
export function configurationLine({ configuration, members, role }: StatusResponse): string {
  if (configuration === undefined) {
    return "no configuration yet: the cluster is being founded, or joined";
  }
  const voters = members.filter(({ kind }) => kind === "voter").sort((a, b) => Number(a.replicaId - b.replicaId));
  const list = voters.map(({ replicaId }) => `${replicaId}${replicaId === configuration.tieBreak ? "*" : ""}`).join(" ");
  const where = configuration.slot === 0n ? "of the founding" : `of slot ${configuration.slot}`;
  const awaited = members.filter(({ replicaId }) => configuration.unsettled.includes(replicaId)).map(describeMember);
  const settled =
    configuration.settled === undefined
      ? `as a ${role} knows it`
      : configuration.settled
        ? "settled"
        : `not settled: ${awaited.length === 0 ? "a quorum of its voters" : awaited.join(", ")} must have it on disk first`;
  return `configuration ${configuration.epoch} ${where}, ${settled}: voters ${list} (* breaks ties)`;
}

/** What a change that was made prints: the change in words, and the voters it left. */
export function renderChange(
  done: { readonly text: string; readonly slot: number; readonly settled: boolean; readonly view: StatusResponse },
  format: MembersFormat,
): string {
  if (format !== "json") {
    return `${done.text}\n${configurationLine(done.view)}\n`;
  }
  const members = membersOf(done.view).map(memberJson);
  return `${JSON.stringify({ result: "OK", text: done.text, slot: done.slot, settled: done.settled, members })}\n`;
}

function row(view: StatusResponse, member: Member): string[] {
  const isTieBreak = member.replicaId === view.configuration?.tieBreak && member.kind === "voter";
  const lag = member.replicaId === view.replicaId ? "0" : member.live && member.lag !== undefined ? String(member.lag) : "-";
  return [
    String(member.replicaId),
    member.paxosAddress,
    member.clientAddress || "-",
    isTieBreak ? "voter*" : member.kind,
    member.live ? "yes" : "no",
    lag,
    memberNote(view, member),
  ];
}

/** What a person should know of this member, in a few words; empty for a voter that answers. */
export function memberNote(view: StatusResponse, member: Member): string {
  const isReplaced = view.members.some((other) => other.paxosAddress === member.paxosAddress && other.replicaId > member.replicaId);
  if (isReplaced) {
    return "its disk was lost; the newer id at this address takes its place";
  }
  if (member.kind === "voter") {
    return member.live ? "" : "does not answer";
  }
  const returns = member.electable && view.removeAfterMs > 0n;
  if (!member.live) {
    return returns ? "has no vote; votes by itself once it is back and keeps up" : "has no vote, and does not answer";
  }
  return returns ? "votes by itself once it keeps up" : `has no vote; synod member promote ${member.replicaId} gives it one`;
}

function memberJson({ replicaId, paxosAddress, clientAddress, kind, electable, live, lag }: Member) {
  return { replicaId: Number(replicaId), paxosAddress, clientAddress, kind, electable, live, lag: lag === undefined ? null : Number(lag) };
}
