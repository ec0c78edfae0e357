/**
 * The last steps of the replica, kept so that a server that stops on a bug can say what led to it. Keeping one costs a
 * store into an array; text is made only when it is dumped. It must never change what it is given.
 */
import { toHex } from "../base/bytes.js";
import type { Effect, Event } from "../paxos/effect.js";

/** How many steps are kept; also bounds the batches that the ring keeps alive. */
export const RING_STEPS = 64;

/** Bytes longer than this are shown by length and first bytes. */
const SHOWN_BYTES = 16;

type Step = { readonly event: Event; readonly effects: readonly Effect[] };

export class EventRing {
  private readonly steps: (Step | undefined)[] = new Array<Step | undefined>(RING_STEPS).fill(undefined);
  private next = 0;

  add(event: Event, effects: readonly Effect[]): void {
    this.steps[this.next] = { event, effects };
    this.next = (this.next + 1) % RING_STEPS;
  }

  /** One line a step, the oldest first. */
  dump(): readonly string[] {
    const lines: string[] = [];
    for (let i = 0; i < RING_STEPS; i++) {
      const step = this.steps[(this.next + i) % RING_STEPS];
      if (step !== undefined) {
        lines.push(`${describe(step.event)} -> ${describe(step.effects)}`);
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
