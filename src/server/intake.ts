/**
 * What comes from other servers: the commands of their clients to the proposals, everything else to the replica, some of it
 * lost on purpose where fail_rate says so. It judges nothing that the protocol judges.
 */
import type { Address } from "../paxos/ids.js";
import type { Header, Message, Nack } from "../paxos/message.js";
import { isKnownPeer, isNamed, type ReplicaState } from "../paxos/replica.js";
import type { FailRate } from "./fail-rate.js";
import type { Proposals } from "./proposals.js";
import type { TimelessEvent } from "./replica-driver.js";

export type IntakeOptions = {
  readonly replica: ReplicaState;
  readonly failRate: FailRate;
  readonly proposals: Proposals;
  readonly deliver: (event: TimelessEvent) => void;
  readonly send: (to: Address, message: Nack) => void;
};

export class Intake {
  private readonly options: IntakeOptions;

  constructor(options: IntakeOptions) {
    this.options = options;
  }

  /** One message; `peer` is the address that the Hello of its stream named. */
  receive(peer: Address, header: Header, message: Message): void {
    const { replica, proposals, failRate, deliver, send } = this.options;
    if (message.kind === "forward" || message.kind === "forwardReply") {
      if (isKnownPeer(replica, header, peer)) {
        if (message.kind === "forward") {
          proposals.onForward(peer, message);
        } else {
          proposals.onForwardReply(peer, message);
        }
      }
      return;
    }
    // Before its identity is synced it must not answer under it, not even that it fails.
    const verdict = isNamed(replica) ? failRate.judge(message) : "deliver";
    if (verdict === "deliver") {
      deliver({ kind: "receive", address: peer, header, message });
    } else if (verdict !== "ignore") {
      send(peer, verdict);
    }
  }
}
