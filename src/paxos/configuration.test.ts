/**
 * Configurations: which sets are quorums (exhaustively up to six voters), that any two of them meet, the first
 * configuration, and the bytes. Bad bytes are MalformedBytes.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ByteReader, ByteWriter, MalformedBytes } from "../base/bytes.js";
import { seedPrng } from "../base/prng.js";
import {
  type Configuration,
  encodeConfiguration,
  genesisConfiguration,
  isQuorum,
  isVoter,
  MEMBERS_MAX,
  readConfiguration,
  rosterEntry,
} from "./configuration.js";
import { address, diskId, replicaId } from "./ids.js";
import { randomConfiguration } from "./testing/random-message.js";

const disk = (n: number) => diskId(n.toString(16).padStart(32, "0"));
const members = (count: number) => Array.from({ length: count }, (_, i) => ({ address: address(`h${i + 1}:1`), diskId: disk(i + 1) }));

/** All subsets of the voters 1..count, as bit sets. */
function quorums(configuration: Configuration): number[] {
  const count = configuration.voters.length;
  return Array.from({ length: 2 ** count }, (_, bits) => bits).filter((bits) =>
    isQuorum(configuration, (replica) => (bits & (1 << (replica - 1))) !== 0),
  );
}

function bitCount(bits: number): number {
  return bits.toString(2).replaceAll("0", "").length;
}

for (const count of [1, 2, 3, 4, 5, 6]) {
  test(`${count} voters: a majority, or half with the tie-break, and no other set`, () => {
    const configuration = genesisConfiguration(members(count));
    for (let bits = 0; bits < 2 ** count; bits++) {
      const twice = 2 * bitCount(bits);
      const expected = twice > count || (twice === count && (bits & 1) !== 0);
      assert.equal(quorums(configuration).includes(bits), expected, bits.toString(2));
    }
  });

  test(`${count} voters: any two quorums share a voter, whoever breaks ties`, () => {
    for (let tieBreak = 1; tieBreak <= count; tieBreak++) {
      const all = quorums({ ...genesisConfiguration(members(count)), tieBreak: replicaId(tieBreak) });
      assert.ok(all.every((a) => all.every((b) => (a & b) !== 0)));
    }
  });
}

test("members that do not vote never count", () => {
  const three = genesisConfiguration(members(3));
  const two = { ...three, voters: three.voters.slice(0, 2) };
  assert.equal(
    isQuorum(two, (replica) => replica === 2 || replica === 3),
    false,
  );
  assert.equal(isVoter(two, replicaId(3)), false);
  assert.ok(rosterEntry(two, replicaId(3)) !== undefined);
});

test("the first configuration follows the sorted addresses, whatever their order in the list", () => {
  const first = genesisConfiguration(members(5));
  assert.deepEqual(genesisConfiguration([...members(5)].reverse()), first);
  assert.deepEqual(
    first.roster.map((entry) => [entry.replica, entry.address]),
    members(5).map((member, i) => [i + 1, member.address]),
  );
  assert.deepEqual([first.epoch, first.prevEpoch, first.tieBreak, first.nextReplicaId], [1, 0, 1, 6]);
  assert.throws(() => genesisConfiguration([]), /members/);
  assert.throws(() => genesisConfiguration(members(MEMBERS_MAX + 1)), /members/);
});

test("bytes: what was written is read, cut anywhere it is malformed", () => {
  const prng = seedPrng(1);
  for (let i = 0; i < 50; i++) {
    const configuration = randomConfiguration(prng);
    const bytes = encodeConfiguration(configuration);
    const reader = new ByteReader(bytes);
    assert.deepEqual(readConfiguration(reader), configuration);
    reader.end();
    for (let length = 0; length < bytes.length; length++) {
      assert.throws(() => readConfiguration(new ByteReader(bytes.subarray(0, length))), MalformedBytes);
    }
  }
});

const entry = (where: string, disk: string) => (writer: ByteWriter) =>
  writer.varint(0).varint(1).varint(1).varint(1).text(where).text(disk);
const BAD: ReadonlyArray<readonly [string, (writer: ByteWriter) => unknown]> = [
  ["too many voters", (writer) => writer.varint(MEMBERS_MAX + 1)],
  [
    "too many members",
    (writer) =>
      writer
        .varint(0)
        .varint(1)
        .varint(MEMBERS_MAX + 1),
  ],
  ["a member without address", entry("", "0".repeat(32))],
  ["a disk id that is none", entry("h:1", "xyz")],
];
for (const [what, write] of BAD) {
  test(`refused: ${what}`, () => {
    const writer = new ByteWriter().varint(1).varint(0);
    write(writer);
    assert.throws(() => readConfiguration(new ByteReader(writer.boolean(true).varint(2).finish())), MalformedBytes);
  });
}
