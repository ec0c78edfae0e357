/**
 * Everything one server can be told, as a plain value, and every limit and default by its name. The command line fills it in
 * (src/cli: flag > argument > environment > file > default) and has checked it; the server only reads it.
 * It must never read the environment, a file or a clock, and never know where a value came from.
 */

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

/** Where a server listens: what is handed to the socket. `0.0.0.0` and `::` are every interface of the machine. */
export type ListenAddress = {
  /** A host name or an IP address, IPv6 without brackets. */
  readonly host: string;
  /** 1 to 65535. */
  readonly port: number;
};

/** How much the log says; each level includes those before it. */
export type LogLevel = "fatal" | "error" | "warn" | "info" | "debug" | "trace";
export const LOG_LEVELS: readonly LogLevel[] = ["fatal", "error", "warn", "info", "debug", "trace"];

/** `auto` is `pretty` on a terminal and `json` elsewhere. The log goes to stderr. */
export type LogFormat = "auto" | "json" | "pretty";
export const LOG_FORMATS: readonly LogFormat[] = ["auto", "json", "pretty"];

/** The most replicas a list may name; a majority of more answers no faster and fails no less often. */
export const REPLICAS_MAX = 64;

/** Inclusive bounds and the default of a number that an operator may set. */
export type NumberLimit = { readonly min: number; readonly max: number; readonly default: number };

/** The numbers of `ServerConfig`, each with its bounds: the one table that the checks, the help and the manual are made from. */
export const LIMITS = {
  failRate: { min: 0, max: 1, default: 0 },
  pingMs: { min: 10, max: 60_000, default: 100 },
  grantMs: { min: 50, max: 600_000, default: 600 },
  suspectMs: { min: 50, max: 600_000, default: 600 },
  requestTimeoutMs: { min: 10, max: 600_000, default: 5000 },
  maxKeyBytes: { min: 1, max: 64 * KIB, default: 4 * KIB },
  maxRequestBytes: { min: KIB, max: 64 * MIB, default: 1.5 * MIB },
  batchMaxBytes: { min: KIB, max: 16 * MIB, default: MIB },
  batchMaxCommands: { min: 1, max: 100_000, default: 1000 },
  windowSlots: { min: 1, max: 4096, default: 64 },
  windowBytes: { min: KIB, max: GIB, default: 8 * MIB },
  quotaBytes: { min: 64 * KIB, max: 1024 * GIB, default: 2 * GIB },
  historyMaxAgeMs: { min: 0, max: 365 * 24 * 3_600_000, default: 600_000 },
  historyMaxBytes: { min: 0, max: 1024 * GIB, default: 256 * MIB },
  segmentBytes: { min: 256 * KIB, max: GIB, default: 16 * MIB },
  snapshotEverySlots: { min: 1, max: 1_000_000_000, default: 100_000 },
  snapshotEveryBytes: { min: 64 * KIB, max: 1024 * GIB, default: 128 * MIB },
  keepSlots: { min: 0, max: 1_000_000_000, default: 10_000 },
  keepBytes: { min: 0, max: 1024 * GIB, default: 64 * MIB },
  maxConnections: { min: 1, max: 1_000_000, default: 10_000 },
  removeAfterMs: { min: 0, max: 3_600_000, default: 5000 },
  stableMs: { min: 0, max: 3_600_000, default: 3000 },
  minVoters: { min: 1, max: REPLICAS_MAX, default: 1 },
  drainMs: { min: 0, max: 600_000, default: 5000 },
} as const satisfies Readonly<Record<string, NumberLimit>>;

/**
 * The configuration of one server. Addresses are normalised: `host:port`, the host in lower case, `localhost`, `0.0.0.0` and
 * no host at all written as `127.0.0.1`, `[::]` as `[::1]`; so two spellings of one server are one string.
 */
