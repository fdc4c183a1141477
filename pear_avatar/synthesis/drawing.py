"""From a scene to its picture and to what every pixel shows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from pear_avatar.geometry.native_mesh import (
    Canvas,
    DepthBuffer,
    Light,
    ScreenMesh,
    Surface,
    develop,
    shade,
    vertex_normals,
)
from pear_avatar.synthesis.figures import Figure
from pear_avatar.synthesis.props import Prop
from pear_avatar.synthesis.scenes import Scene
from pear_avatar.synthesis.views import View

_SHADOW_SIZE = 320
_SHADOW_REACH = 1.7  # metres about the first person that cast and receive shadows
_SUN_AWAY = 50.0


@dataclass(frozen=True)
class Drawn:
    """A picture and its pixels' truth, exact at pixel centres; H x W.

    rgb:    (H, W, 3) uint8.
    ids:    (H, W) int32, -1 for nothing; see ``first_ids``.
    depth:  (H, W) float32 camera-space z in metres of people and props, infinite elsewhere.
    first_ids: of each thing (people first, then props) and one past the last.
    normals: (H, W, 3) float32 in the camera's axes, towards it; zero where nothing is.
    """

    rgb: np.ndarray
    ids: np.ndarray
    depth: np.ndarray
    first_ids: np.ndarray
    normals: np.ndarray

    def owner(self) -> np.ndarray:
        """(H, W) which thing is seen, counted from 0; -1 for nothing."""
        thing: np.ndarray = np.searchsorted(self.first_ids, self.ids, side="right") - 1
        return np.where(self.ids < 0, -1, thing)


def draw_scene(scene: Scene, seed: int, samples: int = 2) -> Drawn:
    """Draw a scene.

    Args:
        scene: what to draw.
        seed: of the sensor's noise.
        samples: colour samples a side in each pixel.
    """
    things: list[tuple[Figure | Prop, np.ndarray, tuple[np.ndarray, ...]]] = [
        (p.figure, p.vertices, p.moved) for p in scene.people
    ]
    things += [(p.prop, p.vertices, ()) for p in scene.props]
    view, light = scene.view, _with_shadow(scene)
    counts = [len(thing.faces) for thing, *_ in things]
    first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    truth = DepthBuffer(view.width, view.height)
    meshes = [_on_screen(thing, vertices, view) for thing, vertices, _ in things]
    for mesh, start in zip(meshes, first, strict=False):
        truth.draw(mesh, int(start))
    canvas = Canvas.empty(view.width, view.height)
    steps = max(len(moved) for *_, moved in things) or 1
    for step in range(steps):
        _expose(
            things,
            meshes,
            step,
            1.0 / steps,
            scene,
            light=light,
            canvas=canvas,
            first=first,
            samples=samples,
        )
    linear = canvas.rgb + (1 - canvas.alpha[..., None]) * _behind(scene, light)
    normals = _normals(things, meshes, truth, first, view)
    return Drawn(_lens(linear, scene, seed), truth.ids, truth.depth, first, normals)


def _expose(
    things: list[tuple[Figure | Prop, np.ndarray, tuple[np.ndarray, ...]]],
    still: list[ScreenMesh],
    step: int,
    share: float,
    scene: Scene,
    *,
    light: Light,
    canvas: Canvas,
    first: np.ndarray,
    samples: int,
) -> None:
    """Add one moment of the exposure to the canvas."""
    view = scene.view
    buffer = DepthBuffer(view.width * samples, view.height * samples)
    meshes, places = [], []
    for (thing, vertices, moved), mesh in zip(things, still, strict=True):
        now = moved[step] if moved else vertices
        seen = _on_screen(thing, now, view) if moved else mesh
        meshes.append(replace(seen, points=seen.points * np.float32(samples)))
        places.append(now)
    for mesh, start in zip(meshes, first, strict=False):
        buffer.draw(mesh, int(start))
    for (thing, *_), mesh, now, start in zip(things, meshes, places, first, strict=False):
        surface = Surface(now, vertex_normals(now, thing.faces), thing.colors)
        shade(canvas, buffer, mesh, surface, light, eye=view.eye, first_id=int(start), share=share)


def _on_screen(thing: Figure | Prop, vertices: np.ndarray, view: View) -> ScreenMesh:
    points, depth = view.project(vertices)
    return ScreenMesh(points, depth, thing.faces, thing.two_sided)


def _with_shadow(scene: Scene) -> Light:
    """The place's light with the shadow map of everything that stands there."""
    light = scene.environment.light
    if float(light.sun_rgb.max()) < 0.02:
        return light
    center = scene.people[0].posed.joints[0].numpy()
    forward = -light.sun
    right = np.cross(forward, [0.0, 1.0, 0.0])
    right /= max(float(np.linalg.norm(right)), 1e-6)
    down = np.cross(forward, right)
    scale = _SHADOW_SIZE / (2 * _SHADOW_REACH)
    T = np.zeros((3, 4), np.float32)
    T[0, :3], T[1, :3], T[2, :3] = scale * right, scale * down, forward
    T[:, 3] = [_SHADOW_SIZE / 2, _SHADOW_SIZE / 2, _SUN_AWAY] - T[:, :3] @ center
    buffer = DepthBuffer(_SHADOW_SIZE, _SHADOW_SIZE)
    things: list[tuple[Figure | Prop, np.ndarray]] = [
        *((p.figure, p.vertices) for p in scene.people),
        *((p.prop, p.vertices) for p in scene.props),
    ]
    for thing, vertices in things:
        at = vertices @ T[:, :3].T + T[:, 3]
        points = np.ascontiguousarray(at[:, :2])
        buffer.draw(ScreenMesh(points, np.ascontiguousarray(at[:, 2]), thing.faces, None))
    return replace(light, T_shadow_world=T, shadow=buffer.depth)


