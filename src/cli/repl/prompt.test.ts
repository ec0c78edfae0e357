/** Tests the prompt over streams that are no terminal, with a scripted store, and the history file: kept in order, private, and no error where it cannot be. */
import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { SynodClient } from "../../client/client.js";
import { HISTORY_MAX, historyPath, loadHistory, saveHistory } from "./history.js";
import { Interpreter, type ReplCommand } from "./interpreter.js";
import { Prompt } from "./prompt.js";

function folder(): string {
  return mkdtempSync(join(tmpdir(), "synod-prompt-"));
}

type Gate = { readonly command: ReplCommand; readonly open: () => void };

/** A command that answers only when told to. */
function gate(name: string): Gate {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  const run = async (): Promise<string> => {
    await opened;
    return `${name} is done`;
  };
  return { command: { name, usage: name, summary: "", wordsMin: 0, wordsMax: 0, run }, open };
}

function promptOver(more: readonly ReplCommand[]) {
  const input = new PassThrough();
  const output = new PassThrough();
  const interpreter = new Interpreter(new SynodClient({ endpoints: ["127.0.0.1:1"] }), more);
  const prompt = new Prompt(interpreter, { prompt: "> ", history: join(folder(), "h"), input, output });
  return { input, prompt, said: () => String(output.read() ?? "") };
}

test("one line at a time: a line typed while another runs waits for it", async () => {
  const slow = gate("SLOW");
  const fast = gate("FAST");
  fast.open();
  const { input, prompt, said } = promptOver([slow.command, fast.command]);
  input.write("slow\nfast\nnonsense\nexit\nfast\n");
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(said(), "> ");
  slow.open();
  await prompt.done;
  const text = said();
  assert.ok(text.startsWith("SLOW is done\nFAST is done\nInvalid command.\nValid are: GET key, "), text);
  assert.equal(text.match(/FAST is done/g)?.length, 1, "nothing runs after EXIT");
});

test("what happens meanwhile is said above the line; closing from outside leaves", async () => {
  const { prompt, said } = promptOver([]);
  prompt.announce("server 3 has ended");
  assert.match(said(), /server 3 has ended\n.*> /s);
  prompt.close();
  await prompt.done;
  prompt.announce("stopped");
  assert.match(said(), /stopped\n$/);
});

test("the history is kept in order, bounded, and readable only by its owner", () => {
  const path = join(folder(), "history");
  assert.deepEqual(loadHistory(path), []);
  saveHistory(path, ["newest", "older", "oldest"]);
  assert.equal(readFileSync(path, "utf8"), "oldest\nolder\nnewest\n");
  assert.deepEqual(loadHistory(path), ["newest", "older", "oldest"]);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  writeFileSync(path, Array.from({ length: HISTORY_MAX + 5 }, (_, i) => `line ${i}\n`).join(""));
  assert.equal(loadHistory(path).length, HISTORY_MAX);
  assert.equal(loadHistory(path)[0], `line ${HISTORY_MAX + 4}`);
});

test("a history that cannot be read or written is no error", () => {
  const home = folder();
  chmodSync(home, 0o500);
  saveHistory(join(home, "no", "such", "folder"), ["x"]);
  saveHistory(home, ["x"]);
  assert.deepEqual(loadHistory(home), []);
  assert.equal(historyPath({ SYNOD_HISTORY: "/h" }), "/h");
  assert.match(historyPath({}), /\.synod_history$/);
});
