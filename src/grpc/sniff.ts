/** Tells from the first bytes of a connection whether it speaks HTTP/2. */
import { PREFACE } from "./frames.js";

/** "more": so far it could be. */
export type Protocol = "http2" | "other" | "more";

/** What `bytes`, the beginning of a connection, are. */
export function sniffProtocol(bytes: Uint8Array): Protocol {
  const length = Math.min(bytes.length, PREFACE.length);
  for (let i = 0; i < length; i++) {
    if (bytes[i] !== PREFACE[i]) {
      return "other";
    }
  }
  return length === PREFACE.length ? "http2" : "more";
}
