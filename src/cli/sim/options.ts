/**
 * What `synod sim` was told, checked: every mistake names the flag and what would be right. It must start nothing.
 */
import { resolve } from "node:path";
import {
  CLOCK_FAULTS,
  DISK_FAULTS,
  FAULT_KINDS,
  type FaultKind,
  MEMBER_FAULTS,
  NETWORK_FAULTS,
  PROCESS_FAULTS,
} from "../../sim/scenario/faults.js";
import { badArgument } from "../errors.js";
import { type Flags, isSet, textFlag } from "../flags.js";
import { nearest } from "../suggest.js";

export const DEMOS = ["partition", "restart"] as const;
export type DemoName = (typeof DEMOS)[number];
export const QUORUMS = ["live", "majority"] as const;
export type QuorumRule = (typeof QUORUMS)[number];

/** How long a failing scenario is made smaller. auto: SHRINK_SECONDS for the first one; full: to the end, for each; off: not. */
export type ShrinkMode = "auto" | "full" | "off";

export type SimOptions = {
  readonly seed: number;
  readonly seeds: number;
  /** Null where drawn. */
  readonly minutes: number | null;
  readonly servers: number | null;
  readonly faults: readonly FaultKind[] | null;
  readonly trace: string | null;
  /** Whether the trace holds the pulse too. */
  readonly pulse: boolean;
  readonly shrink: ShrinkMode;
  readonly replay: string | null;
  readonly json: boolean;
  /** The planted bug that is switched on. */
  readonly mutant: string | null;
  readonly demo: DemoName | null;
  /** Null: one after the other. */
  readonly quorum: QuorumRule | null;
};

const SEED_DEFAULT = 1;
const SEEDS_DEFAULT = 10;
const SEEDS_MAX = 1_000_000_000;
const MINUTES_MAX = 1000;
const SERVERS_MAX = 7;

/** Families that --faults takes in place of their kinds. */
export const FAMILIES: Readonly<Record<string, readonly FaultKind[]>> = {
  network: NETWORK_FAULTS,
  disk: DISK_FAULTS,
  process: PROCESS_FAULTS,
  clock: CLOCK_FAULTS,
  members: MEMBER_FAULTS,
};

/** The options, or a CliError that says which flag is wrong. */
export function simOptions(flags: Flags): SimOptions {
  const options: SimOptions = {
    seed: integer(flags, "seed", { min: 0, max: Number.MAX_SAFE_INTEGER }) ?? SEED_DEFAULT,
    seeds: integer(flags, "seeds", { min: 1, max: SEEDS_MAX }) ?? SEEDS_DEFAULT,
    minutes: minutes(flags),
    servers: integer(flags, "servers", { min: 1, max: SERVERS_MAX }),
    faults: faultKinds(textFlag(flags, "faults")),
    trace: textFlag(flags, "trace") ?? null,
    pulse: isSet(flags, "pulse"),
    shrink: isGiven(flags, "shrink") ? (isSet(flags, "shrink") ? "full" : "off") : "auto",
    replay: textFlag(flags, "replay") ?? null,
    json: isSet(flags, "json"),
    mutant: textFlag(flags, "mutant") ?? null,
    demo: oneOf(flags, "demo", DEMOS),
    quorum: oneOf(flags, "quorum", QUORUMS),
  };
  refuseTogether(flags, options);
  return isGiven(flags, "seed") && !isGiven(flags, "seeds") ? { ...options, seeds: 1 } : options;
}

function isGiven(flags: Flags, name: string): boolean {
  return flags[name] !== undefined;
}

