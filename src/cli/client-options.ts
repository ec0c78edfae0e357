/**
 * What every client command takes: endpoints and timeouts, from flags, then SYNOD_*, then ETCDCTL_* as users of etcdctl have them set.
 * It must never dial.
 */
import { parseAddress } from "../client/address.js";
import { DEFAULT_DIAL_TIMEOUT_MS, DEFAULT_TIMEOUT_MS, SynodClient } from "../client/client.js";
import { parseDuration } from "./config/quantities.js";
import { badArgument } from "./errors.js";
import { type Environment, type Flags, textFlag, variable } from "./flags.js";

/** Where a client looks when told nothing. */
export const DEFAULT_ENDPOINT = "localhost:8000";
/** The client port taken where an endpoint names none. */
export const DEFAULT_CLIENT_PORT = 8000;

export type ClientOptions = {
  /** `host:port` each, as dialled, without repetition. */
  readonly endpoints: readonly string[];
  readonly timeoutMs: number;
  readonly dialTimeoutMs: number;
};

/** Reads them. `address` (of `synod client`) stands in for `--endpoints`. Throws `CliError` with status 128. */
export function clientOptions(flags: Flags, environment: Environment, address?: string): ClientOptions {
  const [text, where] = first([
    [address ?? textFlag(flags, "endpoints"), address === undefined ? "--endpoints" : "the address"],
    [variable(environment, "SYNOD_ENDPOINTS"), "SYNOD_ENDPOINTS"],
    [variable(environment, "ETCDCTL_ENDPOINTS"), "ETCDCTL_ENDPOINTS"],
    [DEFAULT_ENDPOINT, "default"],
  ]);
  return {
    endpoints: parseEndpoints(text, where),
    timeoutMs: timeout(textFlag(flags, "commandTimeout"), environment, "command-timeout", DEFAULT_TIMEOUT_MS),
    dialTimeoutMs: timeout(textFlag(flags, "dialTimeout"), environment, "dial-timeout", DEFAULT_DIAL_TIMEOUT_MS),
  };
}

/** The client that `options` describe. */
export function makeClient(options: ClientOptions): SynodClient {
  return new SynodClient(options);
}

function parseEndpoints(text: string, where: string): readonly string[] {
  const parts = text
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
  if (parts.length === 0) {
    throw badArgument(`${where} names no server; allowed is host:port, several with commas between them`, DEFAULT_ENDPOINT);
  }
  const endpoints = parts.map((part) => {
    const address = parseAddress(part, { defaultPort: DEFAULT_CLIENT_PORT, allowScheme: true });
    if ("problem" in address) {
      throw badArgument(`${where} '${part}' ${address.problem}; allowed is ${address.allowed}`, DEFAULT_ENDPOINT);
    }
    return address.canonical;
  });
  return [...new Set(endpoints)];
}

function timeout(flag: string | undefined, environment: Environment, name: string, usual: number): number {
  const upper = name.toUpperCase().replaceAll("-", "_");
  const [text, where] = first([
    [flag, `--${name}`],
    [variable(environment, `SYNOD_${upper}`), `SYNOD_${upper}`],
    [variable(environment, `ETCDCTL_${upper}`), `ETCDCTL_${upper}`],
    [`${usual}ms`, "default"],
  ]);
  return parseTimeout(text, where, usual, `--${name}`);
}

/** A duration above zero that stands at `where`. Throws `CliError` with status 128. */
export function parseTimeout(text: string, where: string, usual: number, flag = where): number {
  const ms = parseDuration(text, { bareIsMs: false });
  if (ms === undefined || ms <= 0) {
    throw badArgument(
      `${where} is '${text}'; allowed is a duration above zero with its unit, such as 5s or 500ms`,
      `${flag}=${usual / 1000}s`,
    );
  }
  return ms;
}

function first(candidates: ReadonlyArray<readonly [value: unknown, where: string]>): readonly [text: string, where: string] {
  for (const [value, where] of candidates) {
    if (typeof value === "string") {
      return [value, where];
    }
  }
  return ["", "default"];
}
