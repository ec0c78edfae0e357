/**
 * Where settings come from: flags, the argument in text format, the environment, a configuration file. Reads each into values
 * that remember their origin. It must never decide whether a value is allowed; server-config.ts does, after the layers are merged.
 */
import { badArgument, type CliError } from "../errors.js";
import { nearest } from "../suggest.js";
import { flagOf, SETTING_NAMES, SETTINGS, type Setting, settingNamed, variableOf } from "./settings.js";
import { parseTextFormat, type TextField, TextFormatError, type TextValue } from "./text-format.js";

/** The layers, the strongest first. A flag beats the argument; both beat the environment; then the file; then the default. */
export type Layer = "flag" | "argument" | "environment" | "file" | "default";

export type Origin = {
  readonly layer: Layer;
  /** For a person: `--fail-rate`, `argument 1:30`, `SYNOD_FAIL_RATE`, `synod.conf 3:1`. */
  readonly where: string;
};

/** A value as written, before it is known to be allowed. */
export type RawValue = { readonly value: string | number; readonly isQuoted: boolean; readonly origin: Origin };

/** What one layer says: for each setting its values, in order. */
export type RawSettings = ReadonlyMap<string, readonly RawValue[]>;

/** Variables that are the command's own and no settings of a server. */
const OTHER_VARIABLES: readonly string[] = [
  "SYNOD_CONFIG",
  "SYNOD_ENDPOINTS",
  "SYNOD_COMMAND_TIMEOUT",
  "SYNOD_DIAL_TIMEOUT",
  "SYNOD_HISTORY",
];

/** Reads the argument of `synod server`. Throws `CliError` that names the place and the field. */
export function fromText(text: string, layer: Layer, name: string): RawSettings {
  let fields: readonly TextField[];
  try {
    fields = parseTextFormat(text);
  } catch (error) {
    throw error instanceof TextFormatError ? syntaxError(error, name) : error;
  }
  const settings = new Map<string, RawValue[]>();
  for (const field of fields) {
    const where = `${name} ${field.at.line}:${field.at.column}`;
    const setting = settingNamed(field.name);
    if (setting === undefined) {
      throw unknownField(field.name, where);
    }
    if (field.isList && setting.kind !== "addresses") {
      throw badArgument(`${setting.name} (${where}) is a list; it takes one value`, `${setting.name}:${setting.example}`);
    }
    const values = settings.get(setting.name) ?? [];
    if (values.length > 0 && setting.kind !== "addresses") {
      throw badArgument(
        `${setting.name} is given twice (${values[0]?.origin.where}, then ${where}); it takes one value`,
        `leaving out one of them`,
      );
    }
    settings.set(setting.name, [...values, ...field.values.map((value) => rawValue(setting, value, layer, name))]);
  }
  return settings;
}

/** Reads SYNOD_* variables. `warnings` names those that are spelled like a setting and are none. */
export function fromEnvironment(environment: Readonly<Record<string, string | undefined>>): {
  readonly settings: RawSettings;
  readonly warnings: readonly string[];
} {
  const settings = new Map<string, RawValue[]>();
  const known = new Set(OTHER_VARIABLES);
  for (const setting of SETTINGS) {
    const name = variableOf(setting);
    known.add(name);
    const text = environment[name];
    if (text !== undefined && text !== "") {
      settings.set(setting.name, split(setting, text, { layer: "environment", where: name }));
    }
  }
  const warnings: string[] = [];
  for (const name of Object.keys(environment)) {
    if (name.startsWith("SYNOD_") && !known.has(name)) {
      const guess = nearest(name, [...known]);
      warnings.push(
        `the environment variable ${name} is not a setting and is ignored${guess === undefined ? "" : `; did you mean ${guess}?`}`,
      );
    }
  }
  return { settings, warnings };
}

