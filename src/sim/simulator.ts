/**
 * The simulator as one module, for whoever runs it: the command line loads either this one or, to show a planted bug, the same file of
 * the copy of the program that holds the bugs.
 */
export { addResult, type BatchOptions, type BatchTotals, newTotals, runSeeds } from "./batch.js";
export { DEMO_LIST, type DemoOptions, runDemo } from "./demos/run-demo.js";
export { Narrator, type NarratorOptions } from "./narrate/narrator.js";
export { type RunResult, runScenario } from "./run.js";
export { serverAddresses } from "./scenario/addresses.js";
export { type DrawOptions, drawScenario } from "./scenario/draw.js";
export { type ShrinkOptions, shrink } from "./shrink/shrink.js";
