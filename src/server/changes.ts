/**
 * Changes of the members that were asked of this server: from the request to what came of it. The replica passes them on to the
 * coordinator and bounds them; here is only who waits. Each is answered exactly once.
 */
import type { MembershipChange } from "../paxos/change.js";
import type { Effect } from "../paxos/effect.js";
import type { Micros, Slot } from "../paxos/ids.js";

/** `slot`: where the change was decided, 0 where nothing had to be changed. `isOpen`: it may have been made, or may be yet. */
export type ChangeOutcome =
  | { readonly ok: true; readonly slot: Slot }
  | { readonly ok: false; readonly text: string; readonly isOpen: boolean };

export type ChangesOptions = {
  readonly now: () => Micros;
  readonly begin: (id: number, change: MembershipChange, deadline: Micros) => void;
};

const MICROS_A_MILLI = 1000;

export class Changes {
  private readonly options: ChangesOptions;
  private readonly waiting = new Map<number, (outcome: ChangeOutcome) => void>();
  private nextId = 1;

  constructor(options: ChangesOptions) {
    this.options = options;
  }

  /** What comes of `change`, after `withinMs` at the latest. */
  request(change: MembershipChange, withinMs: number): Promise<ChangeOutcome> {
    const id = this.nextId++;
    return new Promise((resolve) => {
      this.waiting.set(id, resolve);
      this.options.begin(id, change, this.options.now() + withinMs * MICROS_A_MILLI);
    });
  }

  onDone({ id, slot, refusal, isOpen }: Extract<Effect, { kind: "changeDone" }>): void {
    const resolve = this.waiting.get(id);
    this.waiting.delete(id);
    resolve?.(refusal === null ? { ok: true, slot } : { ok: false, text: refusal, isOpen });
  }

  /** The server ends: nobody will hear from the replica any more. */
  failAll(text: string): void {
    for (const resolve of this.waiting.values()) {
      resolve({ ok: false, text, isOpen: true });
    }
    this.waiting.clear();
  }
}
