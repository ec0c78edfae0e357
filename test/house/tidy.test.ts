/**
 * What the compiler cannot see: pure layers name no clock, no true randomness, no timer and no locale, and the purest no
 * Promise; every source file says first what it is for; nothing committed names a machine. Long files and functions are
 * reported, and fail only beyond the hard end. Reads the sources as syntax trees; runs none of them.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const FILE_LINES_MAX = 500;
const FILE_LINES_MANY = 400;
const FUNCTION_LINES_MAX = 70;

/** Layers above the I/O line; the simulator runs exactly this code. */
const PURE = ["base", "paxos", "kv", "ports", "storage", "server", "sim"];
/** Layers that are synchronous as well. */
const SYNCHRONOUS = ["base", "paxos", "kv"];
const IMPURE_NAMES = new Set([
  "Date",
  "performance",
  "process",
  "Buffer",
  "setTimeout",
  "setInterval",
  "setImmediate",
  "queueMicrotask",
  "Intl",
  "WeakRef",
  "FinalizationRegistry",
  "crypto",
  "fetch",
  "require",
  "console",
]);
const IMPURE_MEMBERS = new Set(["Math.random", "localeCompare", "toLocaleString", "toLocaleUpperCase", "toLocaleLowerCase"]);

type Source = { readonly path: string; readonly layer: string; readonly text: string; readonly tree: ts.SourceFile };

function sourcesOf(folder: string): Source[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts") && !name.endsWith(".d.ts"))
    .map((name) => {
      const path = join(folder, name);
      const text = readFileSync(join(root, path), "utf8");
      return { path, layer: path.split("/")[1] ?? "", text, tree: ts.createSourceFile(path, text, ts.ScriptTarget.ES2023, true) };
    });
}

const isTest = (path: string): boolean => path.endsWith(".test.ts") || path.includes("/testing/");
const sources = sourcesOf("src").filter((source) => source.layer !== "gen");
const production = sources.filter((source) => !isTest(source.path));

function walk(node: ts.Node, visit: (node: ts.Node) => void): void {
  const open = [node];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    visit(next);
    next.forEachChild((child) => {
      open.push(child);
    });
  }
}

function lineOf(source: Source, node: ts.Node): number {
  return source.tree.getLineAndCharacterOfPosition(node.getStart()).line + 1;
}

/** A name that stands for a global, not for a property, a parameter or a declaration of ours. */
function isGlobalUse(node: ts.Identifier): boolean {
  const { parent } = node;
  const isMember =
    (ts.isPropertyAccessExpression(parent) || ts.isQualifiedName(parent)) && (parent as ts.PropertyAccessExpression).name === node;
  const isNaming =
    ts.isPropertyAssignment(parent) || ts.isPropertySignature(parent) || ts.isMethodSignature(parent) || ts.isBindingElement(parent);
  return !isMember && !isNaming;
}

test("the tree is read at all", () => {
  assert.ok(production.length > 40, `${production.length} sources found`);
});

test("pure layers name no clock, randomness, timer, runtime or locale", () => {
  const found: string[] = [];
  for (const source of production.filter(({ layer }) => PURE.includes(layer))) {
    walk(source.tree, (node) => {
      if (ts.isIdentifier(node) && IMPURE_NAMES.has(node.text) && isGlobalUse(node)) {
        found.push(`${source.path}:${lineOf(source, node)} ${node.text}`);
      }
      if (ts.isPropertyAccessExpression(node) && (IMPURE_MEMBERS.has(node.getText()) || IMPURE_MEMBERS.has(node.name.text))) {
        found.push(`${source.path}:${lineOf(source, node)} ${node.getText()}`);
      }
    });
  }
  assert.deepEqual(found, []);
});

test("the synchronous layers know no Promise", () => {
  const found: string[] = [];
  for (const source of production.filter(({ layer }) => SYNCHRONOUS.includes(layer))) {
    walk(source.tree, (node) => {
      const isAsync = node.kind === ts.SyntaxKind.AsyncKeyword || ts.isAwaitExpression(node);
      const isPromise = ts.isIdentifier(node) && node.text === "Promise" && isGlobalUse(node);
      if (isAsync || isPromise) {
        found.push(`${source.path}:${lineOf(source, node)}`);
      }
    });
  }
  assert.deepEqual(found, []);
});

test("every source file opens with what it is for", () => {
  const silent = sources.filter(({ text }) => !text.replace(/^#!.*\n/, "").startsWith("/**")).map(({ path }) => path);
  assert.deepEqual(silent, []);
});

test("no any, enum, namespace, default export or parameter property", () => {
  const found: string[] = [];
  for (const source of production) {
    walk(source.tree, (node) => {
      const isDefault = ts.isExportAssignment(node) || node.kind === ts.SyntaxKind.DefaultKeyword;
      const isLoose = node.kind === ts.SyntaxKind.AnyKeyword || ts.isEnumDeclaration(node) || ts.isModuleDeclaration(node);
      const isSwitchDefault = isDefault && ts.isDefaultClause(node.parent);
      if (isLoose || (isDefault && !isSwitchDefault)) {
        found.push(`${source.path}:${lineOf(source, node)} ${node.getText().slice(0, 40)}`);
      }
    });
  }
  assert.deepEqual(found, []);
});

test("no file is beyond its hard end; long files and functions are reported", (context) => {
  const tooLong: string[] = [];
  for (const source of sources) {
    const lines = source.text.split("\n").length - 1;
    if (lines > FILE_LINES_MAX) {
      tooLong.push(`${source.path}: ${lines} lines`);
    } else if (lines > FILE_LINES_MANY) {
      context.diagnostic(`long file: ${source.path}: ${lines} lines`);
    }
    if (!isTest(source.path)) {
      reportLongFunctions(source, (text) => context.diagnostic(text));
    }
  }
  assert.deepEqual(tooLong, []);
});

function reportLongFunctions(source: Source, report: (text: string) => void): void {
  walk(source.tree, (node) => {
    if (ts.isFunctionDeclaration(node) || ts.isMethodDeclaration(node)) {
      const from = lineOf(source, node);
      const lines = source.tree.getLineAndCharacterOfPosition(node.end).line + 2 - from;
      if (lines > FUNCTION_LINES_MAX) {
        report(`long function: ${source.path}:${from} ${node.name?.getText() ?? ""}: ${lines} lines`);
      }
    }
  });
}

test("nothing committed names a folder of one machine", () => {
  const folders = ["src", "test", "bench", "docs", "bin", "scripts", "proto"];
  const machine = new RegExp(["/wor" + "k/", "/hom" + "e/[a-z]", "/roo" + "t/"].join("|"));
  const found: string[] = [];
  for (const folder of folders) {
    for (const name of readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })) {
      const path = join(root, folder, name);
      if (/\.(ts|js|md|json|proto|txt)$/.test(name) && machine.test(readFileSync(path, "utf8"))) {
        found.push(relative(root, path));
      }
    }
  }
  assert.deepEqual(found, []);
});
