/**
 * The File port over a MemoryDisk, with faults on demand: every operation that changes the disk is a step, and a plan says
 * for each step whether it goes on, fails, is held up, or is where the power goes. Without a plan it is a plain disk in memory.
 */
import type { DirectoryLock, File, FileSystem, OpenOptions } from "../../ports/file.js";
import { DiskError, Inode, type MemoryDisk, splitPath } from "./memory-disk.js";

export type StepKind = "write" | "sync" | "truncate" | "create" | "rename" | "remove" | "syncDirectory";

/** One change of the disk about to be made; `number` counts from 1 in the life of a file system. */
export type Step = { readonly number: number; readonly kind: StepKind; readonly path: string };

/**
 * go: it happens. quota: refused for want of space, and nothing happens. cut: it begins, and the power goes: nothing ever completes again. fail: an I/O error, after which the
 * range holds anything. A promise: it happens once that resolves.
 */
export type Verdict = "go" | "quota" | "cut" | "fail" | Promise<void>;

export type FaultPlan = (step: Step) => Verdict;

/** A fresh one each time: a shared one would hold on to everything that ever waited for it. */
const never = (): Promise<never> => new Promise(() => {});

export class MemoryFileSystem implements FileSystem {
  readonly disk: MemoryDisk;
  /** How many steps were taken. */
  steps = 0;
  /** Resolves when a plan has cut the power. */
  readonly whenCut: Promise<void>;
  private readonly plan: FaultPlan;
  private readonly life: number;
  private signalCut: () => void = () => {};

  constructor(disk: MemoryDisk, plan: FaultPlan = () => "go") {
    this.disk = disk;
    this.plan = plan;
    this.life = disk.life;
    this.whenCut = new Promise((resolve) => {
      this.signalCut = resolve;
    });
  }

  async list(directory: string): Promise<readonly string[]> {
    await this.alive();
    return [...this.disk.directory(directory).names.keys()];
  }

  async makeDirectory(directory: string): Promise<void> {
    await this.alive();
    this.disk.makeDirectory(directory);
  }

  async open(path: string, { mode, durable }: OpenOptions): Promise<File> {
    await this.alive();
    if (mode === "create") {
      const { directory, name } = splitPath(path);
      if (this.disk.directory(directory).names.has(name)) {
        throw new DiskError("EEXIST", path);
      }
      const inode = new Inode();
      await this.step("create", path, () => this.disk.directory(directory).change((names) => names.set(name, inode)));
    }
    return new MemoryFile({ system: this, inode: this.disk.inode(path), path, durable, writable: mode !== "read" });
  }

  async rename(from: string, to: string): Promise<void> {
    await this.alive();
    const { directory, name } = splitPath(from);
    const target = splitPath(to).name;
    const inode = this.disk.inode(from);
    await this.step("rename", to, () =>
      this.disk.directory(directory).change((names) => {
        names.delete(name);
        names.set(target, inode);
      }),
    );
  }

  async remove(path: string): Promise<void> {
    await this.alive();
    const { directory, name } = splitPath(path);
    this.disk.inode(path);
    await this.step("remove", path, () => this.disk.directory(directory).change((names) => names.delete(name)));
  }

  async syncDirectory(directory: string): Promise<void> {
    await this.alive();
    await this.step(
      "syncDirectory",
      directory,
      () => {},
      () => this.disk.directory(directory).sync(),
    );
  }

  async freeBytes(_path: string): Promise<number> {
    await this.alive();
    return Math.max(0, Math.min(2 ** 40, this.disk.capacity - this.disk.used()));
  }

  async lock(directory: string): Promise<DirectoryLock> {
    await this.alive();
    const { disk } = this;
    if (disk.locks.has(directory)) {
      throw new DiskError("ELOCKED", `${directory} is held by another process`);
    }
    disk.locks.add(directory);
    return {
      release: async () => {
        disk.locks.delete(directory);
      },
    };
  }

  /** Resolves a little later while the power is on, else never. */
  async alive(): Promise<void> {
    await (this.life === this.disk.life ? undefined : never());
  }

  /** `begin` makes the change as a cut may leave it, `complete` what holds once it is over. */
  async step(kind: StepKind, path: string, begin: () => void, complete: () => void = () => {}): Promise<void> {
    this.steps += 1;
    const verdict = this.plan({ number: this.steps, kind, path });
    if (verdict === "quota") {
      throw new DiskError("EDQUOT", path);
    }
    if (typeof verdict === "object") {
      await verdict;
      await this.alive();
    }
    begin();
    if (verdict === "cut") {
      this.disk.life += 1;
      this.signalCut();
    }
    await this.alive();
    if (verdict === "fail") {
      throw new DiskError("EIO", path);
    }
    complete();
  }
}

type MemoryFileOptions = {
  readonly system: MemoryFileSystem;
  readonly inode: Inode;
  readonly path: string;
  readonly durable: boolean;
  readonly writable: boolean;
};

class MemoryFile implements File {
  private readonly options: MemoryFileOptions;
  private closed = false;

  constructor(options: MemoryFileOptions) {
    this.options = options;
  }

  write(position: number, bytes: Uint8Array, done: (error: Error | null) => void): void {
    this.writeAsync(position, bytes).then(
      () => done(null),
      (error: unknown) => done(error instanceof Error ? error : new Error(String(error))),
    );
  }

  async read(position: number, length: number): Promise<Uint8Array> {
    await this.ready();
    return this.options.inode.data.slice(position, position + length);
  }

  async sync(): Promise<void> {
    await this.ready();
    const { system, inode, path } = this.options;
    await system.step(
      "sync",
      path,
      () => {},
      () => inode.sync(),
    );
  }

  async size(): Promise<number> {
    await this.ready();
    return this.options.inode.data.length;
  }

  async truncate(size: number): Promise<void> {
    await this.ready();
    const { system, inode, path } = this.options;
    this.checkSpace(size);
    await system.step("truncate", path, () => inode.truncate(size));
  }

  async close(): Promise<void> {
    await this.options.system.alive();
    this.closed = true;
  }

  private async writeAsync(position: number, bytes: Uint8Array): Promise<void> {
    await this.ready();
    const { system, inode, path, durable, writable } = this.options;
    if (!writable) {
      throw new DiskError("EBADF", path);
    }
    const end = position + bytes.length;
    this.checkSpace(end);
    await system.step(
      "write",
      path,
      () => inode.write(position, bytes),
      () => {
        if (durable) {
          inode.sync(position, end);
        }
      },
    );
  }

  private checkSpace(end: number): void {
    const { system, inode, path } = this.options;
    const grows = Math.max(0, end - inode.data.length);
    if (grows > 0 && system.disk.used() + grows > system.disk.capacity) {
      throw new DiskError("ENOSPC", path);
    }
  }

  private async ready(): Promise<void> {
    await this.options.system.alive();
    if (this.closed) {
      throw new DiskError("EBADF", this.options.path);
    }
  }
}
