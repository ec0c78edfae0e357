/**
 * What survivors' disks add up to, case by case: each disk is made by the records that a replica writes, and the merge is told as one
 * line of text. Then what the first records of the new disk make, and that the two ends of a forced recovery turn each other away.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { chainHash, hashBytes, ZERO_HASH } from "../base/hash64.js";
import { utf8Decode, utf8Encode } from "../base/utf8.js";
import { ballot, formatBallot } from "./ballot.js";
import { type Batch, commandsBatch, configurationBatch, NOOP_BATCH } from "./batch.js";
import { applyChange } from "./change.js";
import { type Configuration, genesisConfiguration, isVoter } from "./configuration.js";
import { address, clusterId, diskId, type Lineage, replicaId, slot } from "./ids.js";
import { kinshipOf, kinshipText } from "./kinship.js";
import { type MergeResult, mergeSurvivors, type Survivor } from "./merge.js";
import { onlyVoter, recordsOfNewLife } from "./new-life.js";
import { applyRecord, durableDecided, virginDurable, type WalRecord } from "./record.js";

const diskOf = (digit: number | string) => diskId(`${digit}`.padStart(32, "0"));
const GENESIS = genesisConfiguration([1, 2, 3, 4, 5].map((i) => ({ address: address(`s${i}:1`), diskId: diskOf(i) })));
const LINEAGE: Lineage = { number: 1, random: 7n };
const value = (text: string): Batch => commandsBatch(utf8Encode(text));

type Disk = {
  readonly replica?: number;
  readonly cluster?: bigint;
  readonly lineage?: Lineage;
  readonly configuration?: Configuration;
  readonly boot?: number;
  readonly records: readonly WalRecord[];
};

function disk({ replica = 1, cluster = 5n, lineage = LINEAGE, configuration = GENESIS, boot = 1, records }: Disk): Survivor {
  const durable = virginDurable(diskOf(replica));
  applyRecord(durable, { kind: "boot", diskId: diskOf(replica), boot });
  applyRecord(durable, { kind: "identity", clusterId: clusterId(cluster), lineage, replica: replicaId(replica), configuration });
  for (const record of records) {
    applyRecord(durable, record);
  }
  return { name: `d${replica}`, durable };
}

const accept = (at: number, round: number, batch: Batch): WalRecord => ({
  kind: "accept",
  ballot: ballot(round, 1),
  slot: slot(at),
  batch,
});
const learn = (at: number, batch: Batch): WalRecord => ({ kind: "learn", slot: slot(at), batch });
const decided = (at: number): WalRecord => ({ kind: "decided", slot: slot(at) });

/** chain over `values` from slot 1 on. */
const chainOf = (values: readonly Batch[]) => values.reduce((chain, { digest }) => chainHash(chain, digest), ZERO_HASH);

/** The state after `values`, and its log cut off there. */
function snapshot(values: readonly Batch[], configuration = GENESIS): readonly WalRecord[] {
  const index = slot(values.length);
  const chain = chainOf(values);
  const meta = { index, chain, stateHash: hashBytes(utf8Encode("state")), configuration, chunks: 1, bytes: 1, hash: ZERO_HASH };
  return [
    { kind: "snapshot", meta },
    { kind: "trim", slot: index, chain, configuration },
  ];
}

function textOf(batch: Batch): string {
  return batch.kind === "commands" ? (utf8Decode(batch.payload) ?? "?") : batch.kind;
}

function told(result: MergeResult): string {
  if (result.kind === "refused") {
    return result.text;
  }
  const { base, entries, last, decided: known, beyond, promised } = result;
  const from = base === null ? "" : `${base.survivor.name}@${base.snapshot.index} `;
  const above = beyond === null ? "" : ` beyond ${beyond.first}-${beyond.last} (${beyond.count})`;
  return `${from}[${entries.map(textOf).join(" ")}] to ${last}, decided ${known}, promised ${formatBallot(promised)}${above}`;
}

const [a, b, c, x, y] = ["a", "b", "c", "x", "y"].map(value) as [Batch, Batch, Batch, Batch, Batch];

