/** The faults of one disk that have begun and not ended: windows that are open, and what happens at the next chance. It does nothing by itself. */
import { nextInt, type Prng } from "../../base/prng.js";

/** Faults that the next operation of their kind takes. */
export type NextFault = "failSync" | "misdirect";

export class BegunFaults {
  private stalls = 0;
  private fulls = 0;
  private readonly slow: number[] = [];
  private readonly next: Record<NextFault, number> = { failSync: 0, misdirect: 0 };

  /** No operation ends. */
  get stalled(): boolean {
    return this.stalls > 0;
  }

  /** No file grows. */
  get full(): boolean {
    return this.fulls > 0;
  }

  /** `onEnd`: the last window of the kind is over. */
  beginStall(onEnd: () => void): () => void {
    this.stalls++;
    return once(() => {
      this.stalls--;
      if (this.stalls === 0) {
        onEnd();
      }
    });
  }

  beginFull(): () => void {
    this.fulls++;
    return once(() => this.fulls--);
  }

  /** Each operation takes up to `micros` more. */
  beginSlow(micros: number): () => void {
    this.slow.push(micros);
    return once(() => this.slow.splice(this.slow.indexOf(micros), 1));
  }

  /** The next one of its kind inside the window, if one comes. */
  beginNext(kind: NextFault): () => void {
    this.next[kind]++;
    return once(() => {
      this.next[kind] = Math.max(0, this.next[kind] - 1);
    });
  }

  /** Microseconds that an operation takes more. */
  delay(prng: Prng): number {
    let micros = 0;
    for (const more of this.slow) {
      micros += nextInt(prng, 0, more + 1);
    }
    return micros;
  }

  waits(kind: NextFault): boolean {
    return this.next[kind] > 0;
  }

  /** It has happened. */
  spend(kind: NextFault): void {
    this.next[kind]--;
  }
}

function once(work: () => unknown): () => void {
  let done = false;
  return () => {
    if (!done) {
      done = true;
      work();
    }
  };
}
