/**
 * The one place that steps the replica: events go in one at a time, effects are run in order before the next event. What
 * belongs to the disk goes through group commit, what belongs to the network leaves at once, the rest is the server's.
 * An event that arises while effects are being run waits for its turn; nothing here decides anything of the protocol.
 */
import type { Destination, Effect, Event } from "../paxos/effect.js";
import type { Micros } from "../paxos/ids.js";
import type { Header, Message } from "../paxos/message.js";
import type { WalRecord } from "../paxos/record.js";
import type { Clock, TimerHandle } from "../ports/clock.js";
import type { Trace } from "../ports/trace.js";
import type { EventRing } from "./event-ring.js";
import { GroupCommit } from "./group-commit.js";

/** Effects that the server, not this driver, runs. */
export type ServerEffect = Exclude<Effect, { kind: "send" | "persist" | "wake" }>;

/** An event without its time, which is read when it is delivered. */
type WithoutNow<E> = E extends Event ? Omit<E, "now"> : never;
export type TimelessEvent = WithoutNow<Event>;

export type ReplicaDriverOptions = {
  /** The replica's step function, its state bound. */
  readonly step: (event: Event) => readonly Effect[];
  readonly clock: Clock;
  readonly ring: EventRing;
  readonly trace: Trace | null;
  readonly send: (to: readonly Destination[], header: Header, message: Message) => void;
  readonly commit: (records: readonly WalRecord[], done: () => void) => void;
  readonly onEffect: (effect: ServerEffect) => void;
  /** The turn of the event loop ends: cut batches, begin reads. `cut` tells whether no commit is in flight. */
  readonly onTurnEnd: (diskIdle: boolean) => void;
  /** Runs `work`, which may throw; a failure ends the server. Every entry from outside goes through it. */
  readonly guard: (work: () => void) => void;
};

export class ReplicaDriver {
  private readonly options: ReplicaDriverOptions;
  private readonly commits: GroupCommit;
  private readonly pending: TimelessEvent[] = [];
  private stepping = false;
  private turnScheduled = false;
  private inTurn = false;
  /** Something happened after this turn's last event: another turn must follow. */
  private turnWanted = false;
  private stopped = false;
  private wake: { readonly at: Micros; readonly timer: TimerHandle } | null = null;

  constructor(options: ReplicaDriverOptions) {
    this.options = options;
    this.commits = new GroupCommit({
      commit: (records, done) => options.commit(records, () => options.guard(done)),
      send: (pledge) => options.send(pledge.to, pledge.header, pledge.message),
      onPersisted: (lsn) => this.onPersisted(lsn),
    });
  }

  /** Whether nothing waits for the disk: what was promised is synced. */
  get synced(): boolean {
    return this.commits.idle;
  }

  get diskBusy(): boolean {
    return this.commits.busy;
  }

  /** Steps the replica with `event`, which is the driver's from now on, or queues it where a step is under way, and runs the effects. */
  deliver(event: TimelessEvent): void {
    this.pending.push(event);
    if (this.stepping) {
      return;
    }
    this.stepping = true;
    try {
      for (let next = this.pending.shift(); next !== undefined && !this.stopped; next = this.pending.shift()) {
        this.runStep(next);
      }
    } finally {
      this.stepping = false;
    }
  }

  /** Makes sure that this turn of the event loop ends with `onTurnEnd` and a commit. */
  wantTurn(): void {
    this.turnWanted = true;
    if (!this.turnScheduled && !this.inTurn) {
      this.turnScheduled = true;
      this.options.clock.endOfTurn(() => {
        this.turnScheduled = false;
        this.options.guard(() => this.endTurn());
      });
    }
  }

  /** Nothing is stepped, sent or written any more, the rest of a step under way included. */
  stop(): void {
    this.stopped = true;
    this.wake?.timer.cancel();
    this.wake = null;
  }

  private endTurn(): void {
    this.inTurn = true;
    try {
      this.options.onTurnEnd(!this.commits.busy);
      this.turnWanted = false;
      this.commits.start();
    } finally {
      this.inTurn = false;
    }
    if (this.turnWanted) {
      this.wantTurn();
    }
  }

  private onPersisted(lsn: number): void {
    const alreadyInTurn = this.inTurn;
    this.inTurn = true; // this is a turn of its own: what the event brings about asks for no other
    try {
      this.deliver({ kind: "persisted", lsn });
    } finally {
      this.inTurn = alreadyInTurn;
    }
    if (!alreadyInTurn) {
      this.endTurn(); // what queued behind that commit forms the next one at once
    }
  }

  private runStep(timeless: TimelessEvent): void {
    const { options } = this;
    const event = stamped(timeless, options.clock.nowMicros());
    const effects = options.step(event);
    options.ring.add(event, effects);
    options.trace?.step(event, effects);
    if (!isPulse(event) || !effects.every(leavesNothing)) {
      this.wantTurn();
    }
    for (const effect of effects) {
      if (this.stopped) {
        return;
      }
      switch (effect.kind) {
        case "send":
          options.send(effect.to, effect.header, effect.message);
          break;
        case "persist":
          this.commits.add(effect);
          break;
        case "wake":
          this.wakeAt(effect.at);
          break;
        default:
          options.onEffect(effect);
      }
    }
  }

  /** One timer serves all wakes: the earliest asked for. */
  private wakeAt(at: Micros): void {
    if (this.wake !== null && this.wake.at <= at) {
      return;
    }
    this.wake?.timer.cancel();
    const millis = Math.max(0, Math.ceil((at - this.options.clock.nowMicros()) / 1000));
    const timer = this.options.clock.after(millis, () => {
      this.wake = null;
      this.options.guard(() => this.deliver({ kind: "tick" }));
    });
    this.wake = { at, timer };
  }
}

/** The event with its time, put into the object that was delivered: a copy of each would cost more than most steps. */
function stamped(event: TimelessEvent & { now?: Micros }, now: Micros): Event {
  event.now = now;
  return event as Event;
}

/** Effects that are over once they are run. */
function leavesNothing({ kind }: Effect): boolean {
  return kind === "send" || kind === "wake";
}

/** Ticks, Pings and Pongs, which are all that an idle cluster does: alone they leave nothing to be done at the end of the turn. */
function isPulse(event: Event): boolean {
  return event.kind === "tick" || (event.kind === "receive" && (event.message.kind === "ping" || event.message.kind === "pong"));
}
