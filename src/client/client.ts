/**
 * The client of a Synod store: get, put, delete, compareAndSet and status over gRPC, with failover between servers.
 * A write is sent a second time only under the number of the first (session.ts), or where the first provably had no effect.
 */
import { create } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import {
  Admin,
  type BackupPart,
  BackupRequestSchema,
  ChangeMembersRequestSchema,
  HandoverRequestSchema,
  StatusRequestSchema,
  type StatusResponse,
} from "../gen/admin_pb.js";
import { KeyValueStore } from "../gen/keyvaluestore_pb.js";
import { parseAddress } from "./address.js";
import type { AttemptOptions } from "./connection.js";
import { StoreError } from "./error.js";
import { type Attempt, type Bounds, Servers } from "./servers.js";
import { SessionWriter, type WriteAttempt } from "./session.js";

export type SynodClientOptions = {
  /**
   * Servers of one cluster, `host:port` each; any of them answers any request. `0.0.0.0` is dialled as 127.0.0.1; `http://` before it is dropped.
   */
  readonly endpoints: readonly string[];
  /** How long a request may take, all attempts together. Milliseconds, default 5,000. */
  readonly timeoutMs?: number;
  /** How long a server may take to accept a connection before the next is tried. Milliseconds, default 2,000. */
  readonly dialTimeoutMs?: number;
  /**
   * Writes carry a number in a session of the store, which the first write registers: they are applied once however often they are asked,
   * and asked on through other servers until they are answered or the time is over. Default true. false: no session, and a write whose
   * outcome is not known is not repeated.
   */
  readonly exactlyOnce?: boolean;
};

/** Bounds of one request. */
export type RequestOptions = {
  /** Overrides the client's `timeoutMs`. */
  readonly timeoutMs?: number;
  /** Cancels the request; a write that was sent has an unknown outcome then. */
  readonly signal?: AbortSignal;
};

/**
 * One change of who is a member; `replica` is a ReplicaId. promote: an observer that has caught up votes; remove: a member leaves for good;
 * moveTieBreak: this voter decides between two halves.
 */
export type MemberChange = { readonly kind: "promote" | "remove" | "moveTieBreak"; readonly replica: number };

/** Default of `SynodClientOptions.timeoutMs`. */
export const DEFAULT_TIMEOUT_MS = 5000;
/** Default of `SynodClientOptions.dialTimeoutMs`. */
export const DEFAULT_DIAL_TIMEOUT_MS = 2000;

/** How long `end` waits for the store, at most. */
export const END_MS = 1000;

/** How much longer than a server may take for an answer its client waits, so that it hears why there is none. Milliseconds. */
const ANSWER_MS = 500;

/** What compareAndSet found: `current` is the value of the key where nothing was stored, undefined where it was absent. */
export type Swap = { readonly swapped: boolean; readonly current: string | undefined };

/** A client of one cluster. Connects when first used; `end` or `close` it when done, or the connection keeps the process alive. */
export class SynodClient {
  /** The servers as they are dialled, in the order given. */
  readonly endpoints: readonly string[];
  private readonly servers: Servers;
  private readonly timeoutMs: number;
  private readonly dialTimeoutMs: number;
  private readonly writer: SessionWriter | undefined;

  /** Throws `StoreError` invalid-argument where an endpoint is not an address. */
  constructor(options: SynodClientOptions) {
    const endpoints = new Set(options.endpoints.map(dialled));
    if (endpoints.size === 0) {
      throw invalid("a client needs at least one endpoint, such as localhost:8000");
    }
    this.endpoints = [...endpoints];
    this.servers = new Servers(this.endpoints);
    this.timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    this.dialTimeoutMs = options.dialTimeoutMs ?? DEFAULT_DIAL_TIMEOUT_MS;
    const attemptBounds = (timeoutMs: number, signal: AbortSignal | undefined): AttemptOptions => this.attempt(timeoutMs, { signal });
    this.writer = options.exactlyOnce === false ? undefined : new SessionWriter(this.servers, attemptBounds);
  }

  /** The server that the next request asks first. */
  get endpoint(): string {
    return this.servers.endpoint;
  }

  /** The newest value of `key`, linearizable; undefined where the key is absent. Rejects with `StoreError`. */
  async get(key: string, options: RequestOptions = {}): Promise<string | undefined> {
    checkText("key", key);
    return this.servers.read(async (connection, timeoutMs) => {
      try {
        return (await connection.unary(KeyValueStore.method.getValue, { key }, this.attempt(timeoutMs, options))).value;
      } catch (error) {
        if (isNotFound(error)) {
          return undefined;
        }
        throw error;
      }
    }, this.bounds(options));
  }

  /** Stores `value`; resolves once a quorum has it on disk. Rejects with `StoreError`, whose `outcome` says whether it may have been stored. */
  async put(key: string, value: string, options: RequestOptions = {}): Promise<void> {
    checkText("key", key);
    checkText("value", value);
    await this.write(
      (connection, timeoutMs, fields) =>
        connection.unary(KeyValueStore.method.putPair, { key, value, ...fields }, this.attempt(timeoutMs, options)),
      options,
    );
  }

  /** Removes `key`; removing an absent key succeeds too. Rejects with `StoreError` as `put` does. */
  async delete(key: string, options: RequestOptions = {}): Promise<void> {
    checkText("key", key);
    await this.write(
      (connection, timeoutMs, fields) =>
        connection.unary(KeyValueStore.method.deletePair, { key, ...fields }, this.attempt(timeoutMs, options)),
      options,
    );
  }