const CASES: ReadonlyArray<readonly [what: string, disks: readonly Disk[], merged: string]> = [
  [
    "a decided value beats one accepted at a higher ballot",
    [{ records: [accept(1, 1, a), decided(1)] }, { replica: 2, records: [accept(1, 9, x)] }],
    "[a] to 1, decided 1, promised 9.1",
  ],
  [
    "so does a learned one, above the decided slot of the disk that holds it too",
    [{ records: [accept(1, 1, a), accept(2, 8, x)] }, { replica: 2, records: [learn(2, b)] }],
    "[a b] to 2, decided 0, promised 8.1",
  ],
  [
    "what was learned beats what the same disk accepted",
    [{ records: [accept(1, 9, x), learn(1, a)] }],
    "[a] to 1, decided 1, promised 9.1",
  ],
  [
    "of accepted values the one at the highest ballot, whatever the order of the disks",
    [{ records: [accept(1, 2, x)] }, { replica: 2, records: [accept(1, 5, a)] }, { replica: 3, records: [accept(1, 3, y)] }],
    "[a] to 1, decided 0, promised 5.1",
  ],
  ["a no-op is a value", [{ records: [accept(1, 2, NOOP_BATCH), accept(2, 2, b)] }], "[noop b] to 2, decided 0, promised 2.1"],
  [
    "the first gap ends it, and what lies above is told",
    [{ records: [accept(1, 1, a), accept(3, 1, c)] }, { replica: 2, records: [accept(3, 1, c), accept(5, 1, x)] }],
    "[a] to 1, decided 0, promised 1.1 beyond 3-5 (2)",
  ],
  ["nothing at all", [{ records: [] }], "[] to 0, decided 0, promised 0.0"],
  [
    "a promise counts although nothing was accepted at it",
    [{ records: [accept(1, 1, a)] }, { replica: 2, records: [{ kind: "promise", ballot: ballot(77, 4) }] }],
    "[a] to 1, decided 0, promised 77.4",
  ],
  [
    "the newest snapshot, and the logs of the others above it",
    [{ records: [...snapshot([a]), accept(2, 1, b), accept(3, 1, c), decided(2)] }, { replica: 2, records: [...snapshot([a, b])] }],
    "d2@2 [c] to 3, decided 2, promised 1.1",
  ],
  [
    "a disk that is far behind adds nothing but its promise",
    [{ records: [accept(1, 9, x)] }, { replica: 2, records: [...snapshot([a, b]), accept(3, 1, c)] }],
    "d2@2 [c] to 3, decided 2, promised 9.1",
  ],
  [
    "a slot that is known to be decided, and its value nowhere",
    [{ records: [accept(1, 1, a), decided(1)] }, { replica: 2, records: [accept(1, 1, a), accept(3, 1, c), decided(3)] }],
    "Slot 2 was decided, as slot 3 is known to be, but none of the directories holds its value.",
  ],
  [
    "two decided values for one slot",
    [{ records: [learn(1, a)] }, { replica: 2, records: [learn(1, x)] }],
    "d1 and d2 hold different decided values for slot 1: one of them lies.",
  ],
  [
    "a log that does not lead to the snapshot",
    [{ records: [accept(1, 1, x), accept(2, 1, b), decided(2)] }, { replica: 2, records: [...snapshot([a, b])] }],
    "d1 and d2 say that different values were decided: they never belonged to one log.",
  ],
  [
    "two copies of one disk",
    [
      { records: [], boot: 3 },
      { records: [], boot: 2 },
    ],
    "d1 and d1 are two copies of replica 1: give only the one that ran last (they were started 3 and 2 times).",
  ],
  [
    "directories of two clusters",
    [{ records: [] }, { replica: 2, cluster: 6n, records: [] }],
    "d1 belongs to cluster 0000000000000005, d2 to cluster 0000000000000006: give only the directories of one cluster.",
  ],
  [
    "lineages of two numbers",
    [{ records: [] }, { replica: 6, lineage: { number: 2, random: 7n }, records: [] }],
    "d1 is of lineage 1 (0000000000000007), d6 of lineage 2 (0000000000000007): a forced recovery lies between them. Give only the directories of the lineage that is to go on.",
  ],
  [
    "two recoveries made apart: one number, and only the random part differs",
    [
      { replica: 6, lineage: { number: 2, random: 8n }, records: [] },
      { replica: 7, lineage: { number: 2, random: 9n }, records: [] },
    ],
    "d6 is of lineage 2 (0000000000000008), d7 of lineage 2 (0000000000000009): a forced recovery lies between them. Give only the directories of the lineage that is to go on.",
  ],
  [
    "a server that had just joined has no state",
    [{ replica: 6, configuration: { ...GENESIS, epoch: 2, prevEpoch: 1 }, records: [] }],
    "None of these directories holds a state: their servers had just joined and had not caught up.",
  ],
];

describe("what survivors know together", () => {
  for (const [what, disks, expected] of CASES) {
    test(what, () => assert.equal(told(mergeSurvivors(disks.map(disk))), expected));
  }

  test("an empty disk belongs to no cluster", () => {
    const text = told(mergeSurvivors([{ name: "empty", durable: virginDurable(diskOf(1)) }]));
    assert.equal(text, "empty holds nothing: its server never belonged to a cluster. Leave it out.");
  });
});

function changed(from: Configuration, change: Parameters<typeof applyChange>[1]): Configuration {
  const result = applyChange(from, change, replicaId(1));
  assert.ok(result.kind === "next");
  return result.configuration;
}

