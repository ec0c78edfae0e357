/**
 * A server's own stream to one peer: dialled, kept, dialled again, with the waits and rules of production's `adapters/peer-link.ts`, which lies below
 * the I/O line: whoever changes one changes the other. It must repeat no message and judge none.
 */
import type { Scheduled } from "../engine/engine.js";
import type { Host } from "../engine/host.js";
import type { Tally } from "../engine/tally.js";
import { Connection } from "./connection.js";
import type { Link } from "./link.js";

const MICROS_A_MILLI = 1000;
/** The wait before dialling again: from the first to the last, doubling. */
export const REDIAL_MS_FIRST = 20;
export const REDIAL_MS_LAST = 500;
/** From dialling to an answer. */
export const CONNECT_TIMEOUT_MS = 2000;
/** A peer not heard for so long, at least, has its stream replaced. */
export const SILENCE_MS_MIN = 2000;
/** The same in times of `suspectMs`. */
export const SUSPECTS_SILENT = 3;
/** How often silence is looked at within its limit. */
export const SILENCE_LOOKS = 4;
/** Looks without a word after which a new stream of the peer means that ours leads nowhere. */
export const DEAF_LOOKS = 2;

export type PeerStreamOptions = {
  readonly host: Host;
  readonly link: Link;
  readonly tally: Tally;
  /** How long a server may be silent before the protocol suspects it. Milliseconds. */
  readonly suspectMs: number;
  readonly onConnected: () => void;
  readonly onGone: () => void;
};

export class PeerStream {
  readonly host: Host;
  private readonly options: PeerStreamOptions;
  private readonly lookMs: number;
  /** Dialled or open. */
  private connection: Connection | null = null;
  private isOpen = false;
  private helloSent = false;
  private stopped = false;
  private wasConnected = false;
  private wasEverConnected = false;
  private redialMs = REDIAL_MS_FIRST;
  /** The wait before dialling again, or for an answer. */
  private timer: Scheduled | null = null;
  private watch: Scheduled | null = null;
  /** Looks at this stream since the peer was last heard: counted, so that a pause of our own is no silence of the peer's. */
  private silentLooks = 0;

  constructor(options: PeerStreamOptions) {
    this.options = options;
    this.host = options.host;
    this.lookMs = Math.max(SILENCE_MS_MIN, SUSPECTS_SILENT * options.suspectMs) / SILENCE_LOOKS;
  }

  dial(): void {
    if (this.stopped || this.connection !== null) {
      return;
    }
    const connection = new Connection(this);
    this.connection = connection;
    this.wait(CONNECT_TIMEOUT_MS, () => this.leave(connection));
    this.options.link.dial(connection);
  }

  /** A message of the peer came, on its own stream. */
  heard(): void {
    this.silentLooks = 0;
  }

  /** The peer said Hello. `isNewStream`: on a stream that it has just dialled. */
  greeted(isNewStream: boolean): void {
    if (this.connection === null) {
      this.redialMs = REDIAL_MS_FIRST;
      this.dial();
    } else if (isNewStream && this.silentLooks >= DEAF_LOOKS) {
      this.giveUp(this.connection);
    }
  }

  /** Whether a message would be sent now: there is a stream, and a Hello went first. */
  takes(isHello: boolean): boolean {
    return this.isOpen && (this.helloSent || isHello);
  }

  /** Only while it `takes`. */
  send(bytes: Uint8Array): void {
    if (this.connection !== null) {
      this.helloSent = true;
      this.options.link.send(this.connection, bytes);
    }
  }

  /** Ends it behind what is under way. */
  stop(): void {
    this.stopped = true;
    const { connection } = this;
    this.forget();
    if (connection !== null) {
      this.options.link.close(connection);
    }
  }

  /** The link: the peer took the connection. */
  onOpen(connection: Connection): void {
    if (this.connection !== connection || this.isOpen) {
      return;
    }
    this.stopTimer();
    this.isOpen = true;
    this.wasConnected = true;
    this.redialMs = REDIAL_MS_FIRST;
    this.helloSent = false;
    this.look(0);
    if (this.wasEverConnected) {
      this.options.tally.add("net redialled");
    }
    this.wasEverConnected = true;
    this.options.onConnected();
  }

  /** The link: nobody listens there. */
  onRefused(connection: Connection): void {
    if (this.connection === connection) {
      this.onLost(true);
    }
  }

  /** The link: the connection ended. */
  onClosed(connection: Connection): void {
    if (this.connection === connection) {
      this.onLost(false);
    }
  }

  /** No answer came in time. */
  private leave(connection: Connection): void {
    this.options.link.abort(connection);
    this.onLost(false);
  }

  /** Whoever was on the other side is not there any more: another is dialled at once. */
  private giveUp(connection: Connection): void {
    this.options.tally.add("net given up");
    this.options.link.abort(connection);
    this.redialMs = REDIAL_MS_FIRST;
    this.onLost(false);
  }

  private look(silentLooks: number): void {
    this.silentLooks = silentLooks;
    const watch = this.host.after(this.lookMs * MICROS_A_MILLI, () => {
      if (this.watch !== watch || this.connection === null) {
        return;
      }
      if (this.silentLooks >= SILENCE_LOOKS) {
        this.giveUp(this.connection);
      } else {
        this.look(this.silentLooks + 1);
      }
    });
    this.watch = watch;
  }

  private onLost(refused: boolean): void {
    this.forget();
    if (this.stopped) {
      return;
    }
    if (refused && this.wasConnected) {
      this.wasConnected = false; // once per loss
      this.options.tally.add("net gone");
      this.options.onGone();
    }
    // A stream that just broke is dialled at once: whether that is refused tells a dead process from a broken connection.
    const waitMs = this.wasConnected && !refused && this.redialMs === REDIAL_MS_FIRST ? 0 : this.redialMs;
    this.redialMs = Math.min(REDIAL_MS_LAST, this.redialMs * 2);
    this.wait(waitMs, () => this.dial());
  }

  private forget(): void {
    this.connection = null;
    this.isOpen = false;
    this.silentLooks = 0;
    this.stopTimer();
    this.watch?.cancel();
    this.watch = null;
  }

  /** A callback that was held by a pause may come after its cancellation: it must not run then. */
  private wait(ms: number, then: () => void): void {
    this.stopTimer();
    const timer = this.host.after(ms * MICROS_A_MILLI, () => {
      if (this.timer === timer) {
        this.timer = null;
        then();
      }
    });
    this.timer = timer;
  }

  private stopTimer(): void {
    this.timer?.cancel();
    this.timer = null;
  }
}
