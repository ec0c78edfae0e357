/** Commands from a pipe or a file: one a line, results on stdout, errors on stderr, no prompt. It must never go on after EXIT. */
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { EXIT } from "../errors.js";
import type { Interpreter } from "./interpreter.js";

export type PipedStreams = { readonly input: Readable; readonly output: Writable; readonly errors: Writable };

/** Runs every line of `input` in order. Resolves to 0, or the exit status of the first line that failed; later lines run all the same. */
export async function runPiped(interpreter: Interpreter, streams: PipedStreams, signal: AbortSignal): Promise<number> {
  let exitCode: number = EXIT.ok;
  let number = 0;
  for await (const line of createInterface({ input: streams.input, crlfDelay: Number.POSITIVE_INFINITY })) {
    number++;
    const result = await interpreter.run(line, signal);
    if (result.output !== undefined) {
      streams.output.write(`${result.output}\n`);
    }
    if (result.error !== undefined) {
      const { message, hint } = result.error;
      streams.errors.write(`Error: line ${number}: ${message}\n${hint === undefined ? "" : `try: ${hint}\n`}`);
      exitCode = exitCode === EXIT.ok ? result.error.exitCode : exitCode;
    }
    if (result.isExit || signal.aborted) {
      break;
    }
  }
  return exitCode;
}
