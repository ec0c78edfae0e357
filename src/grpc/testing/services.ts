/** The services that tests of the gRPC layer call: one of each kind, and unary handlers that answer late or never. */

import type { GrpcLimits } from "../limits.js";
import type { CancelReason, GrpcServices, Responder, ServerStream } from "../service.js";
import { GRPC_STATUS } from "../status.js";

/** What the handlers saw, for the test to look at. */
export interface ServiceLog {
  /** Calls of `Hold` that were not answered yet. */
  readonly held: Array<{ readonly responder: Responder; readonly stream: number; readonly message: Buffer }>;
  readonly cancels: CancelReason[];
  /** Streams of `Raw`, which does nothing by itself. */
  readonly raw: ServerStream[];
  readonly received: Buffer[];
  halfCloses: number;
}

/** Fresh services and their log. */
export function testServices(limits: Partial<GrpcLimits> = {}): { readonly services: GrpcServices; readonly log: ServiceLog } {
  const log: ServiceLog = { held: [], cancels: [], raw: [], received: [], halfCloses: 0 };
  const services: GrpcServices = {
    limits,
    unary: new Map([
      ["/test.Service/Echo", (message: Uint8Array, responder: Responder, stream: number) => responder.reply(stream, message)],
      ["/test.Service/Fail", onFail],
      [
        "/test.Service/Hold",
        (message: Uint8Array, responder: Responder, stream: number) => {
          log.held.push({ responder, stream, message: Buffer.from(message) });
          responder.onCancel(stream, (reason) => log.cancels.push(reason));
        },
      ],
      [
        "/test.Service/Size",
        (message: Uint8Array, responder: Responder, stream: number) =>
          responder.reply(stream, new Uint8Array(Buffer.from(message).readUInt32BE(0)).fill(7)),
      ],
    ]),
    streaming: new Map([
      ["/test.Service/Chat", onChat],
      ["/test.Service/Collect", onCollect],
      ["/test.Service/Count", onCount],
      [
        "/test.Service/Raw",
        (stream: ServerStream) => {
          log.raw.push(stream);
          stream.onMessage((message) => log.received.push(Buffer.from(message)));
          stream.onHalfClose(() => log.halfCloses++);
          stream.onCancel((reason) => log.cancels.push(reason));
        },
      ],
    ]),
  };
  return { services, log };
}

/** Fails with the status in the first byte, the rest as message, and gives the request's metadata back as trailers. */
function onFail(message: Uint8Array, responder: Responder, stream: number): void {
  const trailers = responder.metadata(stream).filter(([name]) => name.startsWith("x-"));
  responder.fail(stream, message[0] || GRPC_STATUS.UNKNOWN, Buffer.from(message.subarray(1)).toString("utf8"), trailers);
}

/** Both ways: every message comes back; ends when the client does. */
function onChat(stream: ServerStream): void {
  stream.sendHeaders(stream.metadata.filter(([name]) => name.startsWith("x-")));
  const waiting: Uint8Array[] = [];
  const push = () => {
    while (waiting.length > 0 && stream.send(waiting[0] as Uint8Array)) {
      waiting.shift();
    }
    if (waiting.length === 0) {
      stream.resume();
    }
  };
  stream.onMessage((message) => {
    waiting.push(message);
    if (waiting.length > 1 || !stream.send(message)) {
      stream.pause();
    } else {
      waiting.shift();
    }
  });
  stream.onDrain(push);
  stream.onHalfClose(() => stream.end());
}

/** From the client: the sum of the messages' lengths, as text. */
function onCollect(stream: ServerStream): void {
  let total = 0;
  stream.onMessage((message) => {
    total += message.length;
  });
  stream.onHalfClose(() => {
    stream.send(Buffer.from(String(total)));
    stream.end(GRPC_STATUS.OK, "", [["x-total", String(total)]]);
  });
}

/** To the client: as many messages as the request's u32 says, of as many bytes as its second one says, as fast as it reads. */
function onCount(stream: ServerStream): void {
  stream.onMessage((request) => {
    const view = new DataView(request.buffer, request.byteOffset, request.length);
    const size = view.getUint32(4);
    let left = view.getUint32(0);
    const push = () => {
      while (left > 0 && stream.send(new Uint8Array(size).fill(left))) {
        left--;
      }
      if (left === 0) {
        stream.end();
      }
    };
    stream.onDrain(push);
    push();
  });
}
