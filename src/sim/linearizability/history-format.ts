/**
 * Histories as text, one operation a line in JSON; docs/HISTORIES.md is the definition for users. Reading checks every field and
 * says what is wrong, where, and what to write instead. It must never guess: a wrong history gives a wrong verdict.
 */
import type { Input, Operation, Outcome, Output } from "../workload/operation.js";

/** Operations in one history; more do not fit into the memory of an ordinary process. */
export const OPERATIONS_MAX = 2_000_000;
/** Characters in one line. */
export const LINE_CHARS_MAX = 1 << 20;

const NANOS_PER_MICRO = 1000;
/** Times from here on are counted from the first operation's start: a fraction of a microsecond would not fit beside them. */
const ORIGIN_FROM_NS = 2 ** 51;
const BIG_TIMES = /"(start_ns|end_ns)"(\s*:\s*)(-?\d{16,})(?=\s*[,}])/g;
const INTEGER = /^-?\d+$/;

/** A line that is no operation. `line` counts from 1. */
export class HistoryError extends Error {
  override readonly name = "HistoryError";
  readonly line: number;
  /** What to write instead. */
  readonly remedy: string;

  constructor(line: number, message: string, remedy: string) {
    super(`line ${line}: ${message}`);
    this.line = line;
    this.remedy = remedy;
  }
}

/** `originNs` is what the times of `operations` are counted from: 0, or the start of the first operation where times are big. */
export type History = { readonly operations: readonly Operation[]; readonly originNs: bigint };

/** The operation as a line, without its end. Times are rounded to nanoseconds. */
export function formatOperation(operation: Operation): string {
  const { client, server, key, input, start, end, outcome, output } = operation;
  // A read that says nothing of its value is no better than one that was not answered.
  const isTold = outcome === "ok" && (input.op !== "get" || output?.value !== undefined);
  return JSON.stringify({
    client,
    server,
    start_ns: Math.round(start * NANOS_PER_MICRO),
    end_ns: end === null ? null : Math.round(end * NANOS_PER_MICRO),
    op: input.op,
    key,
    input: inputField(input),
    output: isTold ? outputField(input, output) : null,
    outcome: outcome === "ok" && !isTold ? "unknown" : outcome,
    ...(output?.revision == null ? {} : { revision: output.revision }),
  });
}

function inputField(input: Input): unknown {
  switch (input.op) {
    case "put":
      return input.value;
    case "cas":
      return { expected: input.expected, value: input.value };
    default:
      return null;
  }
}

function outputField(input: Input, output: Output | null): unknown {
  switch (input.op) {
    case "get":
      return output?.value ?? null;
    case "put":
      return null;
    case "delete":
      return output?.deleted ?? null;
    case "cas":
      return output?.swapped ?? null;
  }
}

/** Reads a history line by line. `add` throws `HistoryError`. */
export class HistoryReader {
  private readonly operations: Operation[] = [];
  private readonly operationsMax: number;
  private readonly keys = new Map<string, string>();
  private origin: bigint | null = null;
  private lines = 0;

  constructor(operationsMax: number = OPERATIONS_MAX) {
    this.operationsMax = operationsMax;
  }

  get count(): number {
    return this.operations.length;
  }

  /** Takes the next line, without its end; an empty one is passed over. */
  add(text: string): void {
    const line = ++this.lines;
    if (text.length > LINE_CHARS_MAX) {
      throw new HistoryError(line, `longer than ${LINE_CHARS_MAX} characters`, "one operation a line, with shorter values");
    }
    if (text.trim() === "") {
      return;
    }
    if (this.operations.length >= this.operationsMax) {
      throw new HistoryError(
        line,
        `more than ${this.operationsMax} operations`,
        "several files, each with all the operations of some of the keys",
      );
    }
    this.operations.push(this.read(new Fields(line, text)));
  }

  finish(): History {
    return { operations: this.operations, originNs: this.origin ?? 0n };
  }

  private read(fields: Fields): Operation {
    const outcome = fields.oneOf("outcome", ["ok", "fail", "unknown"] as const);
    const input = readInput(fields);
    const startNs = fields.time("start_ns", "the nanosecond at which it was asked, an integer");
    const endNs = fields.isNull("end_ns")
      ? null
      : fields.time("end_ns", "the nanosecond of the answer, an integer, or null where none came");
    if (endNs === null && outcome === "ok") {
      throw fields.wrong("end_ns", "is null, yet the outcome is ok", 'the nanosecond of the answer, or "outcome":"unknown"');
    }
    if (endNs !== null && endNs < startNs) {
      throw fields.wrong("end_ns", "is before start_ns", "both from one clock that never goes back");
    }
    this.origin ??= startNs >= BigInt(ORIGIN_FROM_NS) ? startNs : 0n;
    const key = fields.text("key", "the key, a string");
    this.keys.set(key, this.keys.get(key) ?? key);
    return {
      client: fields.index("client"),
      server: fields.isNull("server") ? 0 : fields.index("server"),
      key: this.keys.get(key) ?? key,
      input,
      start: this.microsOf(startNs, fields, "start_ns"),
      end: endNs === null ? null : this.microsOf(endNs, fields, "end_ns"),
      outcome,
      output: outcome === "ok" ? readOutput(fields, input) : null,
    };
  }

