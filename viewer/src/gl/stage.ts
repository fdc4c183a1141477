/** Everything drawn with WebGL2: floor, splats, mesh overlay; on the canvas or into memory. */

import type { CameraView } from "../camera/view";
import type { AvatarData } from "../io/avatar";
import { ORDER_PER_ROW, VERTICES_PER_ROW } from "../worker/client";
import { uniqueEdges } from "./edges";
import { packSplats, SPLATS_PER_ROW } from "./packing";
import { bindTexture, dataTexture, Program } from "./program";
import {
  FLAT_FRAGMENT,
  FLOOR_FRAGMENT,
  FLOOR_VERTEX,
  FULL_VERTEX,
  MESH_FRAGMENT,
  MESH_VERTEX,
  PROJECT_FRAGMENT,
  SPLAT_FRAGMENT,
  SPLAT_VERTEX,
} from "./shaders";

export type SplatStyle = "normal" | "flat" | "hidden";
export type MeshStyle = "off" | "wire" | "shaded";

export interface FloorPlace {
  readonly x: number;
  readonly y: number;
  readonly z: number;
  readonly tint: readonly [number, number, number];
}

export interface Layers {
  readonly splats: SplatStyle;
  readonly mesh: MeshStyle;
  readonly floor: FloorPlace | null;
}

export const PLAIN_LAYERS: Layers = { splats: "normal", mesh: "off", floor: null };

export class NoWebGLError extends Error {
  override readonly name = "NoWebGLError";
}

const NEAR = 0.01;
const FAR = 100;
const FLOOR_RADIUS = 3;
const WIRE: readonly number[] = [0.42, 0.66, 0.17, 0.8];
const CLAY: readonly number[] = [0.8, 0.79, 0.75, 1];

export class Stage {
  readonly gl: WebGL2RenderingContext;
  readonly canvas: HTMLCanvasElement;
  private readonly splatCount: number;
  private readonly vertexRows: number;
  private readonly orderRows: number;
  private readonly textures: {
    splats: WebGLTexture;
    vertices: WebGLTexture;
    order: WebGLTexture;
    ellipses: WebGLTexture;
    colors: WebGLTexture;
  };
  /** Where pass one writes: ellipses and colours of the splats in drawing order. */
  private readonly projected: WebGLFramebuffer;
  private readonly programs: {
    project: Program;
    splats: Program;
    flat: Program;
    mesh: Program;
    floor: Program;
  };
  private readonly shapes: {
    faces: WebGLVertexArrayObject;
    edges: WebGLVertexArrayObject;
    none: WebGLVertexArrayObject;
  };
  private readonly faceIndices: number;
  private readonly edgeIndices: number;

  constructor(canvas: HTMLCanvasElement, avatar: AvatarData) {
    const gl = canvas.getContext("webgl2", {
      antialias: false,
      alpha: true,
      premultipliedAlpha: true,
      preserveDrawingBuffer: true,
      depth: true,
      powerPreference: "high-performance",
    });
    if (!gl) throw new NoWebGLError("WebGL2 is not available");
    this.gl = gl;
    this.canvas = canvas;
    this.splatCount = avatar.splats.count;
    this.vertexRows = Math.ceil(avatar.rig.vertices.length / 3 / VERTICES_PER_ROW);
    this.orderRows = Math.ceil(this.splatCount / ORDER_PER_ROW);
    const { data, rows } = packSplats(avatar);
    const four = { internal: gl.RGBA32UI, format: gl.RGBA_INTEGER, type: gl.UNSIGNED_INT };
    const one = { internal: gl.R32UI, format: gl.RED_INTEGER, type: gl.UNSIGNED_INT };
    this.textures = {
      splats: dataTexture(gl, 2 * SPLATS_PER_ROW, rows, four, data),
      vertices: dataTexture(
        gl,
        VERTICES_PER_ROW,
        this.vertexRows,
        { internal: gl.RGBA32F, format: gl.RGBA, type: gl.FLOAT },
        null,
      ),
      order: dataTexture(gl, ORDER_PER_ROW, this.orderRows, one, null),
      ellipses: dataTexture(gl, ORDER_PER_ROW, this.orderRows, four, null),
      colors: dataTexture(gl, ORDER_PER_ROW, this.orderRows, one, null),
    };
    this.projected = targetOf(gl, [this.textures.ellipses, this.textures.colors]);
    this.programs = {
      project: new Program(gl, FULL_VERTEX, PROJECT_FRAGMENT),
      splats: new Program(gl, SPLAT_VERTEX, SPLAT_FRAGMENT),
      flat: new Program(gl, SPLAT_VERTEX, FLAT_FRAGMENT),
      mesh: new Program(gl, MESH_VERTEX, MESH_FRAGMENT),
      floor: new Program(gl, FLOOR_VERTEX, FLOOR_FRAGMENT),
    };
    const edges = uniqueEdges(avatar.rig.faces);
    this.faceIndices = avatar.rig.faces.length;
    this.edgeIndices = edges.length;
    this.shapes = {
      faces: indexed(gl, Uint32Array.from(avatar.rig.faces)),
      edges: indexed(gl, edges),
      none: gl.createVertexArray(),
    };
  }

