/** Durations and sizes as people write them, read and written. It must never guess a unit: what is ambiguous is refused. */

const MS_PER: Readonly<Record<string, number>> = { ns: 1e-6, us: 1e-3, µs: 1e-3, ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
const BYTES_PER: Readonly<Record<string, number>> = {
  b: 1,
  kib: 1024,
  mib: 1024 ** 2,
  gib: 1024 ** 3,
  tib: 1024 ** 4,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
};

export type DurationOptions = {
  /** Whether a number without a unit is taken as milliseconds. */
  readonly bareIsMs: boolean;
};

/** Milliseconds of a duration in Go's form (`500ms`, `1m30s`, `1.5h`); undefined where `text` is none. */
export function parseDuration(text: string, options: DurationOptions): number | undefined {
  if (/^[0-9]+(\.[0-9]+)?$/.test(text)) {
    return options.bareIsMs || Number(text) === 0 ? Number(text) : undefined;
  }
  if (!/^([0-9]+(\.[0-9]*)?(ns|us|µs|ms|s|m|h))+$/.test(text)) {
    return undefined;
  }
  let total = 0;
  for (const [, amount, unit] of text.matchAll(/([0-9.]+)(ns|us|µs|ms|s|m|h)/g)) {
    total += Number(amount) * (MS_PER[unit ?? ""] ?? Number.NaN);
  }
  return Number.isNaN(total) ? undefined : total;
}

/** Bytes of a size such as `1048576`, `64KiB`, `1.5 MiB` or `2GB` (a thousand million); undefined where `text` is none. */
export function parseBytes(text: string): number | undefined {
  const match = /^([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)$/i.exec(text);
  const unit = (match?.[2] ?? "").toLowerCase();
  const scale = unit === "" ? 1 : BYTES_PER[unit];
  if (match === null || scale === undefined) {
    return undefined;
  }
  const bytes = Number(match[1]) * scale;
  return Number.isInteger(bytes) ? bytes : undefined;
}

/** `1.5 MiB`: the largest binary unit that leaves at least one, three digits. */
export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : Number(value.toFixed(1))} ${units[unit]}`;
}

/** `250 ms`, `12 s`, `3 m 20 s`, `5 h 12 m`, `3 d 4 h`: two units at most. */
export function formatDuration(ms: number): string {
  if (ms < 1000) {
    return `${Math.round(ms)} ms`;
  }
  const seconds = Math.floor(ms / 1000);
  const parts: ReadonlyArray<readonly [amount: number, unit: string]> = [
    [Math.floor(seconds / 86_400), "d"],
    [Math.floor(seconds / 3600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "m"],
    [seconds % 60, "s"],
  ];
  const first = parts.findIndex(([amount]) => amount > 0);
  return parts
    .slice(first, first + 2)
    .filter(([amount]) => amount > 0)
    .map(([amount, unit]) => `${amount} ${unit}`)
    .join(" ");
}
