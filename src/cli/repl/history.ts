/** The lines typed at earlier prompts, in a file of the user's. A history that cannot be read or written is no error: the prompt works without. */
import { readFileSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { type Environment, variable } from "../flags.js";

/** Lines kept. */
export const HISTORY_MAX = 1000;

/** Where the history is: SYNOD_HISTORY, or `.synod_history` at home. */
export function historyPath(environment: Environment): string {
  return variable(environment, "SYNOD_HISTORY") ?? join(homedir(), ".synod_history");
}

/** The newest line first, as readline wants it. */
export function loadHistory(path: string): string[] {
  try {
    const lines = readFileSync(path, "utf8").split("\n");
    return lines
      .filter((line) => line !== "")
      .slice(-HISTORY_MAX)
      .reverse();
  } catch {
    return []; // no history yet, or none to be had
  }
}

/** Writes `newestFirst`, readable only by the user: keys and values may be private. */
export function saveHistory(path: string, newestFirst: readonly string[]): void {
  try {
    const lines = newestFirst.slice(0, HISTORY_MAX).reverse();
    writeFileSync(path, lines.map((line) => `${line}\n`).join(""), { mode: 0o600 });
  } catch {
    // a read-only home: the next prompt begins without history
  }
}
