/** What a campaign saw, for people and as a page of bench/results/. Says nothing that was not counted. */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { cpus, release } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Outcome } from "./campaign.js";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));

function counts(of: Readonly<Record<string, number>>): string {
  const parts = Object.entries(of).map(([name, count]) => `${count} ${name}`);
  return parts.length === 0 ? "none" : parts.join(", ");
}

function networkText({ network }: Outcome): string {
  return network === null
    ? "all servers on the loopback interface"
    : `a network namespace for each server; delay by ${network.delay}, loss by ${network.loss ?? "nothing on this machine"}`;
}

function rows(outcome: Outcome): readonly (readonly [string, string])[] {
  const { ownWrites, windows, undecidedWindows } = outcome;
  const operations = Object.values(outcome.operations).reduce((total, count) => total + count, 0);
  return [
    ["servers", `${outcome.servers}: ${networkText(outcome)}`],
    ["duration", `${outcome.seconds} s, ${outcome.rounds} rounds, seed ${outcome.seed}`],
    ["recorded operations", `${operations}: ${counts(outcome.operations)}`],
    ["writes of keys of their own", counts(ownWrites)],
    ["faults", counts(outcome.faults)],
    ["left out (server down already, or a disk missing)", counts(outcome.leftOut)],
    ["elections seen", `${outcome.elections}, ${outcome.coordinatorChanges} of another coordinator`],
    ["configuration changes seen", `${outcome.configurationChanges}; voters afterwards, times: ${votersText(outcome)}`],
    ["unknown outcomes", `${outcome.unknown}`],
    ["longest time without a successful write", `${outcome.longestWithoutWriteMs} ms, until ${outcome.longestUntil} s`],
    ["longest time from healing to a write", `${outcome.longestRecoveryMs} ms`],
    ["linearizable", `${outcome.linearizable}: ${windows} windows, ${undecidedWindows} undecided`],
    ["lost writes", `${outcome.lostWrites}`],
    ["violations", outcome.violations.length === 0 ? "none" : outcome.violations.map((text) => `\n  ${text}`).join("")],
  ];
}

function votersText({ voterCounts }: Outcome): string {
  const parts = Object.entries(voterCounts).map(([voters, times]) => `${voters}: ${times}`);
  return parts.length === 0 ? "none" : parts.join(", ");
}

export function summary(outcome: Outcome): string {
  return rows(outcome)
    .map(([name, value]) => `${name}: ${value}`)
    .join("\n");
}

/** Writes the page and its JSON; returns the path of the page. */
export function writePage(outcome: Outcome): string {
  const commit = execFileSync("git", ["rev-parse", "--short", "HEAD"], { cwd: ROOT, encoding: "utf8" }).trim();
  const date = new Date().toISOString().slice(0, 10);
  const machine = { cpu: cpus()[0]?.model ?? "", cores: cpus().length, kernel: release(), node: process.version };
  const path = join(ROOT, "bench", "results", `campaign-${outcome.servers}-servers-${date}-${commit}-seed-${outcome.seed}`);
  writeFileSync(`${path}.json`, `${JSON.stringify({ date, commit, machine, ...outcome }, null, 2)}\n`);
  const heading =
    `# Campaign, ${outcome.servers} servers, ${date}, commit ${commit}\n\n` +
    `${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, Node ${machine.node}; see ../METHOD.md.\n\n| what | seen |\n|---|---|\n`;
  const table = rows(outcome).map(([name, value]) => `| ${name} | ${value.replaceAll("|", "\\|").replaceAll("\n", "<br>")} |`);
  writeFileSync(`${path}.md`, `${heading}${table.join("\n")}\n`);
  return `${path}.md`;
}
