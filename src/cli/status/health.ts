/** What the rows of `synod status` come to: one sentence, and what a person should look at. It must never ask a server. */
import type { StatusResponse } from "../../client/index.js";
import { describeMember, membersOf } from "../members/names.js";
import { configurationLine, memberNote } from "../members/view.js";
import type { ServerRow } from "./gather.js";

/** `healthy`: all servers answer and agree; `degraded`: work goes on, and something is missing; `blocked`: nothing can be written. */
export type Health = {
  readonly state: "healthy" | "degraded" | "blocked";
  /** One sentence for all. */
  readonly summary: string;
  /** The configuration, and what a person should know of members that are no live voters, as the coordinator sees them. */
  readonly members: readonly string[];
  /** Further sentences: who does not answer, what blocks, the servers' own warnings, states that differ. */
  readonly notes: readonly string[];
};

/** Judges `rows`. */
export function judge(rows: readonly ServerRow[]): Health {
  const answers = rows.flatMap((row) => (row.status === undefined ? [] : [row.status]));
  const notes = [...silentNotes(rows), ...blockedNotes(rows), ...differenceNotes(rows), ...warningNotes(rows)];
  const servers = `${answers.length} of ${rows.length} ${rows.length === 1 ? "server answers" : "servers answer"}`;
  if (answers.length === 0) {
    const ask = "name others with --endpoints: none of those asked says anything of the cluster";
    return { state: "blocked", summary: `blocked: ${servers}`, members: [], notes: [...notes, ask] };
  }
  const coordinator = answers.find((status) => status.role === "coordinator" && status.blocked === "");
  const members = memberLines(coordinator ?? newest(answers));
  if (coordinator === undefined) {
    const isFounding = answers.some((status) => status.role === "founding");
    const why = isFounding ? "the cluster is being founded" : "no coordinator";
    return { state: "blocked", summary: `blocked: ${servers}; ${why}`, members, notes };
  }
  const voters = coordinator.voters.length;
  const live = coordinator.voters.filter((voter) => voter.live).length;
  const isWell = answers.length === rows.length && notes.length === warningNotes(rows).length && live === voters && isWhole(coordinator);
  const state = isWell ? "healthy" : "degraded";
  return { state, summary: `${state}: ${servers}, ${coordinator.paxosAddress} coordinates${spareText(coordinator)}`, members, notes };
}

/** How many voters may fail at the same time; with the autopilot more may, one after another. */
function spareText({ voters, configuration }: StatusResponse): string {
  const live = voters.filter((voter) => voter.live).length;
  const spare = live - (Math.floor(voters.length / 2) + 1);
  if (voters.length === 0) {
    return "";
  }
  if (voters.length === 1 && (configuration?.epoch ?? 0n) > 1n) {
    return "; ONE VOTER IS LEFT: every write is on one disk";
  }
  return `; ${spare <= 0 ? "no further server may fail" : `${spare} more may fail`}`;
}

/** Whether the configuration is settled, and everybody votes who is meant to. */
function isWhole({ configuration, members, removeAfterMs }: StatusResponse): boolean {
  const isWaiting = members.some(({ kind, electable }) => kind === "observer" && electable && removeAfterMs > 0n);
  return configuration?.settled !== false && !isWaiting;
}

/** Without a coordinator: whose view reaches furthest. */
function newest(answers: readonly StatusResponse[]): StatusResponse | undefined {
  return answers.reduce<StatusResponse | undefined>(
    (best, one) => (best === undefined || one.decidedSlot > best.decidedSlot ? one : best),
    undefined,
  );
}

/** None where the server says nothing of its configuration. */
function memberLines(view: StatusResponse | undefined): readonly string[] {
  if (view?.configuration === undefined) {
    return [];
  }
  const noted = membersOf(view).flatMap((member) => {
    const note = memberNote(view, member);
    const lag = member.kind === "observer" && member.live && member.lag !== undefined ? ` (lacks ${member.lag} slots)` : "";
    return note === "" ? [] : [`${member.kind} ${describeMember(member)}: ${note}${lag}`];
  });
  return [configurationLine(view), ...noted];
}

function silentNotes(rows: readonly ServerRow[]): readonly string[] {
  return rows.flatMap((row) => (row.error === undefined ? [] : [`${nameOf(row)}: ${row.error}`]));
}

/** Servers most often agree on what blocks them: each sentence once, with who says it. */
function blockedNotes(rows: readonly ServerRow[]): readonly string[] {
  return grouped(rows, (row) => (row.status === undefined || row.status.blocked === "" ? [] : [row.status.blocked]));
}

/** What blocks a server is told as that. */
function warningNotes(rows: readonly ServerRow[]): readonly string[] {
  return grouped(rows, ({ status }) =>
    (status?.warnings ?? []).filter((text) => text !== status?.blocked).map((text) => `warning: ${text}`),
  );
}

function grouped(rows: readonly ServerRow[], sentences: (row: ServerRow) => readonly string[]): readonly string[] {
  const sayers = new Map<string, string[]>();
  for (const row of rows) {
    for (const sentence of sentences(row)) {
      sayers.set(sentence, [...(sayers.get(sentence) ?? []), nameOf(row)]);
    }
  }
  return [...sayers].map(([sentence, names]) => `${names.join(", ")}: ${sentence}`);
}

/** Equal applied slots must show equal states, and all servers one cluster: anything else is damage, never lag. */
function differenceNotes(rows: readonly ServerRow[]): readonly string[] {
  const notes: string[] = [];
  const clusters = new Set(rows.map((row) => row.status?.clusterId ?? "").filter((id) => id !== ""));
  if (clusters.size > 1) {
    notes.push(`the servers belong to ${clusters.size} different clusters: ${[...clusters].join(", ")}`);
  }
  const states = new Map<string, { readonly hash: string; readonly name: string }>();
  for (const row of rows) {
    if (row.status === undefined || row.status.stateHash === "") {
      continue;
    }
    const key = `${row.status.clusterId} ${row.status.appliedSlot}`;
    const other = states.get(key);
    if (other !== undefined && other.hash !== row.status.stateHash) {
      notes.push(
        `DIFFERENT DATA: ${other.name} and ${nameOf(row)} applied slot ${row.status.appliedSlot} and hold different states; stop writing and keep both data directories`,
      );
    }
    states.set(key, { hash: row.status.stateHash, name: nameOf(row) });
  }
  return notes;
}

/** How notes name a server: as the table does. */
function nameOf(row: ServerRow): string {
  return row.endpoint === "" ? row.paxosAddress : row.endpoint;
}
