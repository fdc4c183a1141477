/** GLSL of all layers. Camera space is OpenCV's: x right, y down, z forward. */

const CAMERA = `
uniform mat3 R; uniform vec3 T; uniform vec2 focal, center, viewport; uniform vec2 range;
vec4 toClip(vec3 p) {
  vec2 q = (focal * p.xy + (center - 0.5 * viewport) * p.z) * 2.0 / viewport;
  float depth = (p.z * (range.y + range.x) - 2.0 * range.x * range.y) / (range.y - range.x);
  return vec4(q.x, -q.y, depth, p.z);
}`;

const VERTEX_FETCH = `
uniform highp sampler2D vertices;
vec4 vertexAt(uint i) { return texelFetch(vertices, ivec2(int(i) & 127, int(i) >> 7), 0); }`;

/** A triangle that covers the whole target. */
export const FULL_VERTEX = `#version 300 es
void main() { gl_Position = vec4(gl_VertexID == 1 ? 3.0 : -1.0, gl_VertexID == 2 ? 3.0 : -1.0, 0.0, 1.0); }`;

/**
 * Pass one: each splat is projected once, in drawing order, into a texel: its centre in pixels, then
 * the two half axes of the ellipse where its alpha reaches 1/255 (zero where it is not seen).
 *
 * EWA splatting (Zwicker et al. 2001) with gsplat's conventions, as in pear_avatar.splatting: eps2d
 * 0.3, and the Jacobian held within 1.3 fields of view.
 */
export const PROJECT_FRAGMENT = `#version 300 es
precision highp float; precision highp int; precision highp usampler2D;
uniform usampler2D splats, order; uniform int count;
${CAMERA}${VERTEX_FETCH}
layout(location = 0) out uvec4 ellipse; layout(location = 1) out uint color;
const float EPS = 0.3, MARGIN = 0.3;
void main() {
  ellipse = uvec4(0u); color = 0u;
  ivec2 slot = ivec2(gl_FragCoord.xy);
  if (slot.y * 1024 + slot.x >= count) return;
  int s = int(texelFetch(order, slot, 0).x);
  ivec2 texel = ivec2((s & 511) * 2, s >> 9);
  uvec4 d0 = texelFetch(splats, texel, 0), d1 = texelFetch(splats, texel + ivec2(1, 0), 0);
  float opacity = float(d1.w >> 24) / 255.0;
  if (d1.w >> 24 < 2u) return; // never reaches more than 1/255

  vec4 a = vertexAt(d0.x & 0xffffu), b = vertexAt(d0.x >> 16), c = vertexAt(d0.y & 0xffffu);
  vec3 e1 = b.xyz - a.xyz, e2 = c.xyz - a.xyz, cr = cross(e1, e2);
  vec3 e = e1 * inversesqrt(max(dot(e1, e1), 1e-24)), n = cr * inversesqrt(max(dot(cr, cr), 1e-30));
  mat3 frame = mat3(e, cross(n, e), n);
  float u = float(d0.y >> 16) / 65535.0, v = float(d0.z & 0xffffu) / 65535.0;
  vec2 o01 = vec2(unpackHalf2x16(d0.z).y, unpackHalf2x16(d0.w).x); float o2 = unpackHalf2x16(d0.w).y;
  float grow = a.w + u * (b.w - a.w) + v * (c.w - a.w);
  vec3 p = R * (a.xyz + u * e1 + v * e2 + grow * (frame * vec3(o01, o2))) + T;
  if (p.z <= range.x) return;

  vec2 h0 = unpackHalf2x16(d1.x), h1 = unpackHalf2x16(d1.y), h2 = unpackHalf2x16(d1.z);
  mat3 L = mat3(h0.x, h0.y, h1.x, 0.0, h1.y, h2.x, 0.0, 0.0, h2.y);
  mat3 W = transpose(R * frame * L * (0.001 * grow)); // columns: the rows of the camera-space factor
  vec2 slope = p.xy / p.z, pixel = slope * focal + center;
  vec2 low = -(center + MARGIN * 0.5 * viewport) / focal, high = (viewport - center + MARGIN * 0.5 * viewport) / focal;
  vec2 held = clamp(slope, low, high), scale = focal / p.z;
  vec3 j0 = scale.x * (W[0] - held.x * W[2]), j1 = scale.y * (W[1] - held.y * W[2]);
  float A = dot(j0, j0) + EPS, B = dot(j0, j1), C = dot(j1, j1) + EPS;

  float mid = 0.5 * (A + C), spread = length(vec2(0.5 * (A - C), B));
  float reach = sqrt(2.0 * log(255.0 * opacity));
  float r1 = reach * min(sqrt(mid + spread), 2048.0), r2 = reach * min(sqrt(max(mid - spread, 0.5 * EPS)), 2048.0);
  if (any(lessThan(pixel, vec2(-r1))) || any(greaterThan(pixel, viewport + r1))) return;
  vec2 axis = abs(B) < 1e-9 ? (A >= C ? vec2(1, 0) : vec2(0, 1)) : normalize(vec2(B, mid + spread - A));
  ellipse = uvec4(floatBitsToUint(pixel), packHalf2x16(r1 * axis), packHalf2x16(r2 * vec2(-axis.y, axis.x)));
  color = d1.w;
}`;

