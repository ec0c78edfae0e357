/**
 * What is wrong at present with one direction between two servers: the sum of all network faults that touch it. Faults of one kind may
 * overlap, so each is entered and taken out by itself. It decides nothing: the link does.
 */

/** A fault that meets a message with `chance` and lets it come up to `byMicros` later. */
export type Late = { readonly chance: number; readonly byMicros: number };

export class Trouble {
  /** What cuts the link, as the tally calls it. */
  readonly cuts: string[] = [];
  /** Chances. */
  readonly drops: number[] = [];
  readonly duplicates: number[] = [];
  readonly replays: Late[] = [];
  readonly reorders: Late[] = [];
  /** Microseconds, each the most that one fault adds. */
  readonly delays: number[] = [];
  /** Messages above so many bytes are lost. */
  readonly large: number[] = [];
  private clogs = 0;
  private refusals = 0;
  private silences = 0;
  private isCalm = true;

  /** Nothing is wrong with messages under way. */
  get calm(): boolean {
    return this.isCalm;
  }

  get isCut(): boolean {
    return this.cuts.length > 0;
  }

  get isClogged(): boolean {
    return this.clogs > 0;
  }

  /** Streams cannot be opened, although somebody listens. */
  get isRefused(): boolean {
    return this.refusals > 0;
  }

  /** That nobody listens at the other end cannot be noticed. */
  get isSilent(): boolean {
    return this.silences > 0;
  }

  /** Nothing gets through now. */
  get isBlocked(): boolean {
    return this.isCut || this.isClogged;
  }

  /** Enters `value` in one of the lists; the result takes it out again. */
  enter<T>(list: T[], value: T): () => void {
    list.push(value);
    this.sum();
    return () => {
      list.splice(list.indexOf(value), 1);
      this.sum();
    };
  }

  clog(by: 1 | -1): void {
    this.clogs += by;
    this.sum();
  }

  refuse(by: 1 | -1): void {
    this.refusals += by;
  }

  silence(by: 1 | -1): void {
    this.silences += by;
  }

  private sum(): void {
    const { cuts, drops, duplicates, replays, reorders, delays, large } = this;
    const lists = cuts.length + drops.length + duplicates.length + replays.length + reorders.length + delays.length + large.length;
    this.isCalm = lists === 0 && this.clogs === 0;
  }
}
