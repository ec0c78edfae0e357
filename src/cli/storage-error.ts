/** What the storage says of a directory or file, as a person is told. It must not load the storage: it knows its error by the shape. */
import { EXIT_STATUS } from "../server/exit-status.js";
import { CliError } from "./errors.js";

/** A data directory or backup that cannot be used; undefined for any other error. */
export function storageError(error: unknown): CliError | undefined {
  if (!(error instanceof Error && error.name === "StorageFailure" && "kind" in error && "remedy" in error)) {
    return undefined;
  }
  const remedy = String(error.remedy);
  const isAboutUse = error.kind === "locked" || error.kind === "foreign" || error.kind === "newer-format";
  return new CliError(error.message.replace(remedy, "").trimEnd(), {
    exitCode: isAboutUse ? EXIT_STATUS.startup : EXIT_STATUS.storage,
    hint: remedy,
    cause: error,
  });
}