/** Pass two: one triangle around each ellipse, which costs less than a rectangle's two. */
export const SPLAT_VERTEX = `#version 300 es
precision highp float; precision highp int; precision highp usampler2D;
uniform usampler2D ellipses, colors; uniform vec2 viewport;
flat out vec4 color; flat out float falloff; out vec2 local;
const vec2 CORNERS[3] = vec2[3](vec2(-1.7320508, -1.0), vec2(1.7320508, -1.0), vec2(0.0, 2.0));
void main() {
  int slot = gl_VertexID / 3;
  ivec2 texel = ivec2(slot & 1023, slot >> 10);
  uvec4 d = texelFetch(ellipses, texel, 0); uint rgba = texelFetch(colors, texel, 0).x;
  local = CORNERS[gl_VertexID - 3 * slot];
  vec2 place = uintBitsToFloat(d.xy) + local.x * unpackHalf2x16(d.z) + local.y * unpackHalf2x16(d.w);
  color = vec4(rgba & 255u, (rgba >> 8) & 255u, (rgba >> 16) & 255u, rgba >> 24) / 255.0;
  falloff = -0.125 * log2(255.0 * color.a);
  color.a = min(color.a, 0.999);
  gl_Position = rgba == 0u ? vec4(0.0, 0.0, 2.0, 1.0) : vec4(2.0 * place.x / viewport.x - 1.0, 1.0 - 2.0 * place.y / viewport.y, 0.0, 1.0);
}`;

/**
 * alpha = opacity exp(-r^2 / 2) with r^2 = 2 log(255 opacity) d: at d = 1 it is 1/255 and the splat
 * ends. In software the built-in exponential is half of a fragment's cost; here 2^t on [-1, 0] is a
 * cubic (relative error 8e-5) and its eighth power is right to 6e-4. Blending nothing is cheaper
 * than discarding.
 */
const ALPHA = `
flat in vec4 color; flat in float falloff; in vec2 local; out vec4 pixel;
float alphaHere() {
  float d = dot(local, local), t = falloff * d;
  float p = 0.99992464 + t * (0.69101744 + t * (0.23006609 + t * 0.03901094));
  p *= p; p *= p;
  return d > 1.0 ? 0.0 : color.a * p * p;
}`;

export const SPLAT_FRAGMENT = `#version 300 es
precision highp float;
${ALPHA}
void main() { float alpha = alphaHere(); pixel = vec4(color.rgb * alpha, alpha); }`;

/** Each splat's own colour, opaque where the splat counts. */
export const FLAT_FRAGMENT = `#version 300 es
precision highp float;
${ALPHA}
void main() { if (alphaHere() < 0.35) discard; pixel = vec4(color.rgb, 1.0); }`;

export const MESH_VERTEX = `#version 300 es
precision highp float; precision highp int;
${CAMERA}${VERTEX_FETCH}
uniform float bias; out vec3 position;
void main() {
  position = R * vertexAt(uint(gl_VertexID)).xyz + T;
  gl_Position = toClip(position);
  gl_Position.z -= bias * gl_Position.w;
}`;

export const MESH_FRAGMENT = `#version 300 es
precision highp float;
in vec3 position; out vec4 pixel; uniform vec4 tint; uniform bool shaded;
void main() {
  vec3 rgb = tint.rgb;
  if (shaded) {
    vec3 n = normalize(cross(dFdx(position), dFdy(position)));
    float light = 0.35 + 0.5 * max(dot(n, normalize(vec3(-0.4, -0.7, -0.6))), 0.0) + 0.25 * abs(n.z);
    rgb *= light;
  }
  pixel = vec4(rgb * tint.a, tint.a);
}`;

export const FLOOR_VERTEX = `#version 300 es
precision highp float;
${CAMERA}
uniform vec4 disc; out vec2 place;
void main() {
  place = vec2((gl_VertexID & 1) * 2 - 1, (gl_VertexID & 2) - 1) * disc.w;
  gl_Position = toClip(R * vec3(disc.x + place.x, disc.y, disc.z + place.y) + T);
}`;

/** Half-metre squares that fade with the distance, and a soft shadow where the person stands. */
export const FLOOR_FRAGMENT = `#version 300 es
precision highp float;
in vec2 place; out vec4 pixel; uniform vec4 disc; uniform vec3 tint; uniform vec2 origin;
void main() {
  float r = length(place) / disc.w;
  vec2 cell = (place + origin) * 2.0, width = fwidth(cell);
  vec2 line = 1.0 - smoothstep(0.0, 1.2, abs(fract(cell - 0.5) - 0.5) / max(width, 1e-5));
  float grid = max(line.x, line.y) * 0.28 / (1.0 + 4.0 * max(width.x, width.y));
  float shadow = 0.30 * exp(-dot(place, place) * 9.0);
  float alpha = grid * (1.0 - smoothstep(0.25, 1.0, r));
  pixel = vec4(tint * alpha, alpha) * (1.0 - shadow) + vec4(0.0, 0.0, 0.0, shadow);
}`;
