/** Streams that we ended while the peer may still have been sending: for a while its frames on them are not violations. */

/** Older ones are forgotten; a frame on them then counts as one on a closed stream. */
export const RECENT_STREAMS_MAX = 4096;

/** A bounded set that forgets the oldest. */
export class RecentStreams {
  private readonly streams = new Set<number>();

  add(stream: number): void {
    this.streams.add(stream);
    if (this.streams.size > RECENT_STREAMS_MAX) {
      for (const oldest of this.streams) {
        this.streams.delete(oldest);
        break;
      }
    }
  }

  has(stream: number): boolean {
    return this.streams.has(stream);
  }
}
