/** A line typed at the prompt, split into words. Quotes hold spaces together. It must never know a command. */

export type ParsedLine = { readonly words: readonly string[] } | { readonly problem: string };

const ESCAPES: Readonly<Record<string, string>> = { n: "\n", t: "\t", r: "\r", "\\": "\\", '"': '"', "'": "'" };

/**
 * Splits at spaces; a `#` that stands alone begins a comment. Text in single quotes is taken as it stands; in double quotes `\"`, `\\`, `\n`, `\t` and `\r` are escapes.
 * Outside of quotes a backslash is a plain character: paths and patterns are typed often, escapes are not.
 */
export function parseLine(line: string): ParsedLine {
  const words: string[] = [];
  let word: string | undefined;
  let at = 0;
  while (at < line.length) {
    const character = line[at] ?? "";
    if (/\s/.test(character)) {
      if (word !== undefined) {
        words.push(word);
      }
      word = undefined;
      at++;
    } else if (character === "#" && word === undefined && /^#(\s|$)/.test(line.slice(at))) {
      return { words };
    } else if (character === "'" || character === '"') {
      const quoted = readQuoted(line, at);
      if (quoted === undefined) {
        return { problem: `the ${character} at column ${at + 1} is never closed` };
      }
      word = (word ?? "") + quoted.text;
      at = quoted.end;
    } else {
      word = (word ?? "") + character;
      at++;
    }
  }
  return { words: word === undefined ? words : [...words, word] };
}

/** `word` so that `parseLine` reads it as one word again. */
export function quoteWord(word: string): string {
  if (word !== "#" && /^[^\s'"]+$/.test(word)) {
    return word;
  }
  if (!/['\r\n\t]/.test(word)) {
    return `'${word}'`;
  }
  const escaped = word.replace(/[\\"]/g, "\\$&").replaceAll("\n", "\\n").replaceAll("\t", "\\t").replaceAll("\r", "\\r");
  return `"${escaped}"`;
}

function readQuoted(line: string, start: number): { readonly text: string; readonly end: number } | undefined {
  const quote = line[start];
  let text = "";
  let at = start + 1;
  while (at < line.length) {
    const character = line[at] ?? "";
    if (character === quote) {
      return { text, end: at + 1 };
    }
    const escaped = quote === '"' && character === "\\" ? ESCAPES[line[at + 1] ?? ""] : undefined;
    text += escaped ?? character;
    at += escaped === undefined ? 1 : 2;
  }
  return undefined;
}
