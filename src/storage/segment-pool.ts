/**
 * The files of the log that are not in use: recycled ones, and one filled with zeros ahead of need, so that a commit writes
 * into blocks that exist (LIMITS §5). Must never hand out or remove a file that the log still needs: it is told which it does not.
 */
import type { Clock } from "../ports/clock.js";
import type { File, FileSystem } from "../ports/file.js";
import { pathIn, segmentName } from "./layout.js";
import { PREFILL_PAUSE_MS, SPARE_SEGMENTS_MAX } from "./limits.js";
import type { SegmentFile } from "./recovery.js";
import type { SpaceKeeper } from "./space.js";
import { failureOf, REMEDY_FULL, StorageFailure } from "./storage-failure.js";

export type SegmentPoolOptions = {
  readonly fileSystem: FileSystem;
  readonly clock: Clock;
  readonly directory: string;
  readonly segmentBytes: number;
  readonly space: SpaceKeeper;
  readonly onFailure: (failure: StorageFailure) => void;
};

/** A file to begin a segment in, open for durable writes, its name and its size on disk. */
export type TakenSegment = SegmentFile & { readonly file: File };

export class SegmentPool {
  private readonly options: SegmentPoolOptions;
  private readonly spares: SegmentFile[] = [];
  /** Removals and the prefill run one after another, beside the commits. */
  private background: Promise<void> = Promise.resolve();
  private prefilling = false;
  /** Somebody waits for the prefill: no more pauses. */
  private urgent = false;
  private wake: (() => void) | null = null;
  private lastNumber: number;
  private started = false;
  private closed = false;

  /** `lastNumber`: the greatest number of a segment file in the directory. */
  constructor(options: SegmentPoolOptions, lastNumber: number) {
    this.options = options;
    this.lastNumber = lastNumber;
  }

  /** Bytes on disk. */
  get bytes(): number {
    return this.spares.reduce((sum, spare) => sum + spare.bytes, 0);
  }

  get spareCount(): number {
    return this.spares.length;
  }

  /**
   * A file of at least `bytes`, every block of it written once: a commit into it finds its space there whatever the disk
   * is full of. A spare one, one that is being filled, else a new one.
   */
  async take(bytes: number): Promise<TakenSegment> {
    const { segmentBytes, fileSystem } = this.options;
    if (bytes <= segmentBytes && this.prefilling) {
      this.urgent = true;
      this.wake?.();
      await this.background;
      this.urgent = false;
    }
    const taken = (bytes <= segmentBytes ? this.spares.pop() : undefined) ?? (await this.create(Math.max(bytes, segmentBytes)));
    const file = await fileSystem.open(taken.path, { mode: "update", durable: true });
    // A spare may be one that an earlier life was filling when it died.
    await file.sync();
    return { ...taken, file };
  }

  /** Takes back a file that holds nothing needed any more: kept as a spare, or removed in the background. */
  release(file: SegmentFile): void {
    if (file.bytes === this.options.segmentBytes && this.spares.length < SPARE_SEGMENTS_MAX && !this.closed) {
      this.spares.push(file);
      return;
    }
    this.inBackground(file.path, "remove a segment", () => this.options.fileSystem.remove(file.path));
  }

  /** From now on files are made ahead of need. Not before the directory is wholly ours: a creation makes one file only. */
  start(): void {
    this.started = true;
    this.prepare();
  }

  /** Makes sure that a spare file is there or on its way. */
  prepare(): void {
    if (!this.started || this.spares.length > 0 || this.prefilling || this.closed || this.options.space.low) {
      return;
    }
    this.prefilling = true;
    const file = this.nextFile(this.options.segmentBytes);
    this.inBackground(file.path, "fill a segment ahead of use", async () => {
      const complete = await this.makeSegment(file, () => this.pause());
      this.prefilling = false;
      if (complete) {
        this.spares.push(file);
      }
    });
  }

  /** Ends what runs in the background. Spare files stay. */
  async close(): Promise<void> {
    this.closed = true;
    this.wake?.();
    await this.background;
  }

  private nextFile(bytes: number): SegmentFile {
    this.lastNumber += 1;
    return { path: pathIn(this.options.directory, segmentName(this.lastNumber)), number: this.lastNumber, bytes };
  }

  /** A new file while somebody waits for it; on a full disk the ballast makes room for one. */
  private async create(bytes: number): Promise<SegmentFile> {
    const first = this.nextFile(bytes);
    if (await this.makeSegment(first)) {
      return first;
    }
    const second = this.nextFile(bytes);
    if ((await this.options.space.dropBallast()) && (await this.makeSegment(second))) {
      return second;
    }
    throw new StorageFailure("full", "no space for another segment of the log", {
      path: second.path,
      remedy: REMEDY_FULL,
    });
  }

  /** Makes `target` a file of zeros, durably. False where there was no space, or `pause` said to stop: then there is no file. */
  private async makeSegment(target: SegmentFile, pause?: () => Promise<boolean>): Promise<boolean> {
    const { fileSystem, directory, space } = this.options;
    const complete = await space.makeFile(target.path, target.bytes, pause);
    if (complete) {
      await fileSystem.syncDirectory(directory);
    }
    return complete;
  }

  /** Between two slices of zeros; resolves with whether to go on. */
  private pause(): Promise<boolean> {
    if (this.urgent || this.closed) {
      return Promise.resolve(!this.closed);
    }
    return new Promise((resolve) => {
      const goOn = (): void => {
        timer.cancel();
        this.wake = null;
        resolve(!this.closed);
      };
      const timer = this.options.clock.after(PREFILL_PAUSE_MS, goOn);
      this.wake = goOn;
    });
  }

  private inBackground(path: string, action: string, work: () => Promise<void>): void {
    this.background = this.background.then(work).catch((error: unknown) => {
      this.options.onFailure(failureOf(error, path, action));
    });
  }
}
