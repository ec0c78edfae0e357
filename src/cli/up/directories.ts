/** Makes directories for `synod up`. It must never hang, and never remove one. */
import { mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";

/**
 * Makes the directory and those above it; throws the system's error where it cannot. One level at a time: where a file system makes
 * none and says ENOENT (/proc), Node's own recursive mkdir asks again for ever.
 */
export function makeDirectories(directory: string): void {
  const levels = [directory];
  for (let above = dirname(directory); isMissing(above); above = dirname(above)) {
    levels.unshift(above);
  }
  for (const level of levels) {
    try {
      mkdirSync(level);
    } catch (error) {
      if (!isDirectory(level)) {
        throw error;
      }
    }
  }
}

function isMissing(path: string): boolean {
  try {
    statSync(path);
    return false;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "ENOENT";
  }
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false; // what made the mkdir fail is told, not this
  }
}
