/**
 * Runs every test of the built tree under node's own runner: those beside the code first, then those across processes
 * in test/. `npm test -- PATTERN` runs only the files whose path contains PATTERN.
 */
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const patterns = process.argv.slice(2);

function testFiles(folder) {
  return readdirSync(join(root, folder), { recursive: true })
    .map((name) => join(folder, name))
    .filter((name) => name.endsWith(".test.js") && patterns.every((pattern) => name.includes(pattern)))
    .sort();
}

const files = [...testFiles("dist/src"), ...testFiles("dist/test")].map((name) => relative(root, join(root, name)));
if (files.length === 0) {
  console.error(`Error: no test file matches ${patterns.join(" ")}`);
  process.exit(1);
}
// One file after another: the tests across processes start clusters of their own, and two cores hold one at a time.
const result = spawnSync(process.execPath, ["--test", "--test-concurrency=1", ...files], { cwd: root, stdio: "inherit" });
process.exit(result.status ?? 1);
