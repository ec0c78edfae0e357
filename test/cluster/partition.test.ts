/**
 * Three servers on a switch that loses everything for a while: no connection is reset, and TCP's own pauses have grown about as
 * long as the outage when it ends. The cluster takes writes again within seconds all the same, and nothing acknowledged is lost.
 */
import assert from "node:assert/strict";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SynodClient } from "../../src/client/index.js";
import { CutNetwork } from "../support/cut-network.js";
import { networkTest } from "../support/own-network.js";
import { ending, ROOT, startProgram } from "../support/processes.js";
import { textFormat } from "../support/server-process.js";
import { pause, until } from "../support/wait.js";

const SIZE = 3;
/** After so long TCP's next attempt is about as far away: it doubles its pause from 0.2 s on, and has just tried at 12.6 s. */
const OUTAGE_MS = 14_000;
/** Silence of 2.5 s at most, a dial of 2 s at most, an election; TCP alone needs 11 s and more. */
const RECOVERY_MS = 7000;
const LOG_LINES_SHOWN = 30;
const SYNOD = join(ROOT, "bin", "synod");

await networkTest(
  import.meta.url,
  "the network loses everything for 14 s: writes go on within seconds of its return",
  60_000,
  loseEverything,
);

async function loseEverything(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "synod-test-"));
  const network = new CutNetwork(SIZE);
  const servers = startServers(network, folder);
  const endpoints = servers.map((_, host) => `${network.addressOf(host)}:8000`);
  try {
    await write(endpoints, "before", 20_000);
    network.pullAll();
    await pause(OUTAGE_MS);
    network.plugAll();
    const healedAt = performance.now();
    await write(endpoints, "after", RECOVERY_MS);
    console.log(`the first write after ${OUTAGE_MS} ms of outage took ${Math.round(performance.now() - healedAt)} ms`);
    const reader = new SynodClient({ endpoints });
    assert.equal(await reader.get("before"), "value of before");
    reader.close();
  } catch (error) {
    for (const [host, { log }] of servers.entries()) {
      console.error(`server ${host}, the end of its log:\n${log().split("\n").slice(-LOG_LINES_SHOWN).join("\n")}`);
    }
    throw error;
  } finally {
    for (const { process: server } of servers) {
      server.kill("SIGKILL");
    }
    await Promise.all(servers.map(({ process: server }) => ending(server)));
  }
}

function startServers(network: CutNetwork, folder: string) {
  const hosts = Array.from({ length: SIZE }, (_, host) => host);
  const replicas = hosts.map((host) => `replica:'${network.addressOf(host)}:9000'`).join(" ");
  return hosts.map((host) => {
    const at = network.addressOf(host);
    const settings = textFormat({ my_addr: `${at}:8000`, my_paxos: `${at}:9000`, data_dir: join(folder, `server-${host}`) });
    const [command = "", ...args] = network.commandOn(host, [process.execPath, SYNOD, "server", `${settings} ${replicas}`]);
    const server = startProgram(command, args);
    let log = "";
    server.stdout.resume();
    server.stderr.setEncoding("utf8").on("data", (text: string) => {
      log += text;
    });
    return { process: server, log: () => log };
  });
}

/** Puts `key` over a connection of its own each time, so that none of the client's is from before the outage. */
function write(endpoints: readonly string[], key: string, withinMs: number): Promise<true> {
  return until(
    `a write of ${key}`,
    async () => {
      const client = new SynodClient({ endpoints, timeoutMs: 1000 });
      try {
        await client.put(key, `value of ${key}`);
        return true as const;
      } finally {
        client.close();
      }
    },
    withinMs,
  );
}
