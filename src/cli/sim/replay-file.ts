/** Scenarios in files: a shrunk failure is written down, and read again to be replayed. It must take nothing from a file unchecked. */
import { readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { z } from "zod";
import { FAULT_KINDS, type FaultKind } from "../../sim/scenario/faults.js";
import type { Scenario } from "../../sim/scenario/scenario.js";
import { CliError, EXIT } from "../errors.js";

/** What a file holds: the scenario, what it broke, and the bug that was planted, null where none was. */
export type Replayed = { readonly scenario: Scenario; readonly invariant: string | null; readonly mutant: string | null };

const FORMAT = 1;
const SERVERS_MAX = 7;
const SPARES_MAX = 7;

const number = z.number();
const text = z.string();
const server = z
  .number()
  .int()
  .min(0)
  .max(SERVERS_MAX + SPARES_MAX - 1);
/** The fields of each kind are checked where they are used; a wrong one stops the run. */
const fault = z.looseObject({ kind: z.enum(FAULT_KINDS as readonly [FaultKind, ...FaultKind[]]), at: number.min(0), forMs: number.min(0) });
const scenario = z.looseObject({
  name: text,
  seed: number.int(),
  servers: z.number().int().min(1).max(SERVERS_MAX),
  spares: z.number().int().min(0).max(SPARES_MAX),
  durationMs: number.min(0),
  settings: z.record(text, number),
  speeds: z.record(text, number),
  workload: z.looseObject({ clients: number.int().min(0), weights: z.record(text, number) }),
  faults: z.array(fault),
  held: z.array(fault),
  core: z.array(server),
  left: z.array(server),
});
const file = z.looseObject({ format: z.literal(FORMAT), invariant: text.nullable(), mutant: text.nullable(), scenario });

/**
 * Writes the scenario to `synod-sim-<seed>.json` in the present folder, or where that takes no file in the one for temporary files: a
 * report must not be lost for it. Returns the file's absolute path.
 */
export function writeReplay(replayed: Replayed, commit: string): string {
  const name = `synod-sim-${replayed.scenario.seed}.json`;
  const content = `${JSON.stringify({ format: FORMAT, commit, ...replayed }, null, 2)}\n`;
  const path = resolve(name);
  try {
    writeFileSync(path, content);
    return path;
  } catch {
    const elsewhere = join(tmpdir(), name);
    writeFileSync(elsewhere, content);
    return elsewhere;
  }
}

/** The scenario of a file that `writeReplay` wrote. */
export function readReplay(path: string): Replayed {
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    const isSyntax = error instanceof SyntaxError;
    throw new CliError(`--replay ${path} cannot be read: ${reason(error)}`, {
      exitCode: isSyntax ? EXIT.invalidInput : EXIT.io,
      hint: "the file that a failing synod sim wrote, synod-sim-<seed>.json",
      cause: error,
    });
  }
  const parsed = file.safeParse(content);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new CliError(`--replay ${path} is no scenario: ${issue?.path.join(".") ?? ""} ${issue?.message ?? ""}`, {
      exitCode: EXIT.invalidInput,
      hint: "the file that a failing synod sim wrote, synod-sim-<seed>.json",
    });
  }
  const { invariant, mutant } = parsed.data;
  // Checked above, apart from the fields of single faults.
  return { invariant, mutant, scenario: parsed.data.scenario as unknown as Scenario };
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
