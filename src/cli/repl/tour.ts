/** The tour of `synod client ADDR true`: fills the store with sample pairs, then shows DELETE, GET and PUT, each with its result. */
import type { Writable } from "node:stream";
import { EXIT } from "../errors.js";
import type { Interpreter } from "./interpreter.js";
import { quoteWord } from "./parse.js";

/** What the store is filled with: cities and their countries. */
export const SAMPLE_PAIRS: ReadonlyArray<readonly [key: string, value: string]> = [
  ["Paris", "France"],
  ["Kyoto", "Japan"],
  ["Nairobi", "Kenya"],
  ["Lima", "Peru"],
  ["Oslo", "Norway"],
  ["Hanoi", "Vietnam"],
  ["Cairo", "Egypt"],
  ["Quito", "Ecuador"],
  ["Auckland", "New Zealand"],
  ["Reykjavik", "Iceland"],
];

/** The lines that follow: a deleted key is not found, a new value is read back, deleting an absent key succeeds. */
export const TOUR_LINES: readonly string[] = [
  "DELETE Paris",
  "DELETE Kyoto",
  "DELETE Nairobi",
  "DELETE Lima",
  "DELETE Oslo",
  "GET Paris",
  "GET Kyoto",
  "GET Hanoi",
  "GET Cairo",
  "GET Auckland",
  "PUT Paris 'the city of light'",
  "PUT Hanoi 'the city between rivers'",
  "PUT Lima 'the city of kings'",
  "PUT Oslo 'the tiger city'",
  "PUT Quito 'the middle of the world'",
  "GET Paris",
  "GET Hanoi",
  "DELETE 'no such city'",
];

/** Runs it, printing every command and what it gave. Resolves to 0, or the exit status of the first line that failed. */
export async function runTour(interpreter: Interpreter, output: Writable, signal: AbortSignal): Promise<number> {
  let exitCode: number = EXIT.ok;
  const fill = SAMPLE_PAIRS.map(([key, value]) => `PUT ${quoteWord(key)} ${quoteWord(value)}`);
  for (const line of [...fill, ...TOUR_LINES]) {
    if (signal.aborted) {
      return EXIT.unhealthy;
    }
    const result = await interpreter.run(line, signal);
    output.write(`> ${line}\n${result.error === undefined ? result.output : `Error: ${result.error.message}`}\n`);
    if (result.error !== undefined && exitCode === EXIT.ok) {
      exitCode = result.error.exitCode;
    }
  }
  return exitCode;
}
