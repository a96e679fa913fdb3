"""Drawing one image of the sample set: a face before a background, a forgery of it, and the camera that takes both.

Axis legend: `h`, `w`, `c` height, width and channel of one image; float32, linear from 0 to 1, RGB.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import fft, ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Image = NDArray[np.float32]

PX = 96
"""Side of the images."""

_SKIN = np.array([[0.93, 0.76, 0.65], [0.85, 0.64, 0.50], [0.70, 0.49, 0.36], [0.52, 0.35, 0.25], [0.38, 0.25, 0.18]])
_HAIR = np.array([[0.08, 0.06, 0.05], [0.25, 0.15, 0.08], [0.45, 0.30, 0.15], [0.70, 0.58, 0.35], [0.45, 0.44, 0.43]])
_Y_HW, _X_HW = np.mgrid[-1 : 1 : PX * 1j, -1 : 1 : PX * 1j].astype(np.float32)
_SLOPE = 16.0  # of a face's edges: they are soft over 2 to 3 px


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One person before one background with one camera: what all images of a group share."""

    skin_c: NDArray[np.float64]
    """Colour of the skin."""
    hair_c: NDArray[np.float64]
    """Colour of hair and brows."""
    eye_c: NDArray[np.float64]
    """Colour of the iris."""
    lip_redness: float
    """How far the lips differ from the skin."""
    face_height: float
    """Half axis, in half images."""
    face_width: float
    """Half axis, in half images."""
    eye_distance: float
    """From the middle, in half faces."""
    eye_size: float
    """Half width, in half faces."""
    hair_line: float
    """Height where the hair begins, in half faces; negative is up."""
    background_2c: NDArray[np.float64]
    """Two colours that the background goes between."""
    roughness: float
    """Exponent of the background's spectrum; larger is smoother."""
    read_noise: float
    """Standard deviation of the sensor's noise in the dark."""
    shot_noise: float
    """Variance per brightness."""
    lens_blur_px: float
    """Sigma."""

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Source:
        """A random one."""
        return cls(
            skin_c=np.clip(_SKIN[rng.integers(len(_SKIN))] * rng.uniform(0.9, 1.1, 3), 0.05, 0.97),
            hair_c=np.clip(_HAIR[rng.integers(len(_HAIR))] * rng.uniform(0.8, 1.2, 3), 0.02, 0.95),
            eye_c=rng.uniform([0.1, 0.15, 0.1], [0.4, 0.4, 0.5]),
            lip_redness=rng.uniform(0.1, 0.35),
            face_height=rng.uniform(0.58, 0.72),
            face_width=rng.uniform(0.44, 0.54),
            eye_distance=rng.uniform(0.38, 0.48),
            eye_size=rng.uniform(0.15, 0.21),
            hair_line=rng.uniform(-0.75, -0.45),
            background_2c=rng.uniform(0.2, 0.8, (2, 1)) + rng.uniform(-0.15, 0.15, (2, 3)),
            roughness=rng.uniform(1.2, 2.2),
            read_noise=rng.uniform(0.008, 0.02),
            shot_noise=rng.uniform(0.0002, 0.0008),
            lens_blur_px=rng.uniform(0.4, 0.8),
        )


def draw_scene(source: Source, rng: np.random.Generator) -> tuple[Image, NDArray[np.float32], NDArray[np.float32]]:
    """One view of `source`: position, tilt, light and expression are random.

    Returns:
        The image, and the face's own coordinates y and x (1 at its outline) of each pixel, both of shape (h, w).
    """
    image_hwc = _background(source, rng)
    y_hw, x_hw = _face_coordinates(source, rng)
    radius_hw = np.hypot(x_hw, y_hw)
    light = rng.uniform(-0.3, 0.3, 2)
    shade_hw = 1.02 - 0.22 * np.minimum(radius_hw, 1.3) ** 2 + light[0] * x_hw + light[1] * y_hw
    texture_hwc = 1 + 0.07 * _smooth_noise(rng, 0.9)[..., None]
    hair_hwc = (source.hair_c * (1 + 0.35 * _smooth_noise(rng, 1.0)[..., None]) * shade_hw[..., None]).astype(np.float32)
    skin_hwc = (source.skin_c * shade_hw[..., None] * texture_hwc).astype(np.float32)
    neck_hw = _inside(np.maximum(np.abs(x_hw) - 0.5, 0.6 - y_hw), 0)
    _paint(image_hwc, neck_hw, skin_hwc * 0.85)
    _paint(image_hwc, _inside(np.hypot(x_hw / 1.16, (y_hw + 0.12) / 1.14), 1), hair_hwc)
    _paint(image_hwc, _inside(radius_hw, 1), skin_hwc)
    _paint_features(image_hwc, source, y_hw, x_hw, skin_hwc, hair_hwc, rng)
    return np.clip(image_hwc, 0, 1), y_hw, x_hw


