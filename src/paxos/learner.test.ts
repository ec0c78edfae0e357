/**
 * Learning from an Inform, where the chain alone tells two values of one ballot apart: a disk that was put back from a copy may hold what
 * nobody else accepted. Steps one replica by hand, because such a history breaks the invariants that every dialogue is held to.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { chainHash, ZERO_HASH } from "../base/hash64.js";
import { ballot } from "./ballot.js";
import { commandsBatch } from "./batch.js";
import { genesisConfiguration } from "./configuration.js";
import type { Effect, Event } from "./effect.js";
import { type Address, address, clusterId, diskId, replicaId, slot } from "./ids.js";
import { type Header, type Message, PEER_VERSION } from "./message.js";
import { applyRecord, virginDurable } from "./record.js";
import { step } from "./replica.js";
import { loneReplica } from "./testing/lone-replica.js";

const LIST: readonly Address[] = ["n1:1", "n2:1", "n3:1"].map(address);
const DISKS = ["a", "b", "c"].map((digit) => diskId(digit.repeat(32)));
const CONFIGURATION = genesisConfiguration(LIST.map((listed, i) => ({ address: listed, diskId: DISKS[i] ?? diskId("0".repeat(32)) })));
const LINEAGE = { number: 1, random: 1n };
const HEADER: Header = { clusterId: clusterId(1n), lineage: LINEAGE, from: replicaId(1), epoch: 1 };
const HELD = commandsBatch(Uint8Array.of(1));
const DECIDED = commandsBatch(Uint8Array.of(2));

/** n3, which accepted `HELD` in ballot 1.1, is told by the coordinator of 1.1 that slot 1 is decided with this chain. */
function inform(chain: string): readonly Effect[] {
  const state = loneReplica(address("n3:1"), LIST);
  const durable = virginDurable(DISKS[2] ?? diskId("0".repeat(32)));
  applyRecord(durable, { kind: "boot", diskId: durable.diskId, boot: 1 });
  applyRecord(durable, {
    kind: "identity",
    clusterId: HEADER.clusterId,
    lineage: LINEAGE,
    replica: replicaId(3),
    configuration: CONFIGURATION,
  });
  applyRecord(durable, { kind: "accept", ballot: ballot(1, 1), slot: slot(1), batch: HELD });
  const deliver = (event: Event): readonly Effect[] => step(state, event);
  const hear = (message: Message): readonly Effect[] =>
    deliver({ kind: "receive", address: address("n1:1"), header: HEADER, message, now: 1 });
  deliver({ kind: "start", durable, now: 0 });
  hear({
    kind: "hello",
    peerVersion: PEER_VERSION,
    diskId: DISKS[0] ?? durable.diskId,
    boot: 1,
    address: address("n1:1"),
    clientAddress: "",
    list: LIST,
    decided: slot(1),
    highestRound: 1,
  });
  return hear({ kind: "inform", inform: { ballot: ballot(1, 1), decided: slot(1), chain: chain as typeof ZERO_HASH } });
}

test("an Inform decides what was accepted at its ballot, if the chain is the one it names", () => {
  const effects = inform(chainHash(ZERO_HASH, HELD.digest));
  assert.deepEqual(
    effects.flatMap((effect) => (effect.kind === "apply" ? [effect.batch.digest] : [])),
    [HELD.digest],
  );
});

test("an Inform with another chain decides nothing: what this disk holds of that ballot is not what was decided", () => {
  assert.deepEqual(
    inform(chainHash(ZERO_HASH, DECIDED.digest)).filter(({ kind }) => kind === "apply"),
    [],
  );
});
