/**
 * One gRPC channel to one server: dials, makes unary calls, and keeps apart what never left from what may have arrived.
 * It must never retry and never choose another server; the client above does.
 */
import {
  create,
  type DescMessage,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { type ChannelOptions, Client, connectivityState, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import { StoreError } from "./error.js";
import { fromServiceError } from "./grpc-error.js";

/** Bounds of one attempt, in milliseconds. */
export type AttemptOptions = {
  readonly timeoutMs: number;
  readonly dialTimeoutMs: number;
  /** Ends the attempt with code `cancelled`. */
  readonly signal?: AbortSignal;
};

/** A response may be this large: the largest request a server can be told to take, and room for its frame. */
const RECEIVE_BYTES_MAX = 65 * 1024 * 1024;
/** A failed channel is thrown away and the next attempt dials anew, so grpc-js's own redialling shall never get its turn. */
const NEVER_REDIAL_MS = 3_600_000;

const CHANNEL_OPTIONS: ChannelOptions = {
  "grpc.enable_retries": 0,
  "grpc.use_local_subchannel_pool": 1,
  "grpc.initial_reconnect_backoff_ms": NEVER_REDIAL_MS,
  "grpc.max_reconnect_backoff_ms": NEVER_REDIAL_MS,
  "grpc.max_receive_message_length": RECEIVE_BYTES_MAX,
  // Servers are named by address: a proxy of the environment, meant for the web, would only stand in the way.
  "grpc.enable_http_proxy": 0,
  "grpc.service_config_disable_resolution": 1,
};

/** A connection to `endpoint`, made at its first call. */
export class Connection {
  readonly endpoint: string;
  private client: Client | undefined;

  constructor(endpoint: string) {
    this.endpoint = endpoint;
  }

  /** Makes one call, once. Rejects with a `StoreError` only. */
  async unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    options: AttemptOptions,
  ): Promise<MessageShape<O>> {
    const startedAt = performance.now();
    const client = await this.dial(Math.min(options.dialTimeoutMs, options.timeoutMs));
    const left = Math.max(1, options.timeoutMs - (performance.now() - startedAt));
    return new Promise((resolve, reject) => {
      const abort = (): void => call.cancel();
      const done = (failure: ServiceError | null, response?: MessageShape<O>): void => {
        options.signal?.removeEventListener("abort", abort);
        if (failure === null && response !== undefined) {
          resolve(response);
          return;
        }
        reject(failure === null ? this.emptyAnswer() : this.failed(failure, options.signal?.aborted === true));
      };
      const call = client.makeUnaryRequest(
        `/${method.parent.typeName}/${method.name}`,
        (message: MessageShape<I>) => Buffer.from(toBinary(method.input, message)),
        (bytes: Buffer) => fromBinary(method.output, bytes),
        create(method.input, request),
        new Metadata(),
        { deadline: Date.now() + left },
        done,
      );
      options.signal?.addEventListener("abort", abort);
      if (options.signal?.aborted === true) {
        abort();
      }
    });
  }

  /**
   * Makes one call that is answered with many messages, each of which may take `timeoutMs`. Throws a `StoreError` only; who stops reading
   * ends the call.
   */
  async *stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodServerStreaming<I, O>,
    request: MessageInitShape<I>,
    options: AttemptOptions,
  ): AsyncGenerator<MessageShape<O>, void> {
    const client = await this.dial(Math.min(options.dialTimeoutMs, options.timeoutMs));
    const call = client.makeServerStreamRequest(
      `/${method.parent.typeName}/${method.name}`,
      (message: MessageShape<I>) => Buffer.from(toBinary(method.input, message)),
      (bytes: Buffer) => fromBinary(method.output, bytes),
      create(method.input, request),
    );
    call.on("error", () => undefined); // the reader below hears of it; between two reads nobody else would
    const abort = (): void => call.cancel();
    options.signal?.addEventListener("abort", abort);
    const messages = call[Symbol.asyncIterator]();
    let isLate = false;
    try {
      for (;;) {
        const timer = setTimeout(() => {
          isLate = true;
          call.cancel();
        }, options.timeoutMs);
        const { done, value } = await messages.next().finally(() => clearTimeout(timer));
        if (done === true) {
          return;
        }
        yield value;
      }
    } catch (error) {
      throw isLate ? this.late(options.timeoutMs) : isServiceError(error) ? this.failed(error, options.signal?.aborted === true) : error;
    } finally {
      options.signal?.removeEventListener("abort", abort);
      call.cancel();
    }
  }

  /** Drops the channel; the next call dials again. */
  close(): void {
    this.client?.close();
    this.client = undefined;
  }

  /**
   * A client whose channel is ready, or has just failed: then the call that follows fails at once, unsent, with the reason.
   * Only a server that does not answer the dial at all is given up here.
   */
  private async dial(timeoutMs: number): Promise<Client> {
    this.client ??= new Client(target(this.endpoint), credentials.createInsecure(), CHANNEL_OPTIONS);
    const client = this.client;
    const channel = client.getChannel();
    const deadline = Date.now() + timeoutMs;
    let state = channel.getConnectivityState(true);
    while (state === connectivityState.IDLE || state === connectivityState.CONNECTING) {
      const previous = state;
      const inTime = await new Promise<boolean>((resolve) => {
        channel.watchConnectivityState(previous, deadline, (failure) => resolve(failure === undefined));
      });
      if (!inTime) {
        this.close();
        throw new StoreError(`no connection to ${this.endpoint} (no answer within ${timeoutMs} ms)`, {
          code: "connection",
          outcome: "not-applied",
          endpoint: this.endpoint,
        });
      }
      state = channel.getConnectivityState(true);
    }
    return client;
  }

  private failed(failure: ServiceError, wasAborted: boolean): StoreError {
    const error = fromServiceError(failure, this.endpoint);
    if (error.code === "cancelled" && !wasAborted) {
      // Nobody here cancelled: the server reset the stream, as one does that is stopped in the middle of a request.
      const message = `${this.endpoint} gave the request up`;
      return new StoreError(message, { code: "unavailable", outcome: error.outcome, endpoint: this.endpoint }, failure);
    }
    if (error.code === "connection") {
      this.close();
    }
    return error;
  }

  private late(timeoutMs: number): StoreError {
    const message = `${this.endpoint} sent nothing for ${timeoutMs} ms`;
    return new StoreError(message, { code: "timeout", outcome: "not-applied", endpoint: this.endpoint });
  }

  private emptyAnswer(): StoreError {
    return new StoreError(`${this.endpoint} answered without a message`, { code: "internal", outcome: "unknown", endpoint: this.endpoint });
  }
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && "code" in error && "details" in error && "metadata" in error;
}

/** grpc-js tells an IPv6 address from a name by its scheme. */
function target(endpoint: string): string {
  return endpoint.startsWith("[") ? `ipv6:${endpoint}` : `dns:${endpoint}`;
}
