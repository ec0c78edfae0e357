/**
 * The history of a campaign, window by window: written to a file, judged by `synod check-history` as a user would run it, and dropped
 * when it is good, so that a long campaign takes no more memory and disk than a short one. Of a window that is over it keeps what its
 * keys may hold, and looks again at the end. It must keep the file of every window that is not known to be good.
 */
import { appendFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { SynodClient } from "../../src/client/index.js";
import { formatOperation } from "../../src/sim/linearizability/history-format.js";
import type { Operation } from "../../src/sim/workload/operation.js";
import { synod } from "../support/processes.js";
import { eachOf } from "../support/wait.js";
import type { Window } from "./recorders.js";

const CHECK_MS = 600_000;
const READERS = 16;
/** How `check-history` ends where a history is good, and where it gave up. */
const GOOD = 0;
const UNDECIDED = 7;

export class Windows {
  checked = 0;
  undecided = 0;
  operations = 0;
  /** What is wrong with windows, in sentences. */
  readonly violations: string[] = [];
  private readonly folder: string;
  /** Where the whole history goes, if anywhere. */
  private readonly out: string | null;
  /** What the keys of windows that are over may hold. */
  private readonly held = new Map<string, ReadonlySet<string | null>>();

  constructor(folder: string, out: string | null) {
    this.folder = folder;
    this.out = out;
    if (out !== null) {
      writeFileSync(out, "");
    }
  }

  async check({ number, operations, last }: Window): Promise<void> {
    const file = join(this.folder, `history-${number}.jsonl`);
    const text = operations.map((operation) => `${formatOperation(operation)}\n`).join("");
    writeFileSync(file, text);
    if (this.out !== null) {
      appendFileSync(this.out, text);
    }
    this.operations += operations.length;
    this.hold(operations, last);
    const { status, stdout, stderr } = await synod(["check-history", file], { withinMs: CHECK_MS });
    this.checked++;
    if (status === GOOD) {
      rmSync(file);
    } else if (status === UNDECIDED) {
      this.undecided++;
    } else {
      this.violations.push(`window ${number}, ${file}: ${stdout}${stderr}`);
    }
  }

  /** Reads all keys of all windows again; returns what none of their last writes explains. */
  async look(client: SynodClient): Promise<readonly string[]> {
    const wrong: string[] = [];
    await eachOf(this.held, READERS, async ([key, held]) => {
      const found = (await client.get(key)) ?? null;
      if (!held.has(found)) {
        wrong.push(
          `${key} is ${found ?? "absent"} at ${client.endpoint}, and was ${[...held].map((value) => value ?? "absent").join(" or ")}`,
        );
      }
    });
    return wrong;
  }

  private hold(operations: readonly Operation[], last: ReadonlyMap<string, string | null>): void {
    const late = operations.filter(({ outcome, input }) => outcome === "unknown" && input.op !== "get");
    for (const [key, value] of last) {
      const written = late.filter((operation) => operation.key === key).map(({ input }) => ("value" in input ? input.value : null));
      this.held.set(key, new Set([value, ...written]));
    }
  }
}
