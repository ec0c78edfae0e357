/**
 * The disk of one server: it outlives its processes and forgets as a real one may (PROTOCOL §7.2). Operations take time, end in
 * order for each file, and are lost, torn or done when their process dies; what was not synced is lost when the power goes.
 * It must never do what no disk does to a process that syncs as it should, other than by a fault that it was told to begin.
 */
import { assert } from "../../base/assert.js";
import { nextChance, nextInt, type Prng, splitPrng } from "../../base/prng.js";
import type { FileSystem } from "../../ports/file.js";
import type { Engine } from "../engine/engine.js";
import type { Boundary, Host } from "../engine/host.js";
import type { Tally } from "../engine/tally.js";
import type { DiskFault } from "../scenario/faults.js";
import type { Speeds } from "../scenario/scenario.js";
import { BegunFaults } from "./begun-faults.js";
import { Directory } from "./directory.js";
import { attempt, DiskError } from "./disk-error.js";
import { Inode } from "./inode.js";
import { misdirect, rot, type WriteRequest } from "./misdirect.js";
import { SimFileSystem } from "./sim-file-system.js";

export type SimDiskOptions = {
  readonly engine: Engine;
  /** Its own; streams are split off it. */
  readonly prng: Prng;
  /** How long each operation takes, uniform in [diskMin, diskMax] microseconds. */
  readonly speeds: Pick<Speeds, "diskMin" | "diskMax">;
  readonly tally: Tally;
  /** Bytes that all files together may take; no bound where it is left out. */
  readonly capacity?: number;
  /** Asked before anything on it is lost or damaged: whether the others can do without it. They always can where it is left out. */
  readonly bearsLoss?: () => boolean;
  /** It is empty from now on. */
  readonly onWiped?: () => void;
};

/** All files of a disk as a backup has them: the content by name, by directory. */
export type DiskCopy = ReadonlyMap<string, ReadonlyMap<string, Uint8Array>>;

/** One operation of a process. */
export type Operation = {
  readonly host: Host;
  readonly boundary: Boundary | null;
  /** Operations of one file end in their order. */
  readonly inode: Inode | null;
  /** What it does; all at once, when its time is over. Throws a DiskError that the process is told. */
  readonly effect: () => void;
  /** The process died while it was under way: it happened, in part, or not. */
  readonly interrupted: ((fate: Prng) => void) | null;
  /** Tells the process. */
  readonly settle: (error: DiskError | null) => void;
};

const MICROS_A_MILLI = 1000;
const NOTHING = (): void => {};
const FREE_BYTES_MAX = 2 ** 40;
/** How likely the system has forgotten what it falsely holds for written when the next process looks. */
const EVICTED = 0.25;

export class SimDisk {
  /** Operations that processes asked for. */
  operations = 0;
  private readonly options: SimDiskOptions;
  private readonly timing: Prng;
  private readonly fate: Prng;
  private readonly directories = new Map<string, Directory>();
  private readonly locks = new Set<string>();
  /** Under way: at most one for each file. */
  private readonly flying = new Set<Operation>();
  /** What waits for its turn, for each file with an operation under way. */
  private readonly queues = new Map<Inode, Operation[]>();
  private held: Operation[] = [];
  private host: Host | null = null;
  private readonly faults = new BegunFaults();
  /** What happens at the next death. */
  private atDeath: { readonly wipe: boolean; readonly restore: DiskCopy | null } = { wipe: false, restore: null };
  private readonly backups = new Map<number, DiskCopy>();
  private isDamaged = false;
  private wasWiped = false;
  private isRestored = false;
  private mayLose = false;
  private logDamaged = false;
  private refusedLife = false;

  constructor(options: SimDiskOptions) {
    this.options = options;
    this.timing = splitPrng(options.prng);
    this.fate = splitPrng(options.prng);
  }

  /** Whether something on it was damaged, or a copy put in its place, so that it may be refused. It stays so until it is wiped. */
  get damaged(): boolean {
    return this.isDamaged;
  }

  /** Whether recovery may rightly return less than was synced. Rot in the log is no reason: it is found, or it did not hit what is needed. */
  get forgetful(): boolean {
    return this.mayLose;
  }

  /** Whether it was emptied at some time, and whether what it holds was put there from a copy. */
  get past(): { readonly wiped: boolean; readonly restored: boolean } {
    return { wiped: this.wasWiped, restored: this.isRestored };
  }

  /** Whether the present process, or the last until the next begins, may rightly blame the disk: it was refused space or a sync, or the disk is damaged. */
  get faulty(): boolean {
    return this.isDamaged || this.refusedLife;
  }

  /** The disk as one process sees it. The process before has left. */
  fileSystemOf(host: Host): FileSystem {
    assert(this.host === null || !this.host.alive, "a disk serves one process at a time");
    if (this.host !== null) {
      this.left();
    }
    this.host = host;
    this.refusedLife = false;
    return new SimFileSystem(this, host);
  }

