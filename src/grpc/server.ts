/**
 * The gRPC server: listens, tells HTTP/2 from other protocols, and gives every connection its state. Knows paths and handlers, not what
 * they mean.
 */
import { createServer, type Server, type Socket } from "node:net";
import { PREFACE } from "./frames.js";
import { DEFAULT_LIMITS, type GrpcLimits } from "./limits.js";
import { ServerConnection } from "./server-connection.js";
import type { GrpcServices } from "./service.js";
import { sniffProtocol } from "./sniff.js";
import { SocketLink } from "./socket-link.js";

export interface GrpcServerOptions extends GrpcServices {
  /**
   * Takes over a connection that does not speak HTTP/2, with the bytes read from it so far; the socket is paused and has no listeners
   * but those of this server for its end. From then on it is the hook's: `drain` and `close` leave it alone. Default: HTTP/1 is answered
   * with 505 and the connection is closed.
   */
  readonly onOtherProtocol?: (socket: Socket, firstBytes: Buffer) => void;
  /** The system could not give us a new connection (no file descriptors, say); we go on listening. */
  readonly onAcceptError?: (error: Error) => void;
}

export class GrpcServer {
  private readonly options: GrpcServerOptions;
  private readonly limits: GrpcLimits;
  private readonly server: Server;
  /** Open connections; without a state while they have not said what they speak. */
  private readonly sockets = new Map<Socket, ServerConnection | undefined>();
  private draining = false;
  private onIdle: (() => void) | undefined;

  constructor(options: GrpcServerOptions) {
    this.options = options;
    this.limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.server = createServer((socket) => this.onSocket(socket));
    this.server.maxConnections = this.limits.connectionsMax;
  }

  /** Open connections that are gRPC's, or have not said what they speak. */
  get connections(): number {
    return this.sockets.size;
  }

  /** Port 0 takes any free one. Rejects with the system's error, e.g. EADDRINUSE. */
  listen(host: string, port: number): Promise<{ readonly port: number }> {
    return new Promise((resolve, reject) => {
      this.server.once("error", reject);
      this.server.listen(port, host, () => {
        this.server.removeListener("error", reject);
        this.server.on("error", (error) => this.options.onAcceptError?.(error));
        const address = this.server.address();
        resolve({ port: typeof address === "object" && address !== null ? address.port : port });
      });
    });
  }

  /**
   * Takes no new connections and calls, lets the open calls finish, and closes. After `deadlineMs` what is still open ends with UNAVAILABLE.
   * Resolves when all connections are closed.
   */
  async drain(deadlineMs: number): Promise<void> {
    this.draining = true;
    this.server.close();
    for (const [socket, connection] of this.sockets) {
      if (connection === undefined) {
        socket.destroy();
      } else {
        connection.drain();
      }
    }
    const shutDown = setTimeout(() => this.shutDown(), deadlineMs);
    await this.idle();
    clearTimeout(shutDown);
  }

  /** Ends everything at once. */
  close(): void {
    this.draining = true;
    this.server.close();
    for (const socket of this.sockets.keys()) {
      socket.destroy();
    }
  }

  private shutDown(): void {
    for (const connection of this.sockets.values()) {
      connection?.shutDown();
    }
  }

  private idle(): Promise<void> {
    return new Promise((resolve) => {
      this.onIdle = resolve;
      this.reportIdle();
    });
  }

  private reportIdle(): void {
    if (this.draining && this.sockets.size === 0) {
      this.onIdle?.();
    }
  }

  private onSocket(socket: Socket): void {
    this.sockets.set(socket, undefined);
    // The reason arrives with "close"; without a listener an error would end the process.
    socket.on("error", () => {});
    socket.on("close", () => this.letGo(socket));
    this.awaitProtocol(socket);
  }

  private letGo(socket: Socket): void {
    this.sockets.delete(socket);
    this.reportIdle();
  }

  private awaitProtocol(socket: Socket): void {
    let first: Buffer = Buffer.alloc(0);
    const timeout = setTimeout(() => socket.destroy(), this.limits.firstBytesMsMax);
    const stop = () => {
      clearTimeout(timeout);
      socket.removeListener("data", onData);
      socket.removeListener("close", stop);
    };
    const onData = (chunk: Buffer) => {
      first = first.length === 0 ? chunk : Buffer.concat([first, chunk]);
      const protocol = sniffProtocol(first);
      if (protocol === "more") {
        return;
      }
      stop();
      if (protocol === "http2") {
        this.attach(socket, first.subarray(PREFACE.length));
      } else {
        socket.pause();
        this.letGo(socket);
        (this.options.onOtherProtocol ?? refuseOtherProtocol)(socket, first);
      }
    };
    socket.on("data", onData);
    socket.on("close", stop);
  }

  private attach(socket: Socket, rest: Buffer): void {
    const link = new SocketLink(socket);
    const connection = new ServerConnection(this.options, this.limits, link, `${socket.remoteAddress}:${socket.remotePort}`);
    this.sockets.set(socket, connection);
    link.attach(connection);
    if (this.draining) {
      connection.drain();
    }
    link.onData(rest);
  }
}

const HTTP_1_METHOD = /^[A-Z]{3,10} /;

/** HTTP/1 gets an answer that people can read; anything else (TLS, noise) gets a closed connection. */
function refuseOtherProtocol(socket: Socket, firstBytes: Buffer): void {
  if (!HTTP_1_METHOD.test(firstBytes.toString("latin1", 0, 16))) {
    socket.destroy();
    return;
  }
  const body = "This port speaks gRPC (HTTP/2).\n";
  const head = [
    "HTTP/1.1 505 HTTP Version Not Supported",
    "content-type: text/plain",
    `content-length: ${body.length}`,
    "connection: close",
  ];
  socket.end(`${head.join("\r\n")}\r\n\r\n${body}`, () => socket.destroy());
}
