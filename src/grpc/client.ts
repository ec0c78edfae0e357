/** Dials one server and gives its connection to its owner as a `Channel`. One attempt, one connection: dialling again is the owner's. */
import { createConnection } from "node:net";
import type { CallOptions, Channel, ChannelEvents, ClientStream, ClientStreamEvents, ConnectOptions, UnaryReply } from "./channel.js";
import { ClientConnection, type ClientOwner } from "./client-connection.js";
import { SocketLink } from "./socket-link.js";

export const CONNECT_TIMEOUT_MS_DEFAULT = 5000;
/** A batch of 1 MiB in its envelope, or the answer to a request of 1.5 MiB. */
export const REPLY_BYTES_MAX_DEFAULT = 2 * 1024 * 1024 + 64 * 1024;
export const STREAM_QUEUE_BYTES_MAX_DEFAULT = 4 * 1024 * 1024;

/** Dials. What becomes of it is told by `events`, always later. */
export function connect(options: ConnectOptions, events: ChannelEvents): Channel {
  return new SocketChannel(options, events);
}

class SocketChannel implements Channel, ClientOwner {
  private readonly link: SocketLink;
  private readonly connection: ClientConnection;
  private readonly events: ChannelEvents;
  private readonly connectTimeout: NodeJS.Timeout;
  private refused = false;
  /** The owner has closed the channel, or was told its end. */
  private silent = false;

  constructor(options: ConnectOptions, events: ChannelEvents) {
    const { host, port } = options;
    const socket = createConnection({ host, port });
    this.events = events;
    this.link = new SocketLink(socket);
    this.connection = new ClientConnection(
      {
        authority: host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`,
        messageBytesMax: options.messageBytesMax ?? REPLY_BYTES_MAX_DEFAULT,
        streamQueueBytesMax: options.streamQueueBytesMax ?? STREAM_QUEUE_BYTES_MAX_DEFAULT,
      },
      this.link,
      this,
    );
    const timeoutMs = options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS_DEFAULT;
    this.connectTimeout = setTimeout(() => socket.destroy(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
    socket.on("error", (error: NodeJS.ErrnoException) => {
      this.refused = error.code === "ECONNREFUSED";
    });
    this.link.attach(this.connection);
  }

  get usable(): boolean {
    return this.connection.usable;
  }

  unary(path: string, message: Uint8Array, options: CallOptions = {}): Promise<UnaryReply> {
    return this.connection.unary(path, message, options);
  }

  open(path: string, events: ClientStreamEvents, options: CallOptions = {}): ClientStream {
    return this.connection.open(path, events, options);
  }

  close(): void {
    this.silent = true;
    this.connection.close();
    if (this.link.socket.connecting) {
      this.link.socket.destroy();
    }
  }

  abort(): void {
    this.silent = true;
    const { socket } = this.link;
    if (socket.connecting) {
      socket.destroy();
    } else {
      socket.resetAndDestroy();
    }
  }

  connected(): void {
    clearTimeout(this.connectTimeout);
    if (!this.silent) {
      this.events.onConnected();
    }
  }

  over(reason: string): void {
    clearTimeout(this.connectTimeout);
    this.link.defer(() => this.report(reason));
  }

  private report(reason: string): void {
    if (this.silent) {
      return;
    }
    this.silent = true;
    if (this.refused) {
      this.events.onRefused();
    } else {
      this.events.onClosed(reason);
    }
  }
}
