/**
 * The operator's machine in a forced recovery: the production tool runs on copies of the directories that are left, on a disk of its
 * own, and may lose its power on the way, and is run again then. That it changes what it reads, or hangs, is a violation.
 */
import { present } from "../../base/assert.js";
import { nextChance, nextInt, nextU32, type Prng, splitPrng } from "../../base/prng.js";
import type { Address } from "../../paxos/ids.js";
import type { Merged } from "../../paxos/merge.js";
import type { Durable } from "../../paxos/record.js";
import type { FileSystem } from "../../ports/file.js";
import type { Random } from "../../ports/random.js";
import { prepareRecovery, type Recovery, RecoveryRefused } from "../../server/forced-recovery.js";
import { recoveryReport } from "../../server/recovery-report.js";
import { readDirectory } from "../../storage/read-directory.js";
import { MachineClock } from "../cluster/machine-clock.js";
import { SimDisk } from "../disk/sim-disk.js";
import type { Engine } from "../engine/engine.js";
import { Host } from "../engine/host.js";
import type { Tally } from "../engine/tally.js";
import { Violation } from "../observer.js";

/** The files of a data directory, by name. */
export type Files = ReadonlyMap<string, Uint8Array>;

export type Task = {
  /** Directories that are left, by their paths. */
  readonly from: ReadonlyMap<string, Files>;
  /** The address of the server that will run on the new one. */
  readonly address: Address;
  readonly segmentBytes: number;
};

/** `report`: what the tool told before it was carried out. `durable`: what a start would find in the new directory, whose files are `files`. */
export type Made = {
  readonly kind: "made";
  readonly merged: Merged;
  readonly report: readonly string[];
  readonly durable: Durable;
  readonly files: Files;
};

export type Bench = { readonly engine: Engine; readonly tally: Tally; readonly prng: Prng };

/** How long the tool may take. */
const TOOL_MS = 60_000;
const MICROS_A_MILLI = 1000;
const SPEEDS = { diskMin: 20, diskMax: 200 };
/** How likely the power goes while the new directory is made, and after how many effects at most. */
const POWER_CHANCE = 0.4;
const EFFECTS_MAX = 60;

/** Recovers as the task says; refused where the tool says so. */
export async function recoverOnBench(bench: Bench, task: Task): Promise<Made | { readonly kind: "refused"; readonly text: string }> {
  const tool = new Tool(bench, task);
  const recovery = await tool.prepare("/new");
  if (recovery instanceof RecoveryRefused) {
    return { kind: "refused", text: recovery.message };
  }
  const report = recoveryReport(recovery, "/new", task.address);
  const directory = (await tool.carryOut(recovery)) ? "/new" : await tool.again("/again");
  return { kind: "made", merged: recovery.merged, report, ...(await tool.result(directory)) };
}

class Tool {
  private readonly bench: Bench;
  private readonly task: Task;
  private readonly disk: SimDisk;
  private readonly clock: MachineClock;
  private readonly random: Random;
  private lives = 0;
  /** The present process of the tool, and the disk as it sees it. */
  private run: { readonly host: Host; readonly files: FileSystem };

  constructor(bench: Bench, task: Task) {
    const { engine, tally, prng } = bench;
    this.bench = bench;
    this.task = task;
    this.disk = new SimDisk({ engine, tally, prng: splitPrng(prng), speeds: SPEEDS });
    this.clock = new MachineClock(engine, { mono: 0, wall: 0 });
    this.random = { bytes: (count) => Uint8Array.from({ length: count }, () => nextU32(prng) & 0xff) };
    this.run = this.begin();
    for (const [path, files] of task.from) {
      this.disk.place(path, files);
    }
  }

  private begin(): Tool["run"] {
    this.lives++;
    const host = new Host(this.bench.engine, { index: -1, life: this.lives }, () => {});
    return { host, files: this.disk.fileSystemOf(host) };
  }

  /** The tool looks into everything; what it says where it refuses. */
  async prepare(to: string): Promise<Recovery | RecoveryRefused> {
    const { task, random } = this;
    const { host, files } = this.run;
    const done = await this.finish(
      prepareRecovery({
        fileSystem: files,
        clock: this.clock.portOf(host),
        random,
        segmentBytes: task.segmentBytes,
        from: [...task.from.keys()],
        to,
        address: task.address,
      }).catch((error: unknown) => {
        if (error instanceof RecoveryRefused) {
          return error;
        }
        throw new Violation("recover", `whole directories cannot be read: ${error instanceof Error ? error.message : String(error)}`);
      }),
    );
    return present(done, "nothing ends the tool before it writes");
  }

  /** False where the power went meanwhile. */
  async carryOut(recovery: Recovery): Promise<boolean> {
    const { prng, tally } = this.bench;
    const { host } = this.run;
    if (nextChance(prng, POWER_CHANCE)) {
      host.planCrash({ boundary: null, count: nextInt(prng, 1, EFFECTS_MAX + 1), after: nextChance(prng, 0.5) });
    }
    await this.finish(recovery.carryOut());
    host.planCrash(null);
    if (host.alive) {
      await this.finish(recovery.release());
      return true;
    }
    tally.add("recovery interrupted");
    this.disk.losePower();
    this.run = this.begin();
    return false;
  }

  /** A second try, into another directory: nothing that the first one left counts. */
  async again(to: string): Promise<string> {
    const recovery = await this.prepare(to);
    if (recovery instanceof RecoveryRefused) {
      throw new Violation("recover", `a second try is refused: ${recovery.message}`);
    }
    await this.finish(recovery.carryOut());
    await this.finish(recovery.release());
    return to;
  }

  /** What a start would find, even where the power goes as soon as the tool says that it is done. */
  async result(directory: string): Promise<Pick<Made, "durable" | "files">> {
    this.run.host.kill();
    this.disk.losePower();
    this.run = this.begin();
    const read = present(await this.finish(readDirectory(this.run.files, directory)), "nothing ends the tool any more");
    await this.finish(read.release());
    const copy = this.disk.copy();
    for (const [path, files] of this.task.from) {
      demandSame(path, files, copy.get(path));
    }
    return { durable: read.durable, files: present(copy.get(directory), "the directory was made") };
  }

  /** Waits for work of the tool; null where the power went. */
  private async finish<T>(work: Promise<T>): Promise<T | null> {
    const { engine } = this.bench;
    const { host } = this.run;
    let value: T | null = null;
    let isOver = false;
    let failure: unknown = null;
    work.then(
      (result) => {
        value = result;
        isOver = true;
      },
      (error: unknown) => {
        failure = error;
        isOver = true;
      },
    );
    engine.stir();
    await engine.run(engine.now + TOOL_MS * MICROS_A_MILLI, () => isOver || !host.alive);
    if (failure !== null && host.alive) {
      throw failure instanceof Violation ? failure : new Violation("recover", `the tool fails: ${String(failure)}`);
    }
    if (!isOver && host.alive) {
      throw new Violation("recover", `the tool is not done within ${TOOL_MS} ms`);
    }
    return host.alive ? value : null;
  }
}

function demandSame(path: string, before: Files, after: Files | undefined): void {
  const isSame = (name: string, content: Uint8Array): boolean => {
    const held = after?.get(name);
    return held !== undefined && held.length === content.length && held.every((byte, at) => byte === content[at]);
  };
  const changed = [...before].find(([name, content]) => !isSame(name, content));
  if (changed !== undefined || after?.size !== before.size) {
    throw new Violation("recover", `the tool changed ${path}, which it was to read: ${changed?.[0] ?? "other files"}`);
  }
}
