/**
 * A violation as a person reads it: what broke, in which run, which faults it takes, how it came about, and the one command that
 * shows it again. Pure: everything is handed in.
 */
import type { Failure } from "../../sim/cluster/watchers.js";
import { describeScheduled, describeTime, nameServers } from "../../sim/narrate/words.js";
import type { Scenario } from "../../sim/scenario/scenario.js";
import { formatDuration } from "../config/quantities.js";
import type { SimOptions } from "./options.js";

/** Faults of a schedule that are listed. */
const FAULTS_LISTED = 40;

export type Report = {
  readonly scenario: Scenario;
  readonly violation: Failure;
  /** `commit 1a2b3c4d`. */
  readonly revision: string;
  /** The command that runs the seed again. */
  readonly command: string;
  /** Null where the scenario was not made smaller. */
  readonly shrunk: { readonly scenario: Scenario; readonly runs: number; readonly isFinished: boolean; readonly file: string } | null;
  readonly transcript: readonly string[];
  /** Lines of the whole transcript, of which `transcript` has the last. */
  readonly lines: number;
};

export function renderReport(report: Report): string {
  const { scenario, violation, shrunk } = report;
  const shown = shrunk?.scenario ?? scenario;
  const cut = report.lines - report.transcript.length;
  const whole = `${shrunk === null ? report.command : replayCommand(shrunk.file)} --trace FILE`;
  return [
    "",
    `Violation of ${nameInvariant(violation.invariant)}, seed ${scenario.seed}, ${report.revision}`,
    `  ${violation.message.trim().replaceAll("\n", "\n  ")}`,
    `  at ${describeTime(violation.at)} s of virtual time, ${describeKind(scenario)}`,
    "",
    shrunk === null ? `Schedule (${count(scenario)}):` : describeShrunk(scenario, shrunk),
    ...schedule(shown),
    "",
    cut === 0 ? "Transcript:" : `Transcript, its last ${report.transcript.length} lines (all ${report.lines} of them: ${whole}):`,
    ...report.transcript,
    "",
    ...(shrunk === null ? [] : [`To replay the shrunk run:  ${replayCommand(shrunk.file)}`]),
    `To replay the whole run:   ${report.command}`,
    "",
  ].join("\n");
}

/** `invariant 10`, or the name of a check. */
export function nameInvariant(invariant: string): string {
  return /^[0-9]/.test(invariant) ? `invariant ${invariant}` : invariant;
}

/** The command that runs `seed` again as this command line ran it. */
export function seedCommand(seed: number, options: SimOptions): string {
  const words = [
    `synod sim --seed ${seed}`,
    ...(options.mutant === null ? [] : [`--mutant ${options.mutant}`]),
    ...(options.minutes === null ? [] : [`--minutes ${options.minutes}`]),
    ...(options.servers === null ? [] : [`--servers ${options.servers}`]),
    ...(options.faults === null ? [] : [`--faults ${options.faults.length === 0 ? "none" : options.faults.join(",")}`]),
  ];
  return words.join(" ");
}

function replayCommand(file: string): string {
  return `synod sim --replay ${/^[\w./-]+$/.test(file) ? file : `'${file}'`}`;
}

function describeKind({ name, servers, durationMs, workload, faults }: Scenario): string {
  const of = name === "swarm" ? "a swarm run" : `the schedule "${name}"`;
  return `${of} of ${many(servers, "server")}, ${many(workload.clients, "client")}, ${many(faults.length, "fault")} in ${formatDuration(durationMs)}`;
}

/** `1 fault`, `2 faults`. */
function many(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

function count({ faults, held }: Scenario): string {
  return many(faults.length + held.length, "fault");
}

function describeShrunk(scenario: Scenario, { scenario: small, runs, isFinished }: NonNullable<Report["shrunk"]>): string {
  const unfinished = isFinished ? "" : ", not to the end: --shrink takes all the time it needs";
  return [
    `Shrunk from ${count(scenario)} to ${count(small)} in ${many(runs, "run")}${unfinished}: `,
    `${many(small.servers, "server")}, ${many(small.workload.clients, "client")}, ${many(small.workload.keys, "key")}, ${formatDuration(small.durationMs)}`,
  ].join("");
}

function schedule(scenario: Scenario): readonly string[] {
  const faults = [...scenario.faults, ...scenario.held].sort((a, b) => a.at - b.at);
  const lines = faults.slice(0, FAULTS_LISTED).map((fault) => `  ${describeScheduled(fault)}`);
  const { left, core } = scenario;
  return [
    ...(lines.length === 0 ? ["  no faults"] : lines),
    ...(faults.length > FAULTS_LISTED ? [`  and ${faults.length - FAULTS_LISTED} more`] : []),
    ...(left.length === 0 ? [] : [`  in the healing ${nameServers(left)} stay away; ${nameServers(core)} must be well`]),
  ];
}
