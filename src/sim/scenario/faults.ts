/**
 * Every fault the simulator can bring about, as plain values with a time: what PROTOCOL §7.2 lists. A run's faults are written
 * down before it begins, so that a failing run can be shrunk by leaving some out. Servers are numbered from 0.
 */
import type { CrashPlan } from "../engine/host.js";

/** Every ordered pair of a server of `from` and another of `to`. */
export type Links = { readonly from: readonly number[]; readonly to: readonly number[] };

/** A server: by its number, or whichever coordinates or breaks ties when the time comes. */
export type Victim = number | "coordinator" | "tie-break";

/** When: milliseconds of true time from the beginning. Faults with `forMs` last that long, 0 for an instant. */
type Window = { readonly at: number; readonly forMs: number };

/**
 * chance: per message. drop: lost. duplicate: a copy comes a moment later. replay: a copy comes up to `byMs` later, also into later lives and streams.
 * reorder, delay: up to `byMs` more, in no order or in order. clog: nothing arrives until the end, then everything in order. large: messages
 * above `bytes` are lost. cut: everything is lost in these directions, silently. flap: cut and whole by turns of `byMs`. reset: the streams
 * close in mid-message and open again. refuse: streams are closed and cannot be opened, and the peer is reported gone although it lives.
 * unnoticed: a peer that dies is not reported gone.
 */
export type NetworkFault = Window &
  (
    | { readonly kind: "drop" | "duplicate"; readonly links: Links; readonly chance: number }
    | { readonly kind: "replay" | "reorder"; readonly links: Links; readonly chance: number; readonly byMs: number }
    | { readonly kind: "delay" | "flap"; readonly links: Links; readonly byMs: number }
    | { readonly kind: "large"; readonly links: Links; readonly bytes: number }
    | { readonly kind: "clog" | "cut" | "reset" | "refuse" | "unnoticed"; readonly links: Links }
    /** Cuts in a form: `split`: `groups` cannot reach each other. star: only through the first of `order`. chain, ring: only neighbours in `order`. */
    | { readonly kind: "split"; readonly groups: readonly (readonly number[])[] }
    | { readonly kind: "star" | "chain" | "ring"; readonly order: readonly number[] }
  );

/**
 * stall: no operation ends before the window does. slow: each takes up to `byMs` more. full: files cannot grow and no space is free.
 * failSync: the next sync, or durable write, of the window fails. rot: `flips` bits of what is synced and older than the last batch of the log (or of a
 * snapshot) change. misdirect: the next write of the window lands at another place as well. wipe: the directory is empty after the next
 * death. restoreOld: after the next death the directory is as it was at `of` (a copy is taken there). These three begin a new disk life or damage one: a
 * scenario gives them to few enough servers.
 */
export type DiskFault = Window & { readonly server: number } & (
    | { readonly kind: "stall" | "full" | "failSync" | "misdirect" | "wipe" }
    | { readonly kind: "slow"; readonly byMs: number }
    | { readonly kind: "rot"; readonly what: "log" | "snapshot"; readonly flips: number }
    | { readonly kind: "restoreOld"; readonly of: number }
  );

/**
 * kill: kill -9, the system's cache survives; power: everything not synced may be lost, in any subset of sectors, several servers at once. Both come back when the window ends.
 * crashAt: dies at a boundary (before an operation of the disk: while it is under way); back after `downMs`. crashLoop: dies again and again, each time `everyMs` after its start. pause: SIGSTOP. stop: SIGTERM, back at the end of the window.
 * handover: an operator's wish, to `heir` or to the best. rolling: all servers stop and start one after another, each `everyMs` after the last.
 */
export type ProcessFault = Window &
  (
    | { readonly kind: "kill" | "pause" | "stop"; readonly server: Victim }
    | { readonly kind: "power"; readonly servers: readonly number[] }
    | { readonly kind: "crashAt"; readonly server: number; readonly plan: CrashPlan; readonly power: boolean; readonly downMs: number }
    | { readonly kind: "crashLoop"; readonly server: number; readonly everyMs: number }
    | { readonly kind: "rolling"; readonly everyMs: number }
    | { readonly kind: "handover"; readonly heir: number | null }
    | { readonly kind: "nominate"; readonly server: number }
  );

