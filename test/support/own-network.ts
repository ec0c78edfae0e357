/**
 * Tests on a network of their own: each is run again in a process below `unshare`, where it may make hosts and cut cables and the
 * machine's own network is never touched. Only as root on a Linux that lets namespaces be made; elsewhere skipped, and the reason said.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { UNSHARE, whyNoNamespaces } from "./cut-network.js";

/** Tells the run below `unshare` which of its file's tests it is for. */
const INSIDE = "TEST_OWN_NETWORK";

/** Registers `body` of the file at `url` as the test `title`; `body` runs in another process. */
export async function networkTest(url: string, title: string, timeout: number, body: () => Promise<void>): Promise<void> {
  const { [INSIDE]: inside } = process.env;
  if (inside === undefined) {
    const obstacle = whyNoNamespaces();
    const skip = obstacle === null ? false : `no network namespaces here: ${obstacle}`;
    test(title, { timeout, skip }, () => runInside(url, title));
  } else if (inside === title) {
    process.stdin.on("end", () => process.exit(1)).resume();
    try {
      await body();
    } finally {
      process.stdin.destroy();
    }
  }
}

async function runInside(url: string, title: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "synod-test-"));
  const [command, ...args] = UNSHARE;
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  // With its parent dead the run ends too, and its servers with it.
  const child = spawn(command, [...args, process.execPath, fileURLToPath(url)], {
    stdio: ["pipe", "inherit", "inherit"],
    env: { ...env, [INSIDE]: title, TMPDIR: folder },
  });
  try {
    const [status] = await once(child, "exit");
    assert.equal(status, 0, "the run below unshare");
  } finally {
    child.kill();
    rmSync(folder, { recursive: true, force: true });
  }
}
