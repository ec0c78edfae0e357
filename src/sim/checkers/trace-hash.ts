/** One number for a whole run: equal runs have equal hashes (invariant 31), whatever machine and runtime they ran on. */
import type { Effect, Event } from "../../paxos/effect.js";
import type { Observer } from "../observer.js";
import type { Operation } from "../workload/operation.js";

const PRIME_A = 0x01000193;
const PRIME_B = 0x85ebca6b;

export class TraceHash implements Observer {
  private a = 0x811c9dc5 | 0;
  private b = 0x9e3779b9 | 0;
  private readonly kinds = new Map<string, number>();

  stepped(at: number, server: number, event: Event, effects: readonly Effect[]): void {
    this.mix(at);
    this.mix((server << 16) ^ effects.length ^ this.kind(event.kind));
    this.mix(event.now);
    if (event.kind === "receive") {
      this.mix(this.kind(event.message.kind));
    }
    for (const effect of effects) {
      this.mix(this.kind(effect.kind === "send" ? effect.message.kind : effect.kind));
    }
  }

  /** What a client was told, and when. */
  answered(at: number, { client, outcome, output }: Operation): void {
    this.mix(at);
    this.mix(client);
    this.mix(this.kind(outcome));
    this.add(output?.value ?? "");
    this.mix(output?.revision ?? -1);
  }

  /** Adds a text. */
  add(text: string): void {
    for (let i = 0; i < text.length; i++) {
      this.mix(text.charCodeAt(i));
    }
  }

  /** 16 hexadecimal digits. */
  get text(): string {
    return [this.a, this.b].map((half) => (half >>> 0).toString(16).padStart(8, "0")).join("");
  }

  private mix(value: number): void {
    const low = value | 0;
    const high = Math.floor(value / 0x1_0000_0000) | 0;
    this.a = Math.imul(this.a ^ low, PRIME_A) ^ (this.a >>> 15);
    this.b = Math.imul(this.b ^ high ^ ((low << 13) | (low >>> 19)), PRIME_B) ^ (this.b >>> 13);
  }

  private kind(name: string): number {
    const known = this.kinds.get(name);
    if (known !== undefined) {
      return known;
    }
    let value = 7;
    for (let i = 0; i < name.length; i++) {
      value = (Math.imul(value, 31) + name.charCodeAt(i)) | 0;
    }
    this.kinds.set(name, value);
    return value;
  }
}
