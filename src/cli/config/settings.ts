/**
 * What a server can be told: each setting once, with its kind, bounds and meaning. The text format's fields, the flags, the
 * environment, the configuration file, the help and `synod config show` are all made from this table.
 * It must never read a value.
 */
import { LIMITS, LOG_FORMATS, LOG_LEVELS, type NumberLimit } from "../../server/config.js";

/**
 * How a value is written: an address; several addresses; a plain number; a duration (`100`, `"100ms"`), a size (`1048576`, `"1MiB"`);
 * one of some words; a path.
 */
export type SettingKind = "address" | "addresses" | "ratio" | "duration" | "bytes" | "count" | "choice" | "path";

export type Setting = {
  /** As in the text format, snake case; the flag is `--kebab-case`, the variable `SYNOD_UPPER_CASE`. */
  readonly name: string;
  /** The field of `ServerConfig` that it becomes, where there is one of its own. */
  readonly key: string;
  readonly kind: SettingKind;
  readonly summary: string;
  /** For numbers. */
  readonly limit?: NumberLimit;
  /** For words. */
  readonly choices?: readonly string[];
  /** A value that would do, as written in the text format. */
  readonly example: string;
  readonly isRequired: boolean;
};

function number(name: string, key: keyof typeof LIMITS, kind: SettingKind, summary: string): Setting {
  const limit: NumberLimit = LIMITS[key];
  return { name, key, kind, summary, limit, example: String(kind === "ratio" ? 0.3 : limit.default), isRequired: false };
}

/** Every setting, in the order in which people read them. */
export const SETTINGS: readonly Setting[] = [
  {
    name: "my_addr",
    key: "clientListen",
    kind: "address",
    summary: "where clients connect; 0.0.0.0 is every interface",
    example: "'127.0.0.1:8000'",
    isRequired: true,
  },
  {
    name: "my_paxos",
    key: "paxosListen",
    kind: "address",
    summary: "where the other servers connect; the name of this server in every list",
    example: "'127.0.0.1:9000'",
    isRequired: true,
  },
  {
    name: "replica",
    key: "replicas",
    kind: "addresses",
    summary: "my_paxos of every server that founds the cluster, this one included; once for each (required, or join)",
    example: "'127.0.0.1:9000'",
    isRequired: false,
  },
  {
    name: "join",
    key: "join",
    kind: "addresses",
    summary: "my_paxos of servers of the running cluster that this one joins if its data_dir is empty; in place of replica",
    example: "'127.0.0.1:9000'",
    isRequired: false,
  },
  {
    name: "electable",
    key: "electable",
    kind: "choice",
    choices: ["true", "false"],
    summary: "whether a server that joins votes by itself once it keeps up; false: it waits for synod member promote",
    example: "false",
    isRequired: false,
  },
  number("fail_rate", "failRate", "ratio", "chance that this acceptor refuses or ignores a message, as a test"),
  {
    name: "data_dir",
    key: "dataDir",
    kind: "path",
    summary: "folder of everything durable",
    example: "'./synod-data/one'",
    isRequired: false,
  },
  {
    name: "log_level",
    key: "logLevel",
    kind: "choice",
    choices: LOG_LEVELS,
    summary: "how much the log says",
    example: "'info'",
    isRequired: false,
  },
  {
    name: "log_format",
    key: "logFormat",
    kind: "choice",
    choices: LOG_FORMATS,
    summary: "auto is pretty on a terminal, json elsewhere",
    example: "'json'",
    isRequired: false,
  },
  number("ping_ms", "pingMs", "duration", "rhythm of Pings between servers"),
  number("grant_ms", "grantMs", "duration", "how long a heard coordinator is not deposed"),
  number("suspect_ms", "suspectMs", "duration", "silence after which a server is suspected"),
  number("request_timeout_ms", "requestTimeoutMs", "duration", "how long a request without a deadline waits"),
  number("max_key_bytes", "maxKeyBytes", "bytes", "longest key"),
  number("max_request_bytes", "maxRequestBytes", "bytes", "largest request"),
  number("batch_max_bytes", "batchMaxBytes", "bytes", "size at which a batch is cut"),
  number("batch_max_commands", "batchMaxCommands", "count", "commands at which a batch is cut"),
  number("window_slots", "windowSlots", "count", "most slots proposed and undecided"),
  number("window_bytes", "windowBytes", "bytes", "most bytes proposed and undecided"),
  number("quota_bytes", "quotaBytes", "bytes", "data above which writes are refused; the same on every server"),
  number("history_max_age_ms", "historyMaxAgeMs", "duration", "age at which history is compacted"),
  number("history_max_bytes", "historyMaxBytes", "bytes", "size at which history is compacted"),
  number("segment_bytes", "segmentBytes", "bytes", "size of a file of the log"),
  number("snapshot_every_slots", "snapshotEverySlots", "count", "slots between snapshots"),
  number("snapshot_every_bytes", "snapshotEveryBytes", "bytes", "growth of the log between snapshots"),
  number("keep_slots", "keepSlots", "count", "log kept below a snapshot for servers that lag"),
  number("keep_bytes", "keepBytes", "bytes", "the same in bytes"),
  number("remove_after_ms", "removeAfterMs", "duration", "how long an unheard or unfit server keeps its vote; 0: for ever"),
  number("stable_ms", "stableMs", "duration", "how long it must keep up to vote again"),
  number("min_voters", "minVoters", "count", "voters that are left to the operator to remove"),
  number("max_connections", "maxConnections", "count", "most client connections at a time"),
  number("drain_ms", "drainMs", "duration", "how long a stop waits for running requests"),
];

export const SETTING_NAMES: readonly string[] = SETTINGS.map((setting) => setting.name);

/** The setting of that name, in any layer's spelling of it. */
export function settingNamed(name: string): Setting | undefined {
  return SETTINGS.find((setting) => setting.name === name);
}

/** `--my-addr` for `my_addr`. */
export function flagOf(setting: Setting): string {
  return `--${setting.name.replaceAll("_", "-")}`;
}

/** `SYNOD_MY_ADDR` for `my_addr`. */
export function variableOf(setting: Setting): string {
  return `SYNOD_${setting.name.toUpperCase()}`;
}

/** What may be written for `setting`, as the end of "allowed is". */
export function allowedFor(setting: Setting): string {
  const { limit } = setting;
  const range = limit === undefined ? "" : ` from ${limit.min} to ${limit.max}`;
  switch (setting.kind) {
    case "address":
      return "host:port in quotes, such as '127.0.0.1:9000', 'localhost:9000', '0.0.0.0:9000' or '[::1]:9000'";
    case "addresses":
      return `one host:port in quotes for each server, such as ${setting.name}:'127.0.0.1:9000' ${setting.name}:'127.0.0.1:9001'`;
    case "ratio":
      return "a number from 0 up to but not including 1";
    case "duration":
      return `whole milliseconds${range}, or a duration in quotes such as '500ms' or '2s'`;
    case "bytes":
      return `a whole number of bytes${range}, or a size in quotes such as '64KiB' or '1.5MiB'`;
    case "count":
      return `a whole number${range}`;
    case "choice":
      return (setting.choices ?? []).join(", ");
    case "path":
      return "a path in quotes, not empty";
  }
}
