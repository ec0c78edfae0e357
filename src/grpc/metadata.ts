/**
 * Metadata: the custom headers and trailers of a call, in order, names in lower case. A name that ends in `-bin` carries bytes,
 * base64 on the wire. Must never let a reserved header (`grpc-…`, `:…`, content-type) through in either direction.
 */

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
