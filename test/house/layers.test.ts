/**
 * A forbidden import does not compile. Makes, below dist/, a copy of a layer's project with one more file that imports what
 * the layer must not see, compiles it with the real compiler and expects its refusal; a permitted import must compile.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const scratch = join(root, "dist", "layers-test");

/** Compiles a lone file under the rules of `layer` and returns what the compiler says. */
function compileIn(layer: string, source: string): string {
  rmSync(scratch, { recursive: true, force: true });
  mkdirSync(scratch, { recursive: true });
  writeFileSync(join(scratch, "probe.ts"), source);
  const project = {
    extends: `../../src/${layer}/tsconfig.json`,
    compilerOptions: { rootDir: "../..", outDir: "out", tsBuildInfoFile: "out/info", noEmit: false },
    include: ["probe.ts"],
  };
  writeFileSync(join(scratch, "tsconfig.json"), JSON.stringify(project));
  const compiler = join(root, "node_modules", "typescript", "bin", "tsc");
  // References are not inherited: they are what the layer's own file lists, named here from the scratch folder.
  const listed = JSON.parse(
    spawnSync(process.execPath, [compiler, "-p", join(root, "src", layer), "--showConfig"], { encoding: "utf8" }).stdout,
  );
  const references = (listed.references as { path: string }[]).map(({ path }) => ({ path: join("../../src", layer, path) }));
  writeFileSync(join(scratch, "tsconfig.json"), JSON.stringify({ ...project, references }));
  const result = spawnSync(process.execPath, [compiler, "-p", scratch], { encoding: "utf8" });
  rmSync(scratch, { recursive: true, force: true });
  return result.stdout;
}

test("a permitted import compiles", () => {
  assert.equal(compileIn("paxos", 'import { assert } from "../../src/base/assert.js";\nassert(true, "");\n'), "");
});

for (const [layer, forbidden] of [
  ["paxos", 'import { ports } from "../../src/kv/store.js";'],
  ["paxos", 'import { step } from "../../src/server/config.js";'],
  ["kv", 'import { step } from "../../src/paxos/replica.js";'],
  ["storage", 'import { GrpcServer } from "../../src/grpc/server.js";'],
  ["grpc", 'import { step } from "../../src/paxos/replica.js";'],
] as const) {
  test(`src/${layer} cannot ${forbidden}`, () => {
    assert.match(compileIn(layer, `${forbidden}\nexport const used = 1;\n`), /error TS(6059|6307)/);
  });
}

for (const [layer, forbidden] of [
  ["paxos", 'import { readFileSync } from "node:fs";\nexport const used = readFileSync;'],
  ["kv", "export const used = process.pid;"],
  ["storage", "export const used = setTimeout;"],
  ["server", 'export const used = Buffer.from("");'],
] as const) {
  test(`src/${layer} sees no runtime: ${forbidden.split("\n")[0]}`, () => {
    assert.match(compileIn(layer, `${forbidden}\n`), /error TS(2307|2304|2580|2591|2584)/);
  });
}