  /** Take a posed body: rows of posed vertices and the splats' order. */
  upload(vertices: Float32Array, order: Uint32Array): void {
    const gl = this.gl;
    bindTexture(gl, 1, this.textures.vertices);
    gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, VERTICES_PER_ROW, this.vertexRows, gl.RGBA, gl.FLOAT, vertices);
    bindTexture(gl, 2, this.textures.order);
    gl.texSubImage2D(
      gl.TEXTURE_2D,
      0,
      0,
      0,
      ORDER_PER_ROW,
      this.orderRows,
      gl.RED_INTEGER,
      gl.UNSIGNED_INT,
      order,
    );
  }

  /** Draw to the canvas, which takes the view's size. */
  draw(view: CameraView, layers: Layers): void {
    if (this.canvas.width !== view.width) this.canvas.width = view.width;
    if (this.canvas.height !== view.height) this.canvas.height = view.height;
    this.drawLayers(view, layers, null);
  }

  /** Draw into memory: premultiplied RGBA, top row first. */
  snapshot(view: CameraView, layers: Layers): Uint8Array {
    const gl = this.gl;
    const limit = Math.min(gl.getParameter(gl.MAX_RENDERBUFFER_SIZE) as number, 8192);
    if (view.width > limit || view.height > limit)
      throw new Error(`pictures can be at most ${limit} pixels wide and high`);
    const frame = gl.createFramebuffer();
    const buffers = [
      [gl.COLOR_ATTACHMENT0, gl.RGBA8],
      [gl.DEPTH_ATTACHMENT, gl.DEPTH_COMPONENT24],
    ] as const;
    gl.bindFramebuffer(gl.FRAMEBUFFER, frame);
    const made = buffers.map(([attachment, format]) => {
      const buffer = gl.createRenderbuffer();
      gl.bindRenderbuffer(gl.RENDERBUFFER, buffer);
      gl.renderbufferStorage(gl.RENDERBUFFER, format, view.width, view.height);
      gl.framebufferRenderbuffer(gl.FRAMEBUFFER, attachment, gl.RENDERBUFFER, buffer);
      return buffer;
    });
    this.drawLayers(view, layers, frame);
    const pixels = this.read(view.width, view.height);
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    gl.deleteFramebuffer(frame);
    for (const buffer of made) gl.deleteRenderbuffer(buffer);
    return pixels;
  }

  /** What the canvas shows: premultiplied RGBA, top row first. */
  pixels(): Uint8Array {
    this.gl.bindFramebuffer(this.gl.FRAMEBUFFER, null);
    return this.read(this.canvas.width, this.canvas.height);
  }

  private read(width: number, height: number): Uint8Array {
    const rows = new Uint8Array(width * height * 4);
    this.gl.readPixels(0, 0, width, height, this.gl.RGBA, this.gl.UNSIGNED_BYTE, rows);
    const flipped = new Uint8Array(rows.length);
    for (let y = 0; y < height; y++)
      flipped.set(rows.subarray((height - 1 - y) * width * 4, (height - y) * width * 4), y * width * 4);
    return flipped;
  }

  private drawLayers(view: CameraView, layers: Layers, target: WebGLFramebuffer | null): void {
    const gl = this.gl;
    const { splats, vertices, order, ellipses, colors } = this.textures;
    [splats, vertices, order].forEach((texture, unit) => bindTexture(gl, unit, texture));
    gl.disable(gl.DEPTH_TEST);
    if (layers.splats !== "hidden") this.projectSplats(view);
    [ellipses, colors].forEach((texture, i) => bindTexture(gl, 3 + i, texture));
    gl.bindFramebuffer(gl.FRAMEBUFFER, target);
    gl.viewport(0, 0, view.width, view.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    if (layers.floor) this.drawFloor(view, layers.floor);
    if (layers.splats !== "hidden") this.drawSplats(view, layers.splats === "flat");
    if (layers.mesh !== "off") this.drawMesh(view, layers.mesh);
    gl.bindVertexArray(null);
  }

  /** Once a splat, not once a corner: a quarter of the work. */
  private projectSplats(view: CameraView): void {
    const { gl } = this;
    for (const unit of [3, 4]) bindTexture(gl, unit, null); // a texture cannot be read while it is written
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.projected);
    gl.viewport(0, 0, ORDER_PER_ROW, this.orderRows);
    gl.disable(gl.BLEND);
    const program = this.begin(this.programs.project, view);
    gl.uniform1i(program.at("splats"), 0);
    gl.uniform1i(program.at("order"), 2);
    gl.uniform1i(program.at("count"), this.splatCount);
    gl.bindVertexArray(this.shapes.none);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }

  private drawSplats(view: CameraView, flatColors: boolean): void {
    const { gl } = this;
    const program = this.begin(flatColors ? this.programs.flat : this.programs.splats, view);
    gl.uniform1i(program.at("ellipses"), 3);
    gl.uniform1i(program.at("colors"), 4);
    gl.bindVertexArray(this.shapes.none);
    gl.drawArrays(gl.TRIANGLES, 0, this.splatCount * 3);
  }

  /** Depth first, so that only the nearest surface or its edges show. */
  private drawMesh(view: CameraView, style: "wire" | "shaded"): void {
    const { gl } = this;
    const program = this.begin(this.programs.mesh, view);
    gl.enable(gl.DEPTH_TEST);
    gl.depthFunc(gl.LEQUAL);
    gl.uniform1i(program.at("shaded"), style === "shaded" ? 1 : 0);
    gl.uniform4fv(program.at("tint"), style === "wire" ? WIRE : CLAY);
    gl.uniform1f(program.at("bias"), 0);
    if (style === "wire") gl.colorMask(false, false, false, false);
    gl.bindVertexArray(this.shapes.faces);
    gl.drawElements(gl.TRIANGLES, this.faceIndices, gl.UNSIGNED_INT, 0);
    gl.colorMask(true, true, true, true);
    if (style === "wire") {
      gl.uniform1f(program.at("bias"), 2e-5);
      gl.bindVertexArray(this.shapes.edges);
      gl.drawElements(gl.LINES, this.edgeIndices, gl.UNSIGNED_INT, 0);
    }
    gl.disable(gl.DEPTH_TEST);
  }

  private drawFloor(view: CameraView, floor: FloorPlace): void {
    const { gl } = this;
    const program = this.begin(this.programs.floor, view);
    gl.uniform4f(program.at("disc"), floor.x, floor.y, floor.z, FLOOR_RADIUS);
    gl.uniform2f(program.at("origin"), floor.x, floor.z);
    gl.uniform3fv(program.at("tint"), floor.tint);
    gl.bindVertexArray(this.shapes.none);
    gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
  }

  private begin(program: Program, view: CameraView): Program {
    const { gl } = this;
    const T = view.T;
    program.use();
    gl.uniformMatrix3fv(program.at("R"), true, [T[0], T[1], T[2], T[4], T[5], T[6], T[8], T[9], T[10]]);
    gl.uniform3f(program.at("T"), T[3], T[7], T[11]);
    gl.uniform2f(program.at("focal"), view.fx, view.fy);
    gl.uniform2f(program.at("center"), view.cx, view.cy);
    gl.uniform2f(program.at("viewport"), view.width, view.height);
    gl.uniform2f(program.at("range"), NEAR, FAR);
    gl.uniform1i(program.at("vertices"), 1);
    return program;
  }
}

function targetOf(gl: WebGL2RenderingContext, textures: readonly WebGLTexture[]): WebGLFramebuffer {
  const target = gl.createFramebuffer();
  gl.bindFramebuffer(gl.FRAMEBUFFER, target);
  textures.forEach((texture, i) =>
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0 + i, gl.TEXTURE_2D, texture, 0),
  );
  gl.drawBuffers(textures.map((_, i) => gl.COLOR_ATTACHMENT0 + i));
  gl.bindFramebuffer(gl.FRAMEBUFFER, null);
  return target;
}

function indexed(gl: WebGL2RenderingContext, indices: Uint32Array): WebGLVertexArrayObject {
  const array = gl.createVertexArray();
  gl.bindVertexArray(array);
  gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
  gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, indices, gl.STATIC_DRAW);
  gl.bindVertexArray(null);
  return array;
}
