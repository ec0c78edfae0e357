/**
 * The language of the prompt: finds the command of a line, checks its words, runs it. Both the prompt and the piped mode use it,
 * and `synod up` adds its own commands. It must never read from a terminal.
 */
import type { SynodClient } from "../../client/client.js";
import { CliError, EXIT, toCliError } from "../errors.js";
import { parseLine } from "./parse.js";

/** A command of the prompt. */
export type ReplCommand = {
  /** Upper case; typed in any. */
  readonly name: string;
  /** Other words for it. */
  readonly aliases?: readonly string[];
  /** `PUT key value`. */
  readonly usage: string;
  readonly summary: string;
  readonly wordsMin: number;
  readonly wordsMax: number;
  /** Runs it; resolves to the lines for stdout. Rejects with `CliError` or `StoreError`. */
  readonly run: (words: readonly string[], signal: AbortSignal) => Promise<string>;
};

/** What a line came to: what to print, if anything, and the error, if it failed. */
export type LineResult = {
  /** An empty text is a result too: the value may be empty. */
  readonly output: string | undefined;
  readonly error: CliError | undefined;
  /** Whether the line asks to leave. */
  readonly isExit: boolean;
};

/** How many keys are remembered for completion. */
export const KEYS_REMEMBERED_MAX = 10_000;

const NOTHING: LineResult = { output: undefined, error: undefined, isExit: false };

/** GET, PUT and DELETE over `client`, HELP and EXIT, and `more`. */
export class Interpreter {
  readonly commands: readonly ReplCommand[];
  private readonly keys = new Set<string>();

  constructor(client: SynodClient, more: readonly ReplCommand[] = []) {
    this.commands = [...this.storeCommands(client), ...more, this.helpCommand(), EXIT_COMMAND];
  }

  /** Runs one line. Never rejects for a person's mistake or a server's answer. */
  async run(line: string, signal: AbortSignal): Promise<LineResult> {
    const parsed = parseLine(line);
    if ("problem" in parsed) {
      return { ...NOTHING, error: this.invalid(parsed.problem) };
    }
    const [name, ...words] = parsed.words;
    if (name === undefined || name.startsWith("#")) {
      return NOTHING;
    }
    const command = this.find(name);
    if (command === undefined) {
      return { ...NOTHING, error: this.invalid(undefined) };
    }
    if (words.length < command.wordsMin || words.length > command.wordsMax) {
      return { ...NOTHING, error: this.invalid(`${command.name} is written: ${command.usage}${quotesHint(command, words)}`) };
    }
    if (command === EXIT_COMMAND) {
      return { ...NOTHING, isExit: true };
    }
    try {
      return { ...NOTHING, output: await command.run(words, signal) };
    } catch (error) {
      return { ...NOTHING, error: toCliError(error) };
    }
  }

  /** For readline: what the word under the cursor may become, and that word. */
  complete(line: string): [string[], string] {
    const words = line.trimStart().split(/\s+/);
    const last = words.at(-1) ?? "";
    if (words.length <= 1) {
      const matches = this.commands.map((command) => command.name).filter((name) => name.startsWith(last.toUpperCase()));
      return [matches.map((name) => `${last !== "" && last === last.toLowerCase() ? name.toLowerCase() : name} `), last];
    }
    const takesKey = words.length === 2 && ["GET", "PUT", "DELETE", "DEL"].includes((words[0] ?? "").toUpperCase());
    return [
      takesKey
        ? [...this.keys]
            .filter((key) => key.startsWith(last))
            .sort()
            .map((key) => `${key} `)
        : [],
      last,
    ];
  }

  /** Remembers a key for completion. */
  seen(key: string): void {
    if (this.keys.size < KEYS_REMEMBERED_MAX && !/[\s'"]/.test(key)) {
      this.keys.add(key);
    }
  }

  private find(name: string): ReplCommand | undefined {
    const upper = name.toUpperCase();
    return this.commands.find((command) => command.name === upper || command.aliases?.includes(upper) === true);
  }

  private invalid(detail: string | undefined): CliError {
    const valid = this.commands.map((command) => command.usage).join(", ");
    const message = detail === undefined ? "Invalid command." : `Invalid command. ${detail}`;
    return new CliError(message, { exitCode: EXIT.invalidInput, hint: valid });
  }

  private storeCommands(client: SynodClient): readonly ReplCommand[] {
    return [
      {
        name: "GET",
        usage: "GET key",
        summary: "print the value of a key",
        wordsMin: 1,
        wordsMax: 1,
        run: async ([key = ""], signal) => {
          const value = await client.get(key, { signal });
          if (value !== undefined) {
            this.seen(key);
          }
          return value ?? "Key not found.";
        },
      },
      {
        name: "PUT",
        usage: "PUT key value",
        summary: "store a value",
        wordsMin: 2,
        wordsMax: 2,
        run: async ([key = "", value = ""], signal) => {
          await client.put(key, value, { signal });
          this.seen(key);
          return "OK";
        },
      },
      {
        name: "DELETE",
        aliases: ["DEL"],
        usage: "DELETE key",
        summary: "remove a key",
        wordsMin: 1,
        wordsMax: 1,
        run: async ([key = ""], signal) => {
          await client.delete(key, { signal });
          this.keys.delete(key);
          return "OK";
        },
      },
    ];
  }

  private helpCommand(): ReplCommand {
    return {
      name: "HELP",
      aliases: ["?"],
      usage: "HELP",
      summary: "print this",
      wordsMin: 0,
      wordsMax: 0,
      run: async () => {
        const widest = Math.max(...this.commands.map((command) => command.usage.length));
        const lines = this.commands.map((command) => `${command.usage.padEnd(widest)}  ${command.summary}`);
        return [...lines, "", "Commands may be typed in any case. Quote what holds spaces: PUT city 'New York'."].join("\n");
      },
    };
  }
}

const EXIT_COMMAND: ReplCommand = {
  name: "EXIT",
  aliases: ["QUIT"],
  usage: "EXIT",
  summary: "leave",
  wordsMin: 0,
  wordsMax: 0,
  run: async () => "",
};

/** More words than a command takes are most often one value with spaces. */
function quotesHint(command: ReplCommand, words: readonly string[]): string {
  return words.length > command.wordsMax && command.wordsMax > 0 ? "; quote what holds spaces, such as PUT city 'New York'" : "";
}
