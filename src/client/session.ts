/**
 * The client's side of exactly once (docs/PROTOCOL.md): a session of the store, numbers for the writes in it, and asking on under the
 * same number until there is an answer. A number is drawn once for a write and never for another; a write gets a second number only
 * where it is proved that nothing was applied under the first.
 */
import { create } from "@bufbuild/protobuf";
import { CloseSessionRequestSchema, KeyValueStore, RegisterSessionRequestSchema } from "../gen/keyvaluestore_pb.js";
import type { AttemptOptions, Connection } from "./connection.js";
import { StoreError } from "./error.js";
import { type Bounds, pause, type Servers } from "./servers.js";

/** What a request carries of its session; nothing where it has none. */
export type WriteFields = { readonly session: Uint8Array; readonly seq: bigint; readonly firstUnacked: bigint } | Record<never, never>;
/** One try of a write. */
export type WriteAttempt<T> = (connection: Connection, timeoutMs: number, fields: WriteFields) => Promise<T>;
/** The bounds of one try, of all that is asked here. */
export type AttemptBounds = (timeoutMs: number, signal: AbortSignal | undefined) => AttemptOptions;

/** A write whose sessions expire again and again before it is applied gives up with this many new ones. */
export const RENEWALS_MAX = 3;
/** How often a write that waits for a free number looks. Milliseconds. */
const LOOK_MS = 5;

/** One session, and the numbers given in it. */
class OpenSession {
  readonly token: Uint8Array;
  private readonly outstandingMax: number;
  /** Numbers that may still be asked for. */
  private readonly open = new Set<number>();
  private next = 1;
  private firstUnacked = 1;

  constructor(token: Uint8Array, outstandingMax: number) {
    this.token = token;
    this.outstandingMax = outstandingMax;
  }

  /** A number of its own for a write; undefined while too many are out. */
  take(): number | undefined {
    if (this.next - this.firstUnacked >= this.outstandingMax) {
      return undefined;
    }
    this.open.add(this.next);
    return this.next++;
  }

  /** The number is never asked for again: it was answered, or given up. */
  drop(seq: number): void {
    this.open.delete(seq);
    while (this.firstUnacked < this.next && !this.open.has(this.firstUnacked)) {
      this.firstUnacked++;
    }
  }

  fieldsOf(seq: number): WriteFields {
    return { session: this.token, seq: BigInt(seq), firstUnacked: BigInt(this.firstUnacked) };
  }
}

/** Writes of one client, each applied once. */
export class SessionWriter {
  private readonly servers: Servers;
  private readonly attemptBounds: AttemptBounds;
  private session: OpenSession | undefined;
  private registering: Promise<OpenSession | undefined> | undefined;
  /** The servers know no sessions: they are older, or of another program. */
  private isUnknown = false;

  constructor(servers: Servers, attemptBounds: AttemptBounds) {
    this.servers = servers;
    this.attemptBounds = attemptBounds;
  }

  /** Asks until there is an answer, within `bounds`. The first write of all registers the session. */
  async write<T>(attempt: WriteAttempt<T>, bounds: Bounds): Promise<T> {
    for (let renewals = 0; ; renewals++) {
      const session = await this.ready(bounds);
      if (session === undefined) {
        return this.servers.writeOnce((connection, timeoutMs) => attempt(connection, timeoutMs, {}), bounds);
      }
      const seq = await freeNumber(session, bounds);
      try {
        return await this.servers.insist((connection, timeoutMs) => attempt(connection, timeoutMs, session.fieldsOf(seq)), bounds);
      } catch (error) {
        if (!(error instanceof StoreError && error.code === "session-expired")) {
          throw error;
        }
        if (this.session === session) {
          this.session = undefined;
        }
        if (error.outcome === "unknown" || renewals === RENEWALS_MAX || performance.now() >= bounds.endsAt) {
          throw error;
        }
      } finally {
        session.drop(seq);
      }
    }
  }

  /** Tells the store that the session is not needed any more. Writes under way fail. */
  async end(bounds: Bounds): Promise<void> {
    const { session } = this;
    this.session = undefined;
    if (session !== undefined) {
      const request = create(CloseSessionRequestSchema, { session: session.token });
      await this.servers.read(
        (connection, timeoutMs) =>
          connection.unary(KeyValueStore.method.closeSession, request, this.attemptBounds(timeoutMs, bounds.signal)),
        bounds,
      );
    }
  }

  /** The session, registered by the first who asks; who waits for another's attempt that failed makes one of his own, while there is time. */
  private async ready(bounds: Bounds): Promise<OpenSession | undefined> {
    while (this.session === undefined && !this.isUnknown) {
      if (this.registering === undefined) {
        this.registering = this.register(bounds).finally(() => {
          this.registering = undefined;
        });
        return this.registering;
      }
      await settled(this.registering, bounds);
      if (performance.now() >= bounds.endsAt || bounds.signal?.aborted === true) {
        const code = bounds.signal?.aborted === true ? "cancelled" : "timeout";
        throw notSent("the session of this client was not registered in time", code, this.servers.endpoint);
      }
    }
    return this.session;
  }

  private async register(bounds: Bounds): Promise<OpenSession | undefined> {
    const request = create(RegisterSessionRequestSchema);
    try {
      const { session, outstandingMax } = await this.servers.read(
        (connection, timeoutMs) =>
          connection.unary(KeyValueStore.method.registerSession, request, this.attemptBounds(timeoutMs, bounds.signal)),
        bounds,
      );
      this.session = new OpenSession(session, outstandingMax);
    } catch (error) {
      if (!(error instanceof StoreError && error.code === "unimplemented")) {
        throw error;
      }
      this.isUnknown = true;
    }
    return this.session;
  }
}

/** Resolves when `work` is over, whatever came of it, and no later than the bounds say. */
async function settled(work: Promise<unknown>, { endsAt, signal }: Bounds): Promise<void> {
  const over = new AbortController();
  const done = (): void => over.abort();
  signal?.addEventListener("abort", done);
  work.then(done, done);
  await pause(endsAt - performance.now(), { endsAt, signal: over.signal });
  signal?.removeEventListener("abort", done);
}

async function freeNumber(session: OpenSession, bounds: Bounds): Promise<number> {
  for (;;) {
    const seq = session.take();
    if (seq !== undefined) {
      return seq;
    }
    if (performance.now() >= bounds.endsAt || bounds.signal?.aborted === true) {
      throw notSent("too many writes of this client wait for their answers", "resource-exhausted", "");
    }
    await pause(LOOK_MS, bounds);
  }
}

function notSent(message: string, code: StoreError["code"], endpoint: string): StoreError {
  return new StoreError(message, { code, outcome: "not-applied", endpoint });
}
