/**
 * How results of get, put and del look, in etcdctl's forms: `simple` for people and pipes, `json` with keys and values in
 * base64, `table`. It must never add to a value.
 */
import { renderTable } from "./table.js";

export type WriteFormat = "simple" | "json" | "table";

export type GetView = { readonly format: WriteFormat; readonly valueOnly: boolean };

/** The lines for stdout; none for an absent key, except in JSON. */
export function renderGet(key: string, value: string | undefined, view: GetView): string {
  if (view.format === "json") {
    const kvs = value === undefined ? [] : [{ key: base64(key), value: base64(value) }];
    return `${JSON.stringify(value === undefined ? { count: 0 } : { kvs, count: 1 })}\n`;
  }
  if (value === undefined) {
    return "";
  }
  if (view.valueOnly) {
    return `${value}\n`;
  }
  return view.format === "table" ? renderTable(["KEY", "VALUE"], [[oneLine(key), oneLine(value)]]) : `${key}\n${value}\n`;
}

/** What a write that succeeded prints. */
export function renderDone(format: WriteFormat, endpoint: string): string {
  switch (format) {
    case "json":
      return `${JSON.stringify({ result: "OK", endpoint })}\n`;
    case "table":
      return renderTable(["RESULT", "ENDPOINT"], [["OK", endpoint]]);
    case "simple":
      return "OK\n";
  }
}

function base64(text: string): string {
  return Buffer.from(text, "utf8").toString("base64");
}

/** Control characters as JSON escapes them: a table's row is one line. */
function oneLine(text: string): string {
  return JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"').replaceAll("\\\\", "\\");
}
