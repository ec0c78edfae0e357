/** Which program ran: the commit where this is a checkout, else the version. */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { readVersion } from "../version.js";

/** `commit 1a2b3c4d`, `commit 1a2b3c4d with changes`, or `version 0.1.0`. */
export function describeRevision(): string {
  const root = fileURLToPath(new URL("../../../../", import.meta.url));
  const version = `version ${readVersion()}`;
  if (!existsSync(`${root}.git`)) {
    return version;
  }
  try {
    const git = (...words: readonly string[]): string =>
      execFileSync("git", ["-C", root, ...words], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
    const isChanged = git("status", "--porcelain", "--untracked-files=no") !== "";
    return `commit ${git("rev-parse", "--short=12", "HEAD")}${isChanged ? " with changes" : ""}`;
  } catch {
    return version; // a checkout without the command git: nothing is wrong, the version says less
  }
}
