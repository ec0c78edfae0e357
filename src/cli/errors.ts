/**
 * How the command says that something went wrong: one sentence, one thing to try, one exit status.
 * It must never print a stack to a person who made a mistake, and never hide one of a bug.
 */
import { StoreError } from "../client/error.js";

/** Exit statuses, those of etcd's tools where both have the case. Scripts rely on them: never change one. */
export const EXIT = {
  ok: 0,
  /** The command failed for a reason without a number of its own, such as the time that ran out. */
  error: 1,
  /** No server could be reached, or the connection broke. */
  badConnection: 2,
  /** The input was not understood, or is not allowed. */
  invalidInput: 3,
  /** A server answered that it cannot. */
  serverError: 4,
  /** A server or the cluster is unhealthy, or the command was interrupted. */
  unhealthy: 5,
  /** A file or a stream could not be read or written. */
  io: 6,
  /** A check ended without a verdict, at a limit of its own. */
  undecided: 7,
  /** The command line or the configuration is wrong. */
  badArguments: 128,
} as const;

export type CliErrorOptions = {
  readonly exitCode: number;
  /** What to type or do next, after "try:". */
  readonly hint?: string;
  readonly cause?: unknown;
};

/** A failure that a person is to read. */
export class CliError extends Error {
  override readonly name = "CliError";
  readonly exitCode: number;
  readonly hint: string | undefined;

  constructor(message: string, options: CliErrorOptions) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.exitCode = options.exitCode;
    this.hint = options.hint;
  }
}

/** A mistake in arguments or configuration: status 128. */
export function badArgument(message: string, hint?: string): CliError {
  return new CliError(message, hint === undefined ? { exitCode: EXIT.badArguments } : { exitCode: EXIT.badArguments, hint });
}

/** What `error` comes to, as a `CliError`; a `StoreError` gets its exit status and what to try. */
export function toCliError(error: unknown): CliError {
  if (error instanceof CliError) {
    return error;
  }
  if (error instanceof StoreError) {
    // Where a server answered, its own sentence says this already.
    const isSilent = error.code === "connection" || error.code === "timeout" || error.code === "cancelled";
    const doubt = isSilent && error.outcome === "unknown" ? "; the write may have been applied, or may still be" : "";
    return new CliError(`${error.message}${doubt}`, { exitCode: storeExitCode(error), cause: error, hint: storeHint(error) });
  }
  return new CliError(error instanceof Error ? error.message : String(error), { exitCode: EXIT.error, cause: error });
}

/** The lines for stderr. `json` gives one line of JSON instead. */
export function renderError(error: CliError, json: boolean): string {
  if (json) {
    const store = error.cause instanceof StoreError ? error.cause : undefined;
    return `${JSON.stringify({
      error: error.message,
      code: store?.code ?? "cli",
      exitCode: error.exitCode,
      ...(store === undefined ? {} : { outcome: store.outcome, endpoint: store.endpoint }),
      ...(error.hint === undefined ? {} : { try: error.hint }),
    })}\n`;
  }
  return `Error: ${error.message}\n${error.hint === undefined ? "" : `try: ${error.hint}\n`}`;
}

/** A failure whose cause is neither a person's mistake nor a server's answer: its stack is worth printing. */
export function isBug(error: unknown): boolean {
  return !(error instanceof CliError || error instanceof StoreError) && error instanceof Error && !("code" in error);
}

function storeExitCode(error: StoreError): number {
  switch (error.code) {
    case "connection":
      return EXIT.badConnection;
    case "invalid-argument":
      return EXIT.invalidInput;
    case "refused":
    case "session-expired":
    case "unavailable":
    case "resource-exhausted":
    case "unimplemented":
    case "internal":
      return EXIT.serverError;
    case "cancelled":
      return EXIT.unhealthy;
    case "timeout":
      return EXIT.error;
  }
}

/** What a server says that is to set its data directory aside: it answers nothing before that, and no other server is missing. */
const LEFT_BEHIND = /\bthe others go on without it\b/;

function storeHint(error: StoreError): string {
  switch (error.code) {
    case "refused":
      return "what the message asks for, then the same again; synod member list shows the members";
    case "connection":
      return "synod up to start servers, or the addresses of running ones";
    case "unavailable":
      return LEFT_BEHIND.test(error.message)
        ? "another endpoint, of a server that the others have not gone on without"
        : "synod status, to see which servers are missing";
    case "timeout":
      return "synod status, or a longer --command-timeout";
    case "invalid-argument":
      return "a key and a value as the message asks for; synod config show lists the limits";
    case "resource-exhausted":
      return /quota/i.test(error.message)
        ? "deleting keys, or a higher quota_bytes on every server"
        : "a smaller request, or higher limits on every server: synod config show lists them";
    case "session-expired":
      return "synod get KEY, to see whether the write was applied, before the same command again";
    case "cancelled":
      return "the same command again";
    case "unimplemented":
      return "another endpoint: this one is not a Synod server for clients (its client address is my_addr, not my_paxos)";
    case "internal":
      return "synod status, and the log of that server";
  }
}
