/**
 * Free space: looked at now and then, and a ballast file that gives some back when there is none left, so that promises can
 * still be written. Refusing work is the caller's decision, and so is stopping.
 */
import type { Clock, TimerHandle } from "../ports/clock.js";
import type { File, FileSystem } from "../ports/file.js";
import { BALLAST_FILE, pathIn, removeIfThere, writeAt } from "./layout.js";
import { PREFILL_SLICE_BYTES, SPACE_POLL_MS } from "./limits.js";
import { failureOf, isNoSpace, type StorageFailure } from "./storage-failure.js";

export type SpaceOptions = {
  readonly fileSystem: FileSystem;
  readonly clock: Clock;
  readonly directory: string;
  /** Size of the ballast file, in bytes; 0 for none. */
  readonly ballastBytes: number;
  /** Below this many free bytes space is low. */
  readonly reserveBytes: number;
  readonly onFailure: (failure: StorageFailure) => void;
  /** Called after each look at a disk that is not low. */
  readonly onSpace: () => void;
};

export class SpaceKeeper {
  private readonly options: SpaceOptions;
  private free: number;
  private hasBallast: boolean;
  private refused = false;
  private timer: TimerHandle | null = null;
  private looking: Promise<void> = Promise.resolve();
  private closed = false;

  /** `free`: bytes free at the start. */
  constructor(options: SpaceOptions, free: number, hasBallast: boolean) {
    this.options = options;
    this.free = free;
    this.hasBallast = hasBallast;
  }

  /** Bytes, as last looked at. */
  get freeBytes(): number {
    return this.free;
  }

  get ballastBytes(): number {
    return this.hasBallast ? this.options.ballastBytes : 0;
  }

  /** Whether new values should be refused: little is free, or the disk refused space and has not been looked at since. */
  get low(): boolean {
    return this.refused || this.free < this.options.reserveBytes;
  }

  /** Begins to look regularly, at once for the first time. */
  start(): void {
    this.looking = this.look();
  }

  /** The disk refused space: low until a later look says otherwise. */
  markRefused(): void {
    this.refused = true;
  }

  /** Gives the ballast back to the disk; whether there was any. */
  async dropBallast(): Promise<boolean> {
    this.markRefused();
    if (!this.hasBallast) {
      return false;
    }
    this.hasBallast = false;
    await this.options.fileSystem.remove(pathIn(this.options.directory, BALLAST_FILE));
    return true;
  }

  /**
   * Makes a file of `bytes` zeros, to be made durable by name by whoever needs it. False where there is no space, or `pause`
   * said to stop (see fillZeros): then there is no file.
   */
  async makeFile(path: string, bytes: number, pause?: () => Promise<boolean>): Promise<boolean> {
    const { fileSystem } = this.options;
    let complete = false;
    try {
      const file = await fileSystem.open(path, { mode: "create", durable: false });
      try {
        complete = await fillZeros(file, bytes, pause);
      } finally {
        await file.close();
      }
    } catch (error) {
      if (!isNoSpace(error)) {
        throw error;
      }
      complete = false;
      this.markRefused();
    }
    if (!complete) {
      await removeIfThere(fileSystem, path);
    }
    return complete;
  }

  async close(): Promise<void> {
    this.closed = true;
    this.timer?.cancel();
    await this.looking;
  }

  private async look(): Promise<void> {
    try {
      this.free = await this.options.fileSystem.freeBytes(this.options.directory);
      this.refused = false;
      if (!this.low && !this.closed) {
        await this.keepBallast();
        this.options.onSpace();
      }
    } catch (error) {
      this.options.onFailure(failureOf(error, this.options.directory, "look at the free space"));
      return;
    }
    if (!this.closed) {
      this.timer = this.options.clock.after(SPACE_POLL_MS, () => {
        this.looking = this.look();
      });
    }
  }

  /** Writes the ballast where it is missing and there is plenty of space besides. */
  private async keepBallast(): Promise<void> {
    const { directory, ballastBytes, reserveBytes } = this.options;
    if (!this.hasBallast && ballastBytes > 0 && this.free >= reserveBytes + 2 * ballastBytes) {
      this.hasBallast = await this.makeFile(pathIn(directory, BALLAST_FILE), ballastBytes);
    }
  }
}

/** A slice of what new files are filled with; never written to. */
const ZEROS: Uint8Array = new Uint8Array(PREFILL_SLICE_BYTES);

/** Fills a new file with `bytes` zeros, syncing slice by slice; `pause` runs between slices and may stop it by returning false. */
async function fillZeros(file: File, bytes: number, pause?: () => Promise<boolean>): Promise<boolean> {
  for (let at = 0; at < bytes; at += PREFILL_SLICE_BYTES) {
    await writeAt(file, at, ZEROS.subarray(0, Math.min(PREFILL_SLICE_BYTES, bytes - at)));
    await file.sync();
    if (pause !== undefined && !(await pause())) {
      return false;
    }
  }
  return true;
}