def _behind(scene: Scene, light: Light) -> np.ndarray:
    view = scene.view
    size = (view.width, view.height)
    if scene.picture is not None:
        return _covering(scene.picture, size)
    return scene.environment.backdrop.draw(view.K, view.T_camera_world, size, light)


def _covering(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The middle of a picture, scaled so that it covers a size (width, height)."""
    high, wide = picture.shape[:2]
    scale = max(size[0] / wide, size[1] / high)
    inner_w, inner_h = round(size[0] / scale), round(size[1] / scale)
    x, y = (wide - inner_w) // 2, (high - inner_h) // 2
    crop = picture[y : y + inner_h, x : x + inner_w]
    resized: np.ndarray = cv2.resize(crop, size, interpolation=cv2.INTER_AREA)
    return resized


def _lens(linear: np.ndarray, scene: Scene, seed: int) -> np.ndarray:
    """Blur, exposure, noise and tone curve."""
    exposure = scene.exposure
    if exposure.defocus > 0.3:
        linear = cv2.GaussianBlur(linear, (0, 0), exposure.defocus)
    if exposure.shake.any():
        linear = cv2.filter2D(linear, -1, _streak(exposure.shake))
    return develop(
        np.ascontiguousarray(linear, np.float32),
        exposure.gains,
        read=exposure.read,
        shot=exposure.shot,
        seed=seed,
    )


def _streak(shake: np.ndarray) -> np.ndarray:
    """A line of light (2,) pixels long as a filter."""
    half = int(np.ceil(np.abs(shake).max() / 2)) + 1
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    for t in np.linspace(-0.5, 0.5, 4 * half):
        x, y = half + t * shake
        kernel[round(y), round(x)] += 1
    return kernel / kernel.sum()


def _normals(
    things: list[tuple[Figure | Prop, np.ndarray, tuple[np.ndarray, ...]]],
    meshes: list[ScreenMesh],
    truth: DepthBuffer,
    first: np.ndarray,
    view: View,
) -> np.ndarray:
    """(H, W, 3) interpolated normals of what is seen, in the camera's axes."""
    height, width = truth.ids.shape
    normals = np.zeros((height * width, 3), np.float32)
    for k, (thing, vertices, _) in enumerate(things):
        seen = np.nonzero((truth.ids.ravel() >= first[k]) & (truth.ids.ravel() < first[k + 1]))[0]
        if not len(seen):
            continue
        weights = truth.weights(meshes[k], int(first[k])).reshape(-1, 3)[seen]
        corners = thing.faces[truth.ids.ravel()[seen] - first[k]]
        own = vertex_normals(vertices, thing.faces)
        n = sum(own[corners[:, c]] * weights[:, c : c + 1] for c in range(3))
        n = n @ view.T_camera_world[:3, :3].T
        n /= np.maximum(np.sqrt(np.einsum("mc,mc->m", n, n)), 1e-9)[:, None]
        normals[seen] = np.where(n[:, 2:] > 0, -n, n)
    return normals.reshape(height, width, 3)
