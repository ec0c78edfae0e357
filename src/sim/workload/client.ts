/**
 * One client: asks one thing after the other, waits, gives up, tries elsewhere, as far as a correct client may. What has surely not
 * happened is tried again as the same operation. A write of unknown outcome is repeated only under the number that it has in a session
 * of the client, as often and of as many servers as it likes; without a session the next try is another operation with a value of its
 * own. So each value is written at most once in a run.
 */
import { assert } from "../../base/assert.js";
import { nextChance, nextInt, type Prng } from "../../base/prng.js";
import type { KvErrorKind } from "../../kv/error.js";
import type { SessionId } from "../../kv/model.js";
import type { WriteNumber } from "../../server/client-writes.js";
import type { Workload } from "../scenario/scenario.js";
import { type Answer, attempt, type Patience, type Request, register, type Servers } from "./attempt.js";
import type { Input, Operation, Output } from "./operation.js";
import { textBytes } from "./texts.js";

const MICROS_A_MILLI = 1000;
/** How long a client waits beyond its timeout for the server to say that it is over, as a share of it and in microseconds. */
const GRACE_SHARE = 0.25;
const GRACE_MICROS = 60_000;
/** The pause before a try at another server: nobody hammers a server that is down. */
const RETRY_MICROS = 10_000;
/** One value in so many is large, up to so many bytes. */
const LARGE_EVERY = 50;
const LARGE_BYTES_MAX = 12_000;
const WEIGHED = ["get", "put", "delete", "cas"] as const;

/** A key of the workload. */
export type Key = { readonly name: string; readonly bytes: Uint8Array };

/** What all clients share. */
export type Surroundings = {
  readonly servers: Servers;
  readonly workload: Workload;
  readonly keys: readonly Key[];
  readonly asked: (client: number, server: number, key: string, input: Input) => void;
  readonly answered: (operation: Operation) => void;
  /** A server told a client, of this operation, what only servers should hear. */
  readonly odd: (operation: Operation, what: KvErrorKind) => void;
};

/** An operation under way. */
type Open = {
  readonly key: Key;
  readonly request: Request;
  readonly start: number;
  server: number;
  triesLeft: number;
  /** Its number in the client's session; null before it has one, or where it shall have none. */
  number: WriteNumber | null;
  /** A try under this number ended unknown. */
  doubt: boolean;
  /** Who wants to know how it ended; null in the client's own round. */
  readonly onEnd: ((answer: Answer, operation: Operation) => void) | null;
};

/** A request outside a client's round. */
export type OneRequest = { readonly server: number; readonly key: Key; readonly kind: "get" | "put"; readonly timeoutMs: number };

export class Client {
  readonly id: number;
  private readonly around: Surroundings;
  private readonly prng: Prng;
  /** The value of each key as this client saw it last, with its bytes. */
  private readonly seen = new Map<string, { readonly label: string; readonly bytes: Uint8Array }>();
  private server: number;
  private values = 0;
  private stopped = true;
  private current: Open | null = null;
  private session: { readonly id: SessionId; next: number } | null = null;

  constructor(id: number, around: Surroundings, prng: Prng) {
    this.id = id;
    this.around = around;
    this.prng = prng;
    this.server = nextInt(prng, 0, around.servers.machines.length);
  }

  /** Whether nothing is under way. */
  get idle(): boolean {
    return this.current === null;
  }

  /** Begins its round: an operation, a pause, the next operation. */
  start(): void {
    this.stopped = false;
    this.pause();
  }

  /** Nothing new is begun or tried again; what is under way comes to its end. */
  stop(): void {
    this.stopped = true;
  }

  /** Asks one thing of one server, once, outside the round; the client must be idle. */
  once(ask: OneRequest, onEnd: (answer: Answer, operation: Operation) => void): void {
    assert(this.idle, "a client does one thing at a time");
    const { key, server } = ask;
    const open: Open = {
      key,
      request: this.requestOf(ask.kind, key),
      start: this.now,
      server,
      triesLeft: 0,
      number: null,
      doubt: false,
      onEnd,
    };
    this.current = open;
    this.ask(open, patienceOf(ask.timeoutMs));
  }

