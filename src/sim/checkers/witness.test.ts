/**
 * The witness on histories made by hand: each kind of lie is found, and the same history told rightly passes. Times are in
 * microseconds; a log entry is applied when the story says.
 */
import { equal, throws } from "node:assert/strict";
import { test } from "node:test";
import type { Command } from "../../kv/command.js";
import type { Violation } from "../observer.js";
import type { Input, Operation, Output } from "../workload/operation.js";
import { applyEffect, cas, type Entry, payloadOf, put, register, remove } from "./testing/log.js";
import { WitnessChecker } from "./witness.js";

/** A run, told step by step. */
class Story {
  readonly witness = new WitnessChecker();
  readonly history: Operation[] = [];
  private slot = 0;
  private seq = 0;

  constructor() {
    this.decide(0, [{ session: 0, seq: 0, command: register }]);
  }

  /** The next slot is applied at `at`. */
  decide(at: number, entries: readonly Entry[]): this {
    const [event, effects] = applyEffect(++this.slot, payloadOf(entries));
    this.witness.stepped(at, 0, event, effects);
    return this;
  }

  /** One command of session 1, under the next number, which is returned by `lastSeq`. */
  write(at: number, command: Command): this {
    return this.decide(at, [{ session: 1, seq: ++this.seq, command }]);
  }

  again(at: number, command: Command): this {
    return this.decide(at, [{ session: 1, seq: this.seq, command }]);
  }

  ask(at: number, input: Input, key = "k0"): this {
    this.witness.asked(at, 1, 0, key, input);
    return this;
  }

  ok(start: number, end: number, input: Input, output: Output, key = "k0"): this {
    return this.tell({ client: 1, server: 0, key, input, start, end, outcome: "ok", output });
  }

  ends(start: number, outcome: "fail" | "unknown", input: Input, key = "k0"): this {
    const end = outcome === "fail" ? start + 1 : null;
    return this.tell({ client: 1, server: 0, key, input, start, end, outcome, output: null });
  }

  finish(): void {
    this.witness.finish(this.history);
  }

  private tell(operation: Operation): this {
    this.history.push(operation);
    this.witness.answered(operation.end ?? operation.start, operation);
    return this;
  }
}

const GET: Input = { op: "get" };
const DELETE: Input = { op: "delete" };
const putOf = (value: string): Input => ({ op: "put", value });
const casOf = (expected: string | null, value: string): Input => ({ op: "cas", expected, value });

function breaks(invariant: string, text: RegExp, tell: () => unknown): void {
  throws(tell, (error: Violation) => {
    equal(error.invariant, invariant, error.message);
    equal(text.test(error.message), true, error.message);
    return true;
  });
}

/** a is written at revision 2. */
function written(): Story {
  return new Story().ask(10, putOf("a")).write(15, put("k0", "a")).ok(10, 20, putOf("a"), { revision: 2 });
}

test("a true history passes, unknown outcomes having happened or not", () => {
  const story = written()
    .ok(30, 40, GET, { value: "a", revision: 2 })
    .ask(50, casOf("a", "b"))
    .write(55, cas("k0", "a", "b"))
    .ok(50, 60, casOf("a", "b"), { swapped: true, revision: 3 })
    .ask(70, casOf("a", "c"))
    .write(75, cas("k0", "a", "c"))
    .ok(70, 80, casOf("a", "c"), { swapped: false, revision: 3 })
    .write(85, remove("k0"))
    .ok(82, 90, DELETE, { deleted: true, revision: 4 })
    .write(95, remove("k0"))
    .ok(92, 99, DELETE, { deleted: false, revision: 4 })
    .ok(100, 101, GET, { value: null, revision: 4 })
    .ask(110, putOf("d"))
    .ends(110, "unknown", putOf("d"))
    .ask(120, putOf("e"))
    .ends(120, "fail", putOf("e"))
    .ends(125, "unknown", DELETE)
    .ask(126, putOf("f"))
    .ends(126, "unknown", putOf("f"))
    .write(130, put("k0", "d"))
    .write(131, remove("k0"));
  story.finish();
  equal(story.witness.model.revision, 6);
});

test("an acknowledged write that is not in the log", () => {
  breaks("22", /client 1 through n1, 0\.000010 to 0\.000020 s: put k0=a.*ends at slot 1/, () =>
    new Story().ask(10, putOf("a")).ok(10, 20, putOf("a"), { revision: 1 }),
  );
  breaks("22", /acknowledged and not in the log.*delete k0.*never written/, () =>
    new Story().ok(10, 20, DELETE, { deleted: false, revision: 1 }),
  );
});

test("an acknowledged write under another revision, key or compare than the log's", () => {
  const asked = (input: Input): Story => new Story().ask(10, input);
  breaks("25", /revision 1; the log says.*revision 2/, () =>
    asked(putOf("a")).write(15, put("k0", "a")).ok(10, 20, putOf("a"), { revision: 1 }),
  );
  breaks("25", /the newest revision of the log is 2/, () =>
    asked(putOf("a")).write(15, put("k0", "a")).ok(10, 20, putOf("a"), { revision: 3 }),
  );
  breaks("25", /put k1=a in slot 2/, () => asked(putOf("a")).write(15, put("k1", "a")).ok(10, 20, putOf("a"), { revision: 2 }));
  const swap = casOf("x", "a");
  breaks("25", /not-swapped/, () =>
    asked(swap)
      .write(15, cas("k0", "x", "a"))
      .ok(10, 20, swap, { swapped: true, revision: 1 }),
  );
  breaks("25", /cas k0 absent -> a/, () =>
    asked(swap)
      .write(15, cas("k0", null, "a"))
      .ok(10, 20, swap, { swapped: true, revision: 2 }),
  );
});

