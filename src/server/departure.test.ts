/** A server that is removed answers what its clients asked before it goes: nothing is left in doubt, and it ends with its own status. */
import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { present } from "../base/assert.js";
import { replicaId } from "../paxos/ids.js";
import { EXIT_STATUS } from "./exit-status.js";
import { type Outcome, TestCluster } from "./testing/cluster.js";

/** Longer than a removed server stays for its farewell, ms. */
const LONGER_THAN_FAREWELL_MS = 3000;

for (const who of ["a follower", "the coordinator"]) {
  test(`${who} is removed: every write and read that it had taken is answered`, async () => {
    const cluster = await TestCluster.started(3);
    const coordinator = present(cluster.coordinator(), "one coordinates");
    const leaver = who === "the coordinator" ? coordinator : (coordinator + 1) % 3;
    const boxes: { outcome: Outcome | null }[] = [];
    void cluster.server(leaver).change({ kind: "remove", replica: replicaId(leaver + 1) }, 5000);
    // Some of these reach the coordinator before the change is decided, some in between, some after it.
    for (let i = 0; i < 100; i++) {
      boxes.push(cluster.put(leaver, `key-${i}`, "value"), cluster.get(leaver, "key-0"));
      await cluster.run(1);
    }
    await cluster.until(() => cluster.exits.length > 0);
    deepEqual(cluster.exits, [EXIT_STATUS.halted]);
    const failed = boxes.filter(({ outcome }) => outcome === null || outcome.error !== null);
    deepEqual(
      failed.map(({ outcome }) => outcome?.text),
      [],
    );
  });
}

test("a removed server that cannot be answered waits for drainMs, and then goes", async () => {
  const cluster = await TestCluster.started(3, { drainMs: 5000 });
  const coordinator = present(cluster.coordinator(), "one coordinates");
  const leaver = (coordinator + 1) % 3;
  const server = cluster.server(leaver);
  void cluster.server(coordinator).change({ kind: "remove", replica: replicaId(leaver + 1) }, 5000);
  await cluster.until(() => server.replicaState.membership.removal?.isSettled === true);
  for (const i of [0, 1, 2].filter((index) => index !== leaver)) {
    cluster.kill(i);
  }
  const box = cluster.put(leaver, "key", "value", 60_000);
  await cluster.run(LONGER_THAN_FAREWELL_MS);
  deepEqual(cluster.exits, [], "it still waits");
  await cluster.until(() => cluster.exits.length > 0, 10_000);
  deepEqual(cluster.exits, [EXIT_STATUS.halted]);
  equal(box.outcome?.error?.code, "unavailable");
});