describe("the members", () => {
  const without5 = changed(GENESIS, { kind: "suspend", replica: replicaId(5) });
  const without4 = changed(without5, { kind: "suspend", replica: replicaId(4) });
  const entry5 = configurationBatch(without5);
  const stale = configurationBatch(changed(GENESIS, { kind: "suspend", replica: replicaId(2) }));

  const merged = (disks: readonly Disk[]) => {
    const result = mergeSurvivors(disks.map(disk));
    assert.ok(result.kind === "merged", told(result));
    return result;
  };
  const absentOf = (disks: readonly Disk[]): string => {
    const { configuration, absent, absentQuorum } = merged(disks);
    return `epoch ${configuration.epoch}, absent ${absent.map(({ replica }) => replica).join(" ")}, a quorum: ${absentQuorum}`;
  };

  test("entries among the merged ones take effect, but not one made from another epoch", () => {
    const records = [accept(1, 1, entry5), accept(2, 1, stale), accept(3, 1, configurationBatch(without4)), decided(3)];
    assert.equal(absentOf([{ records }]), "epoch 3, absent 2 3, a quorum: true");
    assert.equal(absentOf([{ records }, { replica: 2, records: [] }]), "epoch 3, absent 3, a quorum: false");
  });

  test("while a change is not known to be decided, the voters of before may have gone on without it", () => {
    const records = [accept(1, 1, entry5)];
    const three = [1, 2].map((replica) => ({ replica, records }));
    assert.equal(absentOf(three), "epoch 2, absent 3 4 5, a quorum: true");
    assert.equal(absentOf([{ records: [...records, decided(1)] }, { replica: 2, records: [] }]), "epoch 2, absent 3 4, a quorum: false");
  });

  test("whoever was no voter makes up for none", () => {
    const records = [accept(1, 1, entry5), decided(1)];
    assert.equal(absentOf([{ records }, { replica: 5, records: [] }]), "epoch 2, absent 2 3 4, a quorum: true");
  });

  test("the new disk holds the whole log, votes alone, and has promised above every round", () => {
    const result = merged([{ records: [...snapshot([a, b], without5), accept(3, 4, c)] }, { replica: 2, records: [accept(1, 9, x)] }]);
    const records = recordsOfNewLife({
      clusterId: clusterId(5n),
      lineage: { number: 2, random: 1n },
      diskId: diskOf("e"),
      replica: replicaId(6),
      snapshot: result.base?.snapshot ?? null,
      baseConfiguration: result.baseConfiguration,
      entries: [...result.entries, y, configurationBatch(onlyVoter(result.configuration, address("s2:1"), diskOf("e")))],
      round: result.promised.round,
    });
    const durable = virginDurable(diskOf("e"));
    for (const record of records) {
      applyRecord(durable, record);
    }
    assert.deepEqual([durable.replica, durable.boot, durable.trimmed, durableDecided(durable)], [6, 1, 2, 5]);
    assert.deepEqual([durable.promised, durable.lineage.number], [ballot(10, 6), 2]);
    assert.deepEqual(
      [3, 4].map((at) => textOf(durable.learned.get(slot(at)) as Batch)),
      ["c", "y"],
    );
    const entry = durable.learned.get(slot(5));
    assert.ok(entry?.kind === "configuration");
    const { configuration } = entry;
    assert.deepEqual([configuration.epoch, configuration.prevEpoch, configuration.voters, configuration.nextReplicaId], [3, 2, [6], 7]);
    assert.deepEqual(
      configuration.roster.map((one) => [one.replica, one.address, one.electable, isVoter(configuration, one.replica)]),
      [
        [1, "s1:1", true, false],
        [3, "s3:1", true, false],
        [4, "s4:1", true, false],
        [5, "s5:1", true, false],
        [6, "s2:1", true, true],
      ],
    );
  });
});

test("kinship: both parts of a lineage count, and each case has words that say what to do", () => {
  const own = { clusterId: clusterId(5n), lineage: { number: 2, random: 7n } };
  const cases = [
    [{ ...own }, "same", null],
    [{ ...own, clusterId: clusterId(6n) }, "otherCluster", /belongs to another cluster/],
    [
      { ...own, lineage: { number: 1, random: 7n } },
      "older",
      /^b:1 holds the state from before a forced recovery .* start it again with an empty one/,
    ],
    [{ ...own, lineage: { number: 3, random: 7n } }, "newer", /^This server, a:1, holds the state from before a forced recovery .* empty/],
    [{ ...own, lineage: { number: 2, random: 8n } }, "rival", /^b:1 comes from another forced recovery .* never mix/],
  ] as const;
  for (const [other, kinship, words] of cases) {
    assert.equal(kinshipOf(own, other), kinship);
    const text = kinshipText(kinship, "a:1", "b:1");
    assert.ok(words === null ? text === null : words.test(text ?? ""), `${kinship}: ${text}`);
  }
});
