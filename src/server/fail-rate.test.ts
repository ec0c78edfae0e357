/** What the fail_rate option does to messages, counted over a seeded run. */
import { equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { seedPrng } from "../base/prng.js";
import { ballot } from "../paxos/ballot.js";
import { slot } from "../paxos/ids.js";
import type { Message } from "../paxos/message.js";
import { FailRate } from "./fail-rate.js";

const prepare: Message = { kind: "prepare", ballot: ballot(3, 1), from: slot(1), handoverOf: null };

test("a rate of 0.3 fails three in ten, half of them aloud, and leaves other messages alone", () => {
  const failRate = new FailRate(0.3, seedPrng(7));
  let refused = 0;
  let ignored = 0;
  for (let i = 0; i < 10_000; i++) {
    const verdict = failRate.judge(prepare);
    if (verdict === "ignore") {
      ignored++;
    } else if (verdict !== "deliver") {
      equal(verdict.reason, "failing");
      equal(verdict.ballot.round, 3);
      refused++;
    }
    equal(failRate.judge({ kind: "accepted", ballot: ballot(3, 1), slots: [] }), "deliver");
  }
  ok(Math.abs(refused - 1500) < 150 && Math.abs(ignored - 1500) < 150, `${refused} refused, ${ignored} ignored`);
});

test("a rate of 0 delivers everything", () => {
  const failRate = new FailRate(0, seedPrng(7));
  for (let i = 0; i < 100; i++) {
    equal(failRate.judge(prepare), "deliver");
  }
});
