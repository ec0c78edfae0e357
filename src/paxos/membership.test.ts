/**
 * Whose messages are handled at all (PROTOCOL §1.3; invariant 28): nothing but what founds, joins and introduces crosses a cluster or a
 * lineage, of which both parts count. Two operators who recover a lost cluster apart make lineages of the same number.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ballot } from "./ballot.js";
import { genesisConfiguration } from "./configuration.js";
import { nominationDue } from "./election.js";
import { takeIdentity } from "./founding.js";
import { renewGrant } from "./grant.js";
import { address, clusterId, diskId, type Lineage, NO_LINEAGE, replicaId, SLOT_ZERO, type Slot, slot } from "./ids.js";
import { isAdmitted, isCounted, isKin, isKnownPeer } from "./membership.js";
import { type Header, type Message, PEER_VERSION } from "./message.js";
import { applyRecord, type Durable, virginDurable } from "./record.js";
import { type ReplicaState, step } from "./replica.js";
import { loneReplica } from "./testing/lone-replica.js";

const LIST = ["n1:1", "n2:1"].map(address);
const [N1 = address("?"), N2 = address("?")] = LIST;
const DISKS = ["a", "b"].map((digit) => diskId(digit.repeat(32)));
const [DISK1 = diskId("0".repeat(32)), DISK2 = diskId("0".repeat(32))] = DISKS;
const CLUSTER = clusterId(1n);
const LINEAGE: Lineage = { number: 2, random: 5n };
const OTHER_LINEAGES: ReadonlyArray<readonly [string, Lineage]> = [
  ["the one before", { number: 1, random: 5n }],
  ["another recovery of the same number", { number: 2, random: 6n }],
  ["none", NO_LINEAGE],
];

/** Every kind of message, and whether it may come from outside. */
const KINDS: Readonly<Record<Message["kind"], boolean>> = {
  hello: true,
  genesis: true,
  genesisAck: true,
  join: true,
  joinReply: true,
  ping: false,
  pong: false,
  prepare: false,
  promise: false,
  propose: false,
  accepted: false,
  inform: false,
  nack: false,
  handover: false,
  settleAck: false,
  change: false,
  changeReply: false,
  readIndex: false,
  readIndexReply: false,
  forward: false,
  forwardReply: false,
  catchUp: false,
  catchUpReply: false,
  snapshotOffer: false,
  snapshotRequest: false,
  snapshotChunk: false,
  snapshotAck: false,
};

function headerOf(lineage: Lineage, cluster = CLUSTER): Header {
  return { clusterId: cluster, lineage, from: replicaId(2), epoch: 1 };
}

const IDENTITY = {
  clusterId: CLUSTER,
  lineage: LINEAGE,
  replica: replicaId(1),
  configuration: genesisConfiguration(LIST.map((listed, i) => ({ address: listed, diskId: DISKS[i] ?? DISK1 }))),
} as const;

/** n1 of two, on a disk that holds nothing yet. */
function virgin(): { readonly state: ReplicaState; readonly durable: Durable } {
  const durable = virginDurable(DISK1);
  durable.boot = 1;
  return { state: loneReplica(N1, LIST), durable };
}

/** n2 says Hello under this lineage, in its second life unless `boot` says otherwise. */
function hearHello(state: ReplicaState, lineage: Lineage, decided: Slot, boot = 2): void {
  const hello = {
    kind: "hello",
    peerVersion: PEER_VERSION,
    diskId: DISK2,
    boot,
    address: N2,
    clientAddress: "",
    list: [],
    decided,
    highestRound: 0,
  } as const;
  step(state, { kind: "receive", address: N2, header: headerOf(lineage), message: hello, now: 1 });
}

/** n1 of two, which has heard n2's Hello under this lineage. */
function acquainted(lineage: Lineage): ReplicaState {
  const { state, durable } = virgin();
  applyRecord(durable, { kind: "identity", ...IDENTITY });
  step(state, { kind: "start", durable, now: 0 });
  hearHello(state, lineage, SLOT_ZERO);
  return state;
}

/** How much longer n1 waits until it stands: it heard, while its disk was empty, how far n2 of `lineage` knows its log, and was given its identity then. */
function waitsFor(lineage: Lineage): number {
  const { state, durable } = virgin();
  step(state, { kind: "start", durable, now: 0 });
  hearHello(state, lineage, slot(1_000_000));
  takeIdentity(state, [], IDENTITY);
  return nominationDue(state) - state.election.waitUntil;
}

test("a server that lags behind a member of its lineage gives others the first try", () => {
  assert.ok(waitsFor(LINEAGE) > 0);
});

const kinds = Object.entries(KINDS) as ReadonlyArray<[Message["kind"], boolean]>;

test("a member of the same lineage is counted, and all that it says is handled", () => {
  const state = acquainted(LINEAGE);
  const peer = state.peers.get(N2);
  assert.ok(peer !== undefined && isCounted(state, peer) && isKin(state, peer));
  for (const [kind] of kinds) {
    assert.ok(isAdmitted(state, headerOf(LINEAGE), peer, kind), kind);
  }
});

/** A grant to replica 2 is held; then the process at its address, of `lineage`, is gone. Whether the coordinator is taken for gone. */
function isTakenForGone(lineage: Lineage, meanwhile: (state: ReplicaState) => void = () => {}): boolean {
  const state = acquainted(lineage);
  const peer = state.peers.get(N2);
  assert.ok(peer !== undefined);
  renewGrant(state, ballot(7, peer.replica));
  meanwhile(state);
  step(state, { kind: "peerGone", address: N2, now: 2 });
  return state.election.coordinatorGone;
}

test("a coordinator whose process is gone is taken for gone", () => {
  assert.equal(isTakenForGone(LINEAGE), true);
});

test("a coordinator whose process is gone is taken for gone although a Hello of its life before came late", () => {
  assert.equal(
    isTakenForGone(LINEAGE, (state) => hearHello(state, LINEAGE, SLOT_ZERO, 1)),
    true,
  );
});

for (const [name, lineage] of OTHER_LINEAGES) {
  if (lineage !== NO_LINEAGE) {
    test(`nobody lags behind a log of another lineage: ${name}`, () => {
      assert.equal(waitsFor(lineage), 0);
    });
  }

  test(`the end of a server of another lineage that bears the coordinator's id says nothing of the coordinator: ${name}`, () => {
    assert.equal(isTakenForGone(lineage), false);
  });

  test(`a member that belongs to another lineage is not counted: ${name}`, () => {
    const state = acquainted(lineage);
    const peer = state.peers.get(N2);
    assert.ok(peer?.foreign === true && !isCounted(state, peer) && !isKin(state, peer));
    assert.equal(isKnownPeer(state, headerOf(lineage), N2), false);
  });

  test(`what a counted member says under another lineage is not handled: ${name}`, () => {
    const state = acquainted(LINEAGE);
    const peer = state.peers.get(N2);
    assert.ok(peer !== undefined);
    for (const [kind, isOutside] of kinds) {
      assert.equal(isAdmitted(state, headerOf(lineage), peer, kind), isOutside, kind);
    }
  });
}

test("what a counted member says under another cluster is not handled", () => {
  const state = acquainted(LINEAGE);
  const peer = state.peers.get(N2);
  assert.ok(peer !== undefined);
  for (const [kind, isOutside] of kinds) {
    assert.equal(isAdmitted(state, headerOf(LINEAGE, clusterId(2n)), peer, kind), isOutside, kind);
  }
});
