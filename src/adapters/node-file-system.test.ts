/**
 * The File port on the real disk: the conformance suite; the lock between processes (held, killed, stopped, long paths); and
 * the storage over it, with a process killed in the middle of its commits. Each test has a temporary directory of its own.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { slot } from "../paxos/ids.js";
import { openStorage, type Storage } from "../storage/storage.js";
import { StorageFailure } from "../storage/storage-failure.js";
import { fileSystemConformance } from "../storage/testing/file-system-conformance.js";
import { NodeClock } from "./node-clock.js";
import { NodeFileSystem } from "./node-file-system.js";
import { NodeRandom } from "./node-random.js";

const made: string[] = [];
const children: ChildProcess[] = [];

function place(): string {
  const directory = mkdtempSync(join(tmpdir(), "synod-test-"));
  made.push(directory);
  return join(directory, "data");
}

after(() => {
  for (const child of children) {
    child.kill("SIGKILL");
  }
  for (const directory of made) {
    rmSync(directory, { recursive: true, force: true });
  }
});

fileSystemConformance("node", async () => ({ fileSystem: new NodeFileSystem(), directory: place() }));

type Child = { readonly process: ChildProcess; readonly line: () => Promise<string> };

/** A process with the storage of `directory`, and its lines one by one. */
function startChild(directory: string, mode: "hold" | "write"): Child {
  const script = fileURLToPath(new URL("./testing/storage-child.js", import.meta.url));
  const child = spawn(process.execPath, [script, directory, mode], { stdio: ["pipe", "pipe", "inherit"] });
  children.push(child);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return { process: child, line: async () => (await lines.next()).value ?? "" };
}

async function kill(child: Child): Promise<void> {
  const exited = once(child.process, "exit");
  child.process.kill("SIGKILL");
  await exited;
}

function open(directory: string): Promise<Storage> {
  return openStorage({
    fileSystem: new NodeFileSystem(),
    clock: new NodeClock(),
    random: new NodeRandom(),
    directory,
    segmentBytes: 256 * 1024,
    onFailure: (failure) => assert.fail(failure.message),
  });
}

const isLocked = (pid: number | undefined) => (error: unknown) => {
  assert.ok(error instanceof StorageFailure && error.kind === "locked", String(error));
  assert.match(error.message, new RegExp(`process ${pid}`));
  return true;
};

test("a second process is refused and told who has the directory; a killed one is no obstacle", async () => {
  const directory = place();
  const first = startChild(directory, "hold");
  assert.equal(await first.line(), "open 1");
  const second = startChild(directory, "hold");
  assert.match(await second.line(), new RegExp(`^refused .*in use by process ${first.process.pid}`));
  await kill(first);
  const third = startChild(directory, "hold");
  assert.equal(await third.line(), "open 2");
  await kill(third);
  assert.ok(readdirSync(directory).filter((name) => name.startsWith("lock.")).length <= 1, "dead names are cleared away");
});

test("a stopped process still holds its directory", async () => {
  const directory = place();
  const first = startChild(directory, "hold");
  assert.equal(await first.line(), "open 1");
  first.process.kill("SIGSTOP");
  await assert.rejects(open(directory), isLocked(first.process.pid));
  await kill(first);
  await (await open(directory)).close();
});

test("of several processes that start at once exactly one gets the directory", async () => {
  const directory = place();
  const contenders = Array.from({ length: 4 }, () => startChild(directory, "hold"));
  const lines = await Promise.all(contenders.map((child) => child.line()));
  assert.equal(lines.filter((line) => line.startsWith("open")).length, 1, lines.join("; "));
  await Promise.all(contenders.map(async (child) => (child.process.exitCode === null ? await kill(child) : undefined)));
});

test("a path longer than a socket's may be, and one with other characters", async () => {
  const directory = join(place(), "ä b".repeat(10), "x".repeat(120));
  const storage = await open(directory);
  await assert.rejects(open(directory), (error: unknown) => error instanceof StorageFailure && error.kind === "locked");
  await storage.close();
  assert.deepEqual(
    readdirSync(directory).filter((name) => name.startsWith("lock.")),
    [],
  );
});

test("killed in the middle of its commits, again and again: every acknowledged slot is there", async () => {
  const directory = place();
  let acknowledged = 0;
  for (let life = 1; life <= 4; life++) {
    const child = startChild(directory, "write");
    assert.equal(await child.line(), `open ${life}`);
    for (let i = 0; i < 150; i++) {
      acknowledged = Number(await child.line());
    }
    const rest = (async () => {
      for (let line = await child.line(); line !== ""; line = await child.line()) {
        acknowledged = Number(line);
      }
    })();
    await kill(child);
    await rest;
  }
  const storage = await open(directory);
  assert.equal(storage.durable.boot, 5);
  assert.ok(acknowledged >= 600 && storage.durable.accepted.size >= acknowledged);
  for (let at = 1; at <= storage.durable.accepted.size; at++) {
    const bytes = storage.durable.accepted.get(slot(at))?.batch.payload;
    assert.ok(bytes?.length === 300 + (at % 900) && bytes.every((byte) => byte === at % 251), `slot ${at}`);
  }
  await storage.close();
});

/** What is said of a data directory that cannot be used. */
function refusalOf(directory: string): Promise<{ readonly kind: string; readonly text: string }> {
  return open(directory).then(
    () => assert.fail(`${directory} was opened`),
    (error: unknown) => {
      assert.ok(error instanceof StorageFailure);
      return { kind: error.kind, text: error.message };
    },
  );
}

test("a directory with other files", async () => {
  const directory = place();
  await (await open(directory)).close();
  const foreign = place();
  await new NodeFileSystem().makeDirectory(foreign);
  writeFileSync(join(foreign, "thesis.txt"), "x");
  await assert.rejects(open(foreign), (error: unknown) => error instanceof StorageFailure && error.kind === "foreign");
  assert.deepEqual(readdirSync(foreign), ["thesis.txt"]);
});

test("a data_dir that cannot be one: a file, something below a file, a link that leads nowhere", async () => {
  const above = place();
  await new NodeFileSystem().makeDirectory(above);
  writeFileSync(join(above, "file"), "x");
  symlinkSync(join(above, "nowhere", "at", "all"), join(above, "link"));
  for (const name of ["file", "file/data", "link"]) {
    const { kind, text } = await refusalOf(join(above, name));
    assert.equal(kind, "foreign");
    assert.match(text, /cannot be the data_dir: (EEXIST|ENOTDIR)\b.* Choose a directory as data_dir/);
  }
  assert.deepEqual(readdirSync(above), ["file", "link"]);
});

// Node's own recursive mkdir asks for ever there, so that a timeout is the failure.
test("a data_dir where the file system makes none", {
  skip: existsSync("/proc/self") ? false : "no /proc here",
  timeout: 30_000,
}, async () => {
  const { kind, text } = await refusalOf("/proc/synod/data");
  assert.equal(kind, "foreign");
  assert.match(text, /^\/proc\/synod\/data: cannot be the data_dir: ENOENT\b.* Choose a data_dir on an ordinary file system/);
});

test("directories above that are missing are made", async () => {
  const deep = join(place(), "a", "b", "c");
  await (await open(deep)).close();
  await (await open(deep)).close();
});
