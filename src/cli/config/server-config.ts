/**
 * Merges the layers (flag > argument > environment > file > default), checks every value, and makes the `ServerConfig`.
 * A mistake names the field, where it stands, its value and what is allowed. It must never start or touch anything.
 */
import { resolve } from "node:path";
import { z } from "zod";
import { parseAddress } from "../../client/address.js";
import { LIMITS, LOG_FORMATS, LOG_LEVELS, type ServerConfig } from "../../server/config.js";
import { badArgument } from "../errors.js";
import { formatBytes, formatDuration, parseBytes, parseDuration } from "./quantities.js";
import { serverAddresses } from "./server-addresses.js";
import { allowedFor, SETTINGS, type Setting } from "./settings.js";
import type { Origin, RawSettings, RawValue } from "./sources.js";

/** One line of `synod config show`. */
export type ShownSetting = {
  readonly setting: Setting;
  /** Undefined where the setting is required and nobody gave it. */
  readonly value: string | number | readonly string[] | undefined;
  readonly origin: Origin;
};

export type ResolvedConfig = { readonly config: ServerConfig; readonly shown: readonly ShownSetting[] };

export type ResolveOptions = {
  /** The strongest first. */
  readonly layers: readonly RawSettings[];
  readonly warnings: readonly string[];
  readonly version: string;
  /** Relative paths start here. */
  readonly workingDir: string;
};

const DEFAULT_ORIGIN: Origin = { layer: "default", where: "default" };
const DATA_DIR_PARENT = "synod-data";

function whole(key: keyof typeof LIMITS) {
  return z.number().int().min(LIMITS[key].min).max(LIMITS[key].max).default(LIMITS[key].default);
}

/** Everything but the addresses and the data directory, whose rules look at more than one value. */
const SCALARS = z.strictObject({
  failRate: z.number().min(LIMITS.failRate.min).lt(LIMITS.failRate.max).default(LIMITS.failRate.default),
  logLevel: z.enum(LOG_LEVELS).default("info"),
  logFormat: z.enum(LOG_FORMATS).default("auto"),
  pingMs: whole("pingMs"),
  grantMs: whole("grantMs"),
  suspectMs: whole("suspectMs"),
  requestTimeoutMs: whole("requestTimeoutMs"),
  maxKeyBytes: whole("maxKeyBytes"),
  maxRequestBytes: whole("maxRequestBytes"),
  batchMaxBytes: whole("batchMaxBytes"),
  batchMaxCommands: whole("batchMaxCommands"),
  windowSlots: whole("windowSlots"),
  windowBytes: whole("windowBytes"),
  quotaBytes: whole("quotaBytes"),
  historyMaxAgeMs: whole("historyMaxAgeMs"),
  historyMaxBytes: whole("historyMaxBytes"),
  segmentBytes: whole("segmentBytes"),
  snapshotEverySlots: whole("snapshotEverySlots"),
  snapshotEveryBytes: whole("snapshotEveryBytes"),
  keepSlots: whole("keepSlots"),
  keepBytes: whole("keepBytes"),
  maxConnections: whole("maxConnections"),
  removeAfterMs: whole("removeAfterMs"),
  stableMs: whole("stableMs"),
  minVoters: whole("minVoters"),
  electable: z.enum(["true", "false"]).default("true"),
  drainMs: whole("drainMs"),
});

type Scalars = z.infer<typeof SCALARS>;

/** The configuration that `layers` come to. Throws `CliError` with status 128. */
export function resolveServerConfig(options: ResolveOptions): ResolvedConfig {
  const merged = merge(options.layers);
  const scalars = checkScalars(merged);
  const crossWarnings = checkTogether(scalars);
  const addresses = serverAddresses({
    client: required(merged, "my_addr"),
    paxos: required(merged, "my_paxos"),
    ...listsOf(merged),
  });
  const dataDir = dataDirOf(merged.get("data_dir")?.[0], addresses.paxosAddress, options.workingDir);
  const config: ServerConfig = {
    version: options.version,
    ...scalars,
    ...addresses,
    dataDir,
    electable: scalars.electable === "true",
    warnings: [...options.warnings, ...addresses.warnings, ...crossWarnings],
  };
  return { config, shown: showSettings(options.layers, options.workingDir) };
}

