/** What a person should know beyond single log lines: the replica's warnings, kept for `status`, and what stands in the way or is a risk, logged whenever it changes. */
import type { Micros } from "../paxos/ids.js";
import type { Logger } from "./logger.js";

/** Warnings kept for `status`; the oldest go first. */
export const WARNINGS_MAX = 16;
/** Codes of what stays true until a person has acted. */
const LASTING: ReadonlySet<string> = new Set(["state-differs", "chain-differs", "snapshot-damaged", "old-disk"]);
/** How often it is looked whether something blocks, or is a risk. */
const LOOK_EVERY_MS = 500;
/** A peer that refuses for one reason is dialled again all the time: this often it is told, ms. */
const REFUSAL_EVERY_MS = 60_000;
/** Peers whose refusal is remembered; beyond, all are told anew. */
const REFUSALS_MAX = 256;
const MICROS_A_MILLI = 1000;

export type NoticesOptions = {
  readonly log: Logger;
  /** Why nothing can be decided now, in a sentence; null when nothing stands in the way. */
  readonly blocked: () => string | null;
  /** What is a risk as the voters are now, in a sentence; null when nothing is. */
  readonly risk: () => string | null;
};

/** Looks after which a reason is told though each look found another one: something stands in the way all the same. */
const LOOKS_MAX = 4;

/**
 * A sentence that is news once it has held for two looks: what is over by the next one is none. Every start looks blocked at first, and
 * a server that joins goes from one reason to the next within a second.
 */
class LastingSentence {
  private said: string | null = null;
  private last: string | null = null;
  /** Looks in a row that found a sentence, whichever. */
  private looks = 0;

  /** The sentence that holds now; answers whether it is news, a null being the end of what was said. */
  look(now: string | null): boolean {
    this.looks = now === null ? 0 : this.looks + 1;
    const lasts = now === this.last || now === null || this.looks > LOOKS_MAX;
    this.last = now;
    if (now === this.said || !lasts) {
      return false;
    }
    this.said = now;
    this.looks = 0;
    return true;
  }
}

export class Notices {
  private readonly options: NoticesOptions;
  private kept: readonly string[] = [];
  private readonly block = new LastingSentence();
  private readonly danger = new LastingSentence();
  private readonly refusals = new Map<string, { readonly reason: string; readonly at: Micros }>();
  private nextLook: Micros = 0;

  constructor(options: NoticesOptions) {
    this.options = options;
  }

  get warnings(): readonly string[] {
    return this.kept;
  }

  /** A peer will not talk to this server: the reason, once until it changes or REFUSAL_EVERY_MS have passed. */
  peerRefused(peer: string, reason: string, now: Micros): void {
    const last = this.refusals.get(peer);
    if (last?.reason === reason && now - last.at < REFUSAL_EVERY_MS * MICROS_A_MILLI) {
      return;
    }
    if (this.refusals.size >= REFUSALS_MAX) {
      this.refusals.clear();
    }
    this.refusals.set(peer, { reason, at: now });
    this.options.log.log("warn", "peer-refused", `The stream with ${peer} ended: ${reason}`);
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
    const { log } = this.options;
    const blocked = this.options.blocked();
    if (this.block.look(blocked)) {
      if (blocked === null) {
        log.log("info", "unblocked", "A quorum answers: requests are served.");
      } else {
        log.log("warn", "blocked", blocked);
      }
    }
    const risk = this.options.risk();
    if (this.danger.look(risk) && risk !== null) {
      log.log("warn", "risk", risk);
    }
  }
}
