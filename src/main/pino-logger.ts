/** The server's log on stderr, through pino: JSON lines for machines, one readable line for people. It must never write to stdout. */
import { writeSync } from "node:fs";
import { pino } from "pino";
import type { LogFormat, LogLevel } from "../server/config.js";
import type { LogFields, Logger } from "../server/logger.js";

const STDERR = 2;

export type PinoLoggerOptions = {
  readonly level: LogLevel;
  readonly format: LogFormat;
  /** Goes with every line: which server speaks. */
  readonly server: string;
};

/** Lines are written synchronously: the last one before a stop is the one that matters, and the hot path logs nothing. */
export function createLogger(options: PinoLoggerOptions): Logger {
  const pretty = options.format === "pretty" || (options.format === "auto" && process.stderr.isTTY === true);
  const destination = { write: (line: string) => writeLine(pretty ? prettyLine(line) : line) };
  const log = pino({ level: options.level, base: { server: options.server }, timestamp: pino.stdTimeFunctions.isoTime }, destination);
  return {
    log(level, code, text, fields?: LogFields) {
      log[level]({ code, ...fields }, text);
    },
  };
}

/** Where nobody reads stderr any more the server goes on: a log is no reason to stop. */
function writeLine(line: string): void {
  try {
    writeSync(STDERR, line);
  } catch {
    // EPIPE or EAGAIN: the reader is gone or slow, and there is nobody left to tell
  }
}

/** "12:00:01.123 info  127.0.0.1:9000 founded: text (a=1 b=2)", from the JSON line. */
function prettyLine(json: string): string {
  const { level, time, server, code, msg, ...fields } = JSON.parse(json) as Record<string, unknown>;
  const name = (pino.levels.labels[Number(level)] ?? "info").padEnd(5);
  const rest = Object.entries(fields).map(([key, value]) => `${key}=${String(value)}`);
  const clock = String(time).slice(11, 23);
  return `${clock} ${name} ${String(server)} ${String(code)}: ${String(msg)}${rest.length > 0 ? ` (${rest.join(" ")})` : ""}\n`;
}