/** Every setting with the value and origin that win, whether or not a server could start with them. */
export function showSettings(layers: readonly RawSettings[], workingDir: string): readonly ShownSetting[] {
  const merged = merge(layers);
  const scalars: Readonly<Record<string, unknown>> = checkScalars(merged);
  return SETTINGS.map((setting) => {
    const raw = merged.get(setting.name) ?? [];
    const origin = raw[0]?.origin ?? DEFAULT_ORIGIN;
    if (setting.kind === "addresses") {
      return { setting, value: raw.length === 0 ? undefined : raw.map((one) => String(one.value)), origin };
    }
    if (setting.kind === "path") {
      const paxos = parseAddress(String(merged.get("my_paxos")?.[0]?.value ?? ""));
      return { setting, value: dataDirOf(raw[0], "canonical" in paxos ? paxos.canonical : undefined, workingDir), origin };
    }
    const value = scalars[setting.key] ?? raw[0]?.value;
    return { setting, value: typeof value === "string" || typeof value === "number" ? value : undefined, origin };
  });
}

/** `1.5 MiB`, `10 m`: what a plain number of a setting means; empty where the number says it all. */
export function meaningOf(shown: ShownSetting): string {
  if (typeof shown.value !== "number") {
    return "";
  }
  if (shown.setting.kind === "bytes") {
    return shown.value < 1024 ? "" : formatBytes(shown.value);
  }
  return shown.setting.kind === "duration" && shown.value >= 1000 ? formatDuration(shown.value) : "";
}

function merge(layers: readonly RawSettings[]): RawSettings {
  const merged = new Map<string, readonly RawValue[]>();
  for (const layer of [...layers].reverse()) {
    for (const [name, values] of layer) {
      merged.set(name, values);
    }
  }
  return merged;
}

function checkScalars(merged: RawSettings): Scalars {
  const plain: Record<string, unknown> = {};
  for (const setting of SETTINGS) {
    const raw = merged.get(setting.name)?.[0];
    if (raw !== undefined && (setting.limit !== undefined || setting.kind === "choice")) {
      plain[setting.key] = converted(setting, raw);
    }
  }
  const result = SCALARS.safeParse(plain);
  if (result.success) {
    return result.data;
  }
  const key = String(result.error.issues[0]?.path[0]);
  const setting = SETTINGS.find((one) => one.key === key);
  const raw = setting === undefined ? undefined : merged.get(setting.name)?.[0];
  if (setting === undefined || raw === undefined) {
    throw new Error(`a default is not allowed: ${z.prettifyError(result.error)}`);
  }
  throw notAllowed(setting, raw);
}

/** The number or word that `raw` stands for; what stands for none goes on as it is, and is refused with the others. */
function converted(setting: Setting, raw: RawValue): string | number {
  if (typeof raw.value === "number" || setting.kind === "choice") {
    return raw.value;
  }
  switch (setting.kind) {
    case "duration":
      return parseDuration(raw.value, { bareIsMs: true }) ?? raw.value;
    case "bytes":
      return parseBytes(raw.value) ?? raw.value;
    default:
      return /^-?[0-9]*\.?[0-9]+(e[+-]?[0-9]+)?$/i.test(raw.value) ? Number(raw.value) : raw.value;
  }
}

function notAllowed(setting: Setting, raw: RawValue) {
  return badArgument(
    `${setting.name} (${raw.origin.where}) is ${quoted(raw)}; allowed is ${allowedFor(setting)}`,
    raw.origin.layer === "flag" || raw.origin.layer === "environment"
      ? `${raw.origin.where}=${setting.example.replaceAll("'", "")}`
      : `${setting.name}:${setting.example}`,
  );
}

function quoted(raw: RawValue): string {
  return typeof raw.value === "number" ? String(raw.value) : `'${raw.value}'`;
}

