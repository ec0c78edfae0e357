/** Ballots: a total order by round, then by replica, and their text. Table and small exhaustive checks. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { BALLOT_ZERO, ballot, compareBallots, equalBallots, formatBallot } from "./ballot.js";

const SMALL = [0, 1, 2, 3].flatMap((round) => [0, 1, 2].map((replica) => ballot(round, replica)));

test("the round decides, then the replica", () => {
  assert.ok(compareBallots(ballot(2, 1), ballot(1, 9)) > 0);
  assert.ok(compareBallots(ballot(2, 1), ballot(2, 3)) < 0);
  assert.equal(compareBallots(ballot(2, 3), ballot(2, 3)), 0);
});

test("the order is total: antisymmetric, transitive, equal only to itself", () => {
  for (const a of SMALL) {
    for (const b of SMALL) {
      assert.equal(Math.sign(compareBallots(a, b)), 0 - Math.sign(compareBallots(b, a)));
      assert.equal(compareBallots(a, b) === 0, equalBallots(a, b));
      for (const c of SMALL) {
        assert.ok(!(compareBallots(a, b) <= 0 && compareBallots(b, c) <= 0) || compareBallots(a, c) <= 0);
      }
    }
  }
});

test("zero is below all others, and a ballot shows as round.replica", () => {
  assert.ok(SMALL.every((other) => compareBallots(BALLOT_ZERO, other) <= 0));
  assert.equal(formatBallot(ballot(12, 3)), "12.3");
});

test("a round is a non-negative safe integer", () => {
  for (const round of [-1, 0.5, Number.NaN, Number.MAX_SAFE_INTEGER + 1]) {
    assert.throws(() => ballot(round, 1), /round/);
  }
});
