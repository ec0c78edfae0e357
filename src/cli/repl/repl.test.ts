/**
 * Tests the language of the prompt: how lines split into words, what each command answers against a fake server, completion,
 * the piped mode's streams and exit status, and the tour.
 */
import assert from "node:assert/strict";
import { PassThrough, Readable } from "node:stream";
import { after, test } from "node:test";
import { status } from "@grpc/grpc-js";
import fc from "fast-check";
import { SynodClient } from "../../client/client.js";
import { type FakeBehaviour, FakeFailure, type FakeServer, startFakeServer } from "../../client/testing/fake-server.js";
import { Interpreter, type ReplCommand } from "./interpreter.js";
import { parseLine, quoteWord } from "./parse.js";
import { runPiped } from "./piped.js";
import { runTour, SAMPLE_PAIRS } from "./tour.js";

const cleanups: Array<() => void> = [];
after(() => {
  for (const cleanup of cleanups) {
    cleanup();
  }
});

async function start(
  behaviour: FakeBehaviour = {},
  more: readonly ReplCommand[] = [],
): Promise<{ fake: FakeServer; interpreter: Interpreter }> {
  const fake = await startFakeServer(behaviour);
  const client = new SynodClient({ endpoints: [fake.endpoint] });
  cleanups.push(() => {
    client.close();
    fake.kill();
  });
  return { fake, interpreter: new Interpreter(client, more) };
}

const NEVER = new AbortController().signal;

async function say(interpreter: Interpreter, line: string): Promise<string> {
  const { output, error, isExit } = await interpreter.run(line, NEVER);
  return isExit ? "<exit>" : (error?.message ?? output ?? "<nothing>");
}

const LINES: ReadonlyArray<readonly [line: string, words: readonly string[] | string]> = [
  ["", []],
  ["   \t ", []],
  ["GET a", ["GET", "a"]],
  ["  put   a\tb  ", ["put", "a", "b"]],
  ["PUT city 'New York'", ["PUT", "city", "New York"]],
  ['PUT city "New York"', ["PUT", "city", "New York"]],
  ["PUT a ''", ["PUT", "a", ""]],
  ["PUT a x'y z'w", ["PUT", "a", "xy zw"]],
  ['PUT a "say \\"hi\\" \\\\ \\n\\t"', ["PUT", "a", 'say "hi" \\ \n\t']],
  ["PUT a 'no \\n escape'", ["PUT", "a", "no \\n escape"]],
  ["GET a # why", ["GET", "a"]],
  ["PUT colour #ff0000", ["PUT", "colour", "#ff0000"]],
  ["PUT a '#'", ["PUT", "a", "#"]],
  ["PUT a C:\\dir", ["PUT", "a", "C:\\dir"]],
  ['PUT a "it\'s"', ["PUT", "a", "it's"]],
  ["PUT a 値🗝️", ["PUT", "a", "値🗝️"]],
  ["PUT a 'open", "the ' at column 7 is never closed"],
  ['PUT a "open\\"', 'the " at column 7 is never closed'],
];

for (const [line, expected] of LINES) {
  test(`line ${JSON.stringify(line)}`, () => {
    const parsed = parseLine(line);
    assert.deepEqual("words" in parsed ? parsed.words : parsed.problem, expected);
  });
}

test("property: any word survives quoting", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (word) => {
      assert.deepEqual(parseLine(`PUT ${quoteWord(word)}`), { words: ["PUT", word] });
    }),
  );
});

test("GET, PUT and DELETE in any case; an absent key; an empty value", async () => {
  const { fake, interpreter } = await start();
  assert.equal(await say(interpreter, "put city 'New York'"), "OK");
  assert.equal(await say(interpreter, "Get city"), "New York");
  assert.equal(await say(interpreter, "DELETE city"), "OK");
  assert.equal(await say(interpreter, "GET city"), "Key not found.");
  assert.equal(await say(interpreter, "PUT e ''"), "OK");
  assert.equal(await say(interpreter, "GET e"), "");
  assert.equal(await say(interpreter, ""), "<nothing>");
  assert.equal(await say(interpreter, "# a comment"), "<nothing>");
  assert.equal(await say(interpreter, "exit"), "<exit>");
  assert.equal(await say(interpreter, "QUIT"), "<exit>");
  assert.equal(fake.calls.length, 6);
});

const INVALID: ReadonlyArray<readonly [line: string, message: string]> = [
  ["FETCH a", "Invalid command."],
  ["GET", "Invalid command. GET is written: GET key"],
  ["GET a b", "Invalid command. GET is written: GET key; quote what holds spaces, such as PUT city 'New York'"],
  ["PUT a", "Invalid command. PUT is written: PUT key value"],
  ["PUT city New York", "Invalid command. PUT is written: PUT key value; quote what holds spaces, such as PUT city 'New York'"],
  ["DELETE", "Invalid command. DELETE is written: DELETE key"],
  ["EXIT now", "Invalid command. EXIT is written: EXIT"],
  ["PUT a 'b", "Invalid command. the ' at column 7 is never closed"],
  ["'GET a'", "Invalid command."],
];

