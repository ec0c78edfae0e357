/** The error of the File port, as the simulated disk gives it: a POSIX name in `code`. Nothing else is ever told to a process. */

export class DiskError extends Error {
  override readonly name = "DiskError";
  readonly code: string;

  constructor(code: string, path: string) {
    super(`${code}: ${path}`);
    this.code = code;
  }
}
