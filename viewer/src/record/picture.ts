/** Pictures out of pixels. */

/** Premultiplied RGBA -> straight alpha, in place. */
export function unpremultiply(pixels: Uint8Array): Uint8Array {
  for (let i = 0; i < pixels.length; i += 4) {
    const alpha = pixels[i + 3];
    if (alpha === 0 || alpha === 255) continue;
    for (let k = 0; k < 3; k++) pixels[i + k] = Math.min(255, Math.round((pixels[i + k] * 255) / alpha));
  }
  return pixels;
}

/** A PNG with alpha from premultiplied pixels, top row first. */
export function pngOf(premultiplied: Uint8Array, width: number, height: number): Promise<Blob> {
  const straight = new Uint8ClampedArray(unpremultiply(premultiplied).slice());
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d")?.putImageData(new ImageData(straight, width, height), 0, 0);
  return new Promise((resolve, reject) =>
    canvas.toBlob(
      (blob) => (blob ? resolve(blob) : reject(new Error("the picture could not be made"))),
      "image/png",
    ),
  );
}

/** Hand a file to the person. */
export function download(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** A file name out of any title. */
export function fileName(title: string, ending: string): string {
  return `${
    title
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, "-")
      .replace(/^-|-$/g, "") || "avatar"
  }.${ending}`;
}
