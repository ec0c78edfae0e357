/** Gathers the layers of a server's configuration from the process: flags, argument, environment, file. It must never judge a value. */
import { readFileSync } from "node:fs";
import { badArgument } from "../errors.js";
import { type Environment, type Flags, textFlag, variable } from "../flags.js";
import { fromEnvironment, fromFile, fromFlags, fromText, type RawSettings } from "./sources.js";

export type Sources = { readonly layers: readonly RawSettings[]; readonly warnings: readonly string[] };

/** The layers, the strongest first. Throws `CliError`, also where the file cannot be read. */
export function readSources(text: string | undefined, flags: Flags, environment: Environment = process.env): Sources {
  const fromVariables = fromEnvironment(environment);
  const layers = [fromFlags(flags), text === undefined ? new Map() : fromText(text, "argument", "argument"), fromVariables.settings];
  const flag = textFlag(flags, "config");
  const path = flag ?? variable(environment, "SYNOD_CONFIG");
  if (path !== undefined) {
    layers.push(fromFile(readFile(path, flag === undefined ? "SYNOD_CONFIG" : "--config"), path));
  }
  return { layers, warnings: fromVariables.warnings };
}

function readFile(path: string, where: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const reason = error instanceof Error && "code" in error ? String(error.code) : String(error);
    throw badArgument(`the configuration file '${path}' (${where}) cannot be read: ${reason}`, "a path to a file in text format or JSON");
  }
}
