/** Exact-order counting sort of splats by depth, far to near. */

const BUCKETS = 1 << 16;

export class DepthSorter {
  private readonly keys: Uint16Array;
  private readonly starts = new Uint32Array(BUCKETS + 1);

  constructor(count: number) {
    this.keys = new Uint16Array(count);
  }

  /**
   * Two metres of body in 65,536 steps are 30 micrometres each; equal keys keep their index order,
   * so the same pose always gives the same picture.
   */
  sort(depths: Float32Array, order: Uint32Array): void {
    const { keys, starts } = this;
    let low = Infinity,
      high = -Infinity;
    for (let i = 0; i < depths.length; i++) {
      const d = depths[i];
      if (d < low) low = d;
      if (d > high) high = d;
    }
    const scale = (BUCKETS - 1) / Math.max(high - low, 1e-9);
    starts.fill(0);
    for (let i = 0; i < depths.length; i++) {
      const key = ((high - depths[i]) * scale) & 0xffff;
      keys[i] = key;
      starts[key + 1]++;
    }
    for (let k = 1; k < BUCKETS; k++) starts[k] += starts[k - 1];
    for (let i = 0; i < depths.length; i++) order[starts[keys[i]]++] = i;
  }
}