  private get now(): number {
    return this.around.servers.engine.now;
  }

  private pause(): void {
    const { servers, workload } = this.around;
    servers.engine.after(nextInt(this.prng, 0, 2 * workload.pauseMs * MICROS_A_MILLI + 1), () => {
      if (!this.stopped) {
        this.begin(this.pickKind(), this.pickKey(), workload.retries);
      }
    });
  }

  private begin(kind: Input["op"], key: Key, triesLeft: number): void {
    const { workload } = this.around;
    const server = nextChance(this.prng, workload.loyalty) ? this.server : this.anyServer();
    const open: Open = {
      key,
      request: this.requestOf(kind, key),
      start: this.now,
      server,
      triesLeft,
      number: null,
      doubt: false,
      onEnd: null,
    };
    this.current = open;
    this.ask(open, this.patience());
  }

  private ask(open: Open, patience: Patience): void {
    const { servers, workload } = this.around;
    const { server, request } = open;
    this.server = server;
    if (workload.sessions && open.onEnd === null && open.number === null && request.input.op !== "get") {
      if (this.session === null) {
        register(servers, { server, patience, number: null }, (id) => this.onSession(open, id));
        return;
      }
      const seq = this.session.next++;
      open.number = { session: this.session.id, seq, firstUnacked: seq };
    }
    this.around.asked(this.id, server, open.key.name, request.input);
    attempt(servers, request, { server, patience, number: open.number }, (answer) => this.onAnswer(open, answer));
  }

  /** The write waits for its session: without one it has not been asked. */
  private onSession(open: Open, id: SessionId | null): void {
    if (id === null) {
      this.onAnswer(open, { kind: "refused", final: false });
    } else {
      this.session = { id, next: 1 };
      this.ask(open, this.patience());
    }
  }

  private onAnswer(open: Open, answer: Answer): void {
    if (answer.kind === "ok") {
      this.note(open, answer.output);
      this.finish(open, answer);
      return;
    }
    const isOver = this.stopped || open.triesLeft === 0;
    if (open.number !== null && !(answer.kind === "unknown" && answer.odd !== undefined)) {
      this.onNumbered(open, answer, isOver);
    } else if (answer.kind === "unknown" && open.request.input.op !== "get") {
      this.finish(open, answer, isOver ? 0 : open.triesLeft);
    } else if (isOver || (answer.kind === "refused" && answer.final)) {
      this.finish(open, answer);
    } else {
      open.triesLeft--;
      open.server = this.anotherServer(open.server);
      this.around.servers.engine.after(RETRY_MICROS, () => this.ask(open, this.patience()));
    }
  }

  /** The same under a number: unknown is no end, and one unknown try leaves the whole in doubt, whatever the last one says. */
  private onNumbered(open: Open, answer: Answer, isOver: boolean): void {
    open.doubt ||= answer.kind === "unknown" || (answer.kind === "expired" && answer.doubtful);
    if (answer.kind === "expired") {
      this.session = null;
      open.number = null;
    }
    if (answer.kind === "refused" && answer.final) {
      this.finish(open, answer); // the reply to that number, whichever try it was that ran
    } else if (isOver || (open.number === null && open.doubt)) {
      this.finish(open, open.doubt ? { kind: "unknown" } : answer);
    } else {
      open.triesLeft--;
      open.server = this.anotherServer(open.server);
      this.around.servers.engine.after(RETRY_MICROS, () => this.ask(open, this.patience()));
    }
  }

