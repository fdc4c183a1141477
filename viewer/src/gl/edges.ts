/** Each edge of a triangle mesh once, as pairs of vertex ids. */
export function uniqueEdges(faces: Uint16Array | Uint32Array): Uint32Array {
  const pairs: number[] = [];
  const seen = new Set<number>();
  for (let f = 0; f < faces.length; f += 3) {
    for (let k = 0; k < 3; k++) {
      const a = faces[f + k],
        b = faces[f + ((k + 1) % 3)];
      const key = Math.min(a, b) * 65536 + Math.max(a, b);
      if (seen.has(key)) continue;
      seen.add(key);
      pairs.push(a, b);
    }
  }
  return Uint32Array.from(pairs);
}
