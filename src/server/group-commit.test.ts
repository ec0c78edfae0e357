/** The order of disk and network in group commit, shown with a log whose syncs end when the test says so. */
import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { ballot } from "../paxos/ballot.js";
import type { PledgeSend } from "../paxos/effect.js";
import { address, NO_CLUSTER, NO_LINEAGE, replicaId, slot } from "../paxos/ids.js";
import type { Header } from "../paxos/message.js";
import type { WalRecord } from "../paxos/record.js";
import { GroupCommit } from "./group-commit.js";

const header: Header = { clusterId: NO_CLUSTER, lineage: NO_LINEAGE, from: replicaId(1), epoch: 1 };
const peer = address("127.0.0.1:9001");

function accepted(round: number, ...slots: number[]): PledgeSend {
  return { to: [peer], header: { ...header }, message: { kind: "accepted", ballot: ballot(round, 1), slots: slots.map((s) => slot(s)) } };
}

function prepare(round: number): PledgeSend {
  return { to: [peer], header, message: { kind: "prepare", ballot: ballot(round, 1), from: slot(1), handoverOf: null } };
}

function record(round: number): WalRecord {
  return { kind: "promise", ballot: ballot(round, 1) };
}

function harness() {
  const seen: string[] = [];
  let sync: (() => void) | null = null;
  const commits = new GroupCommit({
    commit: (records, done) => {
      seen.push(`write ${records.length}`);
      sync = done;
    },
    send: ({ message }) => seen.push(message.kind === "accepted" ? `accepted ${message.slots.join(" ")}` : message.kind),
    onPersisted: (lsn) => seen.push(`persisted ${lsn}`),
  });
  return {
    seen,
    commits,
    sync: () => {
      const done = sync;
      sync = null;
      done?.();
    },
  };
}

test("no pledge leaves before the sync of its records, and one commit carries what queued meanwhile", () => {
  const { seen, commits, sync } = harness();
  commits.add({ kind: "persist", lsn: 1, records: [record(1)], thenSend: [accepted(1, 1)] });
  commits.start();
  commits.add({ kind: "persist", lsn: 2, records: [record(2)], thenSend: [accepted(1, 2)] });
  commits.add({ kind: "persist", lsn: 3, records: [record(3)], thenSend: [accepted(1, 3)] });
  commits.start();
  deepEqual(seen, ["write 1"]);
  equal(commits.busy, true);
  sync();
  deepEqual(seen, ["write 1", "accepted 1", "persisted 1"]);
  commits.start();
  sync();
  deepEqual(seen.slice(3), ["write 2", "accepted 2 3", "persisted 3"]);
  equal(commits.idle, true);
});

test("a repeated pledge without records waits behind the sync in flight, and leaves at once where there is none", () => {
  const { seen, commits, sync } = harness();
  commits.add({ kind: "persist", lsn: 1, records: [], thenSend: [prepare(1)] });
  commits.start();
  deepEqual(seen, ["prepare", "persisted 1"]);
  commits.add({ kind: "persist", lsn: 2, records: [record(2)], thenSend: [] });
  commits.start();
  commits.add({ kind: "persist", lsn: 3, records: [], thenSend: [prepare(2)] });
  commits.start();
  deepEqual(seen.slice(2), ["write 1"]);
  sync();
  commits.start();
  deepEqual(seen.slice(3), ["persisted 2", "prepare", "persisted 3"]);
});

test("Accepted are merged only within a ballot, and never across another message", () => {
  const { seen, commits, sync } = harness();
  commits.add({
    kind: "persist",
    lsn: 1,
    records: [record(1)],
    thenSend: [accepted(1, 1), accepted(2, 2), accepted(2, 3), prepare(3), accepted(2, 4)],
  });
  commits.start();
  sync();
  deepEqual(seen, ["write 1", "accepted 1", "accepted 2 3", "prepare", "accepted 4", "persisted 1"]);
});
