/**
 * One process per data directory, without locks that Node cannot take (flock) and without trusting process ids, which are
 * used again: the holder listens on a Unix socket in the directory, and who listens is alive. The kernel ends that with the
 * process, however it ends, so what a dead process left is recognised by a refused connection.
 *
 * Each contender listens under a name of its own and appears in the directory only then (by a rename), and looks at the
 * others only after that. Of two, the later one therefore sees the earlier: two can never both hold. A name is never used
 * twice, so a dead one can be removed without a race. Holds for all processes of one machine, containers included; a
 * directory shared by machines over a network is not protected.
 */
import { randomBytes } from "node:crypto";
import { mkdtemp, readdir, rename, rm, symlink, unlink } from "node:fs/promises";
import { connect, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { DirectoryLock } from "../ports/file.js";

/** lock.<process id>.<time><random>: a contender or holder. Of two contenders the lower name gives way to nobody. */
const LOCK_NAME = /^lock\.(\d+)\.[0-9a-f]{24}$/;
/** A socket's path has 108 bytes on Linux, 104 on macOS; the name takes some. */
const SOCKET_PATH_MAX = 100;
const SOCKET_NAME_MAX = 50;
/** A live process answers at once; one that is stopped counts as alive all the same. */
const ANSWER_MS = 300;
/** How long to wait for another contender to give way. */
const GIVE_WAY_MS = 2000;
const GIVE_WAY_STEP_MS = 10;

type Neighbour = "dead" | "holds" | "contends";

/** Takes the lock of `directory`, which exists. Rejects with code ELOCKED, naming the process that has it. */
export async function lockDirectory(directory: string): Promise<DirectoryLock> {
  const shortcut = await shortPath(directory);
  const contender = new Contender(directory, shortcut?.path ?? directory);
  try {
    await contender.appear();
    await contender.win();
    return { release: () => contender.leave() };
  } catch (error) {
    await contender.leave();
    throw error;
  } finally {
    if (shortcut !== null) {
      await rm(shortcut.remove, { recursive: true, force: true });
    }
  }
}

class Contender {
  private readonly directory: string;
  /** The directory by a name that is short enough for sockets; good until the lock is taken. */
  private readonly socketDirectory: string;
  private readonly name = `lock.${process.pid}.${Date.now().toString(16).padStart(12, "0")}${randomBytes(6).toString("hex")}`;
  private readonly server: Server;
  private holds = false;

  constructor(directory: string, socketDirectory: string) {
    this.directory = directory;
    this.socketDirectory = socketDirectory;
    this.server = createServer((socket) => {
      socket.on("error", () => socket.destroy());
      socket.end(this.holds ? "holds" : "contends");
    });
    this.server.unref();
  }

  /** Listens, then becomes visible. */
  async appear(): Promise<void> {
    const hidden = `${this.name}.new`;
    await new Promise<void>((done, fail) => {
      this.server.once("error", fail);
      this.server.listen(join(this.socketDirectory, hidden), () => done());
    });
    await rename(join(this.directory, hidden), join(this.directory, this.name));
  }

  /** Holds once no other process is seen alive. */
  async win(): Promise<void> {
    for (let waited = 0; ; waited += GIVE_WAY_STEP_MS) {
      const rival = await this.strongestRival();
      if (rival === null) {
        this.holds = true;
        return;
      }
      const mustYield = rival.state === "holds" || rival.name < this.name || waited >= GIVE_WAY_MS;
      if (mustYield) {
        const owner = Number(LOCK_NAME.exec(rival.name)?.[1]);
        const who = owner === process.pid ? "this very process" : `process ${owner}`;
        throw Object.assign(new Error(`the data directory ${this.directory} is in use by ${who}`), { code: "ELOCKED" });
      }
      await new Promise((done) => setTimeout(done, GIVE_WAY_STEP_MS));
    }
  }

  async leave(): Promise<void> {
    // Ours alone: nobody else removes a name that answers. The hidden one is there only where appearing failed.
    for (const name of [this.name, `${this.name}.new`]) {
      await rm(join(this.directory, name), { force: true });
    }
    await new Promise<void>((done) => {
      this.server.close(() => done());
    });
  }

  /** The first other process that is alive: a holder if there is one, else the contender with the lowest name. Removes the dead. */
  private async strongestRival(): Promise<{ readonly name: string; readonly state: Neighbour } | null> {
    let strongest: { readonly name: string; readonly state: Neighbour } | null = null;
    for (const name of (await readdir(this.directory)).filter((other) => LOCK_NAME.test(other) && other !== this.name).sort()) {
      const state = await ask(join(this.socketDirectory, name));
      if (state === "dead") {
        await unlink(join(this.directory, name)).catch(ignoreMissing);
      } else if (strongest === null || (state === "holds" && strongest.state !== "holds")) {
        strongest = { name, state };
      }
    }
    return strongest;
  }
}

/** What the process behind a socket says; silence counts as holding. */
function ask(path: string): Promise<Neighbour> {
  return new Promise((done, fail) => {
    let text = "";
    const socket = connect(path);
    const timer = setTimeout(() => finish("holds"), ANSWER_MS);
    const finish = (state: Neighbour): void => {
      clearTimeout(timer);
      socket.destroy();
      done(state);
    };
    socket.setEncoding("utf8");
    socket.on("data", (data) => {
      text += data;
    });
    socket.on("end", () => finish(text === "contends" ? "contends" : "holds"));
    socket.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ECONNREFUSED" || error.code === "ENOENT") {
        finish("dead");
      } else if (error.code === "EACCES" || error.code === "EPERM") {
        clearTimeout(timer);
        fail(error);
      } else {
        finish("holds");
      }
    });
  });
}

/** A short name for a directory whose own is too long for a socket: a link to it, of which the sockets know nothing afterwards. */
async function shortPath(directory: string): Promise<{ readonly path: string; readonly remove: string } | null> {
  if (Buffer.byteLength(directory) + SOCKET_NAME_MAX <= SOCKET_PATH_MAX) {
    return null;
  }
  const remove = await mkdtemp(join(tmpdir(), "synod-"));
  const path = join(remove, "d");
  await symlink(resolve(directory), path);
  return { path, remove };
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== "ENOENT") {
    throw error;
  }
}
