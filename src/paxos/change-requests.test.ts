/** What bounds requests to change the members, and strangers at the door: each limit by its name, on a real replica. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { CHANGES_WAITING_MAX } from "./change-requests.js";
import { genesisConfiguration } from "./configuration.js";
import type { Effect } from "./effect.js";
import { address, clusterId, diskId, replicaId, SLOT_ZERO, VIRGIN } from "./ids.js";
import { PEERS_MAX } from "./membership.js";
import { PEER_VERSION } from "./message.js";
import { applyRecord, virginDurable } from "./record.js";
import { type ReplicaState, step } from "./replica.js";
import { loneReplica } from "./testing/lone-replica.js";

const LIST = ["n1:1", "n2:1", "n3:1"].map(address);
const DISKS = ["a", "b", "c"].map((digit) => diskId(digit.repeat(32)));
const LINEAGE = { number: 1, random: 1n };

/** n1 of three, restarted; nobody else is there, so nothing is decided. */
function lonely(): ReplicaState {
  const state = loneReplica(address("n1:1"), LIST);
  const [own] = DISKS;
  assert.ok(own !== undefined);
  const durable = virginDurable(own);
  durable.boot = 1;
  const configuration = genesisConfiguration(LIST.map((listed, i) => ({ address: listed, diskId: DISKS[i] ?? own })));
  applyRecord(durable, { kind: "identity", clusterId: clusterId(1n), lineage: LINEAGE, replica: replicaId(1), configuration });
  applyRecord(durable, { kind: "promise", ballot: { round: 1, replica: replicaId(1) } });
  step(state, { kind: "start", durable, now: 0 });
  return state;
}

const ask = (state: ReplicaState, id: number, now: number, deadline: number): readonly Effect[] =>
  step(state, { kind: "change", id, change: { kind: "remove", replica: replicaId(3) }, deadline, now });

test("a request that cannot be served is answered at its deadline, with what is missing", () => {
  const state = lonely();
  assert.deepEqual(
    ask(state, 1, 0, 1_000_000).filter(({ kind }) => kind === "changeDone"),
    [],
  );
  const early = step(state, { kind: "tick", now: 999_999 });
  assert.equal(
    early.find(({ kind }) => kind === "changeDone"),
    undefined,
  );
  const [done] = step(state, { kind: "tick", now: 1_000_000 }).filter((effect) => effect.kind === "changeDone");
  assert.equal(done?.id, 1);
  assert.match(done?.refusal ?? "", /Nothing was changed: Only 1 of 3 voters answers/);
});

test("CHANGES_WAITING_MAX requests wait; a further one is refused at once", () => {
  const state = lonely();
  for (let id = 1; id <= CHANGES_WAITING_MAX; id++) {
    assert.deepEqual(
      ask(state, id, 0, 1_000_000).filter(({ kind }) => kind === "changeDone"),
      [],
    );
  }
  const [done] = ask(state, CHANGES_WAITING_MAX + 1, 0, 1_000_000).filter((effect) => effect.kind === "changeDone");
  assert.match(done?.refusal ?? "", new RegExp(`${CHANGES_WAITING_MAX} changes wait already`));
});

test("strangers are known up to PEERS_MAX, and forgotten when they are silent; members never are", () => {
  const state = lonely();
  const knock = (n: number): readonly Effect[] => {
    const from = address(`stranger${n}:1`);
    const hello = {
      kind: "hello",
      peerVersion: PEER_VERSION,
      diskId: diskId((n + 1000).toString(16).padStart(32, "0")),
      boot: 1,
      address: from,
      clientAddress: "",
      list: [],
      decided: SLOT_ZERO,
      highestRound: 0,
    } as const;
    const header = { clusterId: clusterId(0n), lineage: { number: 0, random: 0n }, from: VIRGIN, epoch: 0 };
    return step(state, { kind: "receive", address: from, header, message: hello, now: 1 });
  };
  const members = LIST.length - 1;
  for (let n = 0; n < PEERS_MAX - members; n++) {
    assert.ok(
      knock(n).some(({ kind }) => kind === "dial"),
      `stranger ${n} is answered`,
    );
  }
  assert.ok(!knock(PEERS_MAX).some(({ kind }) => kind === "dial"), "one more is not");
  const effects = step(state, { kind: "tick", now: 61_000_000 });
  assert.equal(effects.filter(({ kind }) => kind === "forget").length, PEERS_MAX - members);
  assert.deepEqual([...state.peers.keys()], LIST.slice(1));
});
