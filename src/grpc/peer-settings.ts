/** The peer's SETTINGS: reading and checking the payload (RFC 9113 §6.5). No state. */
import { ERROR, FRAME_BYTES_DEFAULT, FRAME_BYTES_LAST, readU32, SETTING, WINDOW_MAX } from "./frames.js";

/** A violation that ends the connection with `code`. */
export interface ConnectionFault {
  readonly code: number;
  readonly text: string;
}

const SETTING_BYTES = 6;

/** Calls `apply` for each setting of a payload in order; stops at the first that is not allowed. */
export function readSettings(payload: Buffer, apply: (setting: number, value: number) => void): ConnectionFault | undefined {
  if (payload.length % SETTING_BYTES !== 0) {
    return { code: ERROR.FRAME_SIZE_ERROR, text: "SETTINGS of a length that is no multiple of six" };
  }
  for (let at = 0; at < payload.length; at += SETTING_BYTES) {
    const setting = payload.readUInt16BE(at);
    const value = readU32(payload, at + 2);
    const fault = checkSetting(setting, value);
    if (fault !== undefined) {
      return fault;
    }
    apply(setting, value);
  }
  return undefined;
}

function checkSetting(setting: number, value: number): ConnectionFault | undefined {
  if (setting === SETTING.INITIAL_WINDOW_SIZE && value > WINDOW_MAX) {
    return { code: ERROR.FLOW_CONTROL_ERROR, text: `INITIAL_WINDOW_SIZE ${value}` };
  }
  if (setting === SETTING.MAX_FRAME_SIZE && (value < FRAME_BYTES_DEFAULT || value > FRAME_BYTES_LAST)) {
    return { code: ERROR.PROTOCOL_ERROR, text: `MAX_FRAME_SIZE ${value}` };
  }
  if (setting === SETTING.ENABLE_PUSH && value > 1) {
    return { code: ERROR.PROTOCOL_ERROR, text: `ENABLE_PUSH ${value}` };
  }
  return undefined;
}
