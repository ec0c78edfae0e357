/** Calls through node:http2, whose headers, windows and bodies a test holds in its hand: what no gRPC client would send. */
import { once } from "node:events";
import { type ClientHttp2Session, type ClientHttp2Stream, connect, type OutgoingHttpHeaders } from "node:http2";
import { grpcMessage } from "./byte-stream.js";
import { within } from "./wait.js";

const MIB = 1024 * 1024;

/** A session whose connection window is never the bound, so that a stream that is not read blocks itself alone. */
export async function openSession(address: string): Promise<ClientHttp2Session> {
  const session = connect(`http://${address}`);
  session.on("error", () => undefined); // it may be destroyed with calls open
  await within("an HTTP/2 connection", once(session, "connect"));
  session.setLocalWindowSize(64 * MIB);
  return session;
}

/** The headers of a gRPC call to `path`; an empty one in `changes` is left out. */
export function openCall(session: ClientHttp2Session, path: string, changes: Readonly<Record<string, string>> = {}): ClientHttp2Stream {
  const all = { ":method": "POST", ":path": path, "content-type": "application/grpc", te: "trailers", ...changes };
  const headers: OutgoingHttpHeaders = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== ""));
  const call = session.request(headers, { endStream: false });
  call.on("error", () => undefined);
  return call;
}

export type Http2Answer = { readonly http: string; readonly grpc: string; readonly text: string; readonly message: Buffer };

/** Ends the request with `message` and reads the whole answer. */
export async function finishCall(call: ClientHttp2Stream, message: Uint8Array): Promise<Http2Answer> {
  const chunks: Buffer[] = [];
  const fields: Record<string, string> = {};
  const take = (headers: Readonly<Record<string, unknown>>): void => {
    for (const [name, value] of Object.entries(headers)) {
      fields[name] = String(value);
    }
  };
  call.on("response", take);
  call.on("trailers", take);
  call.on("data", (chunk: Buffer) => chunks.push(chunk));
  const closed = once(call, "close");
  call.end(grpcMessage(message));
  await within("an answer", closed);
  const text = decodeURIComponent(fields["grpc-message"] ?? "");
  return {
    http: fields[":status"] ?? `none, reset ${call.rstCode}`,
    grpc: fields["grpc-status"] ?? "",
    text,
    message: Buffer.concat(chunks).subarray(5),
  };
}

/** One call on a session of its own, in words: `http 200 grpc 5 Key not found.` */
export async function unaryOver(
  address: string,
  path: string,
  options: { readonly headers: Readonly<Record<string, string>>; readonly message: Uint8Array },
): Promise<string> {
  const session = await openSession(address);
  const answer = await finishCall(openCall(session, path, options.headers), options.message);
  session.destroy();
  return `http ${answer.http} grpc ${answer.grpc} ${answer.text}`;
}
