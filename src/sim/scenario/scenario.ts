/**
 * Everything that a run is made of. The same scenario gives the same run: a seed draws one, a named schedule writes one by hand,
 * the shrinker leaves parts of one out. Plain values only, so that it can be printed and read back as JSON.
 */
import type { Fault } from "./faults.js";

/** What the servers are told; see `ServerConfig` for the meaning. Storage limits are far below production's, so that segments, snapshots and trimming happen all the time. */
export type Settings = {
  readonly pingMs: number;
  readonly grantMs: number;
  readonly suspectMs: number;
  readonly failRate: number;
  readonly windowSlots: number;
  readonly batchMaxCommands: number;
  readonly keepSlots: number;
  readonly snapshotEverySlots: number;
  readonly snapshotEveryBytes: number;
  readonly historyMaxAgeMs: number;
  readonly historyMaxBytes: number;
  readonly quotaBytes: number;
  /** Bytes of a segment of the log, at least 32 Ki. */
  readonly segmentBytes: number;
  /** The most sessions of the state machine; a limit of the log's meaning, so the same on all servers. */
  readonly sessionsMax: number;
  /** The autopilot: when a voter loses its vote (0: never), when it gets it back, and how many voters stay at least. Milliseconds. */
  readonly removeAfterMs: number;
  readonly stableMs: number;
  readonly minVoters: number;
};

/** The speeds of a calm world. Microseconds, uniform in [min, max]. */
export type Speeds = {
  readonly linkMin: number;
  readonly linkMax: number;
  readonly diskMin: number;
  readonly diskMax: number;
};

/** Weights of the kinds of operations; how many clients, how fast each, on how many keys. */
export type Workload = {
  readonly clients: number;
  /** Mean pause of one client between an answer and its next request. Milliseconds. */
  readonly pauseMs: number;
  readonly keys: number;
  readonly valueBytes: number;
  /** How long one try may take, and how often an operation of unknown outcome that may be repeated is tried again, through another server. */
  readonly timeoutMs: number;
  readonly retries: number;
  readonly weights: { readonly get: number; readonly put: number; readonly delete: number; readonly cas: number };
  /** The chance that a client stays with the server it has; else it takes a random one for each try. */
  readonly loyalty: number;
  /** The chance that a request is abandoned: its client does not wait for the answer, whose outcome stays unknown. */
  readonly abandon: number;
  /** Clients have sessions of their own, and repeat writes of unknown outcome under their numbers. */
  readonly sessions: boolean;
};

export type Scenario = {
  /** "swarm", or the name of a schedule. */
  readonly name: string;
  /** Of all streams of randomness inside the run. */
  readonly seed: number;
  readonly servers: number;
  /** Machines on top, without a server until one is added; their numbers follow. */
  readonly spares: number;
  /** How long faults go on. Milliseconds of virtual time; the healing after it comes on top. */
  readonly durationMs: number;
  readonly settings: Settings;
  readonly speeds: Speeds;
  readonly workload: Workload;
  /** In order of `at`. */
  readonly faults: readonly Fault[];
  /** Faults that begin at their time and last to the end of the run, the healing included. */
  readonly held: readonly Fault[];
  /**
   * Where faults are held: the servers that must be well after the healing, with a coordinator in reach, writing and reading, of one state.
   * Elsewhere these are all that are whole and members by then. Empty, with somebody left: no quorum is to be left, and nothing may be decided.
   */
  readonly core: readonly number[];
  /** Who is to be dead or cut off for good from the healing on. Who votes by then is not known before: if need be some are spared, or others left too. */
  readonly left: readonly number[];
};
