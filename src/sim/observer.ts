/**
 * Who watches a run: checkers, coverage, the narrator. Called in the order in which things happen, at their true time; an observer
 * must change nothing of what it is given. It stops the run by throwing a Violation.
 */
import type { Effect, Event } from "../paxos/effect.js";
import type { Address } from "../paxos/ids.js";
import type { Header, Message } from "../paxos/message.js";
import type { WalRecord } from "../paxos/record.js";
import type { Fault } from "./scenario/faults.js";
import type { Operation } from "./workload/operation.js";

/** The run showed that a promise is broken. `invariant` is stable: what a shrunk run must still break. */
export class Violation extends Error {
  override readonly name = "Violation";
  readonly invariant: string;

  constructor(invariant: string, message: string, options?: ErrorOptions) {
    super(`${invariant}: ${message}`, options);
    this.invariant = invariant;
  }
}

/** Times are microseconds of true time; servers are numbered from 0. Every method may be left out. */
export interface Observer {
  /** A process of `server` starts; life counts from 1. */
  started?(at: number, server: number, life: number): void;
  /** It ended: killed, or by itself with an exit status. */
  ended?(at: number, server: number, how: string): void;
  /** The replica took a step; its effects are about to be run. */
  stepped?(at: number, server: number, event: Event, effects: readonly Effect[]): void;
  /** A message was handed to the network. */
  sent?(at: number, server: number, to: readonly Address[], header: Header, message: Message): void;
  /** The network lost a message. */
  lost?(at: number, from: number, to: number, message: Message): void;
  /** Records are on disk, before the server is told. */
  synced?(at: number, server: number, records: readonly WalRecord[]): void;
  /** A fault begins or ends; a fault of an instant only begins. */
  fault?(at: number, fault: Fault, phase: "begins" | "ends"): void;
  /** An operator does something beside the servers, and is told something. */
  operated?(at: number, text: string): void;
  /** The faults are over and the core is being healed. */
  healing?(at: number, core: readonly number[]): void;
  /** A client sent a request; told again with each try. */
  asked?(at: number, client: number, server: number, key: string, input: Operation["input"]): void;
  /** An operation is over, or was given up. */
  answered?(at: number, operation: Operation): void;
  /** Something a person would read in the server's log. */
  logged?(at: number, server: number, level: string, text: string): void;
}
