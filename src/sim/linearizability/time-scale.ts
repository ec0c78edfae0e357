/** From times to places on a page, with long quiet times drawn short: an acknowledged write and the read that lost it may be minutes apart. */

/** A gap longer than this many ordinary ones is shortened to it. */
const GAP_RATIO_MAX = 6;

export type TimeScale = {
  /** The times that it was made for, ascending, each once. */
  readonly moments: readonly number[];
  /** The place of one of them, or of a time between two. */
  at(moment: number): number;
  /** Places in the middle of gaps that were shortened. */
  readonly breaks: readonly number[];
};

/** `page`: the places of the first and the last moment. */
export function makeTimeScale(times: readonly number[], page: { readonly from: number; readonly end: number }): TimeScale {
  const moments = [...new Set(times)].sort((a, b) => a - b);
  const gaps = moments.slice(1).map((moment, i) => moment - (moments[i] ?? moment));
  const longest = GAP_RATIO_MAX * (gaps.toSorted((a, b) => a - b)[gaps.length >>> 1] ?? 1);
  const total = gaps.reduce((sum, gap) => sum + Math.min(gap, longest), 0);
  const unit = total === 0 ? 0 : (page.end - page.from) / total;
  const places = [page.from];
  const breaks: number[] = [];
  for (const gap of gaps) {
    const place = places.at(-1) ?? page.from;
    const width = Math.min(gap, longest) * unit;
    places.push(place + width);
    if (gap > longest) {
      breaks.push(place + width / 2);
    }
  }
  return { moments, breaks, at: (moment) => placeOf(moment, moments, places) };
}

function placeOf(moment: number, moments: readonly number[], places: readonly number[]): number {
  const after = moments.findIndex((one) => one >= moment);
  const [next, place] = [moments[after], places[after]];
  if (next === undefined || place === undefined) {
    return places.at(-1) ?? 0;
  }
  const [previous, placeBefore] = [moments[after - 1], places[after - 1]];
  if (next === moment || previous === undefined || placeBefore === undefined) {
    return place;
  }
  return placeBefore + ((moment - previous) / (next - previous)) * (place - placeBefore);
}
