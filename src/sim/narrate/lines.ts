/**
 * Where the lines of a transcript go: the last of them are kept, all of them go to a sink where one is given. A line that comes
 * again and again is told ever more seldom, and counted. Memory is bounded whatever the length of the run.
 */
import { describeTime } from "./words.js";

/** Lines that are kept unless told otherwise. */
export const LINES_KEPT = 300;
/** A line that was told less than this long ago is folded; each time that it comes back soon, twice as long. Microseconds. */
const FOLD_MICROS = { from: 1_000_000, max: 64_000_000 } as const;
/** Soon: within so many times as long. */
const SOON = 4;
/** Different lines that are remembered for folding. */
const FOLD_LINES_MAX = 2_000;
/** `12345.678`: three hours in seconds. */
const TIME_WIDTH = 9;

type Told = { readonly at: number; readonly window: number; again: number };

export type LinesOptions = {
  /** How many of the last lines are kept; default LINES_KEPT. */
  readonly keep?: number;
  /** Gets every line, without its end. */
  readonly sink?: (line: string) => void;
};

export class Lines {
  private readonly keep: number;
  private readonly sink: ((line: string) => void) | undefined;
  private readonly kept: string[] = [];
  private next = 0;
  private readonly told = new Map<string, Told>();
  /** Lines in all. */
  total = 0;

  constructor(options: LinesOptions) {
    this.keep = options.keep ?? LINES_KEPT;
    this.sink = options.sink;
  }

  /** A line that is told in any case. */
  add(at: number, text: string): void {
    const line = `${describeTime(at).padStart(TIME_WIDTH)}  ${text}`;
    this.total++;
    this.kept[this.next] = line;
    this.next = (this.next + 1) % this.keep;
    this.sink?.(line);
  }

  /** A line that is folded where it was told a moment ago. */
  fold(at: number, text: string): void {
    const told = this.told.get(text);
    if (told !== undefined && at - told.at < told.window) {
      told.again++;
      return;
    }
    const again = told === undefined || told.again === 0 ? "" : ` (and ${told.again} times since ${describeTime(told.at)})`;
    const isBack = told !== undefined && at - told.at < SOON * told.window;
    this.told.delete(text);
    this.told.set(text, { at, window: isBack ? Math.min(2 * told.window, FOLD_MICROS.max) : FOLD_MICROS.from, again: 0 });
    if (this.told.size > FOLD_LINES_MAX) {
      for (const oldest of this.told.keys()) {
        this.told.delete(oldest);
        break;
      }
    }
    this.add(at, text + again);
  }

  /** The lines that are kept, oldest first. */
  last(): readonly string[] {
    return this.kept.length < this.keep ? this.kept.slice() : [...this.kept.slice(this.next), ...this.kept.slice(0, this.next)];
  }
}
