/**
 * Metadata: the custom headers and trailers of a call, in order, names in lower case. A name that ends in `-bin` carries bytes,
 * base64 on the wire. Must never let a reserved header (`grpc-…`, `:…`, content-type) through in either direction.
 */

import { assert } from "../base/assert.js";

/** Text for ordinary names, bytes for names ending in `-bin`. */
export type MetadataValue = string | Uint8Array;

/** Entries in the order of the wire; a name may occur several times. */
export type Metadata = ReadonlyArray<readonly [name: string, value: MetadataValue]>;

export const EMPTY_METADATA: Metadata = [];

/** The first value under `name` (lower case), or undefined. */
export function metadataGet(metadata: Metadata, name: string): MetadataValue | undefined {
  for (const [entryName, value] of metadata) {
    if (entryName === name) {
      return value;
    }
  }
  return undefined;
}

const TEXT_NAME = /^[0-9a-z_.-]+$/;
const TEXT_VALUE = /^[\x20-\x7e]*$/;
const BINARY_SUFFIX = "-bin";

function isReserved(name: string): boolean {
  return name.startsWith(":") || name.startsWith("grpc-") || name === "content-type" || name === "te" || name === "content-length";
}

/**
 * The metadata among decoded header fields (names and values in turn). What the specification does not allow is left out, so that everything
 * here can be sent on; bytes that are not base64 end where it ends.
 */
export function metadataFromFields(fields: readonly string[]): Metadata {
  const metadata: Array<readonly [string, MetadataValue]> = [];
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    const value = fields[i + 1] as string;
    if (isReserved(name) || !TEXT_NAME.test(name) || !TEXT_VALUE.test(value)) {
      continue;
    }
    if (!name.endsWith(BINARY_SUFFIX)) {
      metadata.push([name, value]);
      continue;
    }
    // Several values under one name may be joined by commas (RFC 9110 §5.3).
    for (const part of value.split(",")) {
      metadata.push([name, new Uint8Array(Buffer.from(part.trim(), "base64"))]);
    }
  }
  return metadata;
}

/** Appends `metadata` to header fields. Asserts what a caller must know: names are lower case and not reserved, text is printable ASCII. */
export function appendMetadata(fields: string[], metadata: Metadata): void {
  for (const [name, value] of metadata) {
    assert(TEXT_NAME.test(name) && !isReserved(name), "a metadata name is lower case and not reserved");
    if (name.endsWith(BINARY_SUFFIX)) {
      assert(typeof value !== "string", "a -bin name carries bytes");
      fields.push(name, Buffer.from(value).toString("base64").replace(/=+$/, ""));
    } else {
      assert(typeof value === "string" && TEXT_VALUE.test(value), "a metadata text is printable ASCII");
      fields.push(name, value);
    }
  }
}