  private microsOf(nanos: bigint, fields: Fields, name: string): number {
    const since = Number(nanos - (this.origin ?? 0n));
    if (!Number.isSafeInteger(since)) {
      throw fields.wrong(name, "is more than a hundred days from the first operation's start", "nanoseconds of one clock");
    }
    return since / NANOS_PER_MICRO;
  }
}

function readInput(fields: Fields): Input {
  const op = fields.oneOf("op", ["get", "put", "delete", "cas"] as const);
  switch (op) {
    case "get":
    case "delete":
      return { op };
    case "put":
      return { op, value: fields.text("input", "the value that was put, a string") };
    case "cas": {
      const remedy = '{"expected": a string, or null for absent, "value": a string}';
      const given = fields.of("input");
      const { expected, value } = (typeof given === "object" && given !== null ? given : {}) as Readonly<Record<string, unknown>>;
      if ((typeof expected !== "string" && expected !== null) || typeof value !== "string") {
        throw fields.wrong("input", "is not that of a cas", remedy);
      }
      return { op, expected, value };
    }
  }
}

function readOutput(fields: Fields, input: Input): Output {
  const revision = fields.isNull("revision") ? null : fields.index("revision");
  const output = fields.of("output");
  switch (input.op) {
    case "get":
      if (typeof output !== "string" && output !== null) {
        throw fields.wrong("output", "is not that of a get", "the value that was read, a string, or null for absent");
      }
      return { value: output, revision };
    case "put":
      return { revision };
    case "delete":
    case "cas": {
      if (output === null || output === undefined) {
        return { revision };
      }
      if (typeof output !== "boolean") {
        throw fields.wrong(
          "output",
          `is not that of a ${input.op}`,
          `true if it ${input.op === "cas" ? "swapped" : "removed something"}, else false, or null where that was not told`,
        );
      }
      return input.op === "cas" ? { swapped: output, revision } : { deleted: output, revision };
    }
  }
}

/** The fields of one line. */
class Fields {
  private readonly line: number;
  private readonly given: Readonly<Record<string, unknown>>;

  constructor(line: number, text: string) {
    this.line = line;
    this.given = parseObject(line, text);
  }

  wrong(name: string, problem: string, remedy: string): HistoryError {
    return new HistoryError(this.line, `"${name}" ${problem}`, `"${name}": ${remedy}`);
  }

  of(name: string): unknown {
    return Object.hasOwn(this.given, name) ? this.given[name] : undefined;
  }

  isNull(name: string): boolean {
    return this.of(name) === null || (this.of(name) === undefined && (name === "server" || name === "revision"));
  }

  oneOf<T extends Outcome | Input["op"]>(name: string, choices: readonly T[]): T {
    const value = this.of(name);
    const found = choices.find((choice) => choice === value);
    if (found === undefined) {
      throw this.wrong(name, this.problemWith(value), choices.map((choice) => `"${choice}"`).join(" or "));
    }
    return found;
  }

  text(name: string, remedy: string): string {
    const value = this.of(name);
    if (typeof value !== "string") {
      throw this.wrong(name, this.problemWith(value), remedy);
    }
    return value;
  }

  index(name: string): number {
    const value = this.of(name);
    if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) {
      throw this.wrong(name, this.problemWith(value), "an integer from 0 on");
    }
    return value;
  }

  /** An integer as a number or as a string of digits. */
  time(name: string, remedy: string): bigint {
    const value = this.of(name);
    if (typeof value === "number" && Number.isSafeInteger(value)) {
      return BigInt(value);
    }
    if (typeof value === "string" && INTEGER.test(value)) {
      return BigInt(value);
    }
    throw this.wrong(name, this.problemWith(value), remedy);
  }

  private problemWith(value: unknown): string {
    return value === undefined ? "is missing" : `is ${JSON.stringify(value).slice(0, 60)}`;
  }
}

function parseObject(line: number, text: string): Readonly<Record<string, unknown>> {
  let parsed: unknown;
  try {
    // JSON's numbers lose digits above 2^53; as strings they keep them. Inside a string a quote stands behind a backslash, so
    // no value is taken for a field.
    parsed = JSON.parse(text.replace(BIG_TIMES, '"$1"$2"$3"'));
  } catch (error) {
    throw new HistoryError(
      line,
      `not JSON (${error instanceof Error ? error.message : String(error)})`,
      "one JSON object a line: docs/HISTORIES.md",
    );
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
    throw new HistoryError(line, "not a JSON object", "one JSON object a line: docs/HISTORIES.md");
  }
  return parsed as Readonly<Record<string, unknown>>;
}
