/**
 * What one slot decides. The commands in a batch are bytes that this layer never looks into. A batch is immutable, and its
 * payload must not be written to again: log, peers and state machine share the one buffer.
 */
import { ByteReader, EMPTY_BYTES, MalformedBytes } from "../base/bytes.js";
import { type Hash64, hashBytes } from "../base/hash64.js";
import { type Configuration, encodeConfiguration, readConfiguration } from "./configuration.js";

/** `digest` identifies kind and payload among honest servers. */
export type Batch =
  | { readonly kind: "noop"; readonly payload: Uint8Array; readonly digest: Hash64 }
  | { readonly kind: "commands"; readonly payload: Uint8Array; readonly digest: Hash64 }
  | { readonly kind: "configuration"; readonly payload: Uint8Array; readonly digest: Hash64; readonly configuration: Configuration };

/** The byte that names the kind on disk and wire; also seeds the digest, so that equal payloads of two kinds differ. */
export const BATCH_KIND = { noop: 0, commands: 1, configuration: 2 } as const;

/** Largest payload of one batch, in bytes: the cap of PROTOCOL §0 plus one command of the largest size. */
export const BATCH_PAYLOAD_MAX = 4 * 1024 * 1024;

export const NOOP_BATCH: Batch = { kind: "noop", payload: EMPTY_BYTES, digest: hashBytes(EMPTY_BYTES, BATCH_KIND.noop) };

/** A batch of commands; `payload` is shared, not copied. */
export function commandsBatch(payload: Uint8Array): Batch {
  return { kind: "commands", payload, digest: hashBytes(payload, BATCH_KIND.commands) };
}

export function configurationBatch(configuration: Configuration): Batch {
  const payload = encodeConfiguration(configuration);
  return { kind: "configuration", payload, digest: hashBytes(payload, BATCH_KIND.configuration), configuration };
}

/** The batch of kind byte and payload; throws MalformedBytes on an unknown kind or a bad configuration. The payload is shared. */
export function decodeBatch(kind: number, payload: Uint8Array): Batch {
  if (payload.length > BATCH_PAYLOAD_MAX) {
    throw new MalformedBytes(`batch of ${payload.length} bytes, at most ${BATCH_PAYLOAD_MAX} are allowed`);
  }
  switch (kind) {
    case BATCH_KIND.noop:
      if (payload.length !== 0) {
        throw new MalformedBytes("no-op with a payload");
      }
      return NOOP_BATCH;
    case BATCH_KIND.commands:
      return commandsBatch(payload);
    case BATCH_KIND.configuration: {
      const reader = new ByteReader(payload);
      const configuration = readConfiguration(reader);
      reader.end();
      return { kind: "configuration", payload, digest: hashBytes(payload, BATCH_KIND.configuration), configuration };
    }
    default:
      throw new MalformedBytes(`batch kind ${kind}`);
  }
}
