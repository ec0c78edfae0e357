/** The version of the package, read from its package.json: the one place where it is written. */
import { readFileSync } from "node:fs";

/** Such as `0.1.0`. */
export function readVersion(): string {
  const text = readFileSync(new URL("../../../package.json", import.meta.url), "utf8");
  const { version } = JSON.parse(text) as { readonly version: string };
  return version;
}
