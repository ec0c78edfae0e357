/** The error of the File port, as the simulated disk gives it: a POSIX name in `code`. Nothing else is ever told to a process. */

export class DiskError extends Error {
  override readonly name = "DiskError";
  readonly code: string;

  constructor(code: string, path: string) {
    super(`${code}: ${path}`);
    this.code = code;
  }
}

/** Runs what may fail as a disk fails; the failure, or null. */
export function attempt(effect: () => void): DiskError | null {
  try {
    effect();
    return null;
  } catch (error) {
    if (error instanceof DiskError) {
      return error;
    }
    throw error;
  }
}
