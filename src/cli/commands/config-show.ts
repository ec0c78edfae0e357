/** `synod config show`: every setting, its value and where the value comes from. It must never start anything. */
import { readSources } from "../config/read-sources.js";
import { meaningOf, resolveServerConfig, type ShownSetting, showSettings } from "../config/server-config.js";
import { quoteText } from "../config/text-format.js";
import { badArgument, CliError, EXIT } from "../errors.js";
import { type Flags, textFlag } from "../flags.js";
import { renderTable } from "../table.js";
import { readVersion } from "../version.js";

/** Prints the settings; where a server could not start with them it says why, and the status is 128. */
export function runConfigShow(text: string | undefined, flags: Flags): number {
  const sources = readSources(text, flags);
  const shown = showSettings(sources.layers, process.cwd());
  const format = textFlag(flags, "writeOut");
  process.stdout.write(renderShown(shown, format));
  const { config } = resolve(sources);
  if (format === "table") {
    for (const warning of config.warnings) {
      process.stderr.write(`Warning: ${warning}\n`);
    }
  }
  return EXIT.ok;
}

function resolve(sources: ReturnType<typeof readSources>) {
  try {
    return resolveServerConfig({ ...sources, version: readVersion(), workingDir: process.cwd() });
  } catch (error) {
    if (error instanceof CliError) {
      throw badArgument(`a server would not start with this: ${error.message}`, error.hint);
    }
    throw error;
  }
}

/** The lines for stdout. `text` is text format that `synod server` takes again. */
export function renderShown(shown: readonly ShownSetting[], format: string | undefined): string {
  if (format === "json") {
    const items = shown.map((one) => ({
      name: one.setting.name,
      value: one.value ?? null,
      origin: one.origin.layer,
      where: one.origin.where,
      summary: one.setting.summary,
    }));
    return `${JSON.stringify(items, null, 2)}\n`;
  }
  if (format === "text") {
    return shown.flatMap((one) => textLines(one, shown)).join("");
  }
  const rows = shown.map((one) => [
    one.setting.name,
    one.value === undefined ? `(${missing(one, shown)})` : plain(one.value),
    meaningOf(one),
    one.origin.where,
  ]);
  return renderTable(["SETTING", "VALUE", "", "ORIGIN"], rows);
}

function textLines(one: ShownSetting, shown: readonly ShownSetting[]): readonly string[] {
  const { name } = one.setting;
  if (one.value === undefined) {
    return [`# ${name}: ${missing(one, shown)}\n`];
  }
  const values = typeof one.value === "object" ? one.value : [one.value];
  return values.map((value) => `${name}: ${typeof value === "number" ? value : quoteText(value)}\n`);
}

/** What is said of a setting without a value: a server needs it, or one of two, or has the other one. */
function missing({ setting }: ShownSetting, shown: readonly ShownSetting[]): string {
  if (setting.isRequired) {
    return "required";
  }
  const other = shown.find((one) => one.setting.kind === "addresses" && one.value !== undefined);
  return other === undefined ? "required: replica or join" : `none, there is ${other.setting.name}`;
}

function plain(value: NonNullable<ShownSetting["value"]>): string {
  return typeof value === "object" ? value.join(",") : String(value);
}
