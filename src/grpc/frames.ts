/**
 * The numbers of HTTP/2 (RFC 9113) and the reading and writing of its big-endian fields. No state.
 */

/** What a client sends before its first frame. */
export const PREFACE: Uint8Array = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

export const FRAME_HEADER_BYTES = 9;

/** Frame types (§6). */
export const FRAME = {
  DATA: 0,
  HEADERS: 1,
  PRIORITY: 2,
  RST_STREAM: 3,
  SETTINGS: 4,
  PUSH_PROMISE: 5,
  PING: 6,
  GOAWAY: 7,
  WINDOW_UPDATE: 8,
  CONTINUATION: 9,
} as const;

/** Frame flags (§6); END_STREAM and ACK share a bit. */
export const FLAG = { END_STREAM: 1, ACK: 1, END_HEADERS: 4, PADDED: 8, PRIORITY: 0x20 } as const;

/** Error codes (§7). */
export const ERROR = {
  NO_ERROR: 0,
  PROTOCOL_ERROR: 1,
  INTERNAL_ERROR: 2,
  FLOW_CONTROL_ERROR: 3,
  SETTINGS_TIMEOUT: 4,
  STREAM_CLOSED: 5,
  FRAME_SIZE_ERROR: 6,
  REFUSED_STREAM: 7,
  CANCEL: 8,
  COMPRESSION_ERROR: 9,
  CONNECT_ERROR: 10,
  ENHANCE_YOUR_CALM: 11,
  INADEQUATE_SECURITY: 12,
  HTTP_1_1_REQUIRED: 13,
} as const;

/** Settings (§6.5.2). */
export const SETTING = {
  HEADER_TABLE_SIZE: 1,
  ENABLE_PUSH: 2,
  MAX_CONCURRENT_STREAMS: 3,
  INITIAL_WINDOW_SIZE: 4,
  MAX_FRAME_SIZE: 5,
  MAX_HEADER_LIST_SIZE: 6,
} as const;

/** Both windows at the start, until SETTINGS or WINDOW_UPDATE say more (§6.9.2). */
export const WINDOW_DEFAULT = 65_535;
/** A window may never exceed it (§6.9.1); also the highest stream id. */
export const WINDOW_MAX = 2 ** 31 - 1;
export const STREAM_ID_MAX = 2 ** 31 - 1;
/** Frame payloads that every peer must take, and the most that SETTINGS can ask for (§4.2). */
export const FRAME_BYTES_DEFAULT = 16_384;
export const FRAME_BYTES_LAST = 2 ** 24 - 1;

export function readU24(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 16) | ((bytes[at + 1] as number) << 8) | (bytes[at + 2] as number);
}

export function readU32(bytes: Uint8Array, at: number): number {
  return (((bytes[at] as number) << 24) | readU24(bytes, at + 1)) >>> 0;
}

/** 31 bits; the reserved first one is ignored (§4.1). */
export function readU31(bytes: Uint8Array, at: number): number {
  return readU32(bytes, at) & 0x7fffffff;
}

export function writeU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

/** The fields of a frame's header. */
export interface FrameHeader {
  readonly length: number;
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
}

/** Writes nine bytes; `bytes` has room. Takes plain numbers, since this runs three times a call. */
export function writeFrameHeader(bytes: Uint8Array, at: number, header: FrameHeader): void {
  bytes[at] = header.length >>> 16;
  bytes[at + 1] = header.length >>> 8;
  bytes[at + 2] = header.length;
  bytes[at + 3] = header.type;
  bytes[at + 4] = header.flags;
  writeU32(bytes, at + 5, header.stream);
}

/** A whole frame of its own. */
export function encodeFrame(type: number, flags: number, stream: number, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(FRAME_HEADER_BYTES + payload.length);
  writeFrameHeader(bytes, 0, { length: payload.length, type, flags, stream });
  bytes.set(payload, FRAME_HEADER_BYTES);
  return bytes;
}

/** The payload of a SETTINGS frame. */
export function encodeSettings(settings: ReadonlyArray<readonly [setting: number, value: number]>): Uint8Array {
  const bytes = new Uint8Array(settings.length * 6);
  for (const [i, [setting, value]] of settings.entries()) {
    bytes[i * 6] = setting >>> 8;
    bytes[i * 6 + 1] = setting;
    writeU32(bytes, i * 6 + 2, value);
  }
  return bytes;
}
