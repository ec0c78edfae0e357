/** The page docs/MUTANTS.md: one row for each planted bug, what caught it, and those that cannot be planted yet. Nothing in it depends on the machine. */

const INVARIANTS = {
  assertion: "an assertion of the program",
  error: "an error of the program",
  endless: "the run does not end",
};

const cell = (text) => String(text).replaceAll("|", "\\|").replaceAll("\n", " ");
const row = (...cells) => `| ${cells.map(cell).join(" | ")} |`;

function killerOf(kill) {
  if (kill === undefined) {
    return ["**nobody**", ""];
  }
  if (kill.test !== undefined) {
    return [`test ${kill.test}`, ""];
  }
  const invariant = INVARIANTS[kill.invariant] ?? (/^\d/.test(kill.invariant) ? `invariant ${kill.invariant}` : kill.invariant);
  return [invariant, `${kill.seed}${kill.schedule === "swarm" ? "" : ` (${kill.schedule})`}, ${(kill.virtualMs / 1000).toFixed(1)} s`];
}

/** The whole page. `kills` by id, as kills.json has them. */
export function mutantsPage({ mutants, absent, kills }) {
  const rows = mutants.map(({ id, name, edits, hunt }) => {
    const files = [...new Set(edits.map(({ file }) => file.replace(/\.js$/, ".ts")))].join(" ");
    return row(id, name, files, ...killerOf(kills[id]), hunt.by === "test" ? "tests" : "simulator");
  });
  return `# Planted bugs

A simulator that finds nothing proves little. These bugs are planted on purpose, one at a time, in a copy of the built program, and hunted by the
same seeds and checks that the program itself must pass; each must be caught. Numbers are those of the list in the specification of the protocol;
s: bugs in this project's own code; h: HTTP/2, which is below the simulator and hunted by its tests. Written by \`npm run mutants\`.

| bug | what is wrong | where | caught by | seed, virtual time | hunted by |
|---|---|---|---|---|---|
${rows.join("\n")}

## Not planted

| bug | what it would be | why not |
|---|---|---|
${absent.map(({ id, name, reason }) => row(id, name, reason)).join("\n")}
`;
}
