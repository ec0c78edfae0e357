/**
 * No message crosses lineages (PROTOCOL §7.1, invariant 28): what comes from a server of another lineage or cluster has no effect, but for
 * the few kinds that introduce servers to each other. Compares with fields of its own reading, not with the code that it checks.
 */
import type { Effect, Event } from "../../paxos/effect.js";
import type { Message } from "../../paxos/message.js";
import type { Durable } from "../../paxos/record.js";
import { type Observer, Violation } from "../observer.js";

/** Found, join and introduce; PROTOCOL §1.3. */
const INTRODUCING: ReadonlySet<Message["kind"]> = new Set(["hello", "genesis", "genesisAck", "join", "joinReply"]);

/** What any step may say because time has passed: whom the replica follows, when it wants to be woken. */
const OF_TIME: ReadonlySet<Effect["kind"]> = new Set(["coordination", "wake"]);

export class KinshipChecker implements Observer {
  /** Messages that were turned away. */
  turnedAway = 0;
  private readonly durableOf: (server: number) => Readonly<Durable> | undefined;

  constructor(durableOf: (server: number) => Readonly<Durable> | undefined) {
    this.durableOf = durableOf;
  }

  stepped(_at: number, server: number, event: Event, effects: readonly Effect[]): void {
    if (event.kind !== "receive" || INTRODUCING.has(event.message.kind)) {
      return;
    }
    const own = this.durableOf(server);
    const { clusterId, lineage } = event.header;
    const isOurs =
      own === undefined ||
      own.replica === 0 ||
      (own.clusterId === clusterId && own.lineage.number === lineage.number && own.lineage.random === lineage.random);
    if (isOurs) {
      return;
    }
    this.turnedAway++;
    const heeded = effects.filter((effect) => !OF_TIME.has(effect.kind));
    if (heeded.length > 0) {
      const what = heeded.map(({ kind }) => kind).join(", ");
      throw new Violation("28", `n${server + 1} heeds a ${event.message.kind} of another lineage from ${event.address}: ${what}`);
    }
  }
}
