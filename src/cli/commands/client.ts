/** `synod client`: the prompt on a terminal, the same commands from a pipe without one. */
import { clientOptions, makeClient } from "../client-options.js";
import { badArgument, EXIT } from "../errors.js";
import type { Flags } from "../flags.js";
import { historyPath } from "../repl/history.js";
import { Interpreter } from "../repl/interpreter.js";
import { runPiped } from "../repl/piped.js";
import { Prompt } from "../repl/prompt.js";
import { runTour } from "../repl/tour.js";

/** `synod client true` is understood too: a tour at the usual address. */
export async function runClient(address: string | undefined, tour: string | undefined, flags: Flags): Promise<number> {
  const isTourOnly = tour === undefined && (address === "true" || address === "false");
  const wantsTour = readTour(isTourOnly ? address : tour);
  const options = clientOptions(flags, process.env, isTourOnly ? undefined : address);
  await using client = makeClient(options);
  const interpreter = new Interpreter(client);
  const interrupted = new AbortController();
  let exitCode: number = EXIT.ok;
  const onSignal = (): void => interrupted.abort();
  if (wantsTour) {
    process.once("SIGINT", onSignal);
    exitCode = await runTour(interpreter, process.stdout, interrupted.signal);
    process.removeListener("SIGINT", onSignal);
  }
  if (interrupted.signal.aborted) {
    return exitCode;
  }
  if (process.stdin.isTTY !== true) {
    const streams = { input: process.stdin, output: process.stdout, errors: process.stderr };
    const pipedCode = await runPiped(interpreter, streams, interrupted.signal);
    return exitCode === EXIT.ok ? pipedCode : exitCode;
  }
  process.stdout.write(`Synod at ${options.endpoints.join(", ")}. HELP lists the commands, EXIT leaves.\n`);
  const prompt = new Prompt(interpreter, {
    prompt: "synod> ",
    history: historyPath(process.env),
    input: process.stdin,
    output: process.stdout,
  });
  await prompt.done;
  return exitCode;
}

function readTour(text: string | undefined): boolean {
  const lower = text?.toLowerCase();
  if (lower !== undefined && lower !== "true" && lower !== "false") {
    throw badArgument(`the second argument of synod client is '${text}'; allowed is true or false`, "synod client localhost:8000 true");
  }
  return lower === "true";
}
