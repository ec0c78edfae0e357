/** PeerFrame, the protobuf message around each protocol message between servers: one bytes field. By hand, since every batch passes here. */
import { MalformedBytes } from "../base/bytes.js";

/** Field 1, length-delimited. */
const TAG = 0x0a;
const LENGTH_BYTES_MAX = 5;

/** `payload` in a PeerFrame, in a new buffer. */
export function encodePeerFrame(payload: Uint8Array): Uint8Array {
  const header = [TAG];
  let rest = payload.length;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) {
    header.push((rest % 0x80) | 0x80);
  }
  header.push(rest);
  const frame = new Uint8Array(header.length + payload.length);
  frame.set(header);
  frame.set(payload, header.length);
  return frame;
}

/** The payload as a view into `frame`; throws MalformedBytes. Other fields have no meaning yet, so a frame with any is refused. */
export function decodePeerFrame(frame: Uint8Array): Uint8Array {
  if (frame[0] !== TAG) {
    throw new MalformedBytes("a frame between servers begins with its payload");
  }
  let length = 0;
  let at = 1;
  for (; at <= LENGTH_BYTES_MAX; at++) {
    const byte = frame[at];
    if (byte === undefined) {
      break;
    }
    length += (byte & 0x7f) * 2 ** (7 * (at - 1));
    if (byte < 0x80) {
      if (at + 1 + length !== frame.length) {
        break;
      }
      return frame.subarray(at + 1);
    }
  }
  throw new MalformedBytes(`frame of ${frame.length} bytes whose payload has another length`);
}