for (const [line, message] of INVALID) {
  test(`invalid: ${line}`, async () => {
    const { fake, interpreter } = await start();
    const { error } = await interpreter.run(line, NEVER);
    assert.equal(error?.message, message);
    assert.equal(error?.exitCode, 3);
    assert.equal(error?.hint, "GET key, PUT key value, DELETE key, HELP, EXIT");
    assert.deepEqual(fake.calls, []);
  });
}

test("HELP lists every command, those added too", async () => {
  const more: ReplCommand = { name: "STATUS", usage: "STATUS", summary: "look", wordsMin: 0, wordsMax: 0, run: async () => "fine" };
  const { interpreter } = await start({}, [more]);
  const help = await say(interpreter, "help");
  for (const usage of ["GET key", "PUT key value", "DELETE key", "STATUS", "HELP", "EXIT"]) {
    assert.match(help, new RegExp(`^${usage} `, "m"));
  }
  assert.equal(await say(interpreter, "status"), "fine");
});

test("a server's refusal is an answer, not an end", async () => {
  const { interpreter } = await start({
    beforePut: () => {
      throw new FakeFailure(status.UNAVAILABLE, "needs 3 of 5 servers, 2 answer. Nothing was written.");
    },
  });
  const { error } = await interpreter.run("PUT a 1", NEVER);
  assert.match(error?.message ?? "", /needs 3 of 5 servers, 2 answer/);
  assert.equal(error?.exitCode, 4);
  assert.equal(await say(interpreter, "GET a"), "Key not found.");
});

test("completion: commands in the case that was begun, keys that were seen", async () => {
  const { interpreter } = await start();
  assert.deepEqual(interpreter.complete("p"), [["put "], "p"]);
  assert.deepEqual(interpreter.complete("D"), [["DELETE "], "D"]);
  assert.deepEqual(interpreter.complete(""), [["GET ", "PUT ", "DELETE ", "HELP ", "EXIT "], ""]);
  await say(interpreter, "PUT pear 1");
  await say(interpreter, "PUT peach 1");
  await say(interpreter, "PUT 'two words' 1");
  assert.deepEqual(interpreter.complete("get pea"), [["peach ", "pear "], "pea"]);
  assert.deepEqual(interpreter.complete("get two"), [[], "two"]);
  assert.deepEqual(interpreter.complete("put pear p"), [[], "p"]);
});

async function piped(interpreter: Interpreter, text: string) {
  const output = new PassThrough();
  const errors = new PassThrough();
  const exitCode = await runPiped(interpreter, { input: Readable.from([text]), output, errors }, NEVER);
  return { exitCode, output: String(output.read() ?? ""), errors: String(errors.read() ?? "") };
}

test("piped: results on stdout and nothing else, status 0", async () => {
  const { interpreter } = await start();
  const result = await piped(interpreter, "PUT a 1\r\nGET a\n\nGET b\nDELETE a\nGET a");
  assert.deepEqual(result, { exitCode: 0, output: "OK\n1\nKey not found.\nOK\nKey not found.\n", errors: "" });
});

test("piped: the first failure gives the status, later lines run all the same, EXIT ends", async () => {
  const { fake, interpreter } = await start();
  const result = await piped(interpreter, "PUT a 1\nFOO\nPUT b\nGET a\nEXIT\nPUT c 1\n");
  assert.equal(result.exitCode, 3);
  assert.equal(result.output, "OK\n1\n");
  assert.equal(
    result.errors,
    "Error: line 2: Invalid command.\ntry: GET key, PUT key value, DELETE key, HELP, EXIT\n" +
      "Error: line 3: Invalid command. PUT is written: PUT key value\ntry: GET key, PUT key value, DELETE key, HELP, EXIT\n",
  );
  assert.deepEqual(fake.calls, ["put a=1", "get a"]);
});

test("the tour fills the store and shows DELETE, GET and PUT with their results", async () => {
  const { fake, interpreter } = await start();
  const output = new PassThrough();
  assert.equal(await runTour(interpreter, output, NEVER), 0);
  const text = String(output.read());
  assert.match(text, /> PUT Auckland 'New Zealand'\nOK\n/);
  assert.match(text, /> DELETE Paris\nOK\n[\s\S]*> GET Paris\nKey not found\.\n[\s\S]*> GET Hanoi\nVietnam\n/);
  assert.match(text, /> PUT Paris 'the city of light'\nOK\n[\s\S]*> GET Paris\nthe city of light\n/);
  assert.equal(fake.calls.filter((call) => call.startsWith("put")).length, SAMPLE_PAIRS.length + 5);
  assert.equal(fake.store.get("Quito"), "the middle of the world");
});

test("the tour of a store that refuses goes on and fails", async () => {
  const { interpreter } = await start({
    beforeDelete: () => {
      throw new FakeFailure(status.UNAVAILABLE, "no coordinator");
    },
  });
  const output = new PassThrough();
  assert.equal(await runTour(interpreter, output, NEVER), 4);
  assert.match(String(output.read()), /> DELETE Paris\nError: 127\.0\.0\.1:\d+: no coordinator\n[\s\S]*> GET Hanoi\nVietnam\n/);
});
