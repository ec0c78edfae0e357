/**
 * Changes of the configuration: random walks of changes keep what PROTOCOL §7.1 (13) and §1.2 ask of consecutive configurations, and
 * each refusal has its case. Pure functions, no replica.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { nextInt, type Prng, seedPrng } from "../base/prng.js";
import { applyChange, type MembershipChange } from "./change.js";
import { type Configuration, genesisConfiguration, MEMBERS_MAX } from "./configuration.js";
import { address, type DiskId, diskId, type ReplicaId, replicaId } from "./ids.js";

const disk = (n: number): DiskId => diskId(n.toString(16).padStart(32, "0"));
const at = (n: number) => address(`n${n}:1`);
const genesis = (count: number): Configuration =>
  genesisConfiguration(Array.from({ length: count }, (_, i) => ({ address: at(i + 1), diskId: disk(i + 1) })));
const ONE = replicaId(1);

function next(current: Configuration, change: MembershipChange, by: ReplicaId = ONE): Configuration {
  const result = applyChange(current, change, by);
  assert.equal(result.kind, "next", JSON.stringify(result));
  return result.kind === "next" ? result.configuration : current;
}

function randomChange(prng: Prng, current: Configuration, disks: { next: number }): MembershipChange {
  const replica = replicaId(nextInt(prng, 1, current.nextReplicaId + 1));
  switch (nextInt(prng, 0, 5)) {
    case 0:
      return { kind: "join", address: at(nextInt(prng, 1, 8)), diskId: disk(disks.next++), electable: nextInt(prng, 0, 2) === 1 };
    case 1:
      return { kind: "promote", replica };
    case 2:
      return { kind: "remove", replica };
    case 3:
      return { kind: "suspend", replica };
    default:
      return { kind: "moveTieBreak", replica };
  }
}

function checkStep(before: Configuration, after: Configuration): void {
  assert.equal(after.epoch, before.epoch + 1);
  assert.equal(after.prevEpoch, before.epoch);
  const gone = before.voters.filter((voter) => !after.voters.includes(voter));
  const come = after.voters.filter((voter) => !before.voters.includes(voter));
  assert.ok(gone.length + come.length <= 1, "at most one voter differs");
  assert.ok(after.voters.length > 0 && after.voters.includes(after.tieBreak));
  assert.deepEqual(
    [...after.voters],
    [...after.voters].sort((a, b) => a - b),
  );
  for (const voter of after.voters) {
    assert.ok(
      after.roster.some((entry) => entry.replica === voter),
      "a voter is in the roster",
    );
  }
  assert.equal(new Set(after.roster.map((entry) => entry.replica)).size, after.roster.length);
  assert.equal(new Set(after.roster.map((entry) => entry.diskId)).size, after.roster.length);
  assert.ok(after.roster.every((entry) => entry.replica < after.nextReplicaId));
  const observers = after.roster.filter((entry) => !after.voters.includes(entry.replica)).map((entry) => entry.address);
  assert.equal(new Set(observers).size, observers.length, "at most one observer at an address");
}

test("a random walk: every step changes one voter at most, and no id is ever given again", () => {
  for (let seed = 1; seed <= 200; seed++) {
    const prng = seedPrng(seed);
    const disks = { next: 100 };
    const owners = new Map<ReplicaId, DiskId>();
    let current = genesis(nextInt(prng, 1, 6));
    for (let i = 0; i < 60; i++) {
      const by = current.voters[nextInt(prng, 0, current.voters.length)] ?? ONE;
      const result = applyChange(current, randomChange(prng, current, disks), by);
      if (result.kind === "next") {
        checkStep(current, result.configuration);
        current = result.configuration;
      }
      for (const { replica, diskId: owned } of current.roster) {
        assert.equal(owners.get(replica) ?? owned, owned, "a ReplicaId names one disk for ever");
        owners.set(replica, owned);
      }
    }
  }
});

test("a join is answered once for a disk, and takes the next id", () => {
  const join = { kind: "join", address: at(9), diskId: disk(9), electable: true } as const;
  const joined = next(genesis(3), join);
  assert.deepEqual(joined.roster.at(-1), { replica: replicaId(4), address: at(9), diskId: disk(9), electable: true });
  assert.deepEqual(joined.voters, genesis(3).voters);
  assert.equal(applyChange(joined, join, ONE).kind, "done");
});

test("an empty disk at the address of an electable member is electable, and ousts the observer that was there, never a voter", () => {
  const again = (n: number) => ({ kind: "join", address: at(2), diskId: disk(n), electable: false }) as const;
  const once = next(genesis(3), again(20));
  const twice = next(once, again(21));
  assert.deepEqual(
    twice.roster.filter((entry) => entry.address === at(2)).map(({ replica, electable }) => [Number(replica), electable]),
    [
      [2, true],
      [5, true],
    ],
  );
  const suspended = next(twice, { kind: "suspend", replica: replicaId(2) });
  assert.deepEqual(
    suspended.roster.map(({ replica }) => Number(replica)),
    [1, 3, 5],
  );
});

test("a promotion ousts the former owner of the address, and makes electable", () => {
  const joined = next(next(genesis(3), { kind: "suspend", replica: replicaId(3) }), {
    kind: "join",
    address: at(8),
    diskId: disk(8),
    electable: false,
  });
  const promoted = next(joined, { kind: "promote", replica: replicaId(4) });
  assert.deepEqual(promoted.voters.map(Number), [1, 2, 4]);
  assert.equal(promoted.roster.find((entry) => entry.replica === 4)?.electable, true);
});

test("the proposing coordinator breaks ties while it votes; else whoever did, else the lowest voter", () => {
  assert.equal(next(genesis(3), { kind: "suspend", replica: replicaId(1) }, replicaId(3)).tieBreak, 3);
  assert.equal(next(genesis(3), { kind: "remove", replica: replicaId(1) }, ONE).tieBreak, 2);
  assert.equal(next(genesis(3), { kind: "moveTieBreak", replica: replicaId(2) }, ONE).tieBreak, 2);
});

for (const [what, change, pattern] of [
  ["an id that was never given", { kind: "promote", replica: replicaId(9) }, /No member has the ReplicaId 9: the members are 1 \(n1:1\)/],
  ["removing an id that was never given", { kind: "remove", replica: replicaId(9) }, /No member has the ReplicaId 9/],
  ["the last voter", { kind: "remove", replica: replicaId(1) }, /the last voter.*Promote another first/],
  ["the last voter's vote", { kind: "suspend", replica: replicaId(1) }, /the last voter/],
  ["a tie-break without a vote", { kind: "moveTieBreak", replica: replicaId(2) }, /only a voter can break ties/],
] as const) {
  test(`refused: ${what}`, () => {
    const current = next(genesis(1), { kind: "join", address: at(2), diskId: disk(2), electable: false });
    const result = applyChange(current, change, ONE);
    assert.equal(result.kind, "refused");
    assert.match(result.kind === "refused" ? result.text : "", pattern);
  });
}

test("refused: a member more than MEMBERS_MAX", () => {
  let current = genesis(1);
  for (let n = 2; n <= MEMBERS_MAX; n++) {
    current = next(current, { kind: "join", address: at(n), diskId: disk(n), electable: false });
  }
  const result = applyChange(current, { kind: "join", address: at(999), diskId: disk(999), electable: false }, ONE);
  assert.match(result.kind === "refused" ? result.text : "", new RegExp(`has ${MEMBERS_MAX} members, the most there may be`));
});

test("refused: the vote of a disk that was lost, once another has its place", () => {
  const joined = next(genesis(3), { kind: "join", address: at(2), diskId: disk(20), electable: false });
  const older = { ...joined, voters: joined.voters.filter((voter) => voter !== 2) };
  const result = applyChange(older, { kind: "promote", replica: replicaId(2) }, ONE);
  assert.match(result.kind === "refused" ? result.text : "", /lost its disk: a newer replica has its place/);
});

test("what is already so is done", () => {
  for (const change of [
    { kind: "promote", replica: replicaId(2) },
    { kind: "moveTieBreak", replica: ONE },
  ] as const) {
    assert.equal(applyChange(genesis(3), change, ONE).kind, "done");
  }
  const removed = next(genesis(3), { kind: "remove", replica: replicaId(3) });
  assert.equal(applyChange(removed, { kind: "remove", replica: replicaId(3) }, ONE).kind, "done");
  assert.equal(applyChange(removed, { kind: "suspend", replica: replicaId(3) }, ONE).kind, "done");
});
