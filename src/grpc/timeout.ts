/** The grpc-timeout header: up to eight digits and a unit. */

const MILLISECONDS: ReadonlyMap<string, number> = new Map([
  ["H", 3_600_000],
  ["M", 60_000],
  ["S", 1000],
  ["m", 1],
  ["u", 0.001],
  ["n", 0.000001],
]);
const VALUE_MAX = 99_999_999;

/** Milliseconds (a fraction for small units), or undefined where `value` is not a timeout. */
export function parseTimeout(value: string): number | undefined {
  const unit = MILLISECONDS.get(value.slice(-1));
  const digits = value.slice(0, -1);
  return unit !== undefined && /^[0-9]{1,8}$/.test(digits) ? Number(digits) * unit : undefined;
}

/** The header for `timeoutMs`, rounded up to the finest unit that holds it. */
export function formatTimeout(timeoutMs: number): string {
  const bounded = Math.max(0, timeoutMs);
  for (const unit of ["u", "m", "S", "M"]) {
    const count = Math.ceil(bounded / (MILLISECONDS.get(unit) as number));
    if (count <= VALUE_MAX) {
      return `${count}${unit}`;
    }
  }
  return `${Math.min(VALUE_MAX, Math.ceil(bounded / 3_600_000))}H`;
}
