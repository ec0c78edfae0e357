/**
 * A contradiction as a picture: clients as rows, operations as bars along an axis of time, the contradiction in colour among what
 * else happened to the key then. One SVG file that stands alone, light or dark as its reader is; it loads nothing, and all text from
 * the history is escaped.
 */
import type { Operation } from "../workload/operation.js";
import { makeTimeScale, type TimeScale } from "./time-scale.js";
import { answerText, askedText, secondsText, valueText } from "./words.js";

/** Operations drawn, the contradiction's first, then those nearest to it. */
export const BARS_MAX = 60;

const WIDTH = 1200;
const LEFT = 110;
const RIGHT = 60;
const TOP = 92;
const LANE_HEIGHT = 36;
const BAR_HEIGHT = 14;
const BAR_WIDTH_MIN = 4;
const CHAR_WIDTH = 7;
const LABEL_CHARS_MAX = 44;
const SENTENCE_CHARS = 150;
const TICKS_APART = 110;
/** An unanswered operation is drawn this far, fading. */
const OPEN_WIDTH = 48;

export type TimelineOptions = {
  readonly key: string;
  readonly contradiction: readonly Operation[];
  /** The operations of the key, all of them. */
  readonly history: readonly Operation[];
  /** What is wrong, in a sentence. */
  readonly explanation: string;
};

type Bar = {
  readonly operation: Operation;
  readonly isAccused: boolean;
  readonly left: number;
  readonly width: number;
  readonly label: string;
  readonly lane: number;
};

