/**
 * Plants bugs on purpose: copies the built program to dist/planted, and changes it there by the edits of src/sim/mutants, each behind
 * a switch that is off. One copy holds all bugs, one is switched on at run time: `plant(id)` of dist/planted/src/base/planted.js, or
 * SYNOD_PLANTED=id in the environment. Does nothing where nothing changed. `node scripts/plant.js`, or import `plantAll`.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, posix, relative, sep } from "node:path";
import { argv, pid } from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const source = join(root, "dist", "src");
const target = join(root, "dist", "planted");
const stampFile = join(target, "stamp");

/** Layers that are copied, with their tests: what bugs are planted in, and what hunts them. */
const LAYERS = ["base", "paxos", "kv", "ports", "storage", "server", "grpc", "adapters", "client", "gen", "sim"];
/** Checks must not share the mistakes of what they check: these import the layers below unharmed, from dist/src. */
const CHECKS = /^(sim\/(checkers|linearizability)\/|paxos\/invariants\.js$)/;
const CHECKED_LAYERS = new Set(["paxos", "kv", "storage", "server"]);
/** Theirs alone: a check and who catches it must agree what a violation is. */
const SHARED = new Set(["paxos/invariants.js"]);

const SWITCH = `/** Which planted bug is switched on. */
let active = globalThis.process?.env?.SYNOD_PLANTED ?? null;
/** Switches the bug on, and every other one off; null switches all off. */
export function plant(id) {
    active = id;
}
export function isPlanted(id) {
    return active === id;
}
`;

/** The files of a folder whose name ends so, as paths below it with forward slashes. */
function filesOf(folder, ending) {
  return readdirSync(folder, { recursive: true })
    .map((name) => name.split(sep).join("/"))
    .filter((name) => name.endsWith(ending))
    .sort();
}

/** What everything is made of: the same stamp, the same result. */
function stampOf(paths) {
  const hash = createHash("sha256");
  for (const path of [fileURLToPath(import.meta.url), ...paths.map((path) => join(source, path))]) {
    const { size, mtimeMs } = statSync(path);
    hash.update(`${path} ${size} ${mtimeMs}\n`);
  }
  return hash.digest("hex");
}

/** Where `find` stands in `text`, which it must exactly once. */
function placeOf(text, find, where) {
  const at = text.indexOf(find);
  const again = at < 0 ? -1 : text.indexOf(find, at + 1);
  if (at < 0 || again >= 0) {
    throw new Error(`${where}: this text must stand there exactly once, and does ${at < 0 ? "not" : "twice"}:\n${find}`);
  }
  return at;
}

/** `text` with all edits of one file; they must not touch each other. */
function applyEdits(text, file, edits) {
  const places = edits
    .map(({ id, find, put }) => ({ id, find, put, at: placeOf(text, find, `mutant ${id}, ${file}`) }))
    .sort((a, b) => a.at - b.at);
  let result = "";
  let from = 0;
  for (const { id, find, put, at } of places) {
    if (at < from) {
      throw new Error(`mutant ${id}, ${file}: touches the text of another mutant:\n${find}`);
    }
    result += text.slice(from, at) + put.replaceAll(/\bMUTANT\b/g, () => `isPlanted(${JSON.stringify(id)})`);
    from = at + find.length;
  }
  const name = posix.relative(posix.dirname(file), "base/planted.js");
  return `import { isPlanted } from ${JSON.stringify(name.startsWith(".") ? name : `./${name}`)};\n${result}${text.slice(from)}`;
}

/** A check's imports of what it checks, turned to the unharmed copy. */
function unharmImports(text, file) {
  return text.replaceAll(/(from\s+")(\.[^"]+)(")/g, (whole, before, name, after) => {
    const imported = posix.join(posix.dirname(file), name);
    if (!CHECKED_LAYERS.has(imported.split("/")[0]) || SHARED.has(imported)) {
      return whole;
    }
    return `${before}${posix.relative(posix.dirname(posix.join("planted/src", file)), posix.join("src", imported))}${after}`;
  });
}

/** Makes dist/planted what dist/src and the list of mutants say. Returns whether anything was to do; throws on an edit that does not fit. */
export async function plantAll() {
  const files = LAYERS.flatMap((layer) =>
    existsSync(join(source, layer)) ? filesOf(join(source, layer), ".js").map((name) => `${layer}/${name}`) : [],
  );
  const stamp = stampOf(files);
  if (existsSync(stampFile) && readFileSync(stampFile, "utf8") === stamp) {
    return false;
  }
  const { MUTANTS } = await import(pathToFileURL(join(source, "sim", "mutants", "index.js")).href);
  const edits = new Map();
  for (const { id, edits: own } of MUTANTS) {
    for (const { file, find, put } of own) {
      edits.set(file, [...(edits.get(file) ?? []), { id, find, put }]);
    }
  }
  for (const file of edits.keys()) {
    if (!files.includes(file)) {
      throw new Error(`mutant ${edits.get(file)[0].id}: there is no ${file} below dist/src`);
    }
  }
  rmSync(stampFile, { force: true });
  const texts = new Map([["base/planted.js", SWITCH]]);
  for (const file of files) {
    let text = readFileSync(join(source, file), "utf8").replace(/\n\/\/# sourceMappingURL=.*\s*$/, "\n");
    // Tests that read files of the sources find them one level further up.
    text = text.replaceAll('"../../../src/', '"../../../../src/');
    text = CHECKS.test(file) ? unharmImports(text, file) : text;
    texts.set(file, edits.has(file) ? applyEdits(text, file, edits.get(file)) : text);
  }
  for (const stale of existsSync(join(target, "src")) ? filesOf(join(target, "src"), ".js").filter((file) => !texts.has(file)) : []) {
    rmSync(join(target, "src", stale));
  }
  for (const [file, text] of texts) {
    writeIfNew(join(target, "src", file), text);
  }
  writeIfNew(stampFile, stamp);
  return true;
}

/** Replaces the file at once, and only where it differs: others may be reading it. */
function writeIfNew(path, text) {
  if (existsSync(path) && readFileSync(path, "utf8") === text) {
    return;
  }
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(`${path}.${pid}`, text);
  renameSync(`${path}.${pid}`, path);
}

if (argv[1] !== undefined && pathToFileURL(argv[1]).href === import.meta.url) {
  const began = performance.now();
  const isNew = await plantAll();
  const where = relative(root, target);
  console.error(isNew ? `Planted into ${where} in ${Math.round(performance.now() - began)} ms.` : `${where} is up to date.`);
}
