/**
 * The servers that a client may ask, and the two ways of going from one to the next: each once, for what may not be repeated or need
 * not be; and on and on until the deadline, for writes that carry a number and so may be asked of anybody, again and again.
 * It knows no request; what one try is, and which errors allow the next, the caller says.
 */
import { Connection } from "./connection.js";
import { StoreError } from "./error.js";

/** One try of a request at one server. */
export type Attempt<T> = (connection: Connection, timeoutMs: number) => Promise<T>;
/** When all tries end, on the clock of `performance.now`, and what ends them before. */
export type Bounds = { readonly endsAt: number; readonly signal?: AbortSignal | undefined };

/** No try of several gets less time, as far as there is any: one that is too short only asks the next server for nothing. Milliseconds. */
export const TRY_MS_MIN = 250;
/** The pause after all servers failed, doubled each time up to the second. Milliseconds. */
export const PAUSE_MS_MIN = 20;
export const PAUSE_MS_MAX = 500;
/** The end of an error whose first sentence is of a server that did nothing, where another try may have done something. */
const DOUBT = "by an earlier try the write may have been applied, or may still be";

export class Servers {
  /** As they are dialled, in the order given. */
  readonly endpoints: readonly string[];
  private readonly connections: readonly Connection[];
  private readonly others = new Map<string, Connection>();
  /** Index of the server that answered last: the next request begins there. */
  private preferred = 0;

  constructor(endpoints: readonly string[]) {
    this.endpoints = endpoints;
    this.connections = endpoints.map((endpoint) => new Connection(endpoint));
  }

  /** The server that the next request asks first. */
  get endpoint(): string {
    return this.endpoints[this.preferred] ?? "";
  }

  /** The connection to `endpoint`, which need not be one of the servers. */
  connectionTo(endpoint: string): Connection {
    const known = this.connections.find((connection) => connection.endpoint === endpoint) ?? this.others.get(endpoint);
    if (known !== undefined) {
      return known;
    }
    const connection = new Connection(endpoint);
    this.others.set(endpoint, connection);
    return connection;
  }

  close(): void {
    for (const connection of [...this.connections, ...this.others.values()]) {
      connection.close();
    }
    this.others.clear();
  }

  /**
   * Asks one server after another until one answers. A server that holds its connection open and says nothing gets half of the time left,
   * so that the next one still has some.
   */
  read<T>(attempt: Attempt<T>, bounds: Bounds): Promise<T> {
    const mayRetry = ({ code }: StoreError): boolean => code === "connection" || code === "unavailable" || code === "timeout";
    return this.once(attempt, bounds, mayRetry, true);
  }

  /** As `read`, but goes on to the next server only where the error proves that this one did nothing. */
  writeOnce<T>(attempt: Attempt<T>, bounds: Bounds): Promise<T> {
    const mayRetry = ({ code, outcome }: StoreError): boolean =>
      outcome === "not-applied" && (code === "connection" || code === "unavailable");
    return this.once(attempt, bounds, mayRetry, false);
  }

  /**
   * Asks one server after another, all of them again after a pause, until one answers, the deadline passes, or an error comes that no
   * other server would mend. That nothing listens anywhere is said at once, where no earlier try may have had an effect.
   */
  async insist<T>(attempt: Attempt<T>, bounds: Bounds): Promise<T> {
    const count = this.connections.length;
    const first = this.preferred;
    const failures = new Map<string, StoreError>();
    let mayBeApplied = false;
    for (let turn = 0; ; turn++) {
      const index = (first + turn) % count;
      const connection = this.connections[index] as Connection;
      if (turn > 0 && turn % count === 0) {
        if (!mayBeApplied && [...failures.values()].every(({ code }) => code === "connection")) {
          break;
        }
        await pause(Math.min(PAUSE_MS_MAX, PAUSE_MS_MIN * 2 ** (turn / count - 1)), bounds);
      }
      const left = bounds.endsAt - performance.now();
      if (turn > 0 && (left <= 0 || bounds.signal?.aborted === true)) {
        break;
      }
      try {
        const answer = await attempt(connection, Math.max(1, count === 1 || left <= 2 * TRY_MS_MIN ? left : left / 2));
        this.preferred = index;
        return answer;
      } catch (error) {
        const failure = expectStoreError(error);
        failures.delete(connection.endpoint); // so that the newest is the last
        failures.set(connection.endpoint, failure);
        mayBeApplied ||= failure.outcome === "unknown";
        if (bounds.signal?.aborted === true || !isMendable(failure, mayBeApplied)) {
          break;
        }
      }
    }
    throw combined([...failures.values()], mayBeApplied);
  }

  private async once<T>(attempt: Attempt<T>, bounds: Bounds, mayRetry: (error: StoreError) => boolean, isRead: boolean): Promise<T> {
    const first = this.preferred;
    const failures: StoreError[] = [];
    for (let i = 0; i < this.connections.length; i++) {
      const index = (first + i) % this.connections.length;
      const connection = this.connections[index];
      const left = bounds.endsAt - performance.now();
      if (connection === undefined || (i > 0 && left <= 0)) {
        break;
      }
      const isLast = i === this.connections.length - 1;
      try {
        const answer = await attempt(connection, Math.max(1, isRead && !isLast ? left / 2 : left));
        this.preferred = index;
        return answer;
      } catch (error) {
        const failure = expectStoreError(error);
        failures.push(failure);
        if (bounds.signal?.aborted === true || !mayRetry(failure)) {
          break;
        }
      }
    }
    throw combined(failures, !isRead && failures.some(({ outcome }) => outcome === "unknown"));
  }
}

/** Whether another try of a numbered write can end better. A limit that one server has reached matters no more once another may have applied it. */
function isMendable({ code }: StoreError, mayBeApplied: boolean): boolean {
  return code === "connection" || code === "unavailable" || code === "timeout" || (code === "resource-exhausted" && mayBeApplied);
}

function expectStoreError(error: unknown): StoreError {
  if (error instanceof StoreError) {
    return error;
  }
  throw error;
}

/** Waits, no longer than until the deadline or an abort. */
export async function pause(millis: number, { endsAt, signal }: Bounds): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, Math.max(0, Math.min(millis, endsAt - performance.now())));
    signal?.addEventListener("abort", done);
    if (signal?.aborted === true) {
      done();
    }
  });
}

/** No server said anything. */
function isSilent({ code }: StoreError): boolean {
  return code === "connection" || code === "timeout";
}

/** One error for all attempts: the one that says most, with the causes of the others. */
function combined(errors: readonly StoreError[], mayBeApplied: boolean): StoreError {
  const last = errors.at(-1);
  if (last === undefined) {
    return new StoreError("no server was asked", { code: "timeout", outcome: "not-applied", endpoint: "" });
  }
  // A server that answered knows more about the cluster than a connection that failed; among equals the last one stands.
  const telling = errors.findLast((error) => !isSilent(error)) ?? last;
  const others = errors.filter((error) => error !== telling).map((error) => error.message);
  // That a server wrote nothing holds for one try: it must not be read as the word on all of them.
  const doubt = mayBeApplied && telling.outcome === "not-applied" && !isSilent(telling) ? [DOUBT] : [];
  const message = [telling.message, ...others, ...doubt].join("; ");
  const facts = { code: telling.code, outcome: mayBeApplied ? "unknown" : "not-applied", endpoint: telling.endpoint } as const;
  return new StoreError(message, facts, telling.cause ?? telling);
}
