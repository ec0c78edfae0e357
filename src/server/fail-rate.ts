/**
 * The fail_rate option: with that probability a Prepare or Propose is refused (Nack `failing`) or ignored, half and half, as
 * a test of the protocol. It sits between network and replica: the replica never knows, and nothing it said is changed.
 */
import { nextChance, type Prng } from "../base/prng.js";
import { BALLOT_ZERO } from "../paxos/ballot.js";
import { SLOT_ZERO } from "../paxos/ids.js";
import type { Message, Nack } from "../paxos/message.js";

const REFUSE_RATHER_THAN_IGNORE = 0.5;

/** What becomes of an incoming message: to the replica, to nobody, or answered by a refusal in the replica's stead. */
export type Verdict = "deliver" | "ignore" | Nack;

export class FailRate {
  private readonly rate: number;
  private readonly prng: Prng;

  /** `rate` in [0, 1); 0 fails nothing and draws nothing. */
  constructor(rate: number, prng: Prng) {
    this.rate = rate;
    this.prng = prng;
  }

  judge(message: Message): Verdict {
    if (this.rate === 0 || (message.kind !== "prepare" && message.kind !== "propose") || !nextChance(this.prng, this.rate)) {
      return "deliver";
    }
    if (!nextChance(this.prng, REFUSE_RATHER_THAN_IGNORE)) {
      return "ignore";
    }
    // A failing Nack means nothing about our state, so promise and decided slot stay empty.
    const slot = message.kind === "propose" ? message.slot : SLOT_ZERO;
    return { kind: "nack", ballot: message.ballot, reason: "failing", promised: BALLOT_ZERO, decided: SLOT_ZERO, slot };
  }
}
