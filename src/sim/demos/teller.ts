/**
 * Tells a demonstration to somebody who does not know the protocol: processes, faults, elections with the votes that were counted,
 * what is decided, and the first slot in which two servers differ. Only watches.
 */
import { formatBallot } from "../../paxos/ballot.js";
import { describeBatch, type Naming } from "../../paxos/describe.js";
import type { Effect, Event } from "../../paxos/effect.js";
import type { Address } from "../../paxos/ids.js";
import type { WalRecord } from "../../paxos/record.js";
import { describePayload } from "../narrate/payload.js";
import { describeAnswer, describeFault, describeFaultEnd, describeInput, describeTime, nameServer, nameServers } from "../narrate/words.js";
import type { Observer } from "../observer.js";
import type { Fault } from "../scenario/faults.js";
import type { Input, Operation } from "../workload/operation.js";
import type { QuorumRule } from "./demo.js";

const TIME_WIDTH = 8;
const TEXT_WIDTH = 100;

export type TellerOptions = {
  readonly rule: QuorumRule;
  readonly say: (line: string) => void;
  /** How many servers, itself included, have answered this one lately. */
  readonly answering: (server: number) => number;
  /** The servers' addresses in the order of their numbers. */
  readonly addresses: readonly Address[];
};

/** A value of a slot, and the server that decided it first. */
type Decision = { readonly words: string; readonly server: number };

export class Teller implements Observer {
  private readonly options: TellerOptions;
  /** The values of each slot by their digests, in the order in which they were first decided somewhere. */
  private readonly decided = new Map<number, Map<string, Decision>>();
  /** `server slot` to the digest of what that server decided there last, its former lives included. */
  private readonly own = new Map<string, string>();
  /** Who promised a ballot to a server, or accepted a slot for it, as far as it knows. */
  private readonly counted = new Map<string, Set<number>>();
  private readonly naming: Naming = {
    address: (address) => address,
    replica: (replica) => nameServer(replica - 1),
    payload: describePayload,
  };
  /** The first slot in which two servers differ. */
  disagreement: number | null = null;

  constructor(options: TellerOptions) {
    this.options = options;
  }

  /** One line, or more where it is long, at a time; `mark` goes before it. */
  tell(at: number, text: string, mark = ""): void {
    const lines = wrap(text, TEXT_WIDTH);
    for (const [i, line] of lines.entries()) {
      const head = i === 0 ? `${describeTime(at).padStart(TIME_WIDTH)}  ${mark}` : " ".repeat(TIME_WIDTH + 2 + mark.length);
      this.options.say(head + line);
    }
  }

  started(at: number, server: number, life: number): void {
    this.tell(at, `${nameServer(server)} starts${life === 1 ? " on an empty disk" : " again"}.`);
  }

  ended(at: number, server: number, how: string): void {
    this.tell(at, `${nameServer(server)} ${how}.`);
  }

  fault(at: number, fault: Fault, phase: "begins" | "ends"): void {
    if (fault.kind !== "kill") {
      const words = phase === "begins" ? describeFault(fault) : describeFaultEnd(fault);
      this.tell(at, `${words.charAt(0).toUpperCase()}${words.slice(1)}.`, "** ");
    }
  }

  asked(at: number, client: number, server: number, key: string, input: Input): void {
    this.tell(at, `Client c${client} asks ${nameServer(server)}: ${describeInput(key, input)}.`);
  }

  answered(at: number, operation: Operation): void {
    this.tell(at, `Client c${operation.client} ${describeAnswer(operation)}.`);
  }

  logged(at: number, server: number, level: string, text: string): void {
    if (level === "fatal" || level === "error") {
      this.tell(at, `${nameServer(server)} stops itself: ${text.split("\n")[0]}`);
    }
  }

  synced(_at: number, server: number, records: readonly WalRecord[]): void {
    for (const record of records) {
      if (record.kind === "accept") {
        this.count(`${server} accepts ${record.slot}`, server);
      }
    }
  }

  stepped(at: number, server: number, event: Event, effects: readonly Effect[]): void {
    if (event.kind === "receive") {
      const from = this.options.addresses.indexOf(event.address);
      if (event.message.kind === "promise") {
        this.count(`${server} is promised ${formatBallot(event.message.ballot)}`, from);
      } else if (event.message.kind === "accepted") {
        for (const slot of event.message.slots) {
          this.count(`${server} accepts ${slot}`, from);
        }
      }
    }
    for (const effect of effects) {
      if (effect.kind === "coordination" && effect.active) {
        const ballot = formatBallot(effect.ballot);
        this.count(`${server} is promised ${ballot}`, server);
        const votes = this.votes(`${server} is promised ${ballot}`, server);
        this.tell(at, `${nameServer(server)} is elected, with ballot ${ballot}, by the promises of ${votes}.`);
      } else if (effect.kind === "apply") {
        this.onDecided(at, server, effect);
      }
    }
  }

  private count(what: string, by: number): void {
    const votes = this.counted.get(what) ?? new Set();
    this.counted.set(what, votes.add(by));
  }

  /** `n1 n2: 2 of the 2 that answer it`. */
  private votes(what: string, server: number): string {
    const votes = [...(this.counted.get(what) ?? [])].sort((a, b) => a - b);
    const { rule, answering, addresses } = this.options;
    const of = rule === "live" ? `the ${answering(server)} servers that answer ${nameServer(server)}` : `the ${addresses.length} voters`;
    return `${nameServers(votes)}: ${votes.length} of ${of}`;
  }

  private onDecided(at: number, server: number, { slot, batch }: Extract<Effect, { kind: "apply" }>): void {
    const values = this.decided.get(slot) ?? new Map<string, Decision>();
    this.decided.set(slot, values);
    const before = this.own.get(`${server} ${slot}`);
    this.own.set(`${server} ${slot}`, batch.digest);
    const [first] = values.values();
    const same = values.get(batch.digest);
    const name = nameServer(server);
    if (same === undefined) {
      const words = describeBatch(batch, this.naming);
      values.set(batch.digest, { words, server });
      const votes = this.votes(`${server} accepts ${slot}`, server);
      this.tell(
        at,
        `Slot ${slot} is decided${first === undefined ? "" : ` at ${name}`}: ${words}. Accepted by ${votes}.`,
        first === undefined ? "" : "!! ",
      );
      if (first !== undefined) {
        this.onDisagreement(at, slot, first);
      }
    } else if (values.size > 1) {
      const had = before === undefined || before === batch.digest ? "" : `; ${name} itself had decided ${values.get(before)?.words}`;
      this.tell(at, `Slot ${slot} is decided at ${name} as at ${nameServer(same.server)}: ${same.words}${had}.`, "!! ");
    }
  }

  private onDisagreement(at: number, slot: number, first: Decision): void {
    this.disagreement ??= slot;
    this.tell(
      at,
      `Agreement is broken: slot ${slot} was decided at ${nameServer(first.server)} with another value: ${first.words}.`,
      "!! ",
    );
  }
}

/** `text` in lines of at most `width` characters where its words allow it. */
export function wrap(text: string, width: number): readonly string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}
