/** True randomness from the operating system; never anything seeded. */
import { randomBytes } from "node:crypto";
import type { Random } from "../ports/random.js";

export class NodeRandom implements Random {
  bytes(count: number): Uint8Array {
    return randomBytes(count);
  }
}
