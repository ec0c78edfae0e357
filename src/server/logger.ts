/** Where the server layer says what a person should read. Structured: a stable code, a sentence, plain fields; never a secret or a value of a user's. */

/** Plain values that go with a line of the log. */
export type LogFields = Readonly<Record<string, string | number | boolean | null>>;

export interface Logger {
  log(level: "debug" | "info" | "warn" | "error" | "fatal", code: string, text: string, fields?: LogFields): void;
}

/** Says nothing: for tests and simulations that watch by other means. */
export const SILENT_LOGGER: Logger = { log() {} };
