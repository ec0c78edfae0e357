/**
 * Runs a demonstration on the production code and tells it line by line. Which rule counts quorums is not chosen here: the unsafe one
 * exists only in a copy of the program into which it was planted as a bug, and this file is then run from that copy. Unlike other
 * runs, this one goes on after a promise is broken: what becomes of it is the point.
 */

import { unreachable } from "../../base/assert.js";
import { seedPrng, splitPrng } from "../../base/prng.js";
import { newFound } from "../../kv/model.js";
import { Cluster } from "../cluster/cluster.js";
import { Nemesis } from "../cluster/nemesis.js";
import { Engine } from "../engine/engine.js";
import { Tally } from "../engine/tally.js";
import { checkHistory } from "../linearizability/check.js";
import { describeAnswer, describeTime, nameServer } from "../narrate/words.js";
import { serverAddresses } from "../scenario/addresses.js";
import { attempt } from "../workload/attempt.js";
import type { Operation } from "../workload/operation.js";
import { labelOf, textBytes } from "../workload/texts.js";
import type { Demo, QuorumRule, Step } from "./demo.js";
import { PARTITION } from "./partition.js";
import { RESTART } from "./restart.js";
import { Teller, wrap } from "./teller.js";

export const DEMO_LIST: readonly Demo[] = [PARTITION, RESTART];

export type DemoOptions = {
  readonly rule: QuorumRule;
  readonly drain: () => Promise<void>;
  /** Gets the lines. */
  readonly say: (line: string) => void;
};

/** What came of it. */
export type DemoEnd = { readonly isLinearizable: boolean; readonly disagreement: number | null };

const MICROS_A_MILLI = 1000;
const START_MS = 500;
/** A client waits so long beyond what it gave the server. */
const GRACE_MS = 500;
const TEXT_WIDTH = 110;

/** What a reader must know of the words. */
const WORDS =
  "(The log has slots; a slot is decided once for ever. An elected coordinator has a ballot, round.server. Servers register sessions, so that a write that is tried twice happens once.)";

/** Runs and tells `demo`. */
export async function runDemo(demo: Demo, options: DemoOptions): Promise<DemoEnd> {
  const { say, rule } = options;
  const heading =
    rule === "live" ? "a quorum is a majority of the servers that answer (unsafe)" : "a quorum is a majority of the voters in the log";
  say(`=== ${demo.name}: ${heading} ===`);
  wrap(`${demo.about} ${WORDS}`, TEXT_WIDTH).forEach(say);
  say("");
  const run = new DemoRun(demo, options);
  await run.run();
  say("");
  const isLinearizable = judge(run.history, say);
  say("");
  wrap(demo.moral[rule], TEXT_WIDTH).forEach(say);
  return { isLinearizable, disagreement: run.teller.disagreement };
}

class DemoRun {
  readonly history: Operation[] = [];
  readonly teller: Teller;
  private readonly demo: Demo;
  private readonly rule: QuorumRule;
  private readonly cluster: Cluster;

  constructor(demo: Demo, { rule, drain, say }: DemoOptions) {
    this.demo = demo;
    this.rule = rule;
    this.teller = new Teller({
      rule,
      say,
      addresses: serverAddresses(demo.scenario.servers),
      answering: (server) => this.cluster.server(server)?.replicaStatus().live.length ?? 0,
    });
    this.cluster = new Cluster(demo.scenario, seedPrng(demo.scenario.seed), {
      world: { engine: new Engine(drain), tally: new Tally() },
      observers: [this.teller],
    });
  }

  async run(): Promise<void> {
    const { cluster, demo } = this;
    const { engine } = cluster;
    const nemesis = new Nemesis(cluster, demo.scenario);
    cluster.startAll(splitPrng(seedPrng(demo.scenario.seed)), START_MS);
    for (const step of demo.steps) {
      engine.schedule(step.at * MICROS_A_MILLI, () => this.take(step));
    }
    await engine.run(demo.scenario.durationMs * MICROS_A_MILLI);
    nemesis.end();
  }

