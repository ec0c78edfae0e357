/** What the fail_rate option does to messages, counted over a seeded run. */
import { equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { seedPrng } from "../base/prng.js";
import { ballot } from "../paxos/ballot.js";
import { address, replicaId, slot } from "../paxos/ids.js";
import type { Message } from "../paxos/message.js";
import { createReplica } from "../paxos/replica.js";
import { FailRate } from "./fail-rate.js";
import { Intake } from "./intake.js";
import type { Proposals } from "./proposals.js";

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

test("before its identity is synced a server refuses nothing under it", () => {
  const own = address("n1:1");
  const replica = createReplica({
    address: own,
    clientAddress: "",
    list: [own],
    seed: 1,
    pingMs: 100,
    grantMs: 600,
    suspectMs: 600,
    windowSlots: 4,
    windowBytes: 1000,
    keepSlots: 10,
    keepBytes: 1000,
    removeAfterMs: 0,
    stableMs: 0,
    minVoters: 1,
    join: [],
    electable: true,
  });
  let refused = 0;
  let delivered = 0;
  const intake = new Intake({
    replica,
    failRate: new FailRate(0.9, seedPrng(7)),
    proposals: null as unknown as Proposals,
    deliver: () => delivered++,
    send: () => refused++,
  });
  const header = { clusterId: replica.durable.clusterId, lineage: replica.durable.lineage, from: replicaId(2), epoch: 1 };
  replica.founding.identityLsn = replica.persistedLsn + 1;
  for (let i = 0; i < 50; i++) {
    intake.receive(address("n2:1"), header, prepare);
  }
  equal(`${delivered} ${refused}`, "50 0");
  replica.founding.identityLsn = replica.persistedLsn;
  for (let i = 0; i < 50; i++) {
    intake.receive(address("n2:1"), header, prepare);
  }
  ok(refused > 10 && delivered < 70);
});
