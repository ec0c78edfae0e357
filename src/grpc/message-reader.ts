/**
 * Cuts gRPC messages (flag, length, bytes) out of the DATA of one stream. A message that lies whole in one frame is delivered as a view of it;
 * one that spans frames is gathered. Must never hold more than the limit, whatever the prefix announces.
 */
import { Gather } from "./gather.js";
import { MESSAGE_PREFIX_BYTES } from "./sender.js";
import { GRPC_STATUS, type GrpcStatus } from "./status.js";

/** Why a stream's bytes are refused, as the status that says so. */
export interface ReadFault {
  readonly status: GrpcStatus;
  readonly message: string;
}

/** The fault of a message above the limit. */
export function tooLarge(bytes: number, bytesMax: number): ReadFault {
  return { status: GRPC_STATUS.RESOURCE_EXHAUSTED, message: `message of ${bytes} bytes is above the limit of ${bytesMax} bytes` };
}

/** The reader of one stream's direction. */
export class MessageReader {
  private readonly bytesMax: number;
  private readonly refuse: typeof tooLarge;
  private readonly deliver: (message: Uint8Array) => boolean;
  private readonly partial = new Gather();

  /** `deliver` gets each message and returns false to stop: what follows is dropped. `refuse`: what is said of a message above the limit. */
  constructor(bytesMax: number, deliver: (message: Uint8Array) => boolean, refuse = tooLarge) {
    this.bytesMax = bytesMax;
    this.deliver = deliver;
    this.refuse = refuse;
  }

  /** Memory held for a message under way. */
  get held(): number {
    return this.partial.capacity;
  }

  /** Whether a message has begun and not ended. */
  get midway(): boolean {
    return this.partial.length > 0;
  }

  /** Lets go of a message under way. */
  discard(): void {
    this.partial.take();
  }

  /** Reads on. A fault ends the stream: the reader must not be used after it. */
  push(data: Buffer): ReadFault | undefined {
    let at = 0;
    while (at < data.length) {
      if (this.partial.length > 0) {
        const taken = this.resume(data, at);
        if (typeof taken !== "number") {
          return taken;
        }
        at = taken;
        continue;
      }
      if (data.length - at < MESSAGE_PREFIX_BYTES) {
        this.hold(data.subarray(at), MESSAGE_PREFIX_BYTES);
        return undefined;
      }
      const length = data.readUInt32BE(at + 1);
      const fault = this.faultOf(data[at] as number, length);
      if (fault !== undefined) {
        return fault;
      }
      const end = at + MESSAGE_PREFIX_BYTES + length;
      if (end > data.length) {
        this.hold(data.subarray(at), MESSAGE_PREFIX_BYTES + length);
        return undefined;
      }
      if (!this.deliver(data.subarray(at + MESSAGE_PREFIX_BYTES, end))) {
        return undefined;
      }
      at = end;
    }
    return undefined;
  }

  private hold(piece: Buffer, total: number): void {
    this.partial.expect(total);
    this.partial.append(piece);
  }

  /** Adds to the message under way from `data[at]`; where it stopped, or the fault. */
  private resume(data: Buffer, at: number): number | ReadFault {
    const end = Math.min(data.length, at + this.partial.missing);
    const prefixKnown = this.partial.length >= MESSAGE_PREFIX_BYTES;
    this.partial.append(data.subarray(at, end));
    if (!prefixKnown && this.partial.length === MESSAGE_PREFIX_BYTES) {
      const length = this.partial.at(1) * 2 ** 24 + ((this.partial.at(2) << 16) | (this.partial.at(3) << 8) | this.partial.at(4));
      const fault = this.faultOf(this.partial.at(0), length);
      if (fault !== undefined) {
        return fault;
      }
      this.partial.expect(MESSAGE_PREFIX_BYTES + length);
    }
    if (this.partial.missing === 0 && this.partial.length >= MESSAGE_PREFIX_BYTES) {
      return this.deliver(this.partial.take().subarray(MESSAGE_PREFIX_BYTES)) ? end : data.length;
    }
    return end;
  }

  private faultOf(flag: number, length: number): ReadFault | undefined {
    if (flag === 1) {
      return { status: GRPC_STATUS.UNIMPLEMENTED, message: "compressed messages are not supported" };
    }
    if (flag !== 0) {
      return { status: GRPC_STATUS.INTERNAL, message: `message flag ${flag} is unknown` };
    }
    return length > this.bytesMax ? this.refuse(length, this.bytesMax) : undefined;
  }
}
