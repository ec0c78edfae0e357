/**
 * Lets a checker that knows one log see the servers of that log alone: after a forced recovery others may still run, on disks of an
 * older lineage or of another recovery, and what they do is right by another log. What clients ask and hear passes as it is.
 */
import type { Effect, Event } from "../../paxos/effect.js";
import type { Address } from "../../paxos/ids.js";
import type { Header, Message } from "../../paxos/message.js";
import type { WalRecord } from "../../paxos/record.js";
import type { Observer } from "../observer.js";
import type { Operation } from "../workload/operation.js";

export class OfOneLineage implements Observer {
  private readonly inner: Observer;
  private readonly belongs: (server: number) => boolean;

  constructor(inner: Observer, belongs: (server: number) => boolean) {
    this.inner = inner;
    this.belongs = belongs;
  }

  ended(at: number, server: number, how: string): void {
    if (this.belongs(server)) {
      this.inner.ended?.(at, server, how);
    }
  }

  stepped(at: number, server: number, event: Event, effects: readonly Effect[]): void {
    if (this.belongs(server)) {
      this.inner.stepped?.(at, server, event, effects);
    }
  }

  sent(at: number, server: number, to: readonly Address[], header: Header, message: Message): void {
    if (this.belongs(server)) {
      this.inner.sent?.(at, server, to, header, message);
    }
  }

  synced(at: number, server: number, records: readonly WalRecord[]): void {
    if (this.belongs(server)) {
      this.inner.synced?.(at, server, records);
    }
  }

  asked(at: number, client: number, server: number, key: string, input: Operation["input"]): void {
    this.inner.asked?.(at, client, server, key, input);
  }

  answered(at: number, operation: Operation): void {
    this.inner.answered?.(at, operation);
  }
}
