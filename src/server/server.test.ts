/** Whole servers in virtual time: founding, reads and writes through every server, take-over, loss of the quorum, restarts, snapshots. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { test } from "node:test";
import { present } from "../base/assert.js";
import { utf8Encode } from "../base/utf8.js";
import { encodePlainPut } from "../kv/command.js";
import { COMMAND_BYTES_MAX } from "./server.js";
import { TestCluster } from "./testing/cluster.js";

test("three servers found a cluster; each takes writes and reads what the others wrote", async () => {
  const cluster = await TestCluster.started(3);
  for (let i = 0; i < 3; i++) {
    equal(await cluster.outcomeOf(cluster.put(i, `k${i}`, `v${i}`)), "ok");
  }
  for (let i = 0; i < 3; i++) {
    for (let k = 0; k < 3; k++) {
      equal(await cluster.outcomeOf(cluster.get(i, `k${k}`)), `v${k}`);
    }
  }
  equal(await cluster.outcomeOf(cluster.get(0, "other")), "absent");
  const hashes = [0, 1, 2].map((i) => cluster.server(i).status().stateHash);
  await cluster.until(() => new Set([0, 1, 2].map((i) => cluster.server(i).status().stateHash)).size === 1);
  ok(hashes.every((hash) => hash !== null));
  deepEqual(cluster.exits, []);
});

test("a single server works alone", async () => {
  const cluster = await TestCluster.started(1);
  equal(await cluster.outcomeOf(cluster.put(0, "k", "v")), "ok");
  equal(await cluster.outcomeOf(cluster.get(0, "k")), "v");
});

test("the commands of a turn share a batch, and reads of a turn share a round", async () => {
  const cluster = await TestCluster.started(3);
  const at = present(cluster.coordinator(), "there is a coordinator");
  await cluster.outcomeOf(cluster.put(at, "k", "v"));
  const slots = cluster.server(at).status().applied;
  const writes = Array.from({ length: 500 }, (_, i) => cluster.put(at, `k${i}`, "v"));
  await cluster.until(() => writes.every(({ outcome }) => outcome !== null));
  equal(cluster.server(at).status().applied, slots + 1);
  const pings = cluster.hub.sent.get("ping") ?? 0;
  const reads = Array.from({ length: 500 }, (_, i) => cluster.get(at, `k${i}`));
  await cluster.until(() => reads.every(({ outcome }) => outcome !== null), 50);
  ok((cluster.hub.sent.get("ping") ?? 0) - pings <= 4);
});

test("writes in flight through every server when the coordinator dies are applied exactly once", async () => {
  const cluster = await TestCluster.started(3);
  const at = present(cluster.coordinator(), "there is a coordinator");
  await cluster.outcomeOf(cluster.put(at, "first", "v"));
  const revision = cluster.server(at).status().store.revision;
  const others = [0, 1, 2].filter((i) => i !== at);
  const boxes = others.flatMap((i) => Array.from({ length: 50 }, (_, k) => cluster.put(i, `k${i}-${k}`, "v")));
  await cluster.run(1);
  cluster.kill(at);
  await cluster.until(() => boxes.every(({ outcome }) => outcome !== null), 2000);
  ok(boxes.every(({ outcome }) => outcome?.text === "ok"));
  const survivor = present(others[0], "two survive");
  await cluster.outcomeOf(cluster.get(survivor, "first"));
  equal(cluster.server(survivor).status().store.revision, revision + boxes.length);
});

test("a late answer to a server's former life does not acknowledge a write of its present one", async () => {
  const LATE_MS = 10_000;
  const cluster = await TestCluster.started(3);
  const a = present(cluster.coordinator(), "there is a coordinator");
  const [b, c] = [0, 1, 2].filter((i) => i !== a) as [number, number];
  const [addressA, addressB, addressC] = [a, b, c].map((i) => present(cluster.addresses[i], "it is of the cluster"));
  equal(await cluster.outcomeOf(cluster.put(b, "first", "v")), "ok");
  cluster.disk(a).stalled = true;
  cluster.disk(c).stalled = true;
  cluster.put(b, "theirs", "v"); // the second command of this life's session
  await cluster.run(3);
  cluster.kill(b);
  await cluster.start(b);
  await cluster.run(5);
  let arrivesAt = 0;
  cluster.hub.delay = (from, to, message) => {
    const isIt = arrivesAt === 0 && message.kind === "forwardReply" && !message.refused && from === addressA && to === addressB;
    arrivesAt = isIt ? cluster.clock.nowMicros() + LATE_MS * 1000 : arrivesAt;
    return isIt ? LATE_MS : 0.25;
  };
  cluster.disk(a).release();
  cluster.disk(c).release();
  await cluster.until(() => arrivesAt > 0);
  cluster.hub.lose = (from, to) => from === addressA || to === addressA;
  await cluster.until(() => [b, c].some((i) => cluster.server(i).replicaStatus().role === "coordinator"));
  cluster.server(b).elect(present(addressC, "it is of the cluster"));
  await cluster.until(() => cluster.server(b).coordinator === addressC);
  equal(await cluster.outcomeOf(cluster.put(b, "second", "v")), "ok");
  cluster.disk(b).stalled = true;
  cluster.disk(c).stalled = true;
  const write = cluster.put(b, "precious", "v", 60_000); // the second command again, of another session; no disk has it
  await cluster.until(() => cluster.clock.nowMicros() > arrivesAt + 1000);
  equal(write.outcome, null);
  cluster.disk(b).release();
  cluster.disk(c).release();
  equal(await cluster.outcomeOf(write), "ok");
  equal(await cluster.outcomeOf(cluster.get(b, "precious")), "v");
});

test("without a quorum requests end in an error that names what is missing; with one again they work", async () => {
  const cluster = await TestCluster.started(3);
  const at = present(cluster.coordinator(), "there is a coordinator");
  equal(await cluster.outcomeOf(cluster.put(at, "k", "v1")), "ok");
  const [b, c] = [0, 1, 2].filter((i) => i !== at) as [number, number];
  cluster.kill(b);
  cluster.kill(c);
  await cluster.run(1000);
  const write = cluster.put(at, "k", "v2", 1000);
  const read = cluster.get(at, "k", 1000);
  match(await cluster.outcomeOf(write), /Only 1 of 3 voters answers, which is no quorum: start one of/);
  match(await cluster.outcomeOf(read), /The read was not answered in time: Only 1 of 3 voters answers/);
  equal(read.outcome?.error?.outcome, "not-applied");
  await cluster.start(b);
  equal(await cluster.outcomeOf(cluster.put(b, "k", "v3")), "ok");
  equal(await cluster.outcomeOf(cluster.get(at, "k")), "v3");
});

test("a write whose deadline passes before it was sent anywhere says that nothing was written", async () => {
  const cluster = new TestCluster(3);
  await cluster.start(0);
  const write = cluster.put(0, "k", "v", 200);
  match(await cluster.outcomeOf(write), /The cluster is being founded: 1 of 3 servers have said hello.*Nothing was written\./);
  equal(write.outcome?.error?.outcome, "not-applied");
});

test("all servers lose power under load; every acknowledged write is there again", async () => {
  const cluster = await TestCluster.started(3);
  const boxes: ReturnType<TestCluster["put"]>[] = [];
  for (let k = 0; k < 60; k++) {
    boxes.push(cluster.put(k % 3, `k${k}`, `v${k}`));
    if (k % 3 === 2) {
      await cluster.run(1);
    }
  }
  const acknowledged = boxes.flatMap(({ outcome }, k) => (outcome?.text === "ok" ? [k] : []));
  ok(acknowledged.length > 20);
  for (let i = 0; i < 3; i++) {
    cluster.kill(i);
  }
  for (let i = 0; i < 3; i++) {
    await cluster.start(i);
  }
  await cluster.until(() => cluster.coordinator() !== undefined);
  for (const k of acknowledged) {
    equal(await cluster.outcomeOf(cluster.get(k % 3, `k${k}`)), `v${k}`);
  }
});

test("a server that was away catches up by a snapshot when the log was trimmed, and serves", async () => {
  const cluster = await TestCluster.started(3, { snapshotEverySlots: 20, keepSlots: 5, keepBytes: 0 });
  const at = present(cluster.coordinator(), "there is a coordinator");
  const away = at === 0 ? 1 : 0;
  const there = [0, 1, 2].find((i) => i !== at && i !== away) as number;
  equal(await cluster.outcomeOf(cluster.put(away, "before", "v")), "ok");
  cluster.kill(away);
  for (let k = 0; k < 100; k++) {
    equal(await cluster.outcomeOf(cluster.put(there, `k${k}`, `v${k}`)), "ok");
  }
  await cluster.until(() => cluster.server(at).replicaStatus().trimmed > 50);
  await cluster.start(away);
  equal(await cluster.outcomeOf(cluster.get(away, "k99")), "v99");
  ok(cluster.server(away).replicaStatus().snapshotSlot > 50);
  equal(await cluster.outcomeOf(cluster.put(away, "after", "v")), "ok");
  cluster.kill(away);
  await cluster.start(away);
  equal(await cluster.outcomeOf(cluster.get(away, "k0")), "v0");
  deepEqual(cluster.exits, []);
});

test("fail_rate 0.3 on five servers fails no client's write", async () => {
  const cluster = await TestCluster.started(5, { failRate: 0.3 });
  for (let k = 0; k < 100; k++) {
    equal(await cluster.outcomeOf(cluster.put(k % 5, `k${k}`, "v")), "ok");
  }
  equal(cluster.server(0).status().failRate, 0.3);
});

test("a graceful stop hands over, and no request fails meanwhile", async () => {
  const cluster = await TestCluster.started(3);
  const at = present(cluster.coordinator(), "there is a coordinator");
  const other = at === 0 ? 1 : 0;
  const box = cluster.put(at, "k", "v");
  const stopped = cluster.server(at).stop();
  await cluster.until(() => box.outcome !== null, 3000);
  equal(box.outcome?.text, "ok");
  await cluster.until(() => cluster.coordinator() !== at, 3000);
  await cluster.run(500);
  await stopped;
  equal(await cluster.outcomeOf(cluster.get(other, "k")), "v");
});

test("servers stopped one after another, whoever coordinates first, leave a last one that serves alone", async () => {
  const cluster = await TestCluster.started(3, { removeAfterMs: 1000 });
  const left = new Set([0, 1, 2]);
  while (left.size > 1) {
    await cluster.until(() => cluster.coordinator() !== undefined);
    const at = present(cluster.coordinator(), "there is a coordinator");
    const stopped = cluster.server(at).stop();
    await cluster.run(500);
    await stopped;
    cluster.kill(at);
    left.delete(at);
    await cluster.until(() => [...left].every((i) => cluster.server(i).replicaStatus().voters.length === left.size));
    await cluster.until(() => [...left].some((i) => cluster.server(i).replicaStatus().configuration?.settled === true));
  }
  for (const last of left) {
    equal(await cluster.outcomeOf(cluster.put(last, "k", "alone")), "ok");
  }
});

test("history is compacted by age and by bytes, through the log", async () => {
  const cluster = await TestCluster.started(3, { historyMaxAgeMs: 3000 });
  for (let k = 0; k < 10; k++) {
    await cluster.outcomeOf(cluster.put(0, "k", `v${k}`));
  }
  const { revision } = cluster.server(0).status().store;
  await cluster.until(() => [0, 1, 2].every((i) => cluster.server(i).status().store.compactedRevision >= revision), 20_000);
  equal(await cluster.outcomeOf(cluster.get(1, "k")), "v9");
});

test("the quota of the configuration reaches the replicated state and refuses writes", async () => {
  const cluster = await TestCluster.started(3, { quotaBytes: 65_536 });
  await cluster.until(() => [0, 1, 2].every((i) => cluster.server(i).status().store.quotaBytes === 65_536), 20_000);
  equal(await cluster.outcomeOf(cluster.put(0, "k", "v".repeat(70_000))), "quota-exceeded");
  equal(await cluster.outcomeOf(cluster.put(1, "k", "small")), "ok");
});

test("the largest write goes through every server, whatever the coordinator's limits; a larger one is refused at once", async () => {
  const cluster = await TestCluster.started(3, { maxRequestBytes: 1024, batchMaxBytes: 1024, windowBytes: 1024 });
  const room = COMMAND_BYTES_MAX - encodePlainPut(utf8Encode("k"), new Uint8Array()).length;
  for (let i = 0; i < 3; i++) {
    equal(await cluster.outcomeOf(cluster.put(i, "k", "v".repeat(room))), "ok");
    const { outcome } = cluster.put(i, "k", "v".repeat(room + 1));
    equal(outcome?.error?.outcome, "not-applied");
    equal(
      outcome?.text,
      `The write takes ${COMMAND_BYTES_MAX + 1} bytes, at most ${COMMAND_BYTES_MAX} are allowed, whatever max_request_bytes says. Nothing was written.`,
    );
  }
});
