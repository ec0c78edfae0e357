/**
 * The command `synod`: runs the program and turns whatever comes out into lines on stderr and an exit status.
 * It must import nothing heavy: each command loads what it needs when it runs, so that the command starts fast.
 */
import { CommanderError } from "commander";
import { flagOf, SETTINGS } from "./config/settings.js";
import { badArgument, type CliError, EXIT, isBug, renderError, toCliError } from "./errors.js";
import { makeProgram } from "./program.js";
import { nearest } from "./suggest.js";

/** Runs the command line `argv` (as in process.argv) and ends the process. */
export async function main(argv: readonly string[]): Promise<void> {
  // A reader that went away (`synod get k | head -0`) is no reason for a stack.
  process.stdout.on("error", () => process.exit(EXIT.io));
  process.stderr.on("error", () => undefined);
  let exitCode: number;
  try {
    exitCode = await run(argv);
  } catch (error) {
    const failure = error instanceof CommanderError ? fromCommander(error, argv) : toCliError(error);
    process.stderr.write(renderError(failure, wantsJson(argv)));
    if (isBug(error) && error instanceof Error) {
      process.stderr.write(`${error.stack}\n`);
    }
    exitCode = failure.exitCode;
  }
  // Waits for what was written, then ends even where a socket of a dial that was given up is still open.
  process.stdout.write("", () => process.exit(exitCode));
}

async function run(argv: readonly string[]): Promise<number> {
  const result = { exitCode: EXIT.ok as number };
  const program = makeProgram((exitCode) => {
    result.exitCode = exitCode;
  });
  try {
    await program.parseAsync([...argv]);
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) {
      return EXIT.ok;
    }
    if (error instanceof CommanderError && error.code === "commander.help") {
      return EXIT.badArguments; // a command that needs another word has shown which there are
    }
    throw error;
  }
  return result.exitCode;
}

/** Commander's sentences in our form, with its suggestion as the thing to try. */
function fromCommander(error: CommanderError, argv: readonly string[]): CliError {
  const message = error.message.replace(/^error: /, "");
  const suggestion = /\n?\(Did you mean (?:one of )?(.+?)\?\)$/s.exec(message);
  const plain = message.replace(/\n?\(Did you mean .*$/s, "").trim();
  const command = argv.slice(2).find((word) => !word.startsWith("-")) ?? "";
  if (suggestion !== null) {
    return badArgument(plain, `${suggestion[1]}, if that is what you meant`);
  }
  const unknown = /^unknown option '(--[^']+)'$/.exec(plain)?.[1];
  if (unknown !== undefined && (command === "server" || command === "config")) {
    const setting = nearest(unknown, SETTINGS.map(flagOf)); // commander suggests none of them, for --help lists them elsewhere
    return badArgument(
      plain,
      setting === undefined ? `synod ${command === "config" ? "config show" : command} --help` : `${setting}, if that is what you meant`,
    );
  }
  if (error.code === "commander.excessArguments" && command === "server") {
    return badArgument(
      "synod server takes one argument; the shell has split it, or eaten its quotes",
      `double quotes around all of it: synod server "my_addr:'127.0.0.1:8000' my_paxos:'127.0.0.1:9000' replica:'127.0.0.1:9000'"`,
    );
  }
  if (error.code === "commander.unknownOption" && ["get", "put", "del"].includes(command)) {
    return badArgument(plain, `synod ${command} --help, or -- before a key or value that begins with a dash: synod ${command} -- -key`);
  }
  return badArgument(plain, command === "" ? "synod --help" : `synod ${command} --help`);
}

function wantsJson(argv: readonly string[]): boolean {
  return argv.some(
    (word, index) =>
      word === "-wjson" || word === "--write-out=json" || ((word === "-w" || word === "--write-out") && argv[index + 1] === "json"),
  );
}
