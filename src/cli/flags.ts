/** Flags and variables as they come in, by name, before anybody has looked at them. It must never give a default. */

/** Flags as commander hands them over. */
export type Flags = Readonly<Record<string, unknown>>;

/** Variables as `process.env` has them. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** The text of a flag; undefined where it was not given, or is a switch. */
export function textFlag(flags: Flags, name: string): string | undefined {
  const value = flags[name];
  return typeof value === "string" ? value : undefined;
}

/** Whether the switch `name` was given. */
export function isSet(flags: Flags, name: string): boolean {
  return flags[name] === true;
}

/** The value of a variable; undefined where it is not set or empty. */
export function variable(environment: Environment, name: string): string | undefined {
  const value = environment[name];
  return value === "" ? undefined : value;
}
