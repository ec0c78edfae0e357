/**
 * `synod check-history FILE`: reads what clients of a real run recorded, says whether it is linearizable, and if not shows and draws
 * the few operations that prove it. It must never print a verdict on a history that it did not read to the end.
 */
import { createReadStream, writeFileSync } from "node:fs";
import type { Readable } from "node:stream";
import { byKey, checkHistory } from "../../sim/linearizability/check.js";
import { explain } from "../../sim/linearizability/explain.js";
import { type History, HistoryError, HistoryReader, LINE_CHARS_MAX } from "../../sim/linearizability/history-format.js";
import { DEFAULT_LIMITS, type SearchLimits } from "../../sim/linearizability/search.js";
import { drawTimeline } from "../../sim/linearizability/timeline.js";
import { answerText, askedText, secondsText, valueText } from "../../sim/linearizability/words.js";
import type { Operation } from "../../sim/workload/operation.js";
import { badArgument, CliError, EXIT } from "../errors.js";
import { type Flags, textFlag } from "../flags.js";
import { renderTable } from "../table.js";

/** Operations of a contradiction that are listed; more say less. */
const LISTED_MAX = 50;
/** Between two notes of progress, operations. */
const NOTE_EVERY = 50_000;
const STDIN = "-";

/** Resolves to 0 if the history is linearizable, 1 if it is not, 7 if the search gave up; throws `CliError` on a file that is no history. */
export async function runCheckHistory(file: string, flags: Flags): Promise<number> {
  const name = file === STDIN ? "stdin" : file;
  const stepsMax = readSteps(textFlag(flags, "steps"));
  const progress = new Progress();
  const history = await readHistory(file, name, progress);
  const { operations } = history;
  if (operations.length === 0) {
    throw new CliError(`${name} holds no operation`, {
      exitCode: EXIT.invalidInput,
      hint: "a file with one JSON object a line: docs/HISTORIES.md",
    });
  }
  const result = checkHistory(operations, {
    limits: { stepsMax },
    onProgress: (checked) => progress.note(`${name}: ${checked} of ${operations.length} operations checked`),
  });
  progress.end();
  switch (result.kind) {
    case "linearizable":
      process.stdout.write(`${name}: linearizable: ${summary(operations)}\n`);
      return EXIT.ok;
    case "gave-up":
      process.stdout.write(undecided(name, result.key, result.limit));
      return EXIT.undecided;
    case "not-linearizable":
      report(name, history, { ...result, svg: textFlag(flags, "svg") ?? (file === STDIN ? undefined : `${file}.svg`) });
      return EXIT.error;
  }
}

function readSteps(text: string | undefined): number {
  if (text === undefined) {
    return DEFAULT_LIMITS.stepsMax;
  }
  const steps = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(steps) || steps === 0) {
    throw badArgument(`--steps ${text} is not a number of steps`, "--steps 100000000");
  }
  return steps;
}

function undecided(name: string, key: string, limit: keyof SearchLimits): string {
  const reached = limit === "stepsMax" ? "its limit of steps" : "its limit of memory";
  return (
    `${name}: undecided: at key ${valueText(key)} the search reached ${reached}; no other key is bad\n` +
    `try: ${limit === "stepsMax" ? "more --steps, or " : ""}a history whose writes have values of their own, or with fewer clients on one key\n`
  );
}

type Found = { readonly key: string; readonly contradiction: readonly Operation[]; readonly svg: string | undefined };

function report(name: string, { operations, originNs }: History, { key, contradiction, svg }: Found): void {
  const ofKey = byKey(operations).get(key) ?? [];
  const explanation = explain(contradiction, ofKey);
  const rows = contradiction
    .slice(0, LISTED_MAX)
    .map((one) => [
      `${one.client}`,
      secondsText(one.start),
      one.end === null ? "-" : secondsText(one.end),
      askedText(one.key, one.input),
      answerText(one),
    ]);
  const more = contradiction.length > LISTED_MAX ? `and ${contradiction.length - LISTED_MAX} more\n` : "";
  const origin = originNs === 0n ? "" : `Times are counted from ${originNs} ns.\n`;
  process.stdout.write(
    `${name}: not linearizable: key ${valueText(key)}, shown by ${contradiction.length} of ${operations.length} operations\n` +
      `${explanation}.\n\n${renderTable(["CLIENT", "ASKED", "ANSWERED", "OPERATION", "ANSWER"], rows)}${more}${origin}`,
  );
  if (svg === undefined) {
    return;
  }
  try {
    writeFileSync(svg, drawTimeline({ key, contradiction, history: ofKey, explanation }));
    process.stdout.write(`Timeline: ${svg}\n`);
  } catch (error) {
    // The verdict stands without its picture, and its exit status is what scripts wait for.
    process.stderr.write(
      `The timeline could not be written: ${error instanceof Error ? error.message : String(error)}\ntry: --svg with a file that can be written\n`,
    );
  }
}

function summary(operations: readonly Operation[]): string {
  const count = (outcome: Operation["outcome"]): number => operations.filter((operation) => operation.outcome === outcome).length;
  const keys = new Set(operations.map(({ key }) => key)).size;
  const clients = new Set(operations.map(({ client }) => client)).size;
  const plural = (n: number, one: string): string => `${n} ${one}${n === 1 ? "" : "s"}`;
  return `${plural(operations.length, "operation")} on ${plural(keys, "key")} by ${plural(clients, "client")}, ${count("unknown")} without an answer, ${count("fail")} failed`;
}

async function readHistory(file: string, name: string, progress: Progress): Promise<History> {
  const reader = new HistoryReader();
  let last = 0;
  try {
    for await (const line of linesOf(file === STDIN ? process.stdin : createReadStream(file))) {
      reader.add(line);
      if (reader.count >= last + NOTE_EVERY) {
        last = reader.count;
        progress.note(`${name}: ${last} operations read`);
      }
    }
    return reader.finish();
  } catch (error) {
    progress.end();
    if (error instanceof HistoryError) {
      throw new CliError(`${name}, ${error.message}`, { exitCode: EXIT.invalidInput, hint: error.remedy, cause: error });
    }
    const reason = error instanceof TypeError ? "it is not UTF-8 text" : isDirectory(error) ? "it is a directory" : messageOf(error);
    throw new CliError(`${name} could not be read: ${reason}`, {
      exitCode: EXIT.io,
      hint: "synod check-history FILE, or - for stdin",
      cause: error,
    });
  }
}

function isDirectory(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "EISDIR";
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The lines of a stream, without their ends. A line longer than allowed comes out cut, just too long: the reader refuses it. */
async function* linesOf(stream: Readable): AsyncGenerator<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk as Uint8Array, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
    if (rest.length > LINE_CHARS_MAX) {
      yield rest;
      return;
    }
  }
  rest += decoder.decode();
  if (rest !== "") {
    yield rest;
  }
}

/** One line on a terminal that is written over and over; nothing elsewhere. */
class Progress {
  private isShown = false;

  note(text: string): void {
    if (process.stderr.isTTY) {
      process.stderr.write(`\r${text}\u001b[K`);
      this.isShown = true;
    }
  }

  end(): void {
    if (this.isShown) {
      process.stderr.write("\r\u001b[K");
      this.isShown = false;
    }
  }
}
