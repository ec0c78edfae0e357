/**
 * The prompt on a terminal: line editing, history, completion; one command at a time. Ctrl-C ends a running command, empties
 * a line, or leaves. It must never run two lines at once.
 */
import { clearLine, createInterface, cursorTo, type Interface } from "node:readline";
import { HISTORY_MAX, loadHistory, saveHistory } from "./history.js";
import type { Interpreter } from "./interpreter.js";

export type PromptOptions = {
  readonly prompt: string;
  /** Path of the history file. */
  readonly history: string;
  readonly input: NodeJS.ReadableStream;
  readonly output: NodeJS.WritableStream;
};

/** A prompt on a terminal. `done` resolves when the user has left. */
export class Prompt {
  readonly done: Promise<void>;
  private readonly interpreter: Interpreter;
  private readonly options: PromptOptions;
  private readonly readline: Interface;
  private readonly waiting: string[] = [];
  private lines: string[];
  private running: AbortController | undefined;
  private isClosed = false;

  constructor(interpreter: Interpreter, options: PromptOptions) {
    this.interpreter = interpreter;
    this.options = options;
    this.lines = loadHistory(options.history);
    this.readline = createInterface({
      input: options.input,
      output: options.output,
      prompt: options.prompt,
      history: [...this.lines],
      historySize: HISTORY_MAX,
      removeHistoryDuplicates: true,
      completer: (line: string) => interpreter.complete(line),
    });
    this.readline.on("history", (history: string[]) => {
      this.lines = [...history];
    });
    this.readline.on("line", (line) => {
      this.waiting.push(line);
      this.pump();
    });
    this.readline.on("SIGINT", () => this.onInterrupt());
    this.done = new Promise((resolve) => {
      this.readline.on("close", () => {
        this.isClosed = true;
        this.running?.abort();
        saveHistory(options.history, this.lines);
        resolve();
      });
    });
    this.readline.prompt();
  }

  /** Prints a line above the one being typed. */
  announce(text: string): void {
    if (this.isClosed) {
      this.options.output.write(`${text}\n`);
      return;
    }
    cursorTo(this.options.output, 0);
    clearLine(this.options.output, 0);
    this.options.output.write(`${text}\n`);
    if (this.running === undefined) {
      this.readline.prompt(true);
    }
  }

  /** Leaves, as EXIT does, from outside: the line being typed is left as it is. */
  close(): void {
    if (!this.isClosed) {
      this.options.output.write("\n");
      this.readline.close();
    }
  }

  private pump(): void {
    if (this.running !== undefined || this.isClosed) {
      return;
    }
    const line = this.waiting.shift();
    if (line === undefined) {
      this.readline.prompt();
      return;
    }
    this.running = new AbortController();
    this.runLine(line, this.running.signal).finally(() => {
      this.running = undefined;
      this.pump();
    });
  }

  private async runLine(line: string, signal: AbortSignal): Promise<void> {
    const { output, error, isExit } = await this.interpreter.run(line, signal);
    if (output !== undefined) {
      this.options.output.write(`${output}\n`);
    }
    if (error !== undefined) {
      const isInvalid = error.message.startsWith("Invalid command.");
      const hint = error.hint === undefined ? "" : `${isInvalid ? "Valid are" : "try"}: ${error.hint}\n`;
      this.options.output.write(`${isInvalid ? "" : "Error: "}${error.message}\n${hint}`);
    }
    if (isExit) {
      this.readline.close();
    }
  }

  private onInterrupt(): void {
    if (this.running !== undefined) {
      this.running.abort();
      return;
    }
    if (this.readline.line === "") {
      this.options.output.write("\n");
      this.readline.close();
      return;
    }
    this.options.output.write("^C\n");
    this.readline.write(null, { ctrl: true, name: "e" });
    this.readline.write(null, { ctrl: true, name: "u" });
    this.readline.prompt();
  }
}
