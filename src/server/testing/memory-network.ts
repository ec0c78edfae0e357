/** Streams between servers of one test, in memory and in virtual time: every message is encoded and decoded as on the wire. */
import type { Address } from "../../paxos/ids.js";
import type { Header, Message } from "../../paxos/message.js";
import { decodeEnvelope, encodeEnvelope } from "../../paxos/message-codec.js";
import type { PeerEvents, PeerNetwork } from "../../ports/peer-network.js";
import type { VirtualClock } from "./virtual-clock.js";

/** One way, and the time until a lost peer is known to be gone. Milliseconds. */
const DELAY_MS = 0.25;

export class MemoryHub {
  private readonly clock: VirtualClock;
  private readonly running = new Map<Address, PeerEvents>();
  /** Messages for which it holds are lost. */
  lose: (from: Address, to: Address, message: Message) => boolean = () => false;
  /** How long a message takes, in milliseconds; what is late arrives although its sender was cut off meanwhile. */
  delay: (from: Address, to: Address, message: Message) => number = () => DELAY_MS;
  /** Of each kind, how many were sent. */
  readonly sent = new Map<Message["kind"], number>();

  constructor(clock: VirtualClock) {
    this.clock = clock;
  }

  networkOf(self: Address): PeerNetwork {
    return {
      start: async (peers, events) => this.join(self, peers, events),
      send: (to, header, message) => this.send(self, to, { header, message }),
      dial: (peer) => this.connect(self, peer),
      forget: () => {}, // what nobody sends to costs nothing here
      stop: async () => this.leave(self),
    };
  }

  /** The process of `address` is gone: nothing it had under way arrives, and the others notice. */
  leave(address: Address): void {
    if (this.running.delete(address)) {
      for (const events of this.running.values()) {
        this.clock.after(DELAY_MS, () => events.onGone(address));
      }
    }
  }

  private join(self: Address, peers: readonly Address[], events: PeerEvents): void {
    this.running.set(self, events);
    for (const peer of peers) {
      const other = this.running.get(peer);
      if (other !== undefined) {
        this.clock.after(DELAY_MS, () => events.onConnected(peer));
        this.clock.after(DELAY_MS, () => other.onConnected(self));
      }
    }
  }

  private connect(self: Address, peer: Address): void {
    const events = this.running.get(self);
    if (events !== undefined && this.running.has(peer)) {
      this.clock.after(DELAY_MS, () => events.onConnected(peer));
    }
  }

  private send(from: Address, to: readonly Address[], { header, message }: { header: Header; message: Message }): void {
    this.sent.set(message.kind, (this.sent.get(message.kind) ?? 0) + 1);
    const bytes = encodeEnvelope(header, message);
    for (const peer of to) {
      const sender = this.running.get(from);
      const receiver = this.running.get(peer);
      if (sender !== undefined && receiver !== undefined && !this.lose(from, peer, message)) {
        this.clock.after(this.delay(from, peer, message), () => {
          if (this.running.get(from) === sender && this.running.get(peer) === receiver) {
            const envelope = decodeEnvelope(bytes);
            receiver.onMessage(from, envelope.header, envelope.message);
          }
        });
      }
    }
  }
}
