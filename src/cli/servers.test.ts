/**
 * Tests the commands that start servers, with real ones: `synod server` with its signals and its refusals, `synod up` without
 * a terminal, `synod down`. One-server clusters wherever one is enough; every wait is for an output or an exit.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { freePort } from "../client/testing/fake-server.js";

const LAUNCHER = fileURLToPath(new URL("../../../bin/synod", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "synod-servers-"));
const started: Running[] = [];

after(async () => {
  for (const run of started) {
    run.child.kill("SIGKILL");
  }
  await synod(["down", "--wipe", "--data-dir", join(folder, "up")]).exit;
});

/** One run of the command, its output so far, and waits for what it prints. */
class Running {
  readonly child: ChildProcess;
  readonly exit: Promise<number | string>;
  stdout = "";
  stderr = "";

  constructor(args: readonly string[]) {
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(SYNOD|ETCDCTL)_/.test(name)));
    this.child = spawn(process.execPath, [LAUNCHER, ...args], { cwd: folder, env, stdio: ["ignore", "pipe", "pipe"] });
    this.child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.stdout += text;
    });
    this.child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.stderr += text;
    });
    this.exit = new Promise((resolve) => this.child.once("close", (code, signal) => resolve(signal ?? code ?? "")));
  }

  /** Resolves when stdout and stderr together match; rejects when the process ends first. */
  saw(pattern: RegExp): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        if (pattern.test(this.stdout + this.stderr)) {
          resolve();
        }
      };
      this.child.stdout?.on("data", look);
      this.child.stderr?.on("data", look);
      this.exit.then((code) => reject(new Error(`ended with ${code} before ${pattern}: ${this.stdout}${this.stderr}`)));
      look();
    });
  }
}

function synod(args: readonly string[]): Running {
  const run = new Running(args);
  started.push(run);
  return run;
}

async function oneServer(dataDir: string): Promise<{ readonly text: string; readonly client: string; readonly paxos: string }> {
  const client = `127.0.0.1:${await freePort()}`;
  const paxos = `127.0.0.1:${await freePort()}`;
  return { text: `my_addr:'${client}' my_paxos:'${paxos}' replica:'${paxos}' data_dir:'${dataDir}'`, client, paxos };
}

test("server: runs, stops on SIGTERM with 0, and keeps its data", async () => {
  const { text, client } = await oneServer("one");
  const first = synod(["server", text]);
  await first.saw(/"code":"listening"/);
  assert.equal(await synod(["put", "k", "v", "--endpoints", client]).exit, 0);
  first.child.kill("SIGTERM");
  assert.equal(await first.exit, 0);
  assert.equal(first.stdout, "");
  const second = synod(["server", text]);
  await second.saw(/"code":"listening"/);
  const get = synod(["get", "k", "--endpoints", client]);
  assert.deepEqual([await get.exit, get.stdout], [0, "k\nv\n"]);
  const status = synod(["status", "--endpoints", client]);
  assert.equal(await status.exit, 0);
  assert.match(status.stdout, /\nhealthy: 1 of 1 server answers/);
  second.child.kill("SIGINT");
  assert.equal(await second.exit, 0);
});

test("server: a locked and a foreign data directory, and a port in use, each say what to do", async () => {
  const { text, client, paxos } = await oneServer("locked");
  const holder = synod(["server", text]);
  await holder.saw(/"code":"listening"/);
  const other = await oneServer("locked");
  const locked = synod(["server", other.text]);
  assert.equal(await locked.exit, 1);
  assert.match(locked.stderr, /Error: .*is in use by process \d+.*\ntry: .*data_dir/);
  const taken = synod(["server", `${other.text.replace("'locked'", "'free'").replace(other.client, client)}`]);
  assert.equal(await taken.exit, 1);
  assert.match(taken.stderr, new RegExp(`Error: my_addr ${client} is in use by another program\ntry: `));
  const takenPaxos = synod(["server", other.text.replace("'locked'", "'free2'").replaceAll(other.paxos, paxos)]);
  assert.equal(await takenPaxos.exit, 1);
  assert.match(takenPaxos.stderr, new RegExp(`Error: my_paxos ${paxos} is in use by another program\ntry: `));
  const lost = synod(["server", other.text.replace("'locked'", "'free3'").replace(other.client, "no-host.invalid:8000")]);
  assert.equal(await lost.exit, 1);
  assert.match(lost.stderr, /Error: my_addr 'no-host\.invalid' is a name that does not resolve here\ntry: an address/);
  writeFileSync(join(folder, "plain"), "a file");
  const foreign = synod(["server", other.text.replace("'locked'", "'plain'")]);
  assert.notEqual(await foreign.exit, 0);
  assert.match(foreign.stderr, /Error: .*plain.*\ntry: /);
  holder.child.kill("SIGTERM");
  assert.equal(await holder.exit, 0);
});

test("up without a terminal: ready, refused twice, a death reported, stopped, resumed, orphans found, down --wipe", async () => {
  const flags = ["--data-dir", "up", "--port", String(await freePort()), "--paxos-port", String(await freePort())];
  const up = synod(["up", "1", ...flags]);
  await up.saw(/Running until SIGTERM or SIGINT\./);
  assert.match(up.stdout, /Starting 1 server with new data in up\n[\s\S]*Ready: 127\.0\.0\.1:\d+ coordinates\./);
  const client = /synod client (\S+),/.exec(up.stdout)?.[1] ?? "";
  assert.equal(await synod(["put", "k", "v", "--endpoints", client]).exit, 0);

  const twice = synod(["up", ...flags]);
  assert.equal(await twice.exit, 1);
  assert.match(twice.stderr, /^Error: synod up already runs on up \(process \d+\)\ntry: /);

  up.child.kill("SIGTERM");
  assert.equal(await up.exit, 0);
  assert.match(up.stdout, /Stopped\. The data stays in up: synod up resumes/);

  const orphaning = synod(["up", "--data-dir", "up"]);
  await orphaning.saw(/Running until/);
  assert.match(orphaning.stdout, /^Resuming 1 server with the data in up\n/);
  const get = synod(["get", "k", "--endpoints", client]);
  assert.deepEqual([await get.exit, get.stdout], [0, "k\nv\n"]);
  orphaning.child.kill("SIGKILL");
  await orphaning.exit;
  const refused = synod(["up", "--data-dir", "up"]);
  assert.equal(await refused.exit, 1);
  assert.match(
    refused.stderr,
    /^Error: servers of an earlier synod up still run on up \(processes \d+\)\ntry: synod down --data-dir up, then synod up again\n$/,
  );
  const down = synod(["down", "--data-dir", "up"]);
  assert.deepEqual([await down.exit, down.stdout], [0, "Stopped 1 server on up.\n"]);

  const dying = synod(["up", "--data-dir", "up"]);
  await dying.saw(/Running until/);
  const { servers } = JSON.parse(readFileSync(join(folder, "up", "up.json"), "utf8"));
  process.kill(servers[0].pid, "SIGKILL");
  assert.equal(await dying.exit, 1);
  assert.match(dying.stdout, /server 1 \(127\.0\.0\.1:\d+\) was ended by SIGKILL/);
  assert.match(dying.stderr, /^Error: no server is left running\ntry: /);

  const wiped = synod(["down", "--wipe", "--data-dir", "up"]);
  assert.equal(await wiped.exit, 0);
  assert.match(wiped.stdout, /^Nothing runs on up\.\nRemoved .*up\/1\.\n$/);
});
