/**
 * Our own stream to one peer: dialled, kept, dialled again. It speaks only after a Hello, loses what was under way when it
 * closes, and tells a peer that is gone (connection closed, a new one refused) from one that is merely unreachable.
 * Nothing here repeats a message: the protocol does.
 */
import type { Channel, ChannelEvents, ClientStream, ConnectOptions } from "../grpc/channel.js";
import { GRPC_STATUS } from "../grpc/status.js";
import type { Address } from "../paxos/ids.js";
import type { Clock, TimerHandle } from "../ports/clock.js";

export const EXCHANGE_PATH = "/keyvaluestore.MultiPaxos/Exchange";

/** The wait before dialling again: from the first to the last, doubling. The first is short so that a restarted peer is met at once. */
export const REDIAL_MS_FIRST = 20;
export const REDIAL_MS_LAST = 500;
/** From dialling to an answer; a machine that drops packets is given up after this. */
export const CONNECT_TIMEOUT_MS = 2000;
/** Bytes queued to one peer above which messages to it are dropped: it gets them by catch-up. */
export const PEER_QUEUE_BYTES_MAX = 32 * 1024 * 1024;
/** The largest message between servers: a batch or a snapshot chunk of 4 MiB, and what is around it. */
export const PEER_MESSAGE_BYTES_MAX = 8 * 1024 * 1024;

export type Connect = (options: ConnectOptions, events: ChannelEvents) => Channel;

export type PeerLinkOptions = {
  readonly peer: Address;
  readonly connect: Connect;
  readonly clock: Clock;
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
  private timer: TimerHandle | null = null;
  /** Messages that found a full queue, over the life of the link. */
  dropped = 0;

  constructor(options: PeerLinkOptions) {
    this.options = options;
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

  /** The peer was heard from on its own stream: it is there, so there is no reason to wait. */
  hint(): void {
    if (this.channel === null) {
      this.redialMs = REDIAL_MS_FIRST;
      this.dial();
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
        // UNAVAILABLE is a lost connection, which the channel itself reports.
        if (this.channel === channel && end.status !== GRPC_STATUS.UNAVAILABLE) {
          this.options.onRefused(end.statusMessage);
          channel.close(); // after which the channel reports nothing
          this.redialMs = REDIAL_MS_LAST;
          this.onLost(false);
        }
      },
    });
    this.options.onConnected();
  }

  private onLost(refused: boolean): void {
    this.channel = null;
    this.stream = null;
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
