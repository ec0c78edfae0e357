/** One server as a test sees it: its addresses, folder, log and, while it runs, its process. Started by the command line a user types. */
import type { ChildProcess } from "node:child_process";
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import type { StatusResponse, SynodClient } from "../../src/client/index.js";
import { type Elsewhere, type Ending, ending, startSynod } from "./processes.js";
import { within } from "./wait.js";

const STATUS_MS = 1500;
const STOP_MS = 20_000;

/** Settings in the names of the text format; text is quoted. */
export type Settings = Readonly<Record<string, string | number>>;

export type ServerOptions = {
  readonly index: number;
  readonly clientAddress: string;
  readonly paxosAddress: string;
  readonly dataDir: string;
  readonly logPath: string;
  /** The list of a server that founds; empty for one that joins. */
  readonly replicas: readonly string[];
  /** Whom a server with an empty disk asks to let it join; empty for one that founds. */
  readonly join: readonly string[];
  readonly settings: Settings;
  readonly client: SynodClient;
  /** Where it runs, if not here. */
  readonly elsewhere?: Elsewhere;
};

export class ServerProcess {
  readonly index: number;
  /** my_addr, `127.0.0.1:port`. */
  readonly clientAddress: string;
  /** my_paxos, `127.0.0.1:port`. */
  readonly paxosAddress: string;
  readonly dataDir: string;
  private readonly options: ServerOptions;
  private child: ChildProcess | null = null;
  /** Whether the test itself ended the process that ran last. */
  private expected = false;

  constructor(options: ServerOptions) {
    this.options = options;
    this.index = options.index;
    this.clientAddress = options.clientAddress;
    this.paxosAddress = options.paxosAddress;
    this.dataDir = options.dataDir;
  }

  get running(): boolean {
    return this.child !== null && this.child.exitCode === null && this.child.signalCode === null;
  }

  /** How it ended, if it did and nobody asked it to. */
  get crash(): string | null {
    if (this.child === null || this.running || this.expected) {
      return null;
    }
    return `server ${this.index} (${this.paxosAddress}) ended by itself: ${this.child.signalCode ?? `exit status ${this.child.exitCode}`}`;
  }

  /** Everything the server logged, all its runs. */
  get log(): string {
    return existsSync(this.options.logPath) ? readFileSync(this.options.logPath, "utf8") : "";
  }

  /** The argument of `synod server`. `changes` replace settings; with `join`, it asks those to let it join. */
  argument(changes: Settings = {}, join: readonly string[] = this.options.join): string {
    const { clientAddress, paxosAddress, dataDir, replicas, settings } = this.options;
    const all = { my_addr: clientAddress, my_paxos: paxosAddress, data_dir: dataDir, ...settings, ...changes };
    const [name, addresses] = join.length > 0 ? ["join", join] : ["replica", replicas];
    return `${textFormat(all)} ${addresses.map((address) => `${name}:${quoted(address)}`).join(" ")}`;
  }

  /** Starts the process, as `argument` says; it is not waited for. */
  start(changes: Settings = {}, join: readonly string[] = this.options.join): void {
    if (this.running) {
      throw new Error(`server ${this.index} runs already`);
    }
    appendFileSync(this.options.logPath, `--- started at ${new Date().toISOString()}\n`);
    this.expected = false;
    this.child = startSynod(["server", this.argument(changes, join)], this.options.logPath, this.options.elsewhere);
  }

  /** Whether the process may end by itself from now on: it does when its server is removed from the members. */
  mayEnd(expected: boolean): void {
    this.expected = expected;
  }

  /** Sends a signal, and no more. */
  signal(signal: NodeJS.Signals): void {
    if (this.child === null) {
      throw new Error(`server ${this.index} was never started`);
    }
    if (signal !== "SIGSTOP" && signal !== "SIGCONT") {
      this.expected = true;
    }
    this.child.kill(signal);
  }

  /** Resolves when the process has ended, in whatever way. */
  async ended(withinMs: number = STOP_MS): Promise<Ending> {
    if (this.child === null) {
      throw new Error(`server ${this.index} was never started`);
    }
    this.expected = true;
    return within(`server ${this.index} to end`, ending(this.child), withinMs);
  }

  /** kill -9, and waits for the end. */
  async kill(): Promise<void> {
    if (this.running) {
      this.signal("SIGKILL");
      await this.ended();
    }
  }

  /** SIGTERM, and waits for the end. */
  async stop(): Promise<Ending> {
    this.signal("SIGTERM");
    return this.ended();
  }

  /** What the server says of itself; null where it does not answer. */
  async status(): Promise<StatusResponse | null> {
    if (!this.running) {
      return null;
    }
    return this.options.client.status({ endpoint: this.clientAddress, timeoutMs: STATUS_MS }).catch(() => null);
  }
}

/** Settings in protobuf text format. */
export function textFormat(settings: Settings): string {
  return Object.entries(settings)
    .map(([name, value]) => `${name}:${typeof value === "number" ? value : quoted(value)}`)
    .join(" ");
}

function quoted(text: string): string {
  return `'${text.replace(/[\\']/g, "\\$&")}'`;
}
