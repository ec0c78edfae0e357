/**
 * The merge of a forced recovery over what faults really leave behind: the explorer runs a cluster into a blackout, and every
 * choice of its disks is merged. What a disk knew to be decided is kept whatever is missing; where the missing voters are no quorum, every slot
 * that was ever decided is kept. What was decided is known from the explorer's history, not from the disks.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { chainHash, type Hash64, ZERO_HASH } from "../base/hash64.js";
import { compareBallots } from "./ballot.js";
import { type History, lastDecided } from "./invariants.js";
import { type Merged, mergeSurvivors, type Survivor } from "./merge.js";
import { durableDecided } from "./record.js";
import { exploreToBlackout } from "./testing/explorer.js";
import { replicaOf } from "./testing/sim-members.js";

const SEEDS = 400;

/** Without one of these the seeds would prove nothing about it. */
const MUST_SEE = ["a quorum", "no quorum", "something lost", "from a snapshot", "kept without being known", "a change", "beyond a gap"];

test(`${SEEDS} blackouts: nothing known is lost, and nothing decided where a quorum is left`, () => {
  const seen = new Set<string>();
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { hosts, history } = exploreToBlackout(seed);
    const disks = hosts
      .filter((host) => replicaOf(host) !== 0)
      .map((host): Survivor => ({ name: `n${host.index + 1}`, durable: host.server.disk.durable }));
    for (let chosen = 1; chosen < 1 << disks.length; chosen++) {
      const left = disks.filter((_, i) => (chosen & (1 << i)) !== 0);
      check(history, left, seen, `seed ${seed}, ${left.map(({ name }) => name).join(" ")}`);
    }
  }
  assert.deepEqual(
    MUST_SEE.filter((what) => !seen.has(what)),
    [],
    "never seen",
  );
});

function check(history: History, left: readonly Survivor[], seen: Set<string>, where: string): void {
  const merged = mergeSurvivors(left);
  if (merged.kind === "refused") {
    assert.match(merged.text, /^None of these directories holds a state/, where);
    assert.ok(
      left.every(({ durable }) => durableDecided(durable) === 0),
      where,
    );
    return;
  }
  const ever = lastDecided(history);
  const kept = merged.absentQuorum ? Math.min(merged.decided, ever) : ever;
  assert.equal(chainAt(merged, kept), history.chains[kept], `${where}: the values up to slot ${kept}`);
  for (const { durable } of left) {
    assert.ok(durableDecided(durable) <= merged.decided && merged.decided <= merged.last, where);
    assert.ok(compareBallots(durable.promised, merged.promised) <= 0, where);
  }
  if (merged.last === kept) {
    const inForce = history.configurations.findLast(({ from }) => from <= merged.last + 1);
    assert.deepEqual(merged.configuration, inForce?.configuration, `${where}: the configuration`);
  }
  note(merged, ever, seen);
}

/** The chain of hashes over the merged log up to `end`; undefined where it does not reach there, or only as a snapshot beyond. */
function chainAt(merged: Merged, end: number): Hash64 | undefined {
  const base = merged.base?.snapshot.index ?? 0;
  if (end < base || end > merged.last) {
    return undefined;
  }
  const before = merged.base?.snapshot.chain ?? ZERO_HASH;
  return merged.entries.slice(0, end - base).reduce<Hash64>((chain, { digest }) => chainHash(chain, digest), before);
}

function note(merged: Merged, ever: number, seen: Set<string>): void {
  const { absentQuorum, base, decided, last, entries, beyond } = merged;
  seen.add(absentQuorum ? "no quorum" : "a quorum");
  const facts: ReadonlyArray<readonly [string, boolean]> = [
    ["something lost", last < ever],
    ["from a snapshot", base !== null],
    ["kept without being known", last > decided],
    ["a change", entries.some(({ kind }) => kind === "configuration")],
    ["beyond a gap", beyond !== null],
  ];
  for (const [what] of facts.filter(([, is]) => is)) {
    seen.add(what);
  }
}