  /** The process ended, however it ended: its locks are free, what it had under way happened or not, and what waited for its death is done. Once more changes nothing. */
  left(): void {
    const flying = [...this.flying];
    this.flying.clear();
    this.queues.clear();
    this.held = [];
    this.locks.clear();
    this.host = null;
    for (const { interrupted } of flying) {
      interrupted?.(this.fate);
    }
    for (const inode of this.inodes()) {
      if (nextChance(this.fate, EVICTED)) {
        inode.evict();
      }
    }
    const { wipe, restore } = this.atDeath;
    this.atDeath = { wipe: false, restore: null };
    if (wipe && this.maySpoil()) {
      this.wipe();
    }
    if (restore !== null && this.maySpoil()) {
      this.restore(restore);
    }
  }

  /** Whether the cluster can do without what is here; a refusal is counted. */
  private maySpoil(): boolean {
    const may = this.options.bearsLoss?.() !== false;
    if (!may) {
      this.options.tally.add("disk loss withheld");
    }
    return may;
  }

  /** The power went, and with it the process: what was not synced is lost in any subset of sectors, names from some change on. */
  losePower(): void {
    const { tally } = this.options;
    this.left();
    for (const directory of this.directories.values()) {
      const lost = directory.losePower(this.fate);
      if (lost > 0) {
        tally.add("disk lost name", lost);
      }
    }
    for (const inode of this.inodes()) {
      const { lost, kept } = inode.losePower(this.fate);
      if (lost > 0) {
        tally.add("disk lost sector", lost);
      }
      if (lost > 0 && kept > 0) {
        tally.add("disk torn");
      }
    }
  }

  /** Every directory is empty from now on. Only while no process runs. */
  wipe(): void {
    for (const directory of this.directories.values()) {
      directory.replace(new Map());
    }
    this.isDamaged = false;
    this.mayLose = false;
    this.wasWiped = true;
    this.isRestored = false;
    this.logDamaged = false;
    this.options.tally.add("disk wiped");
    this.options.onWiped?.();
  }

  /** All files as the system sees them now. */
  copy(): DiskCopy {
    const copyOf = ({ names }: Directory): ReadonlyMap<string, Uint8Array> =>
      new Map([...names].map(([name, inode]) => [name, inode.read(0, inode.size)]));
    return new Map([...this.directories].map(([path, directory]) => [path, copyOf(directory)]));
  }

  /** Every file is as in `copy`, and no others are there; all of it on disk. Only while no process runs. */
  restore(copy: DiskCopy): void {
    for (const [path, directory] of this.directories) {
      directory.replace(new Map([...(copy.get(path) ?? [])].map(([name, content]) => [name, Inode.of(content)])));
    }
    this.isDamaged = true;
    this.mayLose = true;
    this.isRestored = true;
    this.logDamaged = false;
    this.options.tally.add("disk restored");
  }

  /** Files that were brought here from another disk, in a directory of their own, all of them on disk. Only while no process runs. */
  place(path: string, files: ReadonlyMap<string, Uint8Array>): void {
    this.makeDirectory(path);
    this.directoryOf(path).replace(new Map([...files].map(([name, content]) => [name, Inode.of(content)])));
  }

  /** A copy will be wanted by a `restoreOld` of this moment: it is taken when the moment comes. Others need no announcement. */
  announce(fault: DiskFault): void {
    if (fault.kind === "restoreOld") {
      this.options.engine.schedule(fault.of * MICROS_A_MILLI, () => {
        this.backups.set(fault.of, this.copy());
      });
    }
  }

  /**
   * Begins a fault; the result ends it, once. `wipe` and `restoreOld` are done at the next death, whenever their windows end.
   * A `restoreOld` that was not announced takes its copy now.
   */
  begin(fault: DiskFault): () => void {
    switch (fault.kind) {
      case "stall":
        return this.faults.beginStall(() => this.goOn());
      case "full":
        return this.faults.beginFull();
      case "slow":
        return this.faults.beginSlow(fault.byMs * MICROS_A_MILLI);
      case "failSync":
      case "misdirect":
        return this.faults.beginNext(fault.kind);
      case "rot":
        this.decay(fault.what, fault.flips);
        return NOTHING;
      case "wipe":
        this.atDeath = { ...this.atDeath, wipe: true };
        return NOTHING;
      case "restoreOld":
        this.atDeath = { ...this.atDeath, restore: this.backups.get(fault.of) ?? this.copy() };
        return NOTHING;
    }
  }

  // What follows is for SimFileSystem alone.

  /** Begins an operation, or queues it behind others of its file. Nothing ever comes of one of a dead process. */
  start(operation: Operation): void {
    const { host, inode } = operation;
    if (!host.alive || host !== this.host) {
      return;
    }
    this.operations++;
    if (inode !== null) {
      const queue = this.queues.get(inode);
      if (queue !== undefined) {
        queue.push(operation);
        return;
      }
      this.queues.set(inode, []);
    }
    this.launch(operation);
  }

