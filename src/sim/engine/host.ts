/**
 * One life of one server's process. Everything that reaches the server from outside goes through here: a dead process gets
 * nothing any more, a paused one gets it when it goes on. Ports report the boundaries that effects cross, so that a process can
 * be made to die at any of them. It knows nothing of disks and networks, which outlive it.
 */
import type { Engine, Scheduled } from "./engine.js";

/** Where an effect of the server meets the world. */
export type Boundary = "send" | "write" | "sync" | "truncate" | "create" | "rename" | "remove" | "syncDirectory";

/** A death to come: at the `count`th boundary from now of a kind (null: any). Before it the effect never happens, after it the effect has, but nobody hears. */
export type CrashPlan = { readonly boundary: Boundary | null; readonly count: number; readonly after: boolean };

export class Host {
  /** Which server, from 0. */
  readonly index: number;
  /** Which life of it, from 1. */
  readonly life: number;
  private readonly engine: Engine;
  private readonly onCrash: () => void;
  private dead = false;
  private pauses = 0;
  private held: (() => void)[] = [];
  private plan: CrashPlan | null = null;
  private left = 0;

  /** `onCrash` is told when a planned crash has happened: the process is dead then. */
  constructor(engine: Engine, who: { readonly index: number; readonly life: number }, onCrash: () => void) {
    this.engine = engine;
    this.index = who.index;
    this.life = who.life;
    this.onCrash = onCrash;
  }

  get alive(): boolean {
    return !this.dead;
  }

  get isPaused(): boolean {
    return this.pauses > 0;
  }

  /** Runs `work` in this process after `micros` of true time: never once it is dead, later while it is paused. */
  after(micros: number, work: () => void): Scheduled {
    return this.engine.after(micros, () => this.enter(work));
  }

  /** Runs `work` in this process at once, or when it goes on. */
  enter(work: () => void): void {
    if (this.dead) {
      return;
    }
    if (this.pauses > 0) {
      this.held.push(work);
      return;
    }
    work();
  }

  /** Runs `work` at the end of the present turn of this process. */
  endOfTurn(work: () => void): void {
    this.engine.endOfTurn(() => this.enter(work));
  }

  /** The server is about to cross a boundary. False: it is dead, before or from now on, and the effect must not happen. */
  crosses(boundary: Boundary): boolean {
    this.countDown(boundary, false);
    return !this.dead;
  }

  /** The effect has happened; where this kills the process, nobody hears of it. */
  crossed(boundary: Boundary): void {
    this.countDown(boundary, true);
  }

  /** The process shall die so; null: not any more. */
  planCrash(plan: CrashPlan | null): void {
    this.plan = plan;
    this.left = plan?.count ?? 0;
  }

  /** SIGSTOP: nothing runs in this process until every pause was followed by a `resume`. */
  pause(): void {
    this.pauses++;
  }

  /** SIGCONT: what came meanwhile runs now, in order, each in a turn of its own. */
  resume(): void {
    this.pauses--;
    if (this.pauses > 0) {
      return;
    }
    const { held } = this;
    this.held = [];
    for (const work of held) {
      this.after(0, work);
    }
  }

  /** kill -9. */
  kill(): void {
    this.dead = true;
    this.held = [];
    this.plan = null;
  }

  private countDown(boundary: Boundary, after: boolean): void {
    const { plan } = this;
    if (plan === null || this.dead || plan.after !== after || (plan.boundary !== null && plan.boundary !== boundary)) {
      return;
    }
    this.left--;
    if (this.left <= 0) {
      this.kill();
      this.onCrash();
    }
  }
}