test("a write that ran before it was asked for, after it was answered, or unasked", () => {
  const early = new Story().ask(10, putOf("a")).write(15, put("k0", "a"));
  breaks("linearizability", /not between question and answer/, () => early.ok(16, 20, putOf("a"), { revision: 2 }));
  const late = new Story().ask(10, putOf("a")).write(25, put("k0", "a"));
  breaks("linearizability", /not between question and answer/, () => late.ok(10, 20, putOf("a"), { revision: 2 }));
  breaks("22", /nobody asked for: put k0=a in slot 2/, () => new Story().write(15, put("k0", "a")));
  breaks("22", /in no history/, () => new Story().ask(10, putOf("a")).write(15, put("k0", "a")).finish());
  const unknown = new Story().ask(10, putOf("a")).write(15, put("k0", "a")).ends(16, "unknown", putOf("a"));
  breaks("22", /not asked for so/, () => unknown.finish());
});

test("a write that ran twice", () => {
  breaks("20", /in slot 2 \(session 1, request 1\).*in slot 3 \(session 1, request 2\)/, () => written().write(25, put("k0", "a")));
  const told = written().again(25, put("k0", "a"));
  told.finish();
  equal(told.witness.model.repeats, 1);
});

test("a delete that ran more often than it was asked for, or too early", () => {
  const deleted = written().write(25, remove("k0")).ok(22, 30, DELETE, { deleted: true, revision: 3 });
  deleted.finish();
  breaks("20", /ran twice: delete k0 in slot 4/, () => deleted.write(35, remove("k0")).finish());
  const unknown = written().write(25, remove("k0")).ends(22, "unknown", DELETE);
  unknown.finish();
  breaks("20", /slot 4/, () => unknown.write(35, remove("k0")).finish());
  breaks("20", /delete that nobody asked for/, () => written().write(25, remove("k0")).ends(26, "unknown", DELETE).finish());
  breaks("20", /delete that nobody asked for/, () => written().write(25, remove("k0")).ends(22, "fail", DELETE).finish());
});

test("two deletes cannot both have removed the same pair", () => {
  const deleted = written().write(25, remove("k0")).ok(22, 30, DELETE, { deleted: true, revision: 3 });
  breaks("22", /acknowledged and not in the log.*delete k0/, () => deleted.ok(23, 31, DELETE, { deleted: true, revision: 3 }));
  breaks("22", /the key was absent since revision 3/, () => deleted.ok(23, 31, DELETE, { deleted: false, revision: 3 }));
});

test("something happened although it was said not to", () => {
  const story = written().ask(30, putOf("b")).ends(30, "fail", putOf("b")).write(40, put("k0", "b"));
  breaks("outcome", /said not to have happened.*put k0=b: fail.*slot 3/, () => story.finish());
  const refusedCas = written()
    .ask(30, casOf("x", "b"))
    .ends(30, "fail", casOf("x", "b"))
    .write(40, cas("k0", "x", "b"));
  breaks("outcome", /not-swapped/, () => refusedCas.finish());
});

test("a refusal for want of space is a failure, and never an acknowledgement", () => {
  const story = written().decide(25, [{ session: 0, seq: 0, command: { kind: "setQuota", bytes: 10 } }]);
  story.ask(30, putOf("b")).write(35, put("k0", "b"));
  breaks("25", /refused, revision 2/, () => story.ok(30, 40, putOf("b"), { revision: 2 }));
  const refused = written().decide(25, [{ session: 0, seq: 0, command: { kind: "setQuota", bytes: 10 } }]);
  refused.ask(30, putOf("b")).write(35, put("k0", "b")).ends(30, "fail", putOf("b")).finish();
});

test("a read of a value that was not there", () => {
  breaks("linearizability", /get k0: b at revision 2; the log says a/, () => written().ok(30, 40, GET, { value: "b", revision: 2 }));
  breaks("linearizability", /absent at revision 2; the log says a/, () => written().ok(30, 40, GET, { value: null, revision: 2 }));
  breaks("linearizability", /the log says absent/, () => written().ok(30, 40, GET, { value: "a", revision: 2 }, "k1"));
  breaks("25", /from the future/, () => written().ok(30, 40, GET, { value: "a", revision: 3 }));
});

test("a read of the past, and one that began before the newer answer came", () => {
  const stale: Output = { value: null, revision: 1 };
  breaks("linearizability", /an answer from the past.*0\.000021 to.*before it began: client 1.*put k0=a/, () =>
    written().ok(21, 40, GET, stale),
  );
  written().ok(20, 40, GET, stale).finish();
  breaks("linearizability", /answer from the past/, () => written().ok(5, 40, GET, { value: "a", revision: 2 }).ok(41, 50, GET, stale));
});

test("a slot that is applied although the one before it was not", () => {
  const witness = new WitnessChecker();
  breaks("22", /n3 applies slot 2.*nobody applied slot 1/, () =>
    witness.stepped(5, 2, ...applyEffect(2, payloadOf([{ session: 0, seq: 0, command: register }]))),
  );
});
