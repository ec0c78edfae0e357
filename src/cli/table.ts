/** Columns of text, and colour where a terminal shows it. It must never cut a value short. */

import { type Environment, variable } from "./flags.js";

/** Text marked for a terminal; plain where colour is off. */
export type Paint = (text: string, style: "bold" | "green" | "yellow" | "red" | "dim") => string;

const STYLES = { bold: 1, green: 32, yellow: 33, red: 31, dim: 2 } as const;
const MARKS = new RegExp(`${String.fromCharCode(27)}\\[[0-9]+m`, "g");

/** A painter for `stream`: colour only on a terminal, and not where NO_COLOR is set (no-color.org). */
export function painter(stream: { readonly isTTY?: boolean }, environment: Environment): Paint {
  const isOn = stream.isTTY === true && variable(environment, "NO_COLOR") === undefined && variable(environment, "TERM") !== "dumb";
  return (text, style) => (isOn && text !== "" ? `\u001b[${STYLES[style]}m${text}\u001b[0m` : text);
}

/** Rows under their headings, columns two spaces apart, each line ending in a newline. `right` names columns of numbers by index. */
export function renderTable(header: readonly string[], rows: ReadonlyArray<readonly string[]>, right: readonly number[] = []): string {
  const all = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...all.map((row) => width(row[column] ?? ""))));
  return all
    .map((row) => {
      const cells = header.map((_, column) => {
        const cell = row[column] ?? "";
        const gap = " ".repeat((widths[column] ?? 0) - width(cell));
        return right.includes(column) ? gap + cell : cell + gap;
      });
      return `${cells.join("  ").trimEnd()}\n`;
    })
    .join("");
}

/** Columns that `text` takes on a terminal, marks of colour not counted. */
export function width(text: string): number {
  return [...text.replace(MARKS, "")].length;
}
