/**
 * The last steps of the replica, kept so that a server that stops on a bug can say what led to it. Keeping one costs a
 * store into two arrays; text is made only when it is dumped. It must never change what it is given.
 */
import { toHex } from "../base/bytes.js";
import type { Effect, Event } from "../paxos/effect.js";

/** How many steps are kept; also bounds the batches that the ring keeps alive. */
export const RING_STEPS = 64;

/** Bytes longer than this are shown by length and first bytes. */
const SHOWN_BYTES = 16;

export class EventRing {
  private readonly events: (Event | undefined)[] = new Array<Event | undefined>(RING_STEPS).fill(undefined);
  private readonly effects: (readonly Effect[])[] = new Array<readonly Effect[]>(RING_STEPS).fill([]);
  private next = 0;

  add(event: Event, effects: readonly Effect[]): void {
    this.events[this.next] = event;
    this.effects[this.next] = effects;
    this.next = (this.next + 1) % RING_STEPS;
  }

  /** One line a step, the oldest first. */
  dump(): readonly string[] {
    const lines: string[] = [];
    for (let i = 0; i < RING_STEPS; i++) {
      const at = (this.next + i) % RING_STEPS;
      const event = this.events[at];
      if (event !== undefined) {
        lines.push(`${describe(event)} -> ${describe(this.effects[at])}`);
      }
    }
    return lines;
  }
}

function describe(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) => {
    if (typeof part === "bigint") {
      return part.toString(16);
    }
    if (part instanceof Uint8Array) {
      return `${part.length} bytes ${toHex(part.subarray(0, SHOWN_BYTES))}`;
    }
    return part instanceof Map ? [...part.entries()] : part;
  });
}
