/** `synod get`, `put` and `del`: one request each. Data goes to stdout and nothing else does. */
import { utf8Decode } from "../../base/utf8.js";
import { clientOptions, makeClient } from "../client-options.js";
import { CliError, EXIT } from "../errors.js";
import { type Flags, isSet, textFlag } from "../flags.js";
import { renderDone, renderGet, type WriteFormat } from "../kv-view.js";

/** Prints the key and its value. An absent key prints nothing on stdout and succeeds, as etcdctl does; stderr says so. */
export async function runGet(key: string, flags: Flags): Promise<number> {
  using client = makeClient(clientOptions(flags, process.env));
  const value = await client.get(key);
  process.stdout.write(renderGet(key, value, { format: formatOf(flags), valueOnly: isSet(flags, "printValueOnly") }));
  if (value === undefined && formatOf(flags) !== "json") {
    process.stderr.write("Key not found.\n");
  }
  return EXIT.ok;
}

/** Stores `value`, or what stdin holds. */
export async function runPut(key: string, value: string | undefined, flags: Flags): Promise<number> {
  await using client = makeClient(clientOptions(flags, process.env));
  await client.put(key, value ?? (await readStdin()));
  process.stdout.write(renderDone(formatOf(flags), client.endpoint));
  return EXIT.ok;
}

/** Removes the key. The store does not say whether it was there, so neither does this. */
export async function runDelete(key: string, flags: Flags): Promise<number> {
  await using client = makeClient(clientOptions(flags, process.env));
  await client.delete(key);
  process.stdout.write(renderDone(formatOf(flags), client.endpoint));
  return EXIT.ok;
}

function formatOf(flags: Flags): WriteFormat {
  const format = textFlag(flags, "writeOut");
  return format === "json" || format === "table" ? format : "simple";
}

/** All of stdin, every byte of it: a trailing newline belongs to the value. */
async function readStdin(): Promise<string> {
  if (process.stdin.isTTY) {
    process.stderr.write("The value is read from the terminal; Ctrl-D ends it.\n");
  }
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of process.stdin) {
      chunks.push(Buffer.from(chunk));
    }
  } catch (error) {
    throw new CliError("the value could not be read from stdin", { exitCode: EXIT.io, hint: "synod put KEY VALUE", cause: error });
  }
  const text = utf8Decode(Buffer.concat(chunks));
  if (text === undefined) {
    throw new CliError("the value on stdin is not valid UTF-8; values are text", {
      exitCode: EXIT.invalidInput,
      hint: "base64 FILE | synod put KEY",
    });
  }
  return text;
}
