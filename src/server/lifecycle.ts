/**
 * The life of a server: starting, running, stopping, ended; and what ends it by itself. A bug or a broken disk is logged with
 * what led to it and ends everything: halting is safe, going on is not. Nothing happens after the end.
 */
import { AssertionFailure } from "../base/assert.js";
import type { Clock } from "../ports/clock.js";
import { StorageFailure } from "../storage/storage-failure.js";
import type { EventRing } from "./event-ring.js";
import { EXIT_STATUS } from "./exit-status.js";
import type { Logger } from "./logger.js";
import { StoreError } from "./store-error.js";
import { endsWithin } from "./waiting.js";

/** How long network and disk may take to close. A disk that answers nothing must not keep alive a process that answers nothing. */
export const CLOSE_MS = 5000;

export type Phase = "starting" | "running" | "stopping" | "ended";

export type LifecycleOptions = {
  readonly clock: Clock;
  readonly log: Logger;
  readonly ring: EventRing;
  /** Stops all parts, answers what waits with `why`, and closes network and disk. Called once. */
  readonly close: (why: string) => Promise<void>;
  /** The disk lets nothing be closed: the process cannot end but by force, which the data bears like a power cut. Called at most once. */
  readonly onStuck: () => void;
  /** The server has ended by itself, with this exit status. Called at most once. */
  readonly onFatal: (status: number) => void;
};

export class Lifecycle {
  private readonly options: LifecycleOptions;
  private current: Phase = "starting";

  constructor(options: LifecycleOptions) {
    this.options = options;
  }

  get phase(): Phase {
    return this.current;
  }

  /** Whether requests are taken: from the start to the end, so that a graceful stop answers what still comes. */
  get serves(): boolean {
    return this.current === "running" || this.current === "stopping";
  }

  /** From starting to running, from running to stopping; false where the server is not in the phase before. */
  advance(to: "running" | "stopping"): boolean {
    const due = this.current === (to === "running" ? "starting" : "running");
    if (due) {
      this.current = to;
    }
    return due;
  }

  /** For requests that come when none are taken. */
  absence(): StoreError {
    return new StoreError("unavailable", "not-applied", `This server is ${this.current === "starting" ? "starting" : "stopping"}.`);
  }

  /** Ends at once: nothing is handed over or waited for, and what does not close in time is left behind. */
  async end(why: string): Promise<void> {
    if (this.current === "ended") {
      return;
    }
    this.current = "ended";
    const { clock, log, close, onStuck } = this.options;
    if (!(await endsWithin(clock, close(why), CLOSE_MS))) {
      log.log(
        "fatal",
        "close-stuck",
        `The disk has not let go within ${CLOSE_MS} ms: the process ends by force. Nothing acknowledged is lost.`,
      );
      onStuck();
    }
  }

  /** Runs `work`; what it throws ends the server. Every entry from outside goes through it. */
  guard(work: () => void): void {
    if (this.current === "ended") {
      return;
    }
    try {
      work();
    } catch (error) {
      this.fatal(error);
    }
  }

  /** Ends the server because of `error`, after saying what led to it. */
  fatal(error: unknown): void {
    if (this.current === "ended") {
      return;
    }
    const { log, ring } = this.options;
    const isStorage = error instanceof StorageFailure;
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    const code = isStorage ? "storage-failure" : error instanceof AssertionFailure ? "assertion-failed" : "unexpected-error";
    log.log("fatal", code, `The server stops: ${text}`);
    if (!isStorage) {
      for (const line of ring.dump()) {
        log.log("error", "last-steps", line);
      }
    }
    this.halt(isStorage ? EXIT_STATUS.storage : EXIT_STATUS.bug);
  }

  /** Ends the server with an exit status of its own; the reason was logged. */
  halt(status: number): void {
    const { log, onFatal } = this.options;
    this.end("This server stopped on a failure of its own.")
      .catch((error: unknown) => log.log("error", "close-failed", `Closing failed as well: ${String(error)}`))
      .then(() => onFatal(status));
  }
}