/** Values that are allowed alone and not together; what merely is unwise comes back as warnings. */
function checkTogether(scalars: Scalars): readonly string[] {
  const { maxKeyBytes, maxRequestBytes, batchMaxBytes, segmentBytes, windowBytes, pingMs, suspectMs, grantMs } = scalars;
  if (maxKeyBytes > maxRequestBytes) {
    throw badArgument(
      `max_key_bytes is ${maxKeyBytes}, more than max_request_bytes ${maxRequestBytes}; allowed is at most the request that carries the key`,
      `max_request_bytes:${maxKeyBytes * 2}`,
    );
  }
  const largest = Math.max(batchMaxBytes, maxRequestBytes);
  if (segmentBytes < 2 * largest) {
    throw badArgument(
      `segment_bytes is ${segmentBytes}; allowed is at least twice the larger of batch_max_bytes ${batchMaxBytes} and max_request_bytes ${maxRequestBytes}`,
      `segment_bytes:${2 * largest}`,
    );
  }
  if (windowBytes < largest) {
    throw badArgument(
      `window_bytes is ${windowBytes}; allowed is at least the larger of batch_max_bytes ${batchMaxBytes} and max_request_bytes ${maxRequestBytes}`,
      `window_bytes:${largest}`,
    );
  }
  const warnings: string[] = [];
  if (suspectMs < 3 * pingMs) {
    warnings.push(`suspect_ms ${suspectMs} is less than three times ping_ms ${pingMs}: two lost Pings make a working server suspected`);
  }
  if (grantMs < suspectMs) {
    warnings.push(`grant_ms ${grantMs} is less than suspect_ms ${suspectMs}: a working coordinator may be deposed`);
  }
  return warnings;
}

function required(merged: RawSettings, name: string): RawValue {
  const raw = merged.get(name)?.[0];
  const setting = SETTINGS.find((one) => one.name === name);
  if (raw === undefined || setting === undefined) {
    throw missing(name);
  }
  if (!raw.isQuoted) {
    throw notAllowed(setting, raw);
  }
  return raw;
}

/** The servers that found a cluster, or those by which this one joins one: exactly one of the two. */
function listsOf(merged: RawSettings): { readonly replicas: readonly RawValue[]; readonly join: readonly RawValue[] } {
  const [replicas, join] = [quotedList(merged, "replica"), quotedList(merged, "join")];
  if (replicas.length === 0 && join.length === 0) {
    throw missing("replica");
  }
  const [replica] = replicas;
  const [joined] = join;
  if (replica !== undefined && joined !== undefined) {
    throw badArgument(
      `replica (${replica.origin.where}) and join (${joined.origin.where}) are both given; allowed is replica for servers that found a cluster together, or join for one that is added to a running cluster`,
      "leaving out replica, to add this server",
    );
  }
  return { replicas, join };
}

function quotedList(merged: RawSettings, name: string): readonly RawValue[] {
  const raw = merged.get(name) ?? [];
  const setting = SETTINGS.find((one) => one.name === name);
  const wrong = raw.find((one) => !one.isQuoted);
  if (wrong !== undefined && setting !== undefined) {
    throw notAllowed(setting, wrong);
  }
  return raw;
}

function missing(name: string) {
  const meaning = SETTINGS.find((one) => one.name === name)?.summary ?? "";
  return badArgument(
    `${name} is missing: ${meaning}`,
    `synod server "my_addr:'127.0.0.1:8000' my_paxos:'127.0.0.1:9000' replica:'127.0.0.1:9000'", or synod up for several servers at once${name === "replica" ? ", or join in place of replica to add this server to a running cluster" : ""}`,
  );
}

/** `./synod-data/127.0.0.1_9000` for that Paxos address: one per server, so that several run from one folder. */
function dataDirOf(raw: RawValue | undefined, paxosAddress: string | undefined, workingDir: string): string {
  if (raw === undefined) {
    return resolve(workingDir, DATA_DIR_PARENT, (paxosAddress ?? "").replace(/[^A-Za-z0-9.-]/g, "_"));
  }
  const path = String(raw.value);
  if (!raw.isQuoted || path === "" || path.includes("\0")) {
    throw badArgument(`data_dir (${raw.origin.where}) is '${path}'; allowed is a path in quotes, not empty`, "data_dir:'./synod-data/one'");
  }
  return resolve(workingDir, path);
}
