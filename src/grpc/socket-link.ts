/**
 * Binds a session to a socket: bytes in, one gathered write out per connection and turn of the event loop, a timer, the end. The only file
 * with `client.ts` and `server.ts` that knows sockets; works the same over TCP and TLS. Must never write while a write is under way.
 */
import type { Socket } from "node:net";
import type { Session, SessionPort } from "./session.js";

/** The kernel looks whether a silent peer's machine is still there after this long. */
const KEEP_ALIVE_MS = 30_000;
/** How long a connection that we ended may take to be read to its end and closed by the peer. */
export const LINGER_MS = 2000;

/** Reads and timers of the session that a link serves. */
export interface LinkEvents {
  readonly session: Session;
  onTimer(): void;
}

export class SocketLink implements SessionPort {
  readonly socket: Socket;
  private events: LinkEvents | undefined;
  private flushWanted = false;
  private flushing = false;
  private writing = false;
  private finishing = false;
  private timer: NodeJS.Timeout | undefined;
  private timerAt = Number.POSITIVE_INFINITY;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
  }

  /** Connects the session's end; from now on the socket's bytes go to it. */
  attach(events: LinkEvents): void {
    this.events = events;
    let failure = "the connection was closed by the other side";
    this.socket.on("data", (chunk: Buffer) => this.onData(chunk));
    this.socket.on("error", (error) => {
      failure = `the connection broke: ${error.message}`;
    });
    this.socket.on("close", () => {
      clearTimeout(this.timer);
      events.session.disconnected(failure);
    });
  }

  now(): number {
    return performance.now();
  }

  wantFlush(): void {
    if (this.flushWanted) {
      return;
    }
    this.flushWanted = true;
    if (this.flushing) {
      // What a flush made room for waits for the next turn: a fast reader must not keep us from everybody else.
      setImmediate(() => this.flush());
    } else {
      // After the callback of the event loop that is running now, and so after everything it answers.
      queueMicrotask(() => this.flush());
    }
  }

  defer(callback: () => void): void {
    setImmediate(callback);
  }

  finish(): void {
    this.finishing = true;
    this.wantFlush();
  }

  wakeAt(at: number): void {
    if (at < this.timerAt) {
      clearTimeout(this.timer);
      this.timerAt = at;
      this.timer = setTimeout(() => this.onTimer(), Math.max(1, Math.ceil(at - this.now())));
    }
  }

  /** Bytes that came before the session was attached. */
  onData(chunk: Buffer): void {
    const session = this.events?.session;
    if (session === undefined) {
      return;
    }
    session.receive(chunk);
    if (session.congested) {
      this.socket.pause();
    }
  }

  private onTimer(): void {
    this.timerAt = Number.POSITIVE_INFINITY;
    this.events?.onTimer();
  }

  private flush(): void {
    this.flushWanted = false;
    const session = this.events?.session;
    if (this.writing || session === undefined || this.socket.destroyed) {
      return;
    }
    if (session.output.size > 0) {
      this.flushing = true;
      this.write(session.output.take());
      if (!this.writing) {
        this.written(session);
      }
      this.flushing = false;
    }
    if (this.finishing && !this.writing && session.output.size === 0) {
      this.endSocket();
    }
  }

  private write(parts: readonly Uint8Array[]): void {
    const socket = this.socket;
    const last = parts.length - 1;
    if (last > 0) {
      socket.cork();
    }
    for (const [i, part] of parts.entries()) {
      socket.write(part, i === last ? this.onWriteDone : undefined);
    }
    if (last > 0) {
      socket.uncork();
    }
    // The kernel usually takes all at once; then nothing is left in the stream, and the buffer is free.
    this.writing = socket.writableLength > 0;
  }

  private readonly onWriteDone = (): void => {
    const session = this.events?.session;
    if (this.writing && session !== undefined && this.socket.writableLength === 0) {
      this.writing = false;
      this.flushing = true;
      this.written(session);
      this.flushing = false;
      if (session.output.size > 0 || this.finishing) {
        this.wantFlush();
      }
    }
  };

  private written(session: Session): void {
    session.output.giveBack();
    session.sender.flushAll();
    if (this.socket.isPaused() && !session.congested) {
      this.socket.resume();
    }
  }

  private endSocket(): void {
    if (!this.socket.writableEnded) {
      this.socket.end();
      // What still comes is read and dropped, so that the kernel does not answer it with a reset that outruns our last bytes.
      this.socket.resume();
      setTimeout(() => this.socket.destroy(), LINGER_MS).unref();
    }
  }
}