/** rate: the monotonic clock runs at 1 + ppm / 10^6 during the window. jump: the wall clock jumps. suspend: the process stands still, the wall clock goes on, the monotonic one does not. */
export type ClockFault = Window & { readonly server: number } & (
    | { readonly kind: "rate"; readonly ppm: number }
    | { readonly kind: "jump"; readonly byMs: number }
    | { readonly kind: "suspend" }
  );

/**
 * What operators do to the members. add: a server on a spare machine joins. promote, remove, tieBreak: asked of the server `via`. replace: `by`, a
 * spare, joins and is promoted, then `server` is removed; given up at the end of the window. rejoin: a machine whose server was removed, or whose
 * disk is damaged, gets an empty disk, and its server joins. oneByOne: see OneByOneFault.
 */
export type MemberFault =
  | (Window &
      (
        | { readonly kind: "add" | "rejoin"; readonly server: number }
        | { readonly kind: "promote" | "remove" | "tieBreak"; readonly server: Victim; readonly via: Victim }
        | { readonly kind: "replace"; readonly server: number; readonly by: number }
      ))
  | OneByOneFault;

/** Voters are taken away one by one, each when the change before is settled, until `downTo` are left; then one more, which blocks. They come back at the end of the window. */
export type OneByOneFault = Window & {
  readonly kind: "oneByOne";
  readonly how: "kill" | "stop";
  readonly whom: "coordinator" | "follower";
  readonly downTo: number;
  readonly thenBlock: boolean;
};

export type Fault = NetworkFault | DiskFault | ProcessFault | ClockFault | MemberFault;
export type FaultKind = Fault["kind"];

export const NETWORK_FAULTS = [
  "drop",
  "duplicate",
  "replay",
  "reorder",
  "delay",
  "flap",
  "large",
  "clog",
  "cut",
  "reset",
  "refuse",
  "unnoticed",
  "split",
  "star",
  "chain",
  "ring",
] as const satisfies readonly NetworkFault["kind"][];
export const DISK_FAULTS = [
  "stall",
  "full",
  "failSync",
  "misdirect",
  "wipe",
  "slow",
  "rot",
  "restoreOld",
] as const satisfies readonly DiskFault["kind"][];
export const PROCESS_FAULTS = [
  "kill",
  "pause",
  "stop",
  "power",
  "crashAt",
  "crashLoop",
  "rolling",
  "handover",
  "nominate",
] as const satisfies readonly ProcessFault["kind"][];
export const CLOCK_FAULTS = ["rate", "jump", "suspend"] as const satisfies readonly ClockFault["kind"][];

export const MEMBER_FAULTS = [
  "add",
  "promote",
  "remove",
  "tieBreak",
  "replace",
  "rejoin",
  "oneByOne",
] as const satisfies readonly MemberFault["kind"][];

export const FAULT_KINDS: readonly FaultKind[] = [...NETWORK_FAULTS, ...DISK_FAULTS, ...PROCESS_FAULTS, ...CLOCK_FAULTS, ...MEMBER_FAULTS];

export function isNetworkFault(fault: Fault): fault is NetworkFault {
  return (NETWORK_FAULTS as readonly string[]).includes(fault.kind);
}

export function isDiskFault(fault: Fault): fault is DiskFault {
  return (DISK_FAULTS as readonly string[]).includes(fault.kind);
}

export function isClockFault(fault: Fault): fault is ClockFault {
  return (CLOCK_FAULTS as readonly string[]).includes(fault.kind);
}

export function isMemberFault(fault: Fault): fault is MemberFault {
  return (MEMBER_FAULTS as readonly string[]).includes(fault.kind);
}
