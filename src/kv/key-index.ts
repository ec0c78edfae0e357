/**
 * The ordered index over key bytes: a B+ tree from each key to its newest version. The leaves are columns (`index-leaves.ts`);
 * the few inner nodes, one for about ten thousand keys, are plain objects with short separators. Nothing is ever rehashed or
 * copied as a whole, so the index grows without stalls. A position stays valid until the next insertion or removal.
 */
import { assert } from "../base/assert.js";
import { IndexLeaves, LEAF_KEYS_MAX, type Leaf, NO_LEAF, type Probe } from "./index-leaves.js";
import { headOf, lowerBound, sharedLength, upperBound } from "./key-head.js";
import { NO_BYTES, type Row, type Versions } from "./versions.js";

const INNER_CHILDREN_MAX = 128;
/** Neighbouring leaves are joined when one has fewer keys than this and both together leave room to grow. */
const MERGE_BELOW = LEAF_KEYS_MAX / 4;
const MERGED_MAX = (LEAF_KEYS_MAX * 3) / 4;

/** Separator i is above all keys of child i and not above any key of child i + 1. Children are leaves at the lowest level. */
class Inner {
  readonly separators: Uint8Array[] = [];
  readonly heads = new Uint32Array(INNER_CHILDREN_MAX);
  prefixLength = 0;
  readonly leaves: Leaf[] = [];
  readonly inners: Inner[] = [];
  readonly lowest: boolean;

  constructor(lowest: boolean) {
    this.lowest = lowest;
  }

  get size(): number {
    return this.separators.length + 1;
  }

  /** The child whose keys the probe belongs to. */
  childFor(probe: Probe): number {
    const count = this.separators.length;
    if (count === 0) {
      return 0;
    }
    const first = this.separators[0] as Uint8Array;
    const order = comparePrefix(probe, first, this.prefixLength);
    if (order !== 0) {
      return order < 0 ? 0 : count;
    }
    const head = headOf(probe.bytes, probe.from + this.prefixLength, probe.end);
    let low = lowerBound(this.heads, 0, count, head);
    let high = low < count && this.heads[low] === head ? upperBound(this.heads, low, count, head) : low;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (compareProbe(probe, this.separators[middle] as Uint8Array) >= 0) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

  /** Recomputes prefix and heads; after each change of the separators. */
  refresh(): void {
    const { separators, heads } = this;
    const count = separators.length;
    if (count === 0) {
      return;
    }
    const first = separators[0] as Uint8Array;
    const last = separators[count - 1] as Uint8Array;
    this.prefixLength = sharedLength(first, 0, last, { bFrom: 0, max: Math.min(first.length, last.length) });
    for (let i = 0; i < count; i++) {
      const separator = separators[i] as Uint8Array;
      heads[i] = headOf(separator, this.prefixLength, separator.length);
    }
  }
}

/** Negative or positive as the probe sorts before or after everything that begins like `key` does for `length` bytes; else 0. */
function comparePrefix(probe: Probe, key: Uint8Array, length: number): number {
  const has = probe.end - probe.from;
  const shared = Math.min(has, length);
  for (let i = 0; i < shared; i++) {
    const difference = (probe.bytes[probe.from + i] as number) - (key[i] as number);
    if (difference !== 0) {
      return difference;
    }
  }
  return has < length ? -1 : 0;
}

function compareProbe(probe: Probe, key: Uint8Array): number {
  const order = comparePrefix(probe, key, key.length);
  return order !== 0 ? order : probe.end - probe.from - key.length;
}

export class KeyIndex {
  /** Where `locate` ended: leaf and slot of the first key not below the probe; the slot may be one past the leaf's last. */
  leaf: Leaf;
  slot = 0;
  /** The key that `locate` looks for; set by the caller. */
  readonly probe: Probe = { bytes: NO_BYTES, from: 0, end: 0 };
  readonly leaves: IndexLeaves;
  private readonly versions: Versions;
  private root: Inner;
  /** The way from the root to `leaf`: nodes, and the child taken in each. */
  private readonly pathNodes: Inner[] = [];
  private readonly pathChildren: number[] = [];
  private keys = 0;

  constructor(versions: Versions) {
    this.versions = versions;
    this.leaves = new IndexLeaves(versions);
    this.root = new Inner(true);
    this.leaf = this.leaves.create();
    this.root.leaves.push(this.leaf);
  }

  /** Keys in the index; more than exist, by those whose newest version is a tombstone. */
  get size(): number {
    return this.keys;
  }

  get memoryBytes(): number {
    return this.leaves.memoryBytes;
  }

  /** Finds the probe's place; true when its key is there. */
  locate(): boolean {
    let node = this.root;
    let depth = 0;
    for (;;) {
      const child = node.childFor(this.probe);
      this.pathNodes[depth] = node;
      this.pathChildren[depth] = child;
      depth++;
      if (node.lowest) {
        this.pathNodes.length = depth;
        this.pathChildren.length = depth;
        this.leaf = node.leaves[child] as Leaf;
        const found = this.leaves.search(this.leaf, this.probe);
        this.slot = this.leaves.slot;
        return found;
      }
      node = node.inners[child] as Inner;
    }
  }

  /** `locate` for a key of its own array. */
  locateKey(key: Uint8Array): boolean {
    this.setProbe(key, 0, key.length);
    return this.locate();
  }

  setProbe(bytes: Uint8Array, from: number, end: number): void {
    this.probe.bytes = bytes;
    this.probe.from = from;
    this.probe.end = end;
  }