def forge(
    scene_hwc: Image, y_hw: NDArray[np.float32], x_hw: NDArray[np.float32], strength: float, rng: np.random.Generator
) -> Image:
    """Self-blending (Shiohara and Yamasaki 2022): the face is replaced by a changed copy of itself, under a soft mask.

    Args:
        scene_hwc: What `draw_scene` gave.
        y_hw: The face's coordinates.
        x_hw: The face's coordinates.
        strength: 0 changes nothing; 1 is plain to see.
        rng: Draws the mask and the changes.
    """
    mask_hw = _mask(y_hw, x_hw, rng)
    gain_c = np.exp(rng.normal(0, 0.22 * strength, 3)).astype(np.float32)
    offset = np.float32(rng.normal(0, 0.08 * strength))
    changed_hwc = _moved(scene_hwc, strength, rng) * gain_c + offset
    sigma = rng.uniform(0.5, 1.3) * strength
    blurred_hwc = ndimage.gaussian_filter(changed_hwc, (sigma, sigma, 0))
    changed_hwc = blurred_hwc if rng.random() < 0.5 else changed_hwc + 1.3 * (changed_hwc - blurred_hwc)
    blended_hwc: Image = scene_hwc + mask_hw[..., None] * (changed_hwc - scene_hwc)
    return np.clip(blended_hwc, 0, 1)


def expose(image_hwc: Image, source: Source, rng: np.random.Generator) -> NDArray[np.uint8]:
    """What the camera of `source` makes of a scene: blur of the lens, noise of the sensor, 8 bits."""
    sigma = source.lens_blur_px
    blurred_hwc = ndimage.gaussian_filter(image_hwc, (sigma, sigma, 0))
    deviation_hwc = np.sqrt(source.read_noise**2 + source.shot_noise * blurred_hwc)
    noisy_hwc = blurred_hwc + deviation_hwc * rng.standard_normal(image_hwc.shape, dtype=np.float32)
    pixels_hwc: NDArray[np.uint8] = np.rint(np.clip(noisy_hwc, 0, 1) * 255).astype(np.uint8)
    return pixels_hwc


def _background(source: Source, rng: np.random.Generator) -> Image:
    frequency_hw = np.hypot(np.fft.fftfreq(PX)[:, None], np.fft.rfftfreq(PX)[None, :]).astype(np.float32)
    frequency_hw[0, 0] = np.inf  # no mean
    spectrum_2hw = fft.rfft2(rng.standard_normal((2, PX, PX), dtype=np.float32)) / frequency_hw ** np.float32(source.roughness)
    texture_2hw = fft.irfft2(spectrum_2hw, (PX, PX))
    grey_hw, warmth_hw = texture_2hw / texture_2hw.std()
    texture_chw = np.stack([grey_hw + 0.35 * warmth_hw, grey_hw, grey_hw - 0.35 * warmth_hw])
    across_hw = np.clip(0.5 + 0.35 * (_X_HW * rng.normal() + _Y_HW * rng.normal()), 0, 1)
    first_c, second_c = source.background_2c
    ramp_hwc = first_c + across_hw[..., None] * (second_c - first_c)
    background_hwc: Image = np.clip(ramp_hwc + 0.09 * texture_chw.transpose(1, 2, 0), 0, 1).astype(np.float32)
    return background_hwc


