/** UTF-8 through the encoder that every JavaScript runtime carries; declared here because pure layers see no runtime's types. */
declare const TextEncoder: new () => { encode(text: string): Uint8Array };
declare const TextDecoder: new (label: string, options: { fatal: boolean; ignoreBOM: boolean }) => { decode(bytes: Uint8Array): string };

const encoder = new TextEncoder();
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Texts up to this are mostly addresses, keys and digits, for which the runtime's encoder costs many times what they take. */
const SHORT = 64;

/** The UTF-8 bytes of `text`; a lone surrogate becomes U+FFFD. */
export function utf8Encode(text: string): Uint8Array {
  if (text.length > SHORT) {
    return encoder.encode(text);
  }
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code >= 0x80) {
      return encoder.encode(text);
    }
    bytes[i] = code;
  }
  return bytes;
}

/** The text of `bytes`, or undefined where they are not valid UTF-8. */
export function utf8Decode(bytes: Uint8Array): string | undefined {
  if (bytes.length <= SHORT && bytes.every(isAscii)) {
    return String.fromCharCode.apply(null, bytes as unknown as number[]);
  }
  try {
    return strict.decode(bytes);
  } catch {
    return undefined; // the only error a fatal decoder throws is the one our caller asked about
  }
}

function isAscii(byte: number): boolean {
  return byte < 0x80;
}