  /** A promise was made or settled. */
  stir(): void {
    this.options.engine.stir();
  }

  directoryOf(path: string): Directory {
    const found = this.directories.get(path);
    if (found === undefined) {
      throw new DiskError("ENOENT", path);
    }
    return found;
  }

  makeDirectory(path: string): void {
    if (!this.directories.has(path)) {
      this.directories.set(path, new Directory());
    }
  }

  /** Takes the lock of a directory; false where it is held. */
  lock(path: string): boolean {
    if (this.locks.has(path)) {
      return false;
    }
    this.locks.add(path);
    return true;
  }

  unlock(path: string): void {
    this.locks.delete(path);
  }

  freeBytes(): number {
    if (this.faults.full) {
      return 0;
    }
    let used = 0;
    for (const inode of this.inodes()) {
      used += inode.size;
    }
    return Math.max(0, Math.min(FREE_BYTES_MAX, (this.options.capacity ?? Number.POSITIVE_INFINITY) - used));
  }

  /** Whether a file may grow by so many bytes; a refusal is counted. */
  hasRoom(bytes: number): boolean {
    if (bytes <= 0 || bytes <= this.freeBytes()) {
      return true;
    }
    this.refusedLife = true;
    this.options.tally.add("disk full");
    return false;
  }

  /** Whether this sync is the one that fails. */
  takeFailure(): boolean {
    if (!this.faults.waits("failSync")) {
      return false;
    }
    this.faults.spend("failSync");
    this.refusedLife = true;
    this.options.tally.add("disk failed sync");
    return true;
  }

  /** Writes, or fails, or misdirects what there is room for. */
  write(request: WriteRequest, directory: string): void {
    const { inode, name, position, bytes, durable } = request;
    if (durable && this.takeFailure()) {
      inode.write(position, bytes, false);
      inode.failSync(this.fate);
      throw new DiskError("EIO", name);
    }
    if (!this.faults.waits("misdirect") || !this.maySpoil()) {
      inode.write(position, bytes, durable);
      return;
    }
    const hit = misdirect(this.fate, this.directoryOf(directory).names, request, !this.logDamaged);
    if (hit !== "nothing") {
      this.faults.spend("misdirect");
      this.isDamaged = true;
      this.mayLose = true;
      this.logDamaged ||= hit === "log";
      this.options.tally.add("disk misdirect");
    }
  }

  failSync(inode: Inode): void {
    inode.failSync(this.fate);
  }

  private launch(operation: Operation): void {
    this.flying.add(operation);
    operation.host.after(this.duration(), () => this.finish(operation));
  }

  private duration(): number {
    const { diskMin, diskMax } = this.options.speeds;
    return nextInt(this.timing, diskMin, diskMax + 1) + this.faults.delay(this.timing);
  }

  private finish(operation: Operation): void {
    const { host, boundary, inode, settle } = operation;
    if (this.faults.stalled && this.flying.has(operation)) {
      this.held.push(operation);
      this.options.tally.add("disk stall");
      return;
    }
    // Where this kills the process the operation is still under way: what became of it is drawn when the process has left.
    if (!this.flying.has(operation) || (boundary !== null && !host.crosses(boundary))) {
      return;
    }
    this.flying.delete(operation);
    const error = attempt(operation.effect);
    if (boundary !== null) {
      host.crossed(boundary);
    }
    if (!host.alive) {
      return;
    }
    if (inode !== null) {
      this.launchNext(inode);
    }
    settle(error);
    this.options.engine.stir();
  }

  private launchNext(inode: Inode): void {
    const next = this.queues.get(inode)?.shift();
    if (next === undefined) {
      this.queues.delete(inode);
    } else {
      this.launch(next);
    }
  }

  /** What a stall held up ends now, each in its own time. */
  private goOn(): void {
    const { held } = this;
    this.held = [];
    for (const operation of held) {
      operation.host.after(this.duration(), () => this.finish(operation));
    }
  }

  private decay(what: "log" | "snapshot", flips: number): void {
    if (!this.maySpoil()) {
      return;
    }
    for (const { names } of this.directories.values()) {
      if (what === "log" && this.logDamaged) {
        return;
      }
      if (rot(this.fate, names, what, flips)) {
        this.isDamaged = true;
        this.mayLose ||= what === "snapshot";
        this.logDamaged ||= what === "log";
        this.options.tally.add("disk rot");
      }
    }
  }

  /** Each file once, in the order of its names. */
  private inodes(): Set<Inode> {
    const inodes = new Set<Inode>();
    for (const { names } of this.directories.values()) {
      for (const inode of names.values()) {
        inodes.add(inode);
      }
    }
    return inodes;
  }
}
