/** A `synod` command that reads lines and answers each, as a pipe sees it. */
import { type Ending, ending, spawnSynod } from "./processes.js";
import { until } from "./wait.js";

export class PipedPrompt {
  stdout = "";
  stderr = "";
  private readonly child: ReturnType<typeof spawnSynod>;

  constructor(args: readonly string[]) {
    this.child = spawnSynod(args);
    this.child.stdout.setEncoding("utf8").on("data", (text: string) => {
      this.stdout += text;
    });
    this.child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.stderr += text;
    });
  }

  /** Types a line. */
  say(line: string): void {
    this.child.stdin.write(`${line}\n`);
  }

  /** Waits until it has printed exactly `stdout` in all. */
  async answered(stdout: string): Promise<void> {
    await until(`the prompt to print ${JSON.stringify(stdout)}`, () => (this.stdout === stdout ? true : null));
  }

  /** Ends its input, and waits for its end. */
  end(): Promise<Ending> {
    this.child.stdin.end();
    return ending(this.child);
  }
}
