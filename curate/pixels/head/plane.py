"""One shear plane behind the face and before the brain, and the gate that says whether it takes the one, not the other.

After Schimke and Hale, "Quickshear Defacing for Neuroimages" (HealthSec 2011): the brain is projected on the sagittal
plane, and the cut lies along an edge of its convex hull.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import ConvexHull

from curate.pixels.head.grid import GRID_MM, Bools, Floats, Outline

_MARGIN_MM = 4.0  # between brain and plane
_STEPS = (0.25, 0.97)  # of the plane's normal: how far it points to the front, at least and at most
_TRIED = 40
_LONG_MM, _WIDE_MM = (120, 205), (100, 175)
_FACE_BACK_MM, _FACE_DOWN_MM = 8.0, 12.0
_FRONT = -0.85  # of y, where the head's front points: it lies on its back, turned by some 30 degrees at most
_FACE_LEFT_ML = 3.0  # less is noise, or skin at the cut
_MOST_BELOW_MM = 130  # of the body below the brain: a plane would cut through a chest, too


@dataclass(frozen=True, slots=True)
class Plane:
    """What lies beyond goes: points p (LPS, mm) with normal . p > offset."""

    normal: tuple[float, float, float]
    offset: float

    def beyond(self, points: Floats) -> Bools:
        """Which points (the last axis: x, y, z) lie beyond."""
        return np.asarray(points @ np.asarray(self.normal) > self.offset)


@dataclass(frozen=True, slots=True)
class Verdict:
    """`clear`: no head; else the plane, or nothing where no safe one was found. `outline` is of what has a plane."""

    clear: bool
    plane: Plane | None = None
    outline: Outline | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """The brain's centre, and where the head's front and top point."""

    centre: Floats
    front: Floats
    top: Floats

    def along(self, points: Floats) -> tuple[Floats, Floats, Floats]:
        """How far points lie to the front, upwards, and to the side."""
        away = points - self.centre
        return away @ self.front, away @ self.top, away @ np.cross(self.front, self.top)


def upright(points: Floats) -> Frame:
    """The frame of a head that is not nodding: the brain is longest from front to back."""
    centre = points.mean(0)
    flat = points[:, :2] - centre[:2]
    front = np.append(np.linalg.eigh(flat.T @ flat)[1][:, -1], 0.0)
    front *= -np.sign(front[1]) or 1.0
    return Frame(centre, front, np.array([0.0, 0.0, 1.0]))


def plane_before(brain: Floats, frame: Frame) -> Plane | None:
    """The longest edge of the sagittal hull that faces down and to the front, with a margin before it."""
    ahead, height, _ = frame.along(brain)
    flat = np.stack([ahead, height], 1)
    hull = ConvexHull(flat)
    best, length = None, 0.0
    for edge, equation in zip(hull.simplices, hull.equations, strict=True):
        long = float(np.linalg.norm(flat[edge[0]] - flat[edge[1]]))
        if equation[1] < 0 and _STEPS[0] <= equation[0] <= _STEPS[1] and long > length:
            best, length = equation, long
    if best is None:
        return None
    normal = best[0] * frame.front + best[1] * frame.top
    offset = float((brain @ normal).max()) + _MARGIN_MM
    return Plane((float(normal[0]), float(normal[1]), float(normal[2])), offset)


def plane_between(brain: Floats, features: Floats, frame: Frame) -> Plane:
    """The plane with a margin before the brain, across the sagittal plane, beyond which the features lie deepest."""
    best, depth = None, -np.inf
    ahead, height, _ = frame.along(brain)
    brain = brain[ConvexHull(np.stack([ahead, height], 1)).vertices]
    for forward in np.linspace(*_STEPS, _TRIED):
        normal = forward * frame.front - np.sqrt(1 - forward**2) * frame.top
        offset = float((brain @ normal).max()) + _MARGIN_MM
        if (least := float((features @ normal).min()) - offset) > depth:
            best, depth = Plane((float(normal[0]), float(normal[1]), float(normal[2])), offset), least
    assert best is not None
    return best


def holds(plane: Plane, brain: Floats, body: Floats, frame: Frame) -> bool:
    """No brain beyond the plane; a brain's size; and before and below its frontal lobes nothing is left."""
    long, _, wide = (float(np.ptp(one)) for one in frame.along(brain))
    plausible = _LONG_MM[0] <= long <= _LONG_MM[1] and _WIDE_MM[0] <= wide <= _WIDE_MM[1]
    if brain[:, 2].min() - body[:, 2].min() > _MOST_BELOW_MM:
        return False
    if not plausible or frame.front[1] > _FRONT or plane.beyond(brain).any():
        return False
    beyond = plane.beyond(body)
    return bool(beyond.any()) and not face(brain, body[~beyond], frame).any()


def face(brain: Floats, body: Floats, frame: Frame) -> Bools:
    """Which points of a body lie before and below the frontal lobes."""
    along, up, _ = frame.along(brain)
    pole = along.max()
    base = up[along > pole - 20].min()
    ahead, height, _ = frame.along(body)
    return np.asarray((ahead > pole - _FACE_BACK_MM) & (height < base - _FACE_DOWN_MM))


def has_face(brain: Floats, body: Floats, frame: Frame) -> bool:
    """Whether so much of a body, in points of the grid, lies there that a face can be rendered."""
    return bool(face(brain, body, frame).sum() * GRID_MM**3 / 1000 > _FACE_LEFT_ML)