  /** `again`: tries that an operation of unknown outcome has left, each an operation of its own. */
  private finish(open: Open, answer: Answer, again = 0): void {
    const { key, request, start, server } = open;
    this.current = null;
    const outcome = answer.kind === "ok" || answer.kind === "unknown" ? answer.kind : "fail";
    const end = outcome === "unknown" ? null : this.now;
    const output = answer.kind === "ok" ? answer.output : null;
    const operation: Operation = { client: this.id, server, key: key.name, input: request.input, start, end, outcome, output };
    this.around.answered(operation);
    if (answer.kind === "unknown" && answer.odd !== undefined) {
      this.around.odd(operation, answer.odd);
    }
    if (open.onEnd !== null) {
      open.onEnd(answer, operation);
    } else if (again > 0) {
      this.server = this.anotherServer(server);
      this.around.servers.engine.after(RETRY_MICROS, () => {
        if (!this.stopped) {
          this.begin(request.input.op, key, again - 1);
        }
      });
    } else {
      this.pause();
    }
  }

  /** Remembers what the answer says about the key. */
  private note({ key, request }: Open, output: Output): void {
    const { input, value } = request;
    if (value !== null && input.op !== "get" && input.op !== "delete" && output.swapped !== false) {
      this.seen.set(key.name, { label: input.value, bytes: value });
    } else if (input.op === "delete" || (input.op === "get" && output.value === null)) {
      this.seen.delete(key.name);
    } else if (input.op === "get" && output.value !== null && output.value !== undefined) {
      this.seen.set(key.name, { label: output.value, bytes: textBytes(output.value, lengthOf(output.value, this.around.workload)) });
    }
  }

  private requestOf(kind: Input["op"], key: Key): Request {
    if (kind === "get" || kind === "delete") {
      return { key: key.bytes, input: { op: kind }, value: null, expected: null };
    }
    const label = `c${this.id}.${++this.values}`;
    const value = textBytes(label, lengthOf(label, this.around.workload));
    if (kind === "put") {
      return { key: key.bytes, input: { op: "put", value: label }, value, expected: null };
    }
    const seen = this.seen.get(key.name);
    const input: Input = { op: "cas", expected: seen?.label ?? null, value: label };
    return { key: key.bytes, input, value, expected: seen?.bytes ?? null };
  }

  private patience(): Patience {
    const { workload } = this.around;
    const patience = patienceOf(workload.timeoutMs);
    return nextChance(this.prng, workload.abandon) ? { server: patience.server, client: nextInt(this.prng, 0, patience.server) } : patience;
  }

  private pickKind(): Input["op"] {
    const { weights } = this.around.workload;
    let at = nextInt(this.prng, 0, Math.max(1, weights.get + weights.put + weights.delete + weights.cas));
    for (const kind of WEIGHED) {
      at -= weights[kind];
      if (at < 0) {
        return kind;
      }
    }
    return "get";
  }

  /** The first keys more often than the last. */
  private pickKey(): Key {
    const { keys } = this.around;
    const at = Math.min(nextInt(this.prng, 0, keys.length), nextInt(this.prng, 0, keys.length));
    return keys[at] as Key;
  }

  private anyServer(): number {
    return nextInt(this.prng, 0, this.around.servers.machines.length);
  }

  private anotherServer(than: number): number {
    const count = this.around.servers.machines.length;
    return count === 1 ? than : (than + nextInt(this.prng, 1, count)) % count;
  }
}

function patienceOf(timeoutMs: number): Patience {
  const server = timeoutMs * MICROS_A_MILLI;
  return { server, client: Math.ceil(server * (1 + GRACE_SHARE)) + GRACE_MICROS };
}

/** The length of a value follows from its label, so that whoever reads it can write it down again: now and then a large one. */
function lengthOf(label: string, workload: Workload): number {
  let hash = 7;
  for (let at = 0; at < label.length; at++) {
    hash = (Math.imul(hash, 31) + label.charCodeAt(at)) >>> 0;
  }
  return hash % LARGE_EVERY === 0 ? workload.valueBytes + ((hash >>> 8) % LARGE_BYTES_MAX) : workload.valueBytes;
}
