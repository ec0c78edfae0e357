/** Descriptions: every message, event and effect in one line that prints; the words of the common ones by example. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ZERO_HASH } from "../base/hash64.js";
import { seedPrng } from "../base/prng.js";
import { utf8Encode } from "../base/utf8.js";
import { ballot } from "./ballot.js";
import { commandsBatch, NOOP_BATCH } from "./batch.js";
import { describeBatch, describeEffect, describeEvent, describeMessage, type Naming, PLAIN_NAMING } from "./describe.js";
import type { Effect } from "./effect.js";
import { address, clusterId, replicaId, slot } from "./ids.js";
import type { Header, Message } from "./message.js";
import { MESSAGE_KIND } from "./message-codec.js";
import { randomMessage } from "./testing/random-message.js";

const NAMING: Naming = { address: (named) => named.slice(0, named.indexOf(":")), replica: (replica) => `n${replica}` };
const HEADER: Header = { clusterId: clusterId(1n), lineage: { number: 1, random: 1n }, from: replicaId(1), epoch: 1 };
const to = [address("n2:1"), address("n3:1")];
const x1 = commandsBatch(utf8Encode("x=1"));

test("every message is one line that prints and begins with its kind", () => {
  for (const kind of Object.keys(MESSAGE_KIND) as Message["kind"][]) {
    const prng = seedPrng(MESSAGE_KIND[kind]);
    for (let i = 0; i < 50; i++) {
      const message = randomMessage(prng, kind);
      const line = describeMessage(message, PLAIN_NAMING);
      assert.match(line, /^[^\p{C}]+$/u);
      assert.ok(line.startsWith(kind), line);
      const event = describeEvent({ kind: "receive", address: address("a:1"), header: HEADER, message, now: 0 }, PLAIN_NAMING);
      assert.equal(event, `receives ${line} from a:1`);
    }
  }
});

const PROMISE = { kind: "promise", ballot: ballot(2, 2) } as const;
const EXAMPLES: ReadonlyArray<readonly [string, Effect]> = [
  [
    'sends propose 2.2 slot=1 "x=1" to n2 n3',
    {
      kind: "send",
      to,
      header: HEADER,
      message: {
        kind: "propose",
        ballot: ballot(2, 2),
        slot: slot(1),
        batch: x1,
        inform: { ballot: ballot(2, 2), decided: slot(0), chain: ZERO_HASH },
      },
    },
  ],
  [
    "persists promise 2.2, then sends prepare 2.2 from=1 to n2 n3",
    {
      kind: "persist",
      lsn: 1,
      records: [PROMISE],
      thenSend: [{ to, header: HEADER, message: { kind: "prepare", ballot: ballot(2, 2), from: slot(1), handoverOf: null } }],
    },
  ],
  [
    "sends behind its log accepted 2.2 slot=3-5 to n2 n3",
    {
      kind: "persist",
      lsn: 1,
      records: [],
      thenSend: [{ to, header: HEADER, message: { kind: "accepted", ballot: ballot(2, 2), slots: [slot(3), slot(4), slot(5)] } }],
    },
  ],
  ["decides slot 4: no-op", { kind: "apply", slot: slot(4), batch: NOOP_BATCH }],
  ["answers read 1 2 at slot 9", { kind: "readReady", ids: [1, 2], index: slot(9) }],
  ["coordinates 2.2", { kind: "coordination", coordinator: address("n2:1"), ballot: ballot(2, 2), active: true }],
  ["follows n2 in 2.2", { kind: "coordination", coordinator: address("n2:1"), ballot: ballot(2, 2), active: false }],
  ["knows no coordinator", { kind: "coordination", coordinator: null, ballot: ballot(2, 2), active: false }],
];
for (const [line, effect] of EXAMPLES) {
  test(line, () => assert.equal(describeEffect(effect, NAMING), line));
}

test("a payload that does not print is told by size and digest", () => {
  assert.match(describeBatch(commandsBatch(Uint8Array.of(0, 1, 2)), NAMING), /^3 bytes #000102[0-9a-f]{6}$/);
  assert.match(describeBatch(commandsBatch(utf8Encode('say "x"')), NAMING), /^7 bytes/);
  assert.match(describeBatch(commandsBatch(utf8Encode("a".repeat(41))), NAMING), /^41 bytes/);
});
