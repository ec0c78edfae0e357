/** What a person should know beyond single log lines: the replica's warnings, kept for `status`, and why nothing can be decided, logged whenever it changes. */
import type { Micros } from "../paxos/ids.js";
import type { Logger } from "./logger.js";

/** Warnings kept for `status`; the oldest go first. */
export const WARNINGS_MAX = 16;
/** Codes of what stays true until a person has acted. */
const LASTING: ReadonlySet<string> = new Set(["state-differs", "chain-differs", "snapshot-damaged", "old-disk"]);
/** How often it is looked whether something blocks. */
const LOOK_EVERY_MS = 500;
const MICROS_A_MILLI = 1000;

export type NoticesOptions = {
  readonly log: Logger;
  /** Why nothing can be decided now, in a sentence; null when nothing stands in the way. */
  readonly blocked: () => string | null;
};

export class Notices {
  private readonly options: NoticesOptions;
  private kept: readonly string[] = [];
  private said: string | null = null;
  private wasBlocked = false;
  private nextLook: Micros = 0;

  constructor(options: NoticesOptions) {
    this.options = options;
  }

  get warnings(): readonly string[] {
    return this.kept;
  }

  /** Something the replica gave notice of. Damage is kept; what holds for a while only is for the replica's own status to tell. */
  add({ code, text }: { readonly code: string; readonly text: string }): void {
    if (LASTING.has(code)) {
      this.kept = [...this.kept.filter((other) => other !== text), text].slice(-WARNINGS_MAX);
    }
  }

  tick(now: Micros): void {
    if (now < this.nextLook) {
      return;
    }
    this.nextLook = now + LOOK_EVERY_MS * MICROS_A_MILLI;
    const blocked = this.options.blocked();
    const lasts = this.wasBlocked || blocked === null; // what is over by the next look is no news: every start looks blocked at first
    this.wasBlocked = blocked !== null;
    if (blocked === this.said || !lasts) {
      return;
    }
    this.said = blocked;
    if (blocked === null) {
      this.options.log.log("info", "unblocked", "A quorum answers: requests are served.");
    } else {
      this.options.log.log("warn", "blocked", blocked);
    }
  }
}