function refuseTogether(flags: Flags, { quorum, demo, replay, pulse, trace }: SimOptions): void {
  if (pulse && trace === null) {
    throw badArgument("--pulse goes with --trace: it says what the file holds", "synod sim --seed 1 --trace run.txt --pulse");
  }
  if (quorum !== null && demo === null) {
    throw badArgument(
      "--quorum goes with --demo: the unsafe rule exists in the demonstrations alone",
      `synod sim --quorum ${quorum} --demo partition`,
    );
  }
  const scenario = ["seed", "seeds", "minutes", "servers", "faults", "mutant"].find((name) => isGiven(flags, name));
  if (demo !== null && (scenario !== undefined || replay !== null)) {
    throw badArgument(`--${scenario ?? "replay"} does not go with --demo, which has a schedule of its own`, `synod sim --demo ${demo}`);
  }
  if (demo !== null && trace !== null) {
    throw badArgument("--trace does not go with --demo, which tells everything by itself", `synod sim --demo ${demo} > ${trace}`);
  }
  if (replay !== null && trace !== null && resolve(replay) === resolve(trace)) {
    throw badArgument("--trace names the file of --replay, which it would overwrite", `synod sim --replay ${replay} --trace run.txt`);
  }
  if (replay !== null && scenario !== undefined) {
    throw badArgument(`--${scenario} does not go with --replay, whose file says everything`, `synod sim --replay ${replay}`);
  }
}

function integer(flags: Flags, name: string, { min, max }: { readonly min: number; readonly max: number }): number | null {
  const text = textFlag(flags, name);
  if (text === undefined) {
    return null;
  }
  const value = /^[0-9]+$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value) || value < min || value > max) {
    throw badArgument(
      `--${name} is '${text}', and must be a whole number from ${min} to ${max}`,
      `synod sim --${name} ${Math.max(min, 5)}`,
    );
  }
  return value;
}

function minutes(flags: Flags): number | null {
  const text = textFlag(flags, "minutes");
  if (text === undefined) {
    return null;
  }
  const value = /^[0-9]+(\.[0-9]+)?$/.test(text) ? Number(text) : Number.NaN;
  if (!(value > 0 && value <= MINUTES_MAX)) {
    throw badArgument(
      `--minutes is '${text}', and must be a number above 0, at most ${MINUTES_MAX}: minutes of virtual time`,
      "synod sim --minutes 1",
    );
  }
  return value;
}

function oneOf<T extends string>(flags: Flags, name: string, allowed: readonly T[]): T | null {
  const text = textFlag(flags, name);
  if (text === undefined) {
    return null;
  }
  const found = allowed.find((one) => one === text);
  if (found === undefined) {
    const guess = nearest(text, allowed) ?? allowed[0] ?? "";
    throw badArgument(`--${name} is '${text}', and must be ${allowed.join(" or ")}`, `synod sim --${name} ${guess}`);
  }
  return found;
}

/** The kinds a list names, each once, in the order of FAULT_KINDS; "none" is the empty list. */
function faultKinds(text: string | undefined): readonly FaultKind[] | null {
  if (text === undefined) {
    return null;
  }
  const words = text
    .split(",")
    .map((word) => word.trim())
    .filter((word) => word !== "");
  const chosen = new Set<FaultKind>();
  for (const word of words) {
    const kinds = FAMILIES[word] ?? FAULT_KINDS.filter((kind) => kind === word);
    if (kinds.length === 0 && word !== "none") {
      throw unknownFault(word);
    }
    for (const kind of kinds) {
      chosen.add(kind);
    }
  }
  if (words.length === 0 || (words.includes("none") && chosen.size > 0)) {
    throw badArgument(
      `--faults is '${text}', and must be a list of kinds with commas between them, or none`,
      "synod sim --faults network,kill",
    );
  }
  return FAULT_KINDS.filter((kind) => chosen.has(kind));
}

function unknownFault(word: string): Error {
  const families = Object.entries(FAMILIES).map(([family, kinds]) => `${family} (${kinds.join(" ")})`);
  const guess = nearest(word, [...FAULT_KINDS, ...Object.keys(FAMILIES)]);
  return badArgument(
    `--faults has '${word}', which is no kind of fault. Families and their kinds: ${families.join(", ")}; or none`,
    `synod sim --faults ${guess ?? "network,disk"}`,
  );
}
