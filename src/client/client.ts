/**
 * The client of a Synod store: get, put, delete and status over gRPC, with failover between servers.
 * It must never send a write a second time unless the first provably had no effect.
 */
import { create } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import { Admin, ChangeMembersRequestSchema, HandoverRequestSchema, StatusRequestSchema, type StatusResponse } from "../gen/admin_pb.js";
import { KeyValueStore } from "../gen/keyvaluestore_pb.js";
import { parseAddress } from "./address.js";
import { Connection } from "./connection.js";
import { StoreError } from "./error.js";

export type SynodClientOptions = {
  /**
   * Servers of one cluster, `host:port` each; any of them answers any request. `0.0.0.0` is dialled as 127.0.0.1; `http://` before it is dropped.
   */
  readonly endpoints: readonly string[];
  /** How long a request may take, all attempts together. Milliseconds, default 5,000. */
  readonly timeoutMs?: number;
  /** How long a server may take to accept a connection before the next is tried. Milliseconds, default 2,000. */
  readonly dialTimeoutMs?: number;
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

/** One try of a request at one server. */
type Attempt<T> = (connection: Connection, timeoutMs: number) => Promise<T>;
type Failure = { readonly endpoint: string; readonly error: StoreError };

/** A client of one cluster. Connects when first used; `close` it when done, or the connection keeps the process alive. */
export class SynodClient {
  /** The servers as they are dialled, in the order given. */
  readonly endpoints: readonly string[];
  private readonly connections: readonly Connection[];
  private readonly others = new Map<string, Connection>();
  private readonly timeoutMs: number;
  private readonly dialTimeoutMs: number;
  /** Index of the server that answered last: the next request begins there. */
  private preferred = 0;

  /** Throws `StoreError` invalid-argument where an endpoint is not an address. */
  constructor(options: SynodClientOptions) {
    const endpoints = new Set(options.endpoints.map(dialled));
    if (endpoints.size === 0) {
      throw invalid("a client needs at least one endpoint, such as localhost:8000");
    }
    this.endpoints = [...endpoints];
    this.connections = this.endpoints.map((endpoint) => new Connection(endpoint));
    this.timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    this.dialTimeoutMs = options.dialTimeoutMs ?? DEFAULT_DIAL_TIMEOUT_MS;
  }

  /** The server that the next request asks first. */
  get endpoint(): string {
    return this.endpoints[this.preferred] ?? "";
  }

  /** The newest value of `key`, linearizable; undefined where the key is absent. Rejects with `StoreError`. */
  async get(key: string, options: RequestOptions = {}): Promise<string | undefined> {
    checkText("key", key);
    return this.read(async (connection, timeoutMs) => {
      try {
        return (await connection.unary(KeyValueStore.method.getValue, { key }, this.attempt(timeoutMs, options))).value;
      } catch (error) {
        if (isNotFound(error)) {
          return undefined;
        }
        throw error;
      }
    }, options);
  }

  /** Stores `value`; resolves once a quorum has it on disk. Rejects with `StoreError`, whose `outcome` says whether it may have been stored. */
  async put(key: string, value: string, options: RequestOptions = {}): Promise<void> {
    checkText("key", key);
    checkText("value", value);
    await this.write(
      (connection, timeoutMs) => connection.unary(KeyValueStore.method.putPair, { key, value }, this.attempt(timeoutMs, options)),
      options,
    );
  }

  /** Removes `key`; removing an absent key succeeds too. Rejects with `StoreError` as `put` does. */
  async delete(key: string, options: RequestOptions = {}): Promise<void> {
    checkText("key", key);
    await this.write(
      (connection, timeoutMs) => connection.unary(KeyValueStore.method.deletePair, { key }, this.attempt(timeoutMs, options)),
      options,
    );
  }

  /** One server's view of itself and the cluster: of `endpoint`, which need not be among the client's, or of the first that answers. */
  async status(options: RequestOptions & { readonly endpoint?: string } = {}): Promise<StatusResponse> {
    const ask: Attempt<StatusResponse> = (connection, timeoutMs) =>
      connection.unary(Admin.method.status, create(StatusRequestSchema), this.attempt(timeoutMs, options));
    if (options.endpoint !== undefined) {
      return ask(this.connectionTo(dialled(options.endpoint)), options.timeoutMs ?? this.timeoutMs);
    }
    return this.read(ask, options);
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
    const { slot } = await this.write(
      (connection, timeoutMs) => connection.unary(Admin.method.changeMembers, request, this.attempt(timeoutMs, options)),
      options,
    );
    return Number(slot);
  }

  /** Lets the voter at the Paxos address `heir` coordinate, or without one the most advanced other voter; resolves with the new coordinator. */
  async handover(heir: string | undefined, options: RequestOptions = {}): Promise<string> {
    const request = create(HandoverRequestSchema, { heir: heir ?? "" });
    const { coordinator } = await this.write(
      (connection, timeoutMs) => connection.unary(Admin.method.handover, request, this.attempt(timeoutMs, options)),
      options,
    );
    return coordinator;
  }

  /** Closes all connections; running requests fail. The client may be used again and then connects anew. */
  close(): void {
    for (const connection of [...this.connections, ...this.others.values()]) {
      connection.close();
    }
    this.others.clear();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * Asks one server after another until one answers. A server that holds its connection open and says nothing gets half of the time left,
   * so that the next one still has some.
   */
  private read<T>(attempt: Attempt<T>, options: RequestOptions): Promise<T> {
    return this.failover(
      attempt,
      options,
      (error) => error.code === "connection" || error.code === "unavailable" || error.code === "timeout",
      true,
    );
  }

  /** As `read`, but goes on to the next server only where the error proves that this one did nothing. */
  private write<T>(attempt: Attempt<T>, options: RequestOptions): Promise<T> {
    const mayRetry = (error: StoreError): boolean =>
      error.outcome === "not-applied" && (error.code === "connection" || error.code === "unavailable");
    return this.failover(attempt, options, mayRetry, false);
  }

  private async failover<T>(
    attempt: Attempt<T>,
    options: RequestOptions,
    mayRetry: (error: StoreError) => boolean,
    isRead: boolean,
  ): Promise<T> {
    const endsAt = performance.now() + (options.timeoutMs ?? this.timeoutMs);
    const first = this.preferred;
    const failures: Failure[] = [];
    for (let i = 0; i < this.connections.length; i++) {
      const index = (first + i) % this.connections.length;
      const connection = this.connections[index];
      const left = endsAt - performance.now();
      if (connection === undefined || (i > 0 && left <= 0)) {
        break;
      }
      const isLast = i === this.connections.length - 1;
      try {
        const answer = await attempt(connection, Math.max(1, isRead && !isLast ? left / 2 : left));
        this.preferred = index;
        return answer;
      } catch (error) {
        if (!(error instanceof StoreError)) {
          throw error;
        }
        failures.push({ endpoint: connection.endpoint, error });
        if (options.signal?.aborted === true || !mayRetry(error)) {
          break;
        }
      }
    }
    throw combined(failures, isRead);
  }

  private attempt(timeoutMs: number, options: RequestOptions) {
    const bounds = { timeoutMs: Math.ceil(timeoutMs), dialTimeoutMs: this.dialTimeoutMs };
    return options.signal === undefined ? bounds : { ...bounds, signal: options.signal };
  }

  private connectionTo(endpoint: string): Connection {
    const known = this.connections.find((connection) => connection.endpoint === endpoint) ?? this.others.get(endpoint);
    if (known !== undefined) {
      return known;
    }
    const connection = new Connection(endpoint);
    this.others.set(endpoint, connection);
    return connection;
  }
}

/** One error for all attempts: the one that says most, with the causes of the others. */
function combined(failures: readonly Failure[], isRead: boolean): StoreError {
  const errors = failures.map((failure) => failure.error);
  const last = errors.at(-1);
  if (last === undefined) {
    return new StoreError("no server was asked", { code: "timeout", outcome: "not-applied", endpoint: "" });
  }
  // A server that answered knows more about the cluster than a connection that failed; among equals the last one stands.
  const telling = errors.findLast((error) => error.code !== "connection" && error.code !== "timeout") ?? last;
  const others = errors.filter((error) => error !== telling).map((error) => error.message);
  const outcome = !isRead && errors.some((error) => error.outcome === "unknown") ? "unknown" : "not-applied";
  const message = others.length === 0 ? telling.message : `${telling.message}; ${others.join("; ")}`;
  return new StoreError(message, { code: telling.code, outcome, endpoint: telling.endpoint }, telling.cause ?? telling);
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

/** UTF-8 has no form for half a surrogate pair: sent anyway, it would come back as another character. */
function checkText(what: string, text: string): void {
  if (/\p{Surrogate}/u.test(text)) {
    throw invalid(`the ${what} is not valid Unicode: it holds half of a surrogate pair`);
  }
}

function invalid(message: string): StoreError {
  return new StoreError(message, { code: "invalid-argument", outcome: "not-applied", endpoint: "" });
}