def _face_coordinates(source: Source, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    tilt, scale = rng.normal(0, 0.12), rng.uniform(0.88, 1.08)
    x_hw, y_hw = _X_HW - rng.normal(0, 0.06), _Y_HW - rng.normal(0.04, 0.06)
    across_hw = (np.cos(tilt) * x_hw + np.sin(tilt) * y_hw) / (source.face_width * scale)
    down_hw = (np.cos(tilt) * y_hw - np.sin(tilt) * x_hw) / (source.face_height * scale)
    return down_hw.astype(np.float32), across_hw.astype(np.float32)


def _paint_features(
    image_hwc: Image,
    source: Source,
    y_hw: NDArray[np.float32],
    x_hw: NDArray[np.float32],
    skin_hwc: Image,
    hair_hwc: Image,
    rng: np.random.Generator,
) -> None:
    side_hw = np.abs(x_hw) - source.eye_distance
    gaze, open_eye, smile = rng.uniform(-0.05, 0.05), rng.uniform(0.35, 0.6), rng.uniform(-0.1, 0.2)
    size = source.eye_size
    iris_hw = np.hypot(x_hw - np.sign(x_hw) * source.eye_distance - gaze, (y_hw + 0.12) * 1.3)
    _paint(image_hwc, _inside(y_hw, source.hair_line) * _inside(np.hypot(x_hw, y_hw), 1.02), hair_hwc)
    _paint(image_hwc, _inside(np.hypot(side_hw / size, (y_hw + 0.12) / (size * open_eye)), 1), np.float32(0.88))
    _paint(image_hwc, _inside(iris_hw, size * 0.5), source.eye_c.astype(np.float32))
    _paint(image_hwc, _inside(iris_hw, size * 0.22), np.float32(0.03))
    brow_hw = np.hypot(side_hw / (size * 1.3), (y_hw + 0.36 + 0.25 * np.abs(side_hw)) / 0.055)
    _paint(image_hwc, 0.8 * _inside(brow_hw, 1), hair_hwc)
    nose_hw = np.hypot((np.abs(x_hw) - 0.1) / 0.09, (y_hw - 0.24) / 0.05)
    _paint(image_hwc, 0.5 * _inside(nose_hw, 1), skin_hwc * 0.55)
    lips_c = np.array([1 + source.lip_redness, 1 - source.lip_redness, 1 - source.lip_redness], np.float32)
    mouth_hw = np.hypot(x_hw / 0.34, (y_hw - 0.52 + smile * (x_hw / 0.34) ** 2) / 0.085)
    _paint(image_hwc, 0.85 * _inside(mouth_hw, 1), skin_hwc * lips_c * 0.8)


def _mask(y_hw: NDArray[np.float32], x_hw: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """An ellipse or a convex polygon on the face, bent at random, with a soft edge; values 0–1."""
    bend = rng.uniform(0.06, 0.16)
    y_hw = y_hw - rng.uniform(-0.15, 0.25) + bend * _waves(rng)
    x_hw = x_hw - rng.uniform(-0.15, 0.15) + bend * _waves(rng)
    half_axes = rng.uniform(0.5, 0.95, 2)
    if rng.random() < 0.5:
        distance_hw = np.hypot(y_hw / half_axes[0], x_hw / half_axes[1])
    else:
        angles_k = np.arange(rng.integers(4, 8)) + rng.uniform(-0.3, 0.3)
        angles_k = angles_k * 2 * np.pi / len(angles_k)
        sides_khw = (
            np.cos(angles_k)[:, None, None] * x_hw / half_axes[1] + np.sin(angles_k)[:, None, None] * y_hw / half_axes[0]
        )
        distance_hw = sides_khw.max(axis=0)
    mask_hw = ndimage.gaussian_filter((distance_hw < 1).astype(np.float32), rng.uniform(0.5, 2.0))
    soft_hw: NDArray[np.float32] = mask_hw * np.float32(rng.uniform(0.75, 1.0))
    return soft_hw


def _moved(image_hwc: Image, strength: float, rng: np.random.Generator) -> Image:
    """Scaled by up to 6 % and shifted by up to 3 px, interpolated by cubics."""
    scale = 1 + strength * rng.uniform(-0.06, 0.06)
    down, across = strength * rng.uniform(-3, 3, 2) + PX / 2 * (1 - scale)
    rows_hwc = (_interpolation(scale, down) @ image_hwc.reshape(PX, -1)).reshape(image_hwc.shape)
    moved_hwc: Image = _interpolation(scale, across) @ rows_hwc
    return moved_hwc


def _interpolation(scale: float, shift: float) -> NDArray[np.float32]:
    """Matrix that takes a line of pixels to the pixels at `scale` × position + `shift`, by Keys's cubic."""
    positions = np.arange(PX, dtype=np.float32)
    distance = np.abs((scale * positions + np.float32(shift)).clip(0, PX - 1)[:, None] - positions)
    near, far = ((1.5 * distance - 2.5) * distance) * distance + 1, ((2.5 - 0.5 * distance) * distance - 4) * distance + 2
    weights: NDArray[np.float32] = np.where(distance < 1, near, np.where(distance < 2, far, np.float32(0)))
    weights /= weights.sum(axis=1, keepdims=True)
    return weights


def _smooth_noise(rng: np.random.Generator, sigma_px: float) -> NDArray[np.float32]:
    """Noise of mean 0 and standard deviation 1 without detail below `sigma_px`, of shape (h, w)."""
    noise_hw = ndimage.gaussian_filter(rng.standard_normal((PX, PX), dtype=np.float32), sigma_px, mode="wrap")
    smooth_hw: NDArray[np.float32] = noise_hw / noise_hw.std()
    return smooth_hw


def _waves(rng: np.random.Generator) -> NDArray[np.float32]:
    """A smooth surface of mean 0 and standard deviation about 1, of shape (h, w): four plane waves, 38 to 120 px long."""
    length_k, angle_k, phase_k = rng.uniform(0.8, 2.5, 4), rng.uniform(0, 2 * np.pi, 4), rng.uniform(0, 2 * np.pi, 4)
    surface_hw = np.zeros((PX, PX), np.float32)
    for length, angle, phase in zip(length_k, angle_k, phase_k, strict=True):
        along_hw = np.float32(np.cos(angle)) * _X_HW + np.float32(np.sin(angle)) * _Y_HW
        surface_hw += np.sin(np.float32(2 * np.pi / length) * along_hw + np.float32(phase)) * np.float32(0.7)
    return surface_hw


def _inside(distance_hw: NDArray[np.float32], limit: float) -> NDArray[np.float32]:
    """1 where `distance_hw` is below `limit`, 0 above, over a soft edge."""
    cover_hw: NDArray[np.float32] = np.clip(0.5 + (limit - distance_hw) * _SLOPE, 0, 1)
    return cover_hw


def _paint(image_hwc: Image, cover_hw: NDArray[np.float32], colour: Image | np.float32) -> None:
    image_hwc += cover_hw[..., None] * (colour - image_hwc)
