/**
 * The files of the transcripts: sections of comments and commands above a rule, the recorded dialogue below it, a blank line
 * between sections. Reads and writes that form; knows nothing of what a command means.
 */

/** One dialogue. `title` is its first comment line; `head` all lines above the rule as they stand. */
export type Section = {
  readonly title: string;
  readonly head: readonly string[];
  readonly commands: readonly string[];
  readonly recorded: readonly string[];
};

const RULE = "----";

/** Throws where a section has no rule, or no comment that says what it shows. */
export function parseSections(text: string, file: string): Section[] {
  const sections: Section[] = [];
  let head: string[] = [];
  let recorded: string[] | null = null;
  const end = (): void => {
    if (recorded === null) {
      if (head.length > 0) {
        throw new Error(`${file}: "${head[0]}" has no ${RULE} below its commands`);
      }
      return;
    }
    const title = head.find((line) => line.startsWith("# "));
    if (title === undefined) {
      throw new Error(`${file}: a section says first, after "# ", what it shows`);
    }
    const commands = head.filter((line) => line !== "" && !line.startsWith("#"));
    sections.push({ title: title.slice(2), head, commands, recorded });
    head = [];
    recorded = null;
  };
  for (const line of text.split("\n")) {
    if (recorded === null) {
      if (line === RULE) {
        recorded = [];
      } else if (line !== "" || head.length > 0) {
        head.push(line);
      }
    } else if (line === "") {
      end();
    } else {
      recorded.push(line);
    }
  }
  end();
  return sections;
}

/** The file with these dialogues recorded. */
export function formatSections(
  sections: ReadonlyArray<{ readonly head: readonly string[]; readonly recorded: readonly string[] }>,
): string {
  return `${sections.map(({ head, recorded }) => [...head, RULE, ...recorded].join("\n")).join("\n\n")}\n`;
}