  /** Stores `value` if the key has the value `expected`, or is absent where that is undefined. Rejects with `StoreError` as `put` does. */
  async compareAndSet(key: string, expected: string | undefined, value: string, options: RequestOptions = {}): Promise<Swap> {
    checkText("key", key);
    checkText("expected value", expected === undefined ? "" : expected);
    checkText("value", value);
    const compare = expected === undefined ? {} : { expected };
    const { swapped, current } = await this.write((connection, timeoutMs, fields) => {
      const request = { key, value, ...compare, ...fields };
      return connection.unary(KeyValueStore.method.compareAndSet, request, this.attempt(timeoutMs, options));
    }, options);
    return { swapped, current };
  }

  /** One server's view of itself and the cluster: of `endpoint`, which need not be among the client's, or of the first that answers. */
  async status(options: RequestOptions & { readonly endpoint?: string } = {}): Promise<StatusResponse> {
    const ask: Attempt<StatusResponse> = (connection, timeoutMs) =>
      connection.unary(Admin.method.status, create(StatusRequestSchema), this.attempt(timeoutMs, options));
    if (options.endpoint !== undefined) {
      return ask(this.servers.connectionTo(dialled(options.endpoint)), options.timeoutMs ?? this.timeoutMs);
    }
    return this.servers.read(ask, this.bounds(options));
  }

  /**
   * Changes who is a member. Resolves with the slot where that was decided, 0 where it was so already. Rejects with `StoreError`: `refused`
   * says why the cluster cannot bear it now. The same change again does no harm.
   */
  async changeMembers({ kind, replica }: MemberChange, options: RequestOptions = {}): Promise<number> {
    if (!Number.isSafeInteger(replica) || replica < 1) {
      throw invalid(`the ReplicaId ${replica} is none; allowed is a whole number above 0`);
    }
    const request = create(ChangeMembersRequestSchema, { change: { case: kind, value: BigInt(replica) } });
    const { slot } = await this.servers.writeOnce(
      (connection, timeoutMs) => connection.unary(Admin.method.changeMembers, request, this.attempt(timeoutMs, options)),
      this.bounds(options),
    );
    return Number(slot);
  }

  /** Lets the voter at the Paxos address `heir` coordinate, or without one the most advanced other voter; resolves with the new coordinator. */
  async handover(heir: string | undefined, options: RequestOptions = {}): Promise<string> {
    const request = create(HandoverRequestSchema, { heir: heir ?? "" });
    const { coordinator } = await this.servers.writeOnce(
      (connection, timeoutMs) => connection.unary(Admin.method.handover, request, this.attempt(timeoutMs, options)),
      this.bounds(options),
    );
    return coordinator;
  }

  /**
   * The whole store as of one slot, behind every write acknowledged before: a head, chunks, an end. Of the first server that begins one;
   * `timeoutMs` is for each part. Rejects with `StoreError` where the stream breaks.
   */
  async *backup(options: RequestOptions = {}): AsyncGenerator<BackupPart, void> {
    const begun = await this.servers.read(async (connection) => {
      const waitMs = options.timeoutMs ?? this.timeoutMs;
      const bounds = this.attempt(waitMs + ANSWER_MS, options);
      const parts = connection.stream(Admin.method.backup, create(BackupRequestSchema, { waitMs: BigInt(Math.ceil(waitMs)) }), bounds);
      return { head: await parts.next(), parts };
    }, this.bounds(options));
    if (begun.head.done !== true) {
      yield begun.head.value;
      yield* begun.parts;
    }
  }

  /**
   * Ends the session, so that the store need not remember it for an hour, and closes. For clients that come and go. Never rejects: a store
   * that does not answer forgets the session by itself.
   */
  async end(): Promise<void> {
    await this.writer?.end({ endsAt: performance.now() + END_MS }).catch(() => undefined);
    this.close();
  }

  /** Closes all connections; running requests fail. The client may be used again and then connects anew, in the same session. */
  close(): void {
    this.servers.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
  }

  private write<T>(attempt: WriteAttempt<T>, options: RequestOptions): Promise<T> {
    const bounds = this.bounds(options);
    return this.writer === undefined
      ? this.servers.writeOnce((connection, timeoutMs) => attempt(connection, timeoutMs, {}), bounds)
      : this.writer.write(attempt, bounds);
  }

  private bounds(options: RequestOptions): Bounds {
    return { endsAt: performance.now() + (options.timeoutMs ?? this.timeoutMs), signal: options.signal };
  }

  private attempt(timeoutMs: number, { signal }: { readonly signal?: AbortSignal | undefined }): AttemptOptions {
    const bounds = { timeoutMs: Math.ceil(timeoutMs), dialTimeoutMs: this.dialTimeoutMs };
    return signal === undefined ? bounds : { ...bounds, signal };
  }
}

function isNotFound(error: unknown): boolean {
  return error instanceof StoreError && error.cause instanceof Error && "code" in error.cause && error.cause.code === status.NOT_FOUND;
}

function dialled(endpoint: string): string {
  const address = parseAddress(endpoint, { allowScheme: true });
  if ("problem" in address) {
    throw invalid(`the endpoint '${endpoint}' ${address.problem}; allowed is ${address.allowed}`);
  }
  return address.canonical;
}

/**
 * UTF-8 has no form for half a surrogate pair: sent anyway, it would come back as another character. And plain JavaScript may pass
 * anything: without a look a missing value would be stored as an empty one, and an expected number would never be met.
 */
function checkText(what: string, text: unknown): void {
  if (typeof text !== "string") {
    throw invalid(`the ${what} is ${text === null ? "null" : `of type ${typeof text}`}; allowed is a string`);
  }
  if (/\p{Surrogate}/u.test(text)) {
    throw invalid(`the ${what} is not valid Unicode: it holds half of a surrogate pair`);
  }
}

function invalid(message: string): StoreError {
  return new StoreError(message, { code: "invalid-argument", outcome: "not-applied", endpoint: "" });
}