  private take(step: Step): void {
    switch (step.kind) {
      case "say":
        if (step.under === undefined || step.under === this.rule) {
          this.tell(step.text, "-- ");
        }
        return;
      case "ask":
        this.ask(step);
        return;
      case "status":
        for (const server of step.servers) {
          this.tellStatus(server);
        }
        return;
      case "look":
        this.look(step.key);
        return;
      default:
        unreachable(step);
    }
  }

  private tell(text: string, mark = ""): void {
    this.teller.tell(this.cluster.engine.now, text, mark);
  }

  private ask({ client, server, key, input }: Extract<Step, { kind: "ask" }>): void {
    const { cluster } = this;
    const { engine } = cluster;
    const start = engine.now;
    const value = input.op === "put" ? textBytes(input.value, 0) : null;
    const timeout = this.demo.scenario.workload.timeoutMs * MICROS_A_MILLI;
    const patience = { server: timeout, client: timeout + GRACE_MS * MICROS_A_MILLI };
    cluster.watchers.tell((observer) => observer.asked?.(start, client, server, key, input));
    const request = { key: textBytes(key, 0), input, value, expected: null };
    attempt(cluster, request, { server, patience, number: null }, (answer) => {
      const outcome = answer.kind === "ok" || answer.kind === "unknown" ? answer.kind : "fail";
      const operation: Operation = {
        client,
        server,
        key,
        input,
        start,
        end: outcome === "unknown" ? null : engine.now,
        outcome,
        output: answer.kind === "ok" ? answer.output : null,
      };
      this.history.push(operation);
      cluster.watchers.tell((observer) => observer.answered?.(engine.now, operation));
    });
    engine.stir();
  }

  private tellStatus(index: number): void {
    const status = this.cluster.server(index)?.replicaStatus();
    if (status === undefined) {
      this.tell(`${nameServer(index)} is down.`);
      return;
    }
    const { addresses } = this.cluster;
    const names = new Map<string, string>(addresses.map((address, server) => [address, nameServer(server)]));
    const name = (address: string): string => names.get(address) ?? address;
    const coordinator = status.coordinator === null ? "knows no coordinator" : `coordinator ${name(status.coordinator)}`;
    if (this.rule === "live") {
      // The sentence about what is needed knows the real rule alone.
      this.tell(`The status of ${nameServer(index)}: ${coordinator}; ${status.live.map(name).join(" ")} answer.`);
      return;
    }
    const blocked = status.blocked === null ? "nothing stands in the way." : status.blocked.replace(/[0-9.]+:[0-9]+/g, name);
    this.tell(`The status of ${nameServer(index)}: ${coordinator}; ${status.live.map(name).join(" ")} answer; ${blocked}`);
  }

  private look(key: string): void {
    const found = newFound();
    for (const { server, index } of this.cluster.machines) {
      if (server === null) {
        this.tell(`${nameServer(index)} is down.`);
      } else {
        const holds = server.store.find(textBytes(key, 0), found)
          ? `"${labelOf(found.bytes, found.valueFrom, found.valueEnd)}"`
          : "nothing";
        this.tell(`${nameServer(index)} holds ${key} = ${holds}.`);
      }
    }
  }
}

/** Asks the checker that knows nothing of the servers whether the clients' history can be explained. */
function judge(history: readonly Operation[], say: (line: string) => void): boolean {
  const result = checkHistory(history);
  if (result.kind === "linearizable") {
    say("The clients' history is linearizable: one order of all operations explains every answer.");
    return true;
  }
  if (result.kind === "gave-up") {
    say(`The checker gave up at key ${result.key}.`);
    return false;
  }
  say("The clients' history is NOT linearizable: no order of these operations explains their answers:");
  for (const operation of result.contradiction) {
    const end = operation.end === null ? "open" : `${describeTime(operation.end)} s`;
    say(`  ${describeTime(operation.start)} s to ${end}: c${operation.client} ${describeAnswer(operation)}`);
  }
  return false;
}
