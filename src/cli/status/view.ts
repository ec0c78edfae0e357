/** How `synod status` looks: a table, two of half the width or blocks where the terminal is narrow, comma-separated lines, or JSON. It must never judge. */
import type { StatusResponse } from "../../client/index.js";
import { formatBytes, formatDuration } from "../config/quantities.js";
import { type Paint, renderTable, width } from "../table.js";
import type { ServerRow } from "./gather.js";
import type { Health } from "./health.js";

export type StatusView = {
  readonly format: "table" | "simple" | "json";
  /** Columns of the terminal; undefined where there is none. */
  readonly columns: number | undefined;
  readonly paint: Paint;
};

type Cell = { readonly heading: string; readonly text: string; readonly isNumber?: boolean };

const NOTHING = "-";
const WHO: ReadonlySet<string> = new Set(["ID", "ENDPOINT", "PAXOS", "ROLE", "BALLOT", "COORDINATOR"]);
const NUMBERS: ReadonlySet<string> = new Set(["ID", "DECIDED", "APPLIED", "LAG", "DISK", "MEMORY", "UPTIME"]);

/** The lines for stdout. */
export function renderStatus(rows: readonly ServerRow[], health: Health, view: StatusView): string {
  switch (view.format) {
    case "json":
      return renderJson(rows, health);
    case "simple":
      return rows
        .map(
          (row) =>
            `${cells(row, plainPaint)
              .map((cell) => cell.text)
              .join(", ")}\n`,
        )
        .join("");
    case "table":
      return renderPeople(rows, health, view);
  }
}

function renderPeople(rows: readonly ServerRow[], health: Health, view: StatusView): string {
  const table = rows.map((row) => cells(row, view.paint));
  const whole = tableOf(table, () => true);
  // Who they are above, how they are below: half as wide, and still one line a server in each.
  const halves = `${tableOf(table, (heading) => WHO.has(heading))}\n${tableOf(table, (heading) => heading === "ID" || !WHO.has(heading))}`;
  const blocks = table.map(block).join("\n");
  const fits = (text: string): boolean => text.split("\n").every((line) => width(line) <= (view.columns ?? Number.POSITIVE_INFINITY));
  const body = [whole, halves].find(fits) ?? blocks;
  const style = health.state === "healthy" ? "green" : health.state === "degraded" ? "yellow" : "red";
  const notes = health.notes.map((note) => `  ${note}\n`).join("");
  const members = health.members.map((line) => `  ${line}\n`).join("");
  return `${body}\n${view.paint(health.summary, style)}\n${members}${notes}`;
}

/** The columns whose heading is wanted. */
function tableOf(table: ReadonlyArray<readonly Cell[]>, isWanted: (heading: string) => boolean): string {
  const headings = (table[0] ?? []).map((cell) => cell.heading).filter(isWanted);
  const right = headings.flatMap((heading, index) => (NUMBERS.has(heading) ? [index] : []));
  const wanted = table.map((row) => row.filter((cell) => isWanted(cell.heading)).map((cell) => cell.text));
  return renderTable(headings, wanted, right);
}

function block(row: readonly Cell[]): string {
  const widest = Math.max(...row.map((cell) => cell.heading.length));
  return row.map((cell) => `${cell.heading.toLowerCase().padEnd(widest)}  ${cell.text}\n`).join("");
}

/** The columns, in the order in which a person reads them. */
function cells(row: ServerRow, paint: Paint): readonly Cell[] {
  const { status } = row;
  const show = (text: (answer: StatusResponse) => string): string => (status === undefined ? NOTHING : text(status) || NOTHING);
  const coordinates = status?.role === "coordinator";
  const role = status === undefined ? paint("no answer", "red") : coordinates ? paint(status.role, "bold") : status.role;
  const ids = idsByAddress(row);
  return [
    { heading: "ID", text: row.replicaId === 0 ? NOTHING : String(row.replicaId) },
    { heading: "ENDPOINT", text: row.endpoint || NOTHING },
    { heading: "PAXOS", text: row.paxosAddress || NOTHING },
    { heading: "ROLE", text: role },
    { heading: "BALLOT", text: show((answer) => answer.ballot) },
    { heading: "COORDINATOR", text: show((answer) => answer.coordinator) },
    { heading: "DECIDED", text: show((answer) => String(answer.decidedSlot)) },
    { heading: "APPLIED", text: show((answer) => String(answer.appliedSlot)) },
    { heading: "LAG", text: show((answer) => String(answer.lag)) },
    { heading: "LIVE", text: show((answer) => shortList(answer.live, ids)) },
    { heading: "VOTERS", text: show((answer) => answer.voters.map(({ replicaId }) => String(replicaId)).join(" ")) },
    { heading: "DISK", text: show((answer) => formatBytes(Number(answer.diskBytes))) },
    { heading: "MEMORY", text: show((answer) => formatBytes(Number(answer.memoryBytes))) },
    { heading: "UPTIME", text: show((answer) => formatDuration(Number(answer.uptimeMs))) },
  ];
}

/** Replica ids of the addresses that this server knows; a set of ids fits a column where a set of addresses does not. */
function idsByAddress(row: ServerRow): ReadonlyMap<string, number> {
  const ids = new Map<string, number>();
  for (const { paxosAddress, replicaId } of [...(row.status?.voters ?? []), ...(row.status?.members ?? [])]) {
    // A lost disk and its successor have one address: who answers there is the newer.
    ids.set(paxosAddress, Math.max(Number(replicaId), ids.get(paxosAddress) ?? 0));
  }
  if (row.replicaId !== 0) {
    ids.set(row.paxosAddress, row.replicaId);
  }
  return ids;
}

/** `1 2 3 5`: ids in order, and in full the addresses that have none yet. */
function shortList(addresses: readonly string[], ids: ReadonlyMap<string, number>): string {
  const known = addresses.flatMap((address) => (ids.get(address) || undefined) ?? []).sort((a, b) => a - b);
  const unknown = addresses.filter((address) => !ids.get(address)).sort();
  return [...known.map(String), ...unknown].join(" ");
}

function renderJson(rows: readonly ServerRow[], health: Health): string {
  const servers = rows.map((row) => {
    const { $typeName: _, $unknown: __, ...fields } = row.status ?? { $typeName: "", $unknown: [] };
    return {
      endpoint: row.endpoint,
      paxosAddress: row.paxosAddress,
      answers: row.status !== undefined,
      error: row.error ?? null,
      ...fields,
    };
  });
  const plain = (key: string, value: unknown): unknown => {
    if (typeof value === "bigint") {
      return Number(value);
    }
    return key === "$typeName" || key === "$unknown" ? undefined : value;
  };
  return `${JSON.stringify({ state: health.state, summary: health.summary, members: health.members, notes: health.notes, servers }, plain, 2)}\n`;
}

function plainPaint(text: string): string {
  return text;
}
