/**
 * The model against the store, at random: the same logs, with requests repeated and stale, sessions that are gone, quotas and
 * compaction, give the same totals, pairs and replies. And each difference that is made on purpose is found by what compares them.
 */
import { deepEqual, equal, throws } from "node:assert/strict";
import { test } from "node:test";
import { nextChance, nextInt, type Prng, seedPrng } from "../../base/prng.js";
import type { Command } from "../../kv/command.js";
import { sessionId } from "../../kv/model.js";
import type { Reply } from "../../kv/reply.js";
import { SESSION_LIMITS } from "../../kv/session-table.js";
import { Store } from "../../kv/store.js";
import type { Engine } from "../engine/engine.js";
import { checkEnd, comparePairs, compareTotals } from "./durability.js";
import { type Execution, Model } from "./model.js";
import { StateChecker } from "./states.js";
import { cas, type Entry, payloadOf, put, register, remove } from "./testing/log.js";

const SEEDS = 40;
const SLOTS = 120;
const KEYS = 4;
const SILENT = { onReply: (): void => {} };

/** Commands as a run would hold them, and some that no correct server sends. */
class Log {
  private readonly prng: Prng;
  private values = 0;
  private readonly next = new Map<number, number>();
  private sessions = 0;

  constructor(seed: number) {
    this.prng = seedPrng(seed);
  }

  batch(slot: number, revision: number): readonly Entry[] {
    return Array.from({ length: nextInt(this.prng, 1, 5) }, () => this.entry(slot, revision));
  }

  private entry(slot: number, revision: number): Entry {
    if (this.sessions === 0 || nextChance(this.prng, 0.05)) {
      this.sessions++;
      return { session: 0, seq: 0, command: register };
    }
    if (nextChance(this.prng, 0.1)) {
      return { session: 0, seq: 0, command: this.own(slot, revision) };
    }
    const session = nextInt(this.prng, 1, this.sessions + 2);
    const newest = this.next.get(session) ?? 0;
    const seq = nextChance(this.prng, 0.7) ? newest + 1 : Math.max(1, newest - nextInt(this.prng, 0, 4));
    this.next.set(session, Math.max(newest, seq));
    return { session, seq, unacked: Math.max(0, seq - nextInt(this.prng, 0, 5)), command: this.client() };
  }

  private own(slot: number, revision: number): Command {
    switch (nextInt(this.prng, 0, 7)) {
      case 0:
        return { kind: "setQuota", bytes: nextChance(this.prng, 0.5) ? 3000 : 1_000_000 };
      case 1:
        return { kind: "expireSessions", usedBelowSlot: Math.max(0, slot - 20) };
      case 2:
        return { kind: "closeSession", session: sessionId(nextInt(this.prng, 1, this.sessions + 2)) };
      default:
        return { kind: "compact", revision: Math.max(0, revision - nextInt(this.prng, -2, 30)) };
    }
  }

  private client(): Command {
    const key = `k${nextInt(this.prng, 0, KEYS)}`;
    const label = `c1.${++this.values}`;
    switch (nextInt(this.prng, 0, 5)) {
      case 0:
        return remove(key);
      case 1:
        return cas(
          key,
          nextChance(this.prng, 0.4) ? null : `c1.${nextInt(this.prng, Math.max(1, label.length - 5), this.values + 1)}`,
          label,
        );
      default:
        return put(key, label);
    }
  }
}

/** What a reply says, as the model tells it; null for what clients do not hear of. */
function told(reply: Reply): string | null {
  switch (reply.kind) {
    case "put":
      return `done ${reply.revision}`;
    case "deleteRange":
      return `${reply.deleted > 0 ? "done" : "nothing"} ${reply.revision}`;
    case "txn":
      return `${reply.succeeded ? "done" : "not-swapped"} ${reply.revision}`;
    case "error":
      return reply.error.kind === "quota-exceeded" ? `refused ${reply.revision}` : null;
    default:
      return null;
  }
}

