"""Dithered inputs of a coadd, made on the lattice's own sky."""

from dataclasses import replace

import numpy as np

from tessella.coadd.pixel_map import pixel_map
from tessella.coadd.resample import Input
from tessella.models import Lattice

LATTICE = Lattice(30.0, 60.0, 2000.0, 1500.0, 0.055, 160, 150)
#: Options of the search for outliers, as configured.
SEARCH = ((5.0, 4.0), (1.2, 0.7))
QUIET = ((1e9, 1e9), (1e9, 1e9))
PIXEL = 2.0


def places_of(shift, turn=0.0, scale=PIXEL, shape=(90, 96)) -> np.ndarray:
    """Lattice positions of detector pixels of `scale` lattice pixels, turned about their middle."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    u, v = scale * (x - shape[1] / 2), scale * (y - shape[0] / 2)
    across = u * np.cos(turn) - v * np.sin(turn) + LATTICE.nx / 2 + shift[0]
    up = u * np.sin(turn) + v * np.cos(turn) + LATTICE.ny / 2 + shift[1]
    return np.round(np.stack([across, up], axis=-1) * 2**20) / 2**20


def make_input(name, places, data, sigma=0.1, exposure_time=50.0, scale=PIXEL) -> Input:
    variance = np.full(data.shape, sigma**2)
    return Input(
        name=name,
        data=np.asarray(data, float),
        var_poisson=variance / 2,
        var_rnoise=variance / 2,
        weight=1 / variance,
        places=places,
        exposure_time=exposure_time,
        area_ratio=scale**2,
    )


def star(places, x, y, flux, sigma=1.6, scale=PIXEL) -> np.ndarray:
    """Surface brightness, at pixel centres, of a star whose sum over lattice pixels is `flux`."""
    r2 = (places[..., 0] - x) ** 2 + (places[..., 1] - y) ** 2
    return flux * np.exp(-r2 / 2 / sigma**2) / (2 * np.pi * sigma**2)


DITHERS = (((0.0, 0.0), 0.0), ((7.3, -4.6), 0.01), ((-5.9, 8.2), -0.02), ((3.4, 6.7), 0.3))


def dithered(sky=0.0, sigma=0.1, flux=0.0, n=4, seed=1, noise=True) -> list[Input]:
    rng = np.random.default_rng(seed)
    inputs = []
    for k, (shift, turn) in enumerate(DITHERS[:n]):
        places = places_of(shift, turn)
        data = sky + star(places, 80.3, 74.6, flux)
        if noise:
            data = data + sigma * rng.standard_normal(data.shape)
        inputs.append(make_input(f"input {k}", places, data, sigma))
    return inputs


def moved(inputs, dx, dy) -> list[Input]:
    """The same inputs on a lattice that begins (dx, dy) pixels before."""
    return [replace(item, places=item.places + np.array([dx, dy], float)) for item in inputs]


__all__ = ["pixel_map"]
