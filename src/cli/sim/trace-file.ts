/** The file of --trace: every line of every run. It must never keep lines in memory, so it writes as they come. */
import { closeSync, openSync, writeSync } from "node:fs";
import { CliError, EXIT } from "../errors.js";

/** Bytes that are gathered before they are written. */
const BLOCK_CHARS = 1 << 16;

export class TraceFile {
  private readonly path: string;
  private readonly descriptor: number;
  private block = "";

  constructor(path: string) {
    this.path = path;
    this.descriptor = this.orFail(() => openSync(path, "w"));
  }

  add(line: string): void {
    this.block += `${line}\n`;
    if (this.block.length >= BLOCK_CHARS) {
      this.flush();
    }
  }

  flush(): void {
    const { block } = this;
    this.block = "";
    this.orFail(() => writeSync(this.descriptor, block));
  }

  close(): void {
    this.flush();
    closeSync(this.descriptor);
  }

  private orFail<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw new CliError(`--trace ${this.path} cannot be written: ${error instanceof Error ? error.message : String(error)}`, {
        exitCode: EXIT.io,
        hint: "a file in a folder that can be written to, on a disk with room",
        cause: error,
      });
    }
  }
}
