/** Small helpers over WebGL2. */

export class Program {
  readonly handle: WebGLProgram;
  private readonly gl: WebGL2RenderingContext;
  private readonly locations = new Map<string, WebGLUniformLocation | null>();

  constructor(gl: WebGL2RenderingContext, vertex: string, fragment: string) {
    this.gl = gl;
    this.handle = gl.createProgram();
    for (const [type, source] of [
      [gl.VERTEX_SHADER, vertex],
      [gl.FRAGMENT_SHADER, fragment],
    ] as const) {
      const shader = gl.createShader(type);
      if (!shader) throw new Error("the graphics context was lost");
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(this.handle, shader);
    }
    gl.linkProgram(this.handle);
    if (!gl.getProgramParameter(this.handle, gl.LINK_STATUS)) {
      const logs = (gl.getAttachedShaders(this.handle) ?? []).map((s) => gl.getShaderInfoLog(s));
      throw new Error([gl.getProgramInfoLog(this.handle), ...logs].filter(Boolean).join("\n"));
    }
  }

  use(): void {
    this.gl.useProgram(this.handle);
  }

  at(name: string): WebGLUniformLocation | null {
    const known = this.locations.get(name);
    if (known !== undefined) return known;
    const found = this.gl.getUniformLocation(this.handle, name);
    this.locations.set(name, found);
    return found;
  }
}

export interface TextureFormat {
  readonly internal: number;
  readonly format: number;
  readonly type: number;
}

/** A texture that is read texel by texel. */
export function dataTexture(
  gl: WebGL2RenderingContext,
  width: number,
  height: number,
  kind: TextureFormat,
  data: ArrayBufferView | null,
): WebGLTexture {
  const limit = gl.getParameter(gl.MAX_TEXTURE_SIZE) as number;
  if (width > limit || height > limit)
    throw new Error(`This avatar needs a ${width}×${height} texture; this device allows ${limit}.`);
  const texture = gl.createTexture();
  gl.bindTexture(gl.TEXTURE_2D, texture);
  for (const filter of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER])
    gl.texParameteri(gl.TEXTURE_2D, filter, gl.NEAREST);
  gl.texImage2D(gl.TEXTURE_2D, 0, kind.internal, width, height, 0, kind.format, kind.type, data);
  return texture;
}

export function bindTexture(gl: WebGL2RenderingContext, unit: number, texture: WebGLTexture | null): void {
  gl.activeTexture(gl.TEXTURE0 + unit);
  gl.bindTexture(gl.TEXTURE_2D, texture);
}