/** Reads flags as commander hands them over: by camel-cased name, a string each, an array for repeated ones. */
export function fromFlags(flags: Readonly<Record<string, unknown>>): RawSettings {
  const settings = new Map<string, RawValue[]>();
  for (const setting of SETTINGS) {
    const given = flags[setting.name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())];
    const texts = Array.isArray(given) ? given.map(String) : typeof given === "string" ? [given] : [];
    const origin: Origin = { layer: "flag", where: flagOf(setting) };
    const values = texts.flatMap((text) => split(setting, text, origin));
    if (values.length > 0) {
      settings.set(setting.name, values);
    }
  }
  return settings;
}

/** Reads a configuration file: JSON where it begins with a brace, text format otherwise. */
export function fromFile(text: string, name: string): RawSettings {
  return /^\s*\{/.test(text) ? fromJson(text, name) : fromText(text, "file", name);
}

function fromJson(text: string, name: string): RawSettings {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw badArgument(`${name} is not valid JSON: ${error instanceof Error ? error.message : String(error)}`, "correcting the file");
  }
  const settings = new Map<string, RawValue[]>();
  for (const [field, value] of Object.entries(parsed as Readonly<Record<string, unknown>>)) {
    const setting = settingNamed(field);
    if (setting === undefined) {
      throw unknownField(field, name);
    }
    const items: readonly unknown[] = Array.isArray(value) && setting.kind === "addresses" ? value : [value];
    settings.set(
      setting.name,
      items.map((item) => {
        if (typeof item === "boolean" && setting.choices?.includes(String(item)) === true) {
          return { value: String(item), isQuoted: false, origin: { layer: "file", where: name } };
        }
        if (typeof item !== "string" && typeof item !== "number") {
          throw badArgument(
            `${field} (${name}) is ${JSON.stringify(item)}; it takes text or a number`,
            `"${field}": ${jsonExample(setting)}`,
          );
        }
        return { value: item, isQuoted: typeof item === "string", origin: { layer: "file", where: name } };
      }),
    );
  }
  return settings;
}

function jsonExample(setting: Setting): string {
  const plain = setting.example.replaceAll("'", '"');
  return setting.kind === "addresses" ? `[${plain}]` : plain;
}

function rawValue(setting: Setting, value: TextValue, layer: Layer, name: string): RawValue {
  const where = `${name} ${value.at.line}:${value.at.column}`;
  const origin: Origin = { layer, where };
  switch (value.kind) {
    case "string":
      return { value: value.text, isQuoted: true, origin };
    case "number":
      return { value: isNumeric(setting) ? value.value : value.text, isQuoted: false, origin };
    case "word":
      if (setting.kind === "choice") {
        return { value: value.text, isQuoted: false, origin };
      }
      throw badArgument(
        `${setting.name} (${where}) is the word ${value.text}; it takes ${isNumeric(setting) ? "a number" : "text in quotes"}`,
        `${setting.name}:${isNumeric(setting) ? setting.example : `'${value.text}'`}`,
      );
    case "message":
      throw badArgument(`${setting.name} (${where}) is a message in braces; it takes a plain value`, `${setting.name}:${setting.example}`);
  }
}

function isNumeric(setting: Setting): boolean {
  return setting.limit !== undefined;
}

/** A flag or variable holds text; several addresses are separated by commas. */
function split(setting: Setting, text: string, origin: Origin): RawValue[] {
  const parts = setting.kind === "addresses" ? text.split(",").filter((part) => part.trim() !== "") : [text];
  return parts.map((part) => ({ value: part.trim(), isQuoted: true, origin }));
}

function unknownField(name: string, where: string): CliError {
  const guess = nearest(name, SETTING_NAMES);
  return badArgument(
    `unknown field '${name}' (${where})`,
    guess === undefined ? `one of ${SETTING_NAMES.join(", ")}` : `${guess}, if that is what you meant`,
  );
}

function syntaxError(error: TextFormatError, name: string): CliError {
  const field = error.field === undefined ? "" : `${error.field}: `;
  const hint =
    name === "argument" && /in quotes|expected ':'|expected a field name/.test(error.message)
      ? `the whole argument in double quotes, each text in single quotes: synod server "my_addr:'127.0.0.1:8000' ..."`
      : "protobuf text format: name:value name:'text' ...";
  return badArgument(`${field}${error.message} (${name} ${error.at.line}:${error.at.column})`, hint);
}