/** The picture as the text of an SVG file. */
export function drawTimeline(options: TimelineOptions): string {
  const drawn = chooseDrawn(options.contradiction, options.history);
  const scale = makeTimeScale(momentsOf(drawn), { from: LEFT, end: WIDTH - RIGHT });
  const { bars, clients } = arrange(drawn, new Set(options.contradiction), scale);
  const lanes = clients.reduce((sum, client) => sum + client.lanes, 0);
  const axisAt = TOP + lanes * LANE_HEIGHT + 10;
  const sentences = wrap(options.explanation, SENTENCE_CHARS);
  const height = axisAt + 60 + sentences.length * 18;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-labelledby="title">`,
    `<title id="title">Not linearizable: key ${escapeText(valueText(options.key))}</title>`,
    STYLE,
    `<rect class="page" width="${WIDTH}" height="${height}"/>`,
    `<text class="title" x="20" y="32">Not linearizable: key ${escapeText(valueText(options.key))}</text>`,
    legend(),
    ...rows(clients, lanes),
    ...axis(scale, axisAt),
    ...bars.map(drawBar),
    ...sentences.map((line, i) => `<text x="20" y="${axisAt + 58 + i * 18}">${escapeText(line)}</text>`),
    "</svg>",
    "",
  ].join("\n");
}

const STYLE = `<style>
  .page { fill: #ffffff; } text { fill: #1c2733; font: 13px system-ui, sans-serif; } .title { font-size: 20px; font-weight: 600; }
  .label { font: 11px ui-monospace, monospace; } .faint { fill: #66727f; font-size: 11px; } .told { font-weight: 700; } .line { stroke: #d5dbe1; } .axis { stroke: #66727f; }
  .break { stroke: #66727f; stroke-dasharray: 2 4; }
  .bar { fill: #b9c3cd; } .accused { fill: #d1345b; } .open { fill: none; stroke: #66727f; stroke-dasharray: 4 3; } .accused.open { stroke: #d1345b; }
  .failed { fill: none; stroke: #b9c3cd; }
  @media (prefers-color-scheme: dark) {
    .page { fill: #14191f; } text { fill: #e3e8ed; } .faint { fill: #93a0ad; } .line { stroke: #2c3540; } .axis, .break { stroke: #93a0ad; }
    .bar { fill: #4c5a68; } .accused { fill: #f0587d; } .open { fill: none; stroke: #93a0ad; } .accused.open { fill: none; stroke: #f0587d; }
    .failed { fill: none; stroke: #4c5a68; }
  }
</style>`;

function legend(): string {
  const items: ReadonlyArray<readonly [shape: string, text: string]> = [
    ["bar accused", "the contradiction: no order explains these answers"],
    ["bar", "other operations on the key"],
    ["bar open", "no answer: may have happened at any later time"],
    ["bar failed", "failed: not applied"],
  ];
  let x = 20;
  return items
    .map(([shape, text]) => {
      const item = `<rect class="${shape}" x="${x}" y="50" width="22" height="12" rx="3"/><text class="faint" x="${x + 28}" y="60">${text}</text>`;
      x += 48 + Math.round(text.length * 5.8);
      return item;
    })
    .join("\n");
}

/** The contradiction, then what touches its time on the same key, nearest first. */
function chooseDrawn(contradiction: readonly Operation[], history: readonly Operation[]): readonly Operation[] {
  const chosen = new Set(contradiction.slice(0, BARS_MAX));
  const distance = (operation: Operation): number => Math.min(...contradiction.map((accused) => gapBetween(accused, operation)));
  const from = Math.min(...contradiction.map(({ start }) => start));
  const end = Math.max(...contradiction.map(lastMoment));
  const margin = (end - from) * 0.1;
  const near = history
    .filter((operation) => !chosen.has(operation) && lastMoment(operation) >= from - margin && operation.start <= end + margin)
    .map((operation) => ({ operation, distance: distance(operation) }))
    .sort((a, b) => a.distance - b.distance);
  for (const { operation } of near.slice(0, BARS_MAX - chosen.size)) {
    chosen.add(operation);
  }
  return [...chosen].sort((a, b) => a.start - b.start);
}

const lastMoment = ({ start, end }: Operation): number => end ?? start;
const gapBetween = (a: Operation, b: Operation): number => Math.max(0, a.start - lastMoment(b), b.start - lastMoment(a));
const momentsOf = (operations: readonly Operation[]): number[] =>
  operations.flatMap((operation) => [operation.start, lastMoment(operation)]);

type Client = { readonly client: number; readonly from: number; readonly lanes: number };

/** Gives every bar its place: a client's operations side by side in as many lanes as their labels need. */
function arrange(
  drawn: readonly Operation[],
  accused: ReadonlySet<Operation>,
  scale: TimeScale,
): { readonly bars: readonly Bar[]; readonly clients: readonly Client[] } {
  const bars: Bar[] = [];
  const clients: Client[] = [];
  const numbers = [...new Set(drawn.map(({ client }) => client))].sort((a, b) => a - b);
  let from = 0;
  for (const client of numbers) {
    const laneEnds: number[] = [];
    for (const operation of drawn.filter((one) => one.client === client)) {
      const left = scale.at(operation.start);
      const label = cutText(`${askedText(operation.key, operation.input)}: ${answerText(operation)}`);
      const isOpen = operation.outcome === "unknown";
      const width = isOpen ? OPEN_WIDTH : Math.max(BAR_WIDTH_MIN, scale.at(lastMoment(operation)) - left);
      const end = Math.max(left + width, labelLeft(left, label) + label.length * CHAR_WIDTH);
      const free = laneEnds.findIndex((laneEnd) => laneEnd + 6 <= labelLeft(left, label));
      const lane = free === -1 ? laneEnds.length : free;
      laneEnds[lane] = end;
      bars.push({ operation, isAccused: accused.has(operation), left, width, label, lane: from + lane });
    }
    clients.push({ client, from, lanes: laneEnds.length });
    from += laneEnds.length;
  }
  return { bars, clients };
}

/** Where a label begins: at its bar, or further left where it would leave the page. */
function labelLeft(left: number, label: string): number {
  return Math.max(LEFT, Math.min(left, WIDTH - 10 - label.length * CHAR_WIDTH));
}

function rows(clients: readonly Client[], lanes: number): string[] {
  const parts = clients.map(({ client, from, lanes: own }) => {
    const top = TOP + from * LANE_HEIGHT;
    const middle = top + (own * LANE_HEIGHT) / 2 + 5;
    return `<line class="line" x1="20" x2="${WIDTH - 20}" y1="${top}" y2="${top}"/><text x="20" y="${middle}">client ${client}</text>`;
  });
  const bottom = TOP + lanes * LANE_HEIGHT;
  return [...parts, `<line class="line" x1="20" x2="${WIDTH - 20}" y1="${bottom}" y2="${bottom}"/>`];
}

function axis(scale: TimeScale, at: number): string[] {
  const parts = [`<line class="axis" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${at}" y2="${at}"/>`];
  const [first = 0] = scale.moments;
  // As many decimals as tell a hundredth of the page apart.
  const digits = Math.min(9, Math.max(3, Math.ceil(8 - Math.log10(Math.max(1e-3, (scale.moments.at(-1) ?? first) - first)))));
  let lastX = Number.NEGATIVE_INFINITY;
  for (const moment of scale.moments) {
    const x = scale.at(moment);
    if (x - lastX >= TICKS_APART) {
      parts.push(`<line class="axis" x1="${round(x)}" x2="${round(x)}" y1="${at}" y2="${at + 5}"/>`);
      parts.push(`<text class="faint" text-anchor="middle" x="${round(x)}" y="${at + 20}">${secondsText(moment, digits)}</text>`);
      lastX = x;
    }
  }
  for (const x of scale.breaks) {
    parts.push(`<line class="break" x1="${round(x)}" x2="${round(x)}" y1="${TOP}" y2="${at + 5}"/>`);
  }
  if (scale.breaks.length > 0) {
    parts.push(`<text class="faint" x="${LEFT}" y="${at + 36}">dashed: a quiet time, drawn shorter than it was</text>`);
  }
  return parts;
}

function drawBar({ operation, isAccused, left, width, label, lane }: Bar): string {
  const top = TOP + lane * LANE_HEIGHT;
  const shape = `bar${isAccused ? " accused" : ""}${operation.outcome === "unknown" ? " open" : operation.outcome === "fail" ? " failed" : ""}`;
  const end = operation.end === null ? "never answered" : secondsText(operation.end);
  const full = `client ${operation.client}: ${askedText(operation.key, operation.input)}: ${answerText(operation)} (${secondsText(operation.start)} to ${end})`;
  return [
    `<g><title>${escapeText(full)}</title>`,
    `<rect class="${shape}" x="${round(left)}" y="${top + 18}" width="${round(width)}" height="${BAR_HEIGHT}" rx="3"/>`,
    `<text class="label${isAccused ? " told" : ""}" x="${round(labelLeft(left, label))}" y="${top + 14}">${escapeText(label)}</text></g>`,
  ].join("");
}

const round = (x: number): number => Math.round(x * 10) / 10;

function cutText(text: string): string {
  return text.length <= LABEL_CHARS_MAX ? text : `${text.slice(0, LABEL_CHARS_MAX - 3)}...`;
}

/** Lines of at most `chars`, broken at spaces where there are any. */
function wrap(text: string, chars: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > chars) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}

const ESCAPES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;" };
const LONE_SURROGATE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

/** Text as XML allows it: its marks escaped; what XML 1.0 forbids, U+FFFD instead. */
function escapeText(text: string): string {
  const marked = text.replace(/[&<>"']/g, (mark) => ESCAPES[mark] ?? mark).replace(LONE_SURROGATE, "\ufffd");
  return [...marked].map((char) => (isForbidden(char.codePointAt(0) ?? 0) ? "\ufffd" : char)).join("");
}

function isForbidden(code: number): boolean {
  return (code < 0x20 && code !== 0x09 && code !== 0x0a && code !== 0x0d) || code === 0xfffe || code === 0xffff;
}
