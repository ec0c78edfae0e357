/**
 * The protocol's cases as dialogues: each file of testdata/ holds commands and, below a rule, what the real core said. A
 * difference fails; to record anew: `node dist/src/paxos/transcript.test.js --rewrite`, then read the difference.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { runTranscript } from "./testing/transcript.js";
import { formatSections, parseSections } from "./testing/transcript-file.js";

/** The sources lie beside dist/ under the same path. */
const folder = join(dirname(fileURLToPath(import.meta.url)), "../../../src/paxos/testdata");
const isRewriting = process.argv.includes("--rewrite");

for (const file of readdirSync(folder).filter((name) => name.endsWith(".txt"))) {
  const path = join(folder, file);
  const sections = parseSections(readFileSync(path, "utf8"), file);
  if (isRewriting) {
    writeFileSync(path, formatSections(sections.map(({ head, commands }) => ({ head, recorded: runTranscript(commands) }))));
  } else {
    for (const { title, commands, recorded } of sections) {
      test(`${file}: ${title}`, () => {
        assert.deepEqual(runTranscript(commands), recorded);
      });
    }
  }
}

test("a transcript that says nothing of itself, or has no rule, is refused", () => {
  assert.throws(() => parseSections("cluster n1\n----\n", "a"), /what it shows/);
  assert.throws(() => parseSections("# Shows nothing.\ncluster n1\n", "b"), /no ----/);
  assert.throws(() => runTranscript(["cluster n1", "dance n1"]), /no such command/);
});
