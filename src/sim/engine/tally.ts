/** Counts of what a run has seen, by name: so that a batch of seeds that never saw a case fails instead of proving nothing. */

export class Tally {
  readonly counts = new Map<string, number>();

  add(name: string, by = 1): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + by);
  }

  of(name: string): number {
    return this.counts.get(name) ?? 0;
  }

  addAll(other: Tally): void {
    for (const [name, count] of other.counts) {
      this.add(name, count);
    }
  }
}
