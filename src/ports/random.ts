/** True randomness: for identities and seeds. Everything else draws from a seeded generator. */

export interface Random {
  /** `count` unpredictable bytes. */
  bytes(count: number): Uint8Array;
}
