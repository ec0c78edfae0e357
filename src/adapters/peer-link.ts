/**
 * Our own stream to one peer: dialled, kept, dialled again. It speaks only after a Hello, loses what was under way when it
 * closes, and tells a peer that is gone (connection closed, a new one refused) from one that is merely unreachable.
 * A peer that is not heard for long has its stream replaced: TCP alone would go on with the old one, and after an outage stay
 * silent for about as long again. Nothing here repeats a message: the protocol does.
 */
import type { CallStatus, Channel, ChannelEvents, ClientStream, ConnectOptions } from "../grpc/channel.js";
import { GRPC_STATUS } from "../grpc/status.js";
import type { Address } from "../paxos/ids.js";
import type { Clock, TimerHandle } from "../ports/clock.js";

export const EXCHANGE_PATH = "/keyvaluestore.MultiPaxos/Exchange";

/** The wait before dialling again: from the first to the last, doubling. The first is short so that a restarted peer is met at once. */
export const REDIAL_MS_FIRST = 20;
export const REDIAL_MS_LAST = 500;
/** From dialling to an answer; a machine that drops packets is given up after this. */
export const CONNECT_TIMEOUT_MS = 2000;
/** A peer not heard for so long, at least, has its stream replaced. Servers ping each other several times in SUSPECTS_SILENT suspicions. */
export const SILENCE_MS_MIN = 2000;
export const SUSPECTS_SILENT = 3;
/** How often silence is looked at within its limit; so many looks later a stream is given up. */
export const SILENCE_LOOKS = 4;
/** Looks without a word after which a new stream of the peer means that ours leads nowhere. */
export const DEAF_LOOKS = 2;
/** How long the end of a stream that looks like a lost connection waits for the connection's own end. */
export const STRAY_END_MS = 100;
/** Bytes queued to one peer above which messages to it are dropped: it gets them by catch-up. */
export const PEER_QUEUE_BYTES_MAX = 32 * 1024 * 1024;
/** The largest message between servers: a batch or a snapshot chunk of 4 MiB, and what is around it. */
export const PEER_MESSAGE_BYTES_MAX = 8 * 1024 * 1024;

export type Connect = (options: ConnectOptions, events: ChannelEvents) => Channel;

export type PeerLinkOptions = {
  readonly peer: Address;
  readonly connect: Connect;
  readonly clock: Clock;
  /** How long a server may be silent before the protocol suspects it. Milliseconds. */
  readonly suspectMs: number;
  readonly onConnected: () => void;
  readonly onGone: () => void;
  /** The peer ended our stream and said why. */
  readonly onRefused: (reason: string) => void;
};

export class PeerLink {
  private readonly options: PeerLinkOptions;
  private channel: Channel | null = null;
  private stream: ClientStream | null = null;
  private helloSent = false;
  private stopped = false;
  private wasConnected = false;
  private redialMs = REDIAL_MS_FIRST;
  /** The wait before dialling again, or for a connection's end. */
  private timer: TimerHandle | null = null;
  private readonly lookMs: number;
  private watch: TimerHandle | null = null;
  /** Looks at this stream since the peer was last heard. Counted, not timed: a pause of our own is no silence of the peer's. */
  private silentLooks = 0;
  /** Messages that found a full queue, over the life of the link. */
  dropped = 0;

  constructor(options: PeerLinkOptions) {
    this.options = options;
    this.lookMs = Math.max(SILENCE_MS_MIN, SUSPECTS_SILENT * options.suspectMs) / SILENCE_LOOKS;
  }

  get connected(): boolean {
    return this.stream !== null;
  }

  dial(): void {
    if (this.stopped || this.channel !== null) {
      return;
    }
    this.timer?.cancel();
    this.timer = null;
    const { host, port } = splitAddress(this.options.peer);
    const settings = {
      host,
      port,
      connectTimeoutMs: CONNECT_TIMEOUT_MS,
      messageBytesMax: PEER_MESSAGE_BYTES_MAX,
      streamQueueBytesMax: PEER_QUEUE_BYTES_MAX,
    };
    const channel = this.options.connect(settings, {
      onConnected: () => this.onConnected(),
      onRefused: () => this.onLost(true),
      onClosed: () => this.onLost(false),
    });
    this.channel = channel;
  }

