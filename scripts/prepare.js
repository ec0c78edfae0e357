/**
 * Makes a checkout ready to run: checks Node, installs the dependencies that package-lock.json names where they are
 * missing or out of date, and builds what changed. Runs before `npm start` and `npm test`; quick when nothing is to do.
 */
import { spawnSync } from "node:child_process";
import { existsSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const MINIMUM = [20, 19];

function fail(message) {
  console.error(`Error: ${message}`);
  process.exit(1);
}

function run(command, args, what) {
  const result = spawnSync(command, args, { cwd: root, stdio: ["ignore", 2, 2], shell: process.platform === "win32" });
  if (result.status !== 0) {
    fail(`${what} failed (${command} ${args.join(" ")}: ${result.error?.message ?? `exit status ${result.status}`})`);
  }
}

function isOlder(path, than) {
  return !existsSync(path) || statSync(path).mtimeMs < statSync(than).mtimeMs;
}

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
if (major < MINIMUM[0] || (major === MINIMUM[0] && minor < MINIMUM[1])) {
  fail(`Synod needs Node ${MINIMUM.join(".")} or newer; this is ${process.versions.node}.`);
}
if (isOlder(join(root, "node_modules", ".package-lock.json"), join(root, "package-lock.json"))) {
  console.error("Installing dependencies ...");
  run("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], "installing the dependencies");
}
run(process.execPath, [join(root, "node_modules", "typescript", "bin", "tsc"), "-b"], "the build");

// The copy with the planted bugs, which `synod sim --quorum live` runs. One that fits the program no longer is the tests' to report.
const planting = spawnSync(process.execPath, [join(root, "scripts", "plant.js")], { cwd: root, encoding: "utf8" });
if (planting.status !== 0) {
  console.error(
    `Warning: dist/planted is out of date (${/^Error: (.*)$/m.exec(planting.stderr)?.[1] ?? "node scripts/plant.js says why"}).`,
  );
}
