/**
 * The narrator's words: every kind of fault and of request has its sentence, payloads are spelled out, resends fold, memory is bounded;
 * and a whole run is told the same way twice, without its pulse.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { nextInt, seedPrng } from "../../base/prng.js";
import { utf8Encode } from "../../base/utf8.js";
import { BatchBuilder } from "../../kv/batch.js";
import { type Command, encodeCommand } from "../../kv/command.js";
import { NO_SESSION, sessionId } from "../../kv/model.js";
import { runScenario } from "../run.js";
import { serverAddresses } from "../scenario/addresses.js";
import { drawScenario } from "../scenario/draw.js";
import { FAULT_KINDS, type Fault } from "../scenario/faults.js";
import { drain } from "../testing/drain.js";
import type { Operation } from "../workload/operation.js";
import { Lines } from "./lines.js";
import { Narrator } from "./narrator.js";
import { describePayload } from "./payload.js";
import { describeAnswer, describeFault, describeFaultEnd, describeInput, describeScheduled, describeTime } from "./words.js";

const links = { from: [0], to: [1, 2] };
const all = { from: [0, 1, 2], to: [0, 1, 2] };
const at = 3100;
const forMs = 2000;

const FAULTS: ReadonlyArray<readonly [Fault, string]> = [
  [{ kind: "drop", at, forMs, links: all, chance: 0.125 }, "messages between n1 n2 n3 are lost with a chance of 12.5 %"],
  [{ kind: "duplicate", at, forMs, links, chance: 0.5 }, "messages from n1 to n2 n3 come twice with a chance of 50 %"],
  [
    { kind: "replay", at, forMs, links, chance: 0.01, byMs: 5000 },
    "messages from n1 to n2 n3 come again up to 5 s later with a chance of 1 %",
  ],
  [
    { kind: "reorder", at, forMs, links, chance: 0.1, byMs: 20 },
    "messages from n1 to n2 n3 come up to 20 ms late and out of order with a chance of 10 %",
  ],
  [{ kind: "delay", at, forMs, links, byMs: 1500 }, "messages from n1 to n2 n3 take up to 1.5 s longer"],
  [{ kind: "flap", at, forMs, links, byMs: 100 }, "links from n1 to n2 n3 are cut and whole by turns of 100 ms"],
  [{ kind: "large", at, forMs, links, bytes: 1400 }, "messages above 1400 bytes from n1 to n2 n3 are lost"],
  [{ kind: "clog", at, forMs, links }, "messages from n1 to n2 n3 get stuck on their way"],
  [{ kind: "cut", at, forMs, links }, "links from n1 to n2 n3 are cut"],
  [{ kind: "reset", at, forMs, links }, "streams from n1 to n2 n3 are reset in mid-message"],
  [{ kind: "refuse", at, forMs, links }, "connections from n1 to n2 n3 are closed and refused"],
  [{ kind: "unnoticed", at, forMs, links }, "deaths go unnoticed from n1 to n2 n3"],
  [{ kind: "split", at, forMs, groups: [[0, 1], [2]] }, "the network splits: n1 n2 | n3"],
  [{ kind: "star", at, forMs, order: [1, 0, 2] }, "the network becomes a star: n1 n3 reach only n2"],
  [{ kind: "chain", at, forMs, order: [1, 0, 2] }, "the network becomes a chain: n2 - n1 - n3"],
  [{ kind: "ring", at, forMs, order: [1, 0, 2] }, "the network becomes a ring: n2 - n1 - n3 - n2"],
  [{ kind: "stall", at, forMs, server: 1 }, "the disk of n2 stalls"],
  [{ kind: "full", at, forMs, server: 1 }, "the disk of n2 is full"],
  [{ kind: "failSync", at, forMs, server: 1 }, "the next sync of n2 will fail"],
  [{ kind: "misdirect", at, forMs, server: 1 }, "the next write of n2 will land at another place as well"],
  [{ kind: "wipe", at, forMs, server: 1 }, "the disk of n2 will be empty after its next death"],
  [{ kind: "slow", at, forMs, server: 1, byMs: 30 }, "the disk of n2 takes up to 30 ms more for everything"],
  [{ kind: "rot", at, forMs, server: 1, what: "log", flips: 3 }, "3 bits of the log of n2 rot"],
  [{ kind: "restoreOld", at, forMs, server: 1, of: 1000 }, "after its next death the disk of n2 will be as it was at 1 s"],
  [{ kind: "kill", at, forMs, server: "coordinator" }, "the coordinator is to be killed"],
  [{ kind: "pause", at, forMs, server: 0 }, "n1 is paused"],
  [{ kind: "stop", at, forMs, server: 0 }, "n1 is told to stop"],
  [{ kind: "power", at, forMs, servers: [0, 2] }, "the power fails at n1 n3"],
  [
    { kind: "crashAt", at, forMs, server: 0, plan: { boundary: "sync", count: 22, after: true }, power: true, downMs: 5 },
    "n1 will crash after its 22nd sync from now, losing power",
  ],
  [{ kind: "crashLoop", at, forMs, server: 0, everyMs: 40 }, "n1 dies again and again, 40 ms after each start"],
  [{ kind: "rolling", at, forMs, everyMs: 900 }, "all servers are stopped and started one after another, one every 900 ms"],
  [{ kind: "handover", at, forMs, heir: 2 }, "the coordinator is asked to hand over to n3"],
  [{ kind: "nominate", at, forMs, server: 2 }, "n3 is asked to stand for election"],
  [{ kind: "rate", at, forMs, server: 2, ppm: -5000 }, "the clock of n3 runs 0.5 % too slow"],
  [{ kind: "jump", at, forMs, server: 2, byMs: -3_600_000 }, "the wall clock of n3 jumps back by 3600 s"],
  [{ kind: "suspend", at, forMs, server: 2 }, "the machine of n3 is suspended"],
  [{ kind: "add", at, forMs, server: 3 }, "n4 is added"],
  [{ kind: "promote", at, forMs, server: 3, via: 0 }, "n1 is asked to promote n4"],
  [{ kind: "remove", at, forMs, server: "coordinator", via: "coordinator" }, "the coordinator is asked to remove the coordinator"],
  [{ kind: "tieBreak", at, forMs, server: 1, via: "tie-break" }, "who breaks ties is asked to let n2 break ties"],
  [{ kind: "replace", at, forMs, server: 1, by: 3 }, "n2 is replaced by n4"],
  [{ kind: "rejoin", at, forMs, server: 1 }, "n2, if it cannot start any more, begins anew on an empty disk"],
  [
    { kind: "oneByOne", at, forMs, how: "kill", whom: "follower", downTo: 1, thenBlock: false },
    "a follower is killed, one after another, until 1 of the voters are left",
  ],
];

test("every kind of fault has its sentence, when it begins and when it ends", () => {
  for (const [fault, words] of FAULTS) {
    assert.equal(describeFault(fault), words);
    assert.match(describeFaultEnd(fault), /^[a-zN].*[a-z0-9%]$/);
    assert.equal(describeScheduled(fault), `at 3.100 s for 2 s: ${words}`);
  }
  assert.deepEqual(FAULTS.map(([fault]) => fault.kind).sort(), [...FAULT_KINDS].sort());
  const crash: Fault = {
    kind: "crashAt",
    at,
    forMs: 0,
    server: 0,
    plan: { boundary: null, count: 13, after: false },
    power: false,
    downMs: 1,
  };
  assert.equal(describeScheduled(crash), "at 3.100 s: n1 will crash before its 13th effect from now");
  assert.equal(describeScheduled({ kind: "cut", at, forMs: 1e9, links }), "at 3.100 s for good: links from n1 to n2 n3 are cut");
  assert.equal(describeFaultEnd({ kind: "split", at, forMs, groups: [[0], [1]] }), "the network is whole again");
});

test("requests and answers", () => {
  const shared = { client: 3, server: 0, key: "k", start: 0, end: 1 };
  const ok = (input: Operation["input"], output: Operation["output"]): string =>
    describeAnswer({ ...shared, input, outcome: "ok", output });
  assert.equal(ok({ op: "get" }, { value: "a", revision: 4 }), 'reads k = "a" (revision 4)');
  assert.equal(ok({ op: "get" }, { value: null, revision: null }), "reads k = absent");
  assert.equal(ok({ op: "put", value: "a" }, { revision: 4 }), 'is told that put k = "a" is done (revision 4)');
  assert.equal(ok({ op: "delete" }, { deleted: false, revision: 4 }), "is told that delete k is done, there was none (revision 4)");
  const cas = { op: "cas", expected: null, value: "b" } as const;
  assert.equal(ok(cas, { swapped: false, revision: 4 }), 'is told that set k = "b" if it is absent found another value (revision 4)');
  assert.equal(describeInput("k", { op: "cas", expected: "a", value: "b" }), 'set k = "b" if it is "a"');
  const put = { op: "put", value: "a" } as const;
  assert.equal(
    describeAnswer({ ...shared, input: put, outcome: "fail", output: null }),
    'is told that put k = "a" has not happened and will not',
  );
  assert.equal(
    describeAnswer({ ...shared, input: put, outcome: "unknown", output: null, end: null }),
    'will not learn whether put k = "a" happened',
  );
  assert.equal(describeAnswer({ ...shared, input: { op: "get" }, outcome: "unknown", output: null }), "gets no answer to get k");
  assert.equal(describeTime(61_002_999), "61.002");
});

test("payloads are spelled out, and bytes that are none are not", () => {
  const bytes = utf8Encode;
  const payload = (...commands: readonly Command[]): Uint8Array => {
    const builder = new BatchBuilder();
    for (const [i, command] of commands.entries()) {
      builder.add(i === 0 ? sessionId(7) : NO_SESSION, i + 1, 1, encodeCommand(command));
    }
    return builder.finish();
  };
  const put: Command = { kind: "put", key: bytes("k"), value: bytes("a") };
  assert.equal(describePayload(payload(put)), 'put k = "a" (session 7, request 1)');
  const cas: Command = {
    kind: "txn",
    compares: [{ result: "equal", target: "create", key: bytes("k"), operand: 0n }],
    success: [{ kind: "put", key: bytes("k"), value: bytes("b") }],
    failure: [{ kind: "range", key: bytes("a"), rangeEnd: bytes("z") }],
  };
  assert.equal(
    describePayload(payload(put, cas)),
    'put k = "a" (session 7, request 1); if create of k = 0 then put k = "b", else get a to z',
  );
  assert.match(describePayload(payload(put, put, put, put, put, put)) ?? "", /; and 2 more$/);
  assert.equal(describePayload(payload({ kind: "deleteRange", key: Uint8Array.of(0xff) })), "delete #ff (session 7, request 1)");
  const long: Command = { kind: "put", key: bytes("k"), value: bytes("v".repeat(100)) };
  assert.equal(describePayload(payload(long)), `put k = "${"v".repeat(24)}...(100)" (session 7, request 1)`);
  const prng = seedPrng(1);
  for (let i = 0; i < 300; i++) {
    const noise = Uint8Array.from({ length: nextInt(prng, 0, 20) }, (_, at) => (at === 0 ? 1 : nextInt(prng, 0, 256)));
    describePayload(noise);
  }
  assert.equal(describePayload(bytes("x=1")), null);
});

test("the last lines are kept, every line goes to the sink, and what comes again is counted", () => {
  const sunk: string[] = [];
  const lines = new Lines({ keep: 3, sink: (line) => sunk.push(line) });
  for (let i = 0; i < 10; i++) {
    lines.fold(i * 150_000, "n1 sends prepare");
  }
  lines.add(2_000_000, "a");
  lines.add(2_000_000, "b");
  assert.deepEqual(sunk, [
    "    0.000  n1 sends prepare",
    "    1.050  n1 sends prepare (and 6 times since 0.000)",
    "    2.000  a",
    "    2.000  b",
  ]);
  assert.deepEqual(lines.last(), sunk.slice(1));
  assert.equal(lines.total, 4);
  const times: string[] = [];
  const seldom = new Lines({ sink: (line) => times.push(line.trim().split(" ", 1)[0] ?? "") });
  for (let second = 0; second < 60; second += 2) {
    seldom.fold(second * 1_000_000, "c1 asks n1: get k");
  }
  seldom.fold(300_000_000, "c1 asks n1: get k");
  seldom.fold(302_000_000, "c1 asks n1: get k");
  assert.deepEqual(times, ["0.000", "2.000", "4.000", "8.000", "16.000", "32.000", "300.000", "302.000"]);
});

test("a run is told the same way twice, without its pulse", async () => {
  const scenario = drawScenario(3, { minutes: 0.1, servers: 3 });
  const tell = async (everything: boolean): Promise<readonly string[]> => {
    const lines: string[] = [];
    const narrator = new Narrator({ addresses: serverAddresses(3), sink: (line) => lines.push(line), everything });
    const { violation } = await runScenario(scenario, { drain, observers: [narrator] });
    assert.equal(violation, null);
    assert.equal(narrator.total, lines.length);
    assert.ok(narrator.last().length <= 300);
    return lines;
  };
  const lines = await tell(false);
  assert.deepEqual(await tell(false), lines);
  const text = lines.join("\n");
  for (const words of ["is started, life 1", " coordinates ", "has on disk accept ", "decides slot ", " asks n", "the faults are over"]) {
    assert.ok(text.includes(words), words);
  }
  assert.doesNotMatch(text, /sends (ping|pong|hello)|127\.0\.0\.1|undefined/);
  assert.match((await tell(true)).join("\n"), /sends ping /);
});
