/**
 * The seeded explorer over the real core: 2,000 seeds must keep every invariant, come back to life after each, and
 * together have seen what they are there for; equal seeds must do equal things. More seeds: explore.ts beside this file.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { exploreSeeds } from "./explore-seeds.js";
import { explore } from "./explorer.js";

const SEEDS = 2000;

/** A batch of seeds that never saw one of these would prove nothing about it. */
const MUST_SEE = [
  "founded",
  "elected",
  "preVote",
  "prepare",
  "prepareByHandover",
  "handover",
  "handoverFailed",
  "stepped-down",
  "acceptedInPromise",
  "decidedInPromise",
  "promiseInParts",
  "adopted",
  "noop",
  "nack ballot",
  "nack granted",
  "nack behind",
  "nack noSpace",
  "nack failing",
  "refused",
  "acknowledged",
  "catchUpReply",
  "snapshotTaken",
  "loadSnapshot",
  "snapshotAck",
  "trim",
  "readHere",
  "readElsewhere",
  "readIndexReply",
  "crashBetweenEffects",
  "crashAll",
  "restart",
  "lostUnsynced",
  "gone",
  "partition",
  "minorityDead",
  "star",
  "changed",
  "changeRefused",
  "autopilot",
  "joined",
  "removed",
  "halt",
  "wiped",
  "configuration",
];

test(`${SEEDS} seeds keep every invariant and see every case`, () => {
  const { failures, coverage, decided } = exploreSeeds({ from: 1, count: SEEDS, failuresMax: 1 });
  assert.deepEqual(
    failures.map((failure) => failure.report),
    [],
  );
  assert.deepEqual(
    MUST_SEE.filter((what) => !coverage.has(what)),
    [],
    "never seen",
  );
  assert.ok(decided > SEEDS * 10, `only ${decided} slots were decided`);
});

test("equal seeds do equal things", () => {
  for (let seed = 1; seed <= 20; seed++) {
    assert.deepEqual(explore(seed), explore(seed));
  }
});