export type ServerConfig = {
  /** The version of the program, as `synod --version` prints it. */
  readonly version: string;

  /** my_addr: where clients connect; bound as given, every interface included. */
  readonly clientListen: ListenAddress;
  /**
   * The client address that is announced to other servers and to tools. Where my_addr names every interface, it is the host
   * of `paxosAddress`, which others are known to reach.
   */
  readonly clientAddress: string;
  /** my_paxos: where the other servers connect; bound as given. */
  readonly paxosListen: ListenAddress;
  /** This server's name in the list of replicas: an element of `replicas`. */
  readonly paxosAddress: string;
  /** The Paxos addresses of all servers of the cluster, this one included: normalised, without repetition, in ascending order of code units. */
  readonly replicas: readonly string[];
  /** What a person should know about the addresses, in sentences; to be logged as warnings at the start and shown in `status`. */
  readonly warnings: readonly string[];

  /** The chance that this acceptor refuses or ignores a Prepare or Propose, as a test of the protocol. In [0, 1); default 0. */
  readonly failRate: number;

  /** The folder that holds everything durable; absolute. Default `./synod-data/<Paxos address, file-name safe>`. */
  readonly dataDir: string;

  /** Default `info`. */
  readonly logLevel: LogLevel;
  /** Default `auto`. */
  readonly logFormat: LogFormat;

  /** The rhythm of Pings between servers. Milliseconds, 10 to 60,000, default 100. */
  readonly pingMs: number;
  /**
   * How long an acceptor that heard the coordinator refuses other replicas' Prepare. Milliseconds of its monotonic clock,
   * 50 to 600,000, default 600; at least `suspectMs`, so that two lost Pings depose nobody.
   */
  readonly grantMs: number;
  /** How long a server may be silent before it is suspected. Milliseconds, 50 to 600,000, default 600; at least 3 × `pingMs`. */
  readonly suspectMs: number;
  /** How long a request without a deadline of its own waits for a coordinator or a quorum. Milliseconds, 10 to 600,000, default 5,000. */
  readonly requestTimeoutMs: number;

  /** The longest key. Bytes, 1 to 64 Ki, default 4 Ki. */
  readonly maxKeyBytes: number;
  /** The largest request message. Bytes, 1 Ki to 64 Mi, default 1.5 Mi. */
  readonly maxRequestBytes: number;

  /** A batch (one slot of the log) is cut at this size; one larger command is a batch of its own. Bytes, 1 Ki to 16 Mi, default 1 Mi. */
  readonly batchMaxBytes: number;
  /** A batch is cut at this many commands. 1 to 100,000, default 1,000. */
  readonly batchMaxCommands: number;
  /** The most slots proposed and not yet decided. 1 to 4,096, default 64. */
  readonly windowSlots: number;
  /** The most bytes proposed and not yet decided. Bytes, 1 Ki to 1 Gi, default 8 Mi. */
  readonly windowBytes: number;

  /** Keys, values and history above this are refused with a clear error; deletes go on. Bytes, 64 Ki to 1 Ti, default 2 Gi; the same on every server. */
  readonly quotaBytes: number;
  /** History older than this is compacted. Milliseconds, 0 to a year, default 600,000 (10 min). */
  readonly historyMaxAgeMs: number;
  /** History is compacted when it takes more than this. Bytes, 0 to 1 Ti, default 256 Mi. */
  readonly historyMaxBytes: number;

  /** The size of a segment file of the log, filled with zeros ahead of use. Bytes, 256 Ki to 1 Gi, default 16 Mi; holds at least two of the largest batches. */
  readonly segmentBytes: number;
  /** A snapshot is written when this many slots were applied since the last. 1 to 10^9, default 100,000. */
  readonly snapshotEverySlots: number;
  /** A snapshot is written when the log has grown by this much since the last. Bytes, 64 Ki to 1 Ti, default 128 Mi. */
  readonly snapshotEveryBytes: number;
  /** Log entries kept below the newest snapshot for servers that lag, until either bound is met. 0 to 10^9 slots, default 10,000. */
  readonly keepSlots: number;
  /** See `keepSlots`. Bytes, 0 to 1 Ti, default 64 Mi. */
  readonly keepBytes: number;

  /**
   * A voter that no quorum has heard, or whose disk does not answer, for so long loses its vote until it is back. Milliseconds, 0 to an hour,
   * default 5,000; 0: never, the operator decides.
   */
  readonly removeAfterMs: number;
  /** A server that lost its vote gets it back when it kept up for so long, doubled with each time it lost it. Milliseconds, 0 to an hour, default 3,000. */
  readonly stableMs: number;
  /** Servers lose their votes by themselves down to so many voters. 1 to 64, default 1. */
  readonly minVoters: number;
  /** Paxos addresses of members of the cluster that this server joins where its data directory is empty; empty: it is one of those that found. */
  readonly join: readonly string[];
  /** Whether, joining, it asks to vote once it has caught up. Default true. */
  readonly electable: boolean;

  /** The most client connections at a time; further ones are closed at once. 1 to 10^6, default 10,000. */
  readonly maxConnections: number;
  /** How long a graceful stop waits for running requests. Milliseconds, 0 to 600,000, default 5,000. */
  readonly drainMs: number;
};

/** A server that runs: what the composition root gives to the command line. */
export type RunningServer = {
  /** Hands over, drains, syncs and closes; resolves when nothing of the server is left. Calling it again changes nothing. */
  stop(): Promise<void>;
  /** The exit status, once the server has ended: by `stop` (0) or by a failure of its own (never rejects; the log says why). */
  readonly closed: Promise<number>;
};
