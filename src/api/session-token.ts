/**
 * Sessions as clients hold them: 16 bytes, a mark of the store and the number of the session in it. The mark covers cluster and
 * lineage, so that the session of a store that was wiped, restored or recovered is never taken for one of the store that is here
 * now, which may have given the same number to somebody else. It is no secret.
 */
import { type SessionId, sessionId } from "../kv/model.js";
import type { Server } from "../server/server.js";

export const SESSION_TOKEN_BYTES = 16;
const MARK_BYTES = 8;

/** `foreign`: of another store, or of this one before it was recovered. `homeless`: this server does not belong to a store yet. */
export type TokenProblem = "malformed" | "foreign" | "homeless";

/** Makes and reads the tokens of the store that a server belongs to. */
export class SessionTokens {
  private readonly server: Pick<Server, "identity">;
  private of: Server["identity"] = null;
  private readonly mark = new Uint8Array(MARK_BYTES);

  constructor(server: Pick<Server, "identity">) {
    this.server = server;
  }

  /** The token of a session of this store; a server that answers for a session belongs to one. */
  encode(session: SessionId): Uint8Array {
    this.refresh();
    const token = new Uint8Array(SESSION_TOKEN_BYTES);
    token.set(this.mark);
    new DataView(token.buffer).setBigUint64(MARK_BYTES, BigInt(session));
    return token;
  }

  decode(token: Uint8Array): SessionId | TokenProblem {
    if (token.length !== SESSION_TOKEN_BYTES) {
      return "malformed";
    }
    if (!this.refresh()) {
      return "homeless";
    }
    for (let at = 0; at < MARK_BYTES; at++) {
      if (token[at] !== this.mark[at]) {
        return "foreign";
      }
    }
    const view = new DataView(token.buffer, token.byteOffset + MARK_BYTES);
    const number = view.getUint32(0) * 2 ** 32 + view.getUint32(4);
    return number > 0 && Number.isSafeInteger(number) ? sessionId(number) : "malformed";
  }

  /** Brings the mark up to date; false where the server belongs to no store. */
  private refresh(): boolean {
    const { identity } = this.server;
    if (identity === null) {
      return false;
    }
    if (identity.clusterId !== this.of?.clusterId || identity.lineage !== this.of.lineage) {
      this.of = identity;
      const { clusterId, lineage } = identity;
      const mixed = clusterId ^ lineage.random ^ BigInt(lineage.number);
      new DataView(this.mark.buffer).setBigUint64(0, BigInt.asUintN(64, mixed));
    }
    return true;
  }
}