test("the model and the store agree on every log", () => {
  let repeats = 0;
  let turnedAway = 0;
  const results = new Set<string>();
  for (let seed = 1; seed <= SEEDS; seed++) {
    const log = new Log(seed);
    const sessionsMax = seed % 2 === 0 ? 3 : 1000;
    const store = Store.empty({ ...SESSION_LIMITS, sessions: sessionsMax });
    const executions = new Map<string, string>();
    const model = new Model(({ session, seq, result, revision }) => {
      equal(executions.has(`${session} ${seq}`), false, "a request runs once");
      executions.set(`${session} ${seq}`, `${result} ${revision}`);
      results.add(result);
    }, sessionsMax);
    for (let slot = 1; slot <= SLOTS; slot++) {
      const payload = payloadOf(log.batch(slot, store.revision));
      const replies: [string, string][] = [];
      store.applyBatch(slot, payload, {
        onReply: (session, seq, reply) => {
          const text = told(reply);
          if (session !== 0 && text !== null) {
            replies.push([`${session} ${seq}`, text]);
          }
        },
      });
      model.apply(slot, payload, slot);
      for (const [request, text] of replies) {
        equal(text, executions.get(request), `seed ${seed}, slot ${slot}, request ${request}`);
      }
      compareTotals(model, 0, store);
    }
    comparePairs(model, 0, store);
    repeats += model.repeats;
    turnedAway += model.turnedAway;
  }
  equal(repeats > 100 && turnedAway > 100, true, `${repeats} repeats, ${turnedAway} turned away`);
  deepEqual([...results].sort(), ["done", "not-swapped", "nothing", "refused"]);
});

/** A store and a model that applied the same two slots. */
function pair(): { store: Store; model: Model; executions: Execution[] } {
  const store = Store.empty();
  const executions: Execution[] = [];
  const model = new Model((execution) => executions.push(execution));
  for (const [at, entries] of [
    [{ session: 0, seq: 0, command: register }],
    [
      { session: 1, seq: 1, command: put("k0", "a") },
      { session: 1, seq: 2, command: put("k1", "b") },
    ],
  ].entries()) {
    store.applyBatch(at + 1, payloadOf(entries), SILENT);
    model.apply(at + 1, payloadOf(entries), at);
  }
  return { store, model, executions };
}

test("a store that differs in value, version, keys, revision or sessions is found out", () => {
  const cases: readonly [RegExp, Command, Command][] = [
    [/n2 has k0 as x, version 2.*makes it c, version 2/, put("k0", "c"), put("k0", "x")],
    [/n2 has k0 as c, version 2.*makes it a, version 1/, put("k1", "c"), put("k0", "c")],
    [/keys 1 after slot 3; the log makes it 2/, put("k0", "c"), remove("k0")],
    [/revision 3 after slot 3; the log makes it 4/, put("k0", "c"), cas("k0", "q", "c")],
    [/sessions 2 after slot 3; the log makes it 1/, remove("k9"), register],
    [/compactedRevision 2 after/, remove("k9"), { kind: "compact", revision: 2 }],
  ];
  for (const [text, due, done] of cases) {
    const { store, model } = pair();
    model.apply(3, payloadOf([{ session: 1, seq: 3, command: due }]), 9);
    store.applyBatch(3, payloadOf([{ session: 1, seq: 3, command: done }]), SILENT);
    const final = { reads: [], keys: [], servers: [1] };
    throws(() => checkEnd(model, final, () => store), text);
  }
});

test("the last reads must be there, and true", () => {
  const { store, model } = pair();
  const read = (key: string, value: string | null) =>
    ({ client: 1, server: 0, key, input: { op: "get" }, start: 1, end: 2, outcome: "ok", output: { value, revision: 3 } }) as const;
  const final = { keys: ["k0", "k1", "k2"], servers: [0] };
  const all = [read("k0", "a"), read("k1", "b"), read("k2", null)];
  checkEnd(model, { ...final, reads: all }, () => store);
  throws(() => checkEnd(model, { ...final, reads: all.slice(1) }, () => store), /nobody could read k0 through n1/);
  throws(() => checkEnd(model, { ...final, reads: [read("k0", null), ...all.slice(1)] }, () => store), /get k0: absent.*the log says a/);
});

test("servers at one slot have one state", () => {
  const { store, model } = pair();
  const { store: other } = pair();
  const errors: unknown[] = [];
  const machines = [{ server: { store } }, { server: null }, { server: { store: other } }];
  const engine = { now: 5, after: () => ({ cancel: () => {} }) } as unknown as Engine;
  const observed = { engine, machines, watchers: { fail: (error: unknown) => errors.push(error) } };
  const checker = new StateChecker(model);
  checker.look(observed);
  equal(checker.comparisons, 1);
  const payload = payloadOf([{ session: 1, seq: 3, command: put("k0", "c") }]);
  store.applyBatch(3, payload, SILENT);
  other.applyBatch(3, payloadOf([{ session: 1, seq: 3, command: put("k0", "d") }]), SILENT);
  model.apply(3, payload, 3);
  throws(() => checker.look(observed), /21: after slot 3 n3 has state .* and n1 had/);
  const alone = new StateChecker(model);
  alone.look({ ...observed, machines: [{ server: { store } }] });
  const meta = { index: 3, stateHash: other.stateHash() } as never;
  throws(() => alone.stepped(7, 1, { kind: "snapshotTaken", meta, now: 0 }, []), /after slot 3 n2 has state/);
});