  /** Moves on from a slot past the end of its leaf to the next key; false at the end of the index. */
  settle(): boolean {
    if (this.slot < this.leaves.count(this.leaf)) {
      return true;
    }
    const next = this.leaves.next(this.leaf);
    if (next === NO_LEAF) {
      return false;
    }
    this.leaf = next;
    this.slot = 0;
    return true;
  }

  row(): Row {
    return this.leaves.rowAt(this.leaf, this.slot);
  }

  /** Replaces the version at the place that was located. */
  setRow(row: Row): void {
    this.leaves.setRow(this.leaf, this.slot, row);
  }

  /** Adds the key of `row` at the place where `locate` just did not find it. */
  insert(row: Row): void {
    this.keys++;
    if (this.leaves.count(this.leaf) < LEAF_KEYS_MAX) {
      this.leaves.insert(this.leaf, this.slot, row);
      return;
    }
    const appends = this.slot === LEAF_KEYS_MAX && this.leaves.next(this.leaf) === NO_LEAF;
    const at = appends ? LEAF_KEYS_MAX : LEAF_KEYS_MAX / 2;
    const right = this.leaves.split(this.leaf, at);
    if (this.slot >= at) {
      this.leaves.insert(right, this.slot - at, row);
    } else {
      this.leaves.insert(this.leaf, this.slot, row);
    }
    this.addChild(this.separator(this.leaf, right), right);
  }

  /** Removes the key at the place where `locate` just found it. */
  remove(): void {
    this.keys--;
    this.leaves.remove(this.leaf, this.slot);
    const parent = this.pathNodes[this.pathNodes.length - 1] as Inner;
    const child = this.pathChildren[this.pathChildren.length - 1] as number;
    if (this.leaves.count(this.leaf) === 0) {
      this.dropEmptyLeaf();
    } else if (this.leaves.count(this.leaf) < MERGE_BELOW) {
      this.mergeAround(parent, child);
    }
  }

  private mergeAround(parent: Inner, child: number): void {
    const left = child > 0 && this.fits(parent, child - 1) ? child - 1 : this.fits(parent, child) ? child : -1;
    if (left < 0) {
      return;
    }
    this.leaves.merge(parent.leaves[left] as Leaf, parent.leaves[left + 1] as Leaf);
    parent.leaves.splice(left + 1, 1);
    parent.separators.splice(left, 1);
    parent.refresh();
  }

  /** Whether child `left` and the one behind it fit one leaf with room to spare. */
  private fits(parent: Inner, left: number): boolean {
    const right = parent.leaves[left + 1];
    return right !== undefined && this.leaves.count(parent.leaves[left] as Leaf) + this.leaves.count(right) <= MERGED_MAX;
  }

  /** Takes an empty leaf out of its parent, and parents that are empty by that out of theirs. The last leaf stays. */
  private dropEmptyLeaf(): void {
    let depth = this.pathNodes.length - 1;
    while (depth > 0 && (this.pathNodes[depth] as Inner).size === 1) {
      depth--;
    }
    const node = this.pathNodes[depth] as Inner;
    if (node.size === 1) {
      return;
    }
    const child = this.pathChildren[depth] as number;
    this.leaves.drop(this.leaf);
    if (node.lowest) {
      node.leaves.splice(child, 1);
    } else {
      node.inners.splice(child, 1);
    }
    node.separators.splice(Math.max(child - 1, 0), 1);
    node.refresh();
    while (!this.root.lowest && this.root.size === 1) {
      this.root = this.root.inners[0] as Inner;
    }
  }

  /** The shortest key that is above all of `left` and not above any of `right`. */
  private separator(left: Leaf, right: Leaf): Uint8Array {
    this.versions.open(this.leaves.rowAt(left, this.leaves.count(left) - 1));
    const { bytes, keyFrom, keyLength } = this.versions;
    this.versions.open(this.leaves.rowAt(right, 0));
    const { bytes: above, keyFrom: aboveFrom, keyLength: aboveLength } = this.versions;
    const shared = sharedLength(bytes, keyFrom, above, { bFrom: aboveFrom, max: Math.min(keyLength, aboveLength) });
    assert(shared < aboveLength, "keys of neighbouring leaves differ");
    return above.slice(aboveFrom, aboveFrom + shared + 1);
  }

  /** Hangs a new leaf behind the one that was split, splitting full nodes on the way up. */
  private addChild(separator: Uint8Array, leaf: Leaf): void {
    let carriedSeparator = separator;
    let carried: Inner | undefined;
    for (let depth = this.pathNodes.length - 1; depth >= 0; depth--) {
      const node = this.pathNodes[depth] as Inner;
      const child = this.pathChildren[depth] as number;
      node.separators.splice(child, 0, carriedSeparator);
      if (carried === undefined) {
        node.leaves.splice(child + 1, 0, leaf);
      } else {
        node.inners.splice(child + 1, 0, carried);
      }
      if (node.size <= INNER_CHILDREN_MAX) {
        node.refresh();
        return;
      }
      const at = child + 2 === node.size ? node.size - 1 : node.size >>> 1;
      carriedSeparator = node.separators[at - 1] as Uint8Array;
      carried = splitInner(node, at);
    }
    const root = new Inner(false);
    root.inners.push(this.root, carried as Inner);
    root.separators.push(carriedSeparator);
    root.refresh();
    this.root = root;
  }
}

/** Moves the children from `at` on into a new node; the separator before them goes up and is dropped here. */
function splitInner(node: Inner, at: number): Inner {
  const right = new Inner(node.lowest);
  right.separators.push(...node.separators.splice(at - 1).slice(1));
  right.leaves.push(...node.leaves.splice(at));
  right.inners.push(...node.inners.splice(at));
  node.refresh();
  right.refresh();
  return right;
}