  /** A message of the peer came, on its own stream. */
  heard(): void {
    this.silentLooks = 0;
  }

  /**
   * The peer said Hello: it is there, so there is no reason to wait. `isNewStream`: it has dialled us anew; if it was silent
   * before that, our stream is of the time before, when its machine or the network went away.
   */
  greeted(isNewStream: boolean): void {
    if (this.channel === null) {
      this.redialMs = REDIAL_MS_FIRST;
      this.dial();
    } else if (isNewStream && this.silentLooks >= DEAF_LOOKS) {
      this.giveUp();
    }
  }

  /** Queues `frame`, unless there is no stream, no Hello was sent on it yet, or its queue is full. */
  send(frame: Uint8Array, isHello: boolean): void {
    if (this.stream === null || !(this.helloSent || isHello)) {
      return;
    }
    this.helloSent = true;
    if (!this.stream.send(frame)) {
      this.dropped++;
    }
  }

  stop(): void {
    this.stopped = true;
    this.timer?.cancel();
    this.watch?.cancel();
    const { channel, stream } = this;
    this.channel = null;
    this.stream = null;
    stream?.halfClose();
    channel?.close();
  }

  private onConnected(): void {
    const channel = this.channel;
    if (channel === null || this.stopped) {
      return;
    }
    this.wasConnected = true;
    this.redialMs = REDIAL_MS_FIRST;
    this.helloSent = false;
    this.stream = channel.open(EXCHANGE_PATH, {
      onMessage: () => {}, // the peer speaks on its own stream
      onEnd: (end) => {
        if (this.channel === channel) {
          this.onStreamEnd(end);
        }
      },
    });
    this.look(0);
    this.options.onConnected();
  }

  private onStreamEnd({ status, statusMessage }: CallStatus): void {
    this.stream = null;
    if (status !== GRPC_STATUS.UNAVAILABLE) {
      this.options.onRefused(statusMessage);
      this.leaveAlone();
      return;
    }
    // A lost connection, which the channel itself reports; or a stream that ended by itself, for want of room or by a proxy's word.
    this.timer = this.options.clock.after(STRAY_END_MS, () => this.leaveAlone());
  }

  /** The connection is of no use although it lives: the next one is made after a while. */
  private leaveAlone(): void {
    this.channel?.close(); // after which the channel reports nothing
    this.redialMs = REDIAL_MS_LAST;
    this.onLost(false);
  }

  /** Whoever was on the other side of this connection is not there any more: another is dialled at once. */
  private giveUp(): void {
    this.channel?.abort(); // nothing of what is queued is worth anything by now
    this.redialMs = REDIAL_MS_FIRST;
    this.onLost(false);
  }

  private look(silentLooks: number): void {
    this.silentLooks = silentLooks;
    this.watch = this.options.clock.after(this.lookMs, () => {
      if (this.silentLooks >= SILENCE_LOOKS) {
        this.giveUp();
      } else {
        this.look(this.silentLooks + 1);
      }
    });
  }

  private onLost(refused: boolean): void {
    this.channel = null;
    this.stream = null;
    this.timer?.cancel();
    this.watch?.cancel();
    this.silentLooks = 0;
    if (this.stopped) {
      return;
    }
    if (refused && this.wasConnected) {
      this.wasConnected = false; // once per loss
      this.options.onGone();
    }
    // A stream that just broke is dialled at once: whether that is refused tells a dead process from a broken connection.
    const wait = this.wasConnected && !refused && this.redialMs === REDIAL_MS_FIRST ? 0 : this.redialMs;
    this.redialMs = Math.min(REDIAL_MS_LAST, this.redialMs * 2);
    this.timer = this.options.clock.after(wait, () => this.dial());
  }
}

/** Host (IPv6 without brackets) and port of a normalised address. */
export function splitAddress(address: Address): { readonly host: string; readonly port: number } {
  const colon = address.lastIndexOf(":");
  const host = address.slice(0, colon).replace(/^\[(.*)\]$/, "$1");
  return { host, port: Number(address.slice(colon + 1)) };
}
