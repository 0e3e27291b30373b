"""Eight dithered images of a whole detector around one official cell, for the bench of Level 3.

    python benchmarks/level3_inputs.py WORK [--seed 77]

writes, within a minute or two and 2.5 GB, for tessella and for its peers, the same pixels:

    run/level2/*_cal.asdf, *_wcs.asdf   Level 2 as products of a run
    run/level3/region*_astrometry.ecsv  a joint solution that corrects nothing
    fits/d0.fits, d0.weight.fits, ...   with a TPV fit of the distortion; coadd.head is the cell
    cell.json, cell_wcs.asdf            the lattice of the cell, plain and as gwcs
    truth.npz                           the sources
    rays0.npy, light0.npy, ...          rows and columns of the cosmic rays of each image, and its
                                        light without sky and noise [DN / s]

The recipe is the one that the peers' published figures come from: 24,000 sources with Moffat
profiles, a fifth of them stars, on a sky that differs by 4 % from image to image; Gaussian noise of
140 s; 2 pixels in a thousand flagged bad; 4,000 cosmic rays of two pixels an image. Beyond it, 400
bright stars are there to be measured. Pixels hold surface brightness, as after a flat field: a
source's flux is that of nominal pixels.
"""

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import asdf
import numpy as np
from astropy.io import fits

from tessella import flags
from tessella.astrometry.alignment import Alignment
from tessella.astrometry.gwcs_model import build_gwcs, build_tangent_gwcs
from tessella.astrometry.joint_solution import JointSolution, SolvedImage
from tessella.astrometry.pixel_area import nominal_pixel_area_arcsec2, relative_pixel_area
from tessella.astrometry.tangent import pixel_to_sky, sky_to_pixel
from tessella.astrometry.wcs import (
    boresight_of,
    detector_to_sky,
    move_reference,
    sky_to_detector,
)
from tessella.instrument import siaf
from tessella.instrument.read_patterns import read_patterns
from tessella.io.astrometry_solution import write_astrometry
from tessella.io.exposure_meta import exposure_meta, file_name
from tessella.io.level2 import read_meta, write_image
from tessella.io.runs import start_run
from tessella.io.wcs import write_wcs
from tessella.models import (
    Attitude,
    Border,
    ExposureHeader,
    ExposureKey,
    Image,
    Lattice,
    WcsCorrection,
    Window,
)
from tessella.sky.matching import primary_cell
from tessella.sky.tessellation import cell_lattice, regions

DETECTOR, ELEMENT, TABLE = "WFI02", "F158", 4
NEAR = (270.15, 65.886)
#: Offsets to the east and north of the cell's centre [arcsec], and turn [deg], of each image.
DITHERS = (
    (0.0, 0.0, 0.0),
    (12.3, -7.1, 0.0),
    (-9.7, 15.2, 0.0),
    (4.4, 8.9, 0.0),
    (7.7, -13.3, 5.0),
    (-14.1, 3.3, 5.0),
    (2.9, 11.7, 5.0),
    (-5.2, -9.9, 5.0),
)
SIZE, SEED = siaf.ACTIVE_SIZE, 77
#: Sources in a square of this side around the cell's centre [arcsec].
N_SOURCES, FIELD = 24_000, 640.0
STAR_SHARE, STAR_WIDTH = 0.2, 0.8
#: Stars to be measured, in a square of this side [arcsec], and between which fluxes [DN / s].
N_MEASURED, INNER_FIELD, MEASURED_FLUX = 400, 260.0, (50.0, 500.0)
#: Stamps reach so far [pixels]; profiles are (1 + r^2 / (4.4 width^2))^-3.2.
REACH, MOFFAT_WIDTHS, MOFFAT_POWER = 18, 4.4, 3.2
#: Sky [DN / s], its scatter from image to image, exposure time [s], read variance [DN^2].
SKY, SKY_SCATTER, SECONDS, READ_VARIANCE = 0.5, 0.02, 140.0, 64.0
BAD_SHARE, N_RAYS = 2e-3, 4000
#: Surface brightness of 1 DN / s [MJy / sr].
CONVERSION = 0.6


@dataclass(frozen=True)
class Sources:
    """Positions [deg], fluxes [DN / s of nominal pixels] and shapes; arrays of (n,)."""

    ra: np.ndarray
    dec: np.ndarray
    is_star: np.ndarray
    flux: np.ndarray
    #: Width of the Moffat profile [pixels], axis ratio, angle [rad].
    width: np.ndarray
    ratio: np.ndarray
    angle: np.ndarray


def choose_cell() -> Lattice:
    """Return the lattice of the cell that `NEAR` belongs to."""
    region, column, row = (int(number) for number in primary_cell(*NEAR))
    return cell_lattice(regions()[region], column, row)


def draw_sources(center: tuple[float, float], rng: np.random.Generator) -> Sources:
    """Draw sources around a position [deg]: many faint ones, few bright ones."""
    offsets = rng.uniform(-FIELD / 2, FIELD / 2, (2, N_SOURCES))
    flux = 1.2 * 10 ** (rng.uniform(0, 3.2, N_SOURCES) * rng.beta(1, 2.2, N_SOURCES))
    width = np.clip(rng.lognormal(0.3, 0.45, N_SOURCES), 0.85, 6)
    is_star = rng.random(N_SOURCES) < STAR_SHARE
    inner = rng.uniform(-INNER_FIELD / 2, INNER_FIELD / 2, (2, N_MEASURED))
    bright = np.exp(rng.uniform(*np.log(MEASURED_FLUX), N_MEASURED))
    offsets, flux = np.hstack([offsets, inner]) / 3600, np.hstack([flux, bright])
    is_star = np.hstack([is_star, np.ones(N_MEASURED, bool)])
    width = np.where(is_star, STAR_WIDTH, np.resize(width, len(flux)))
    return Sources(
        ra=center[0] + offsets[0] / np.cos(np.radians(center[1])),
        dec=center[1] + offsets[1],
        is_star=is_star,
        flux=flux,
        width=width,
        ratio=np.where(is_star, 1.0, rng.uniform(0.3, 1, len(flux))),
        angle=rng.uniform(0, np.pi, len(flux)),
    )


def attitude_at(center: tuple[float, float], east: float, north: float, turn: float) -> Attitude:
    """Return the detector's attitude with its centre so far [arcsec] from a position [deg]."""
    aperture = siaf.detector_aperture(DETECTOR)
    return Attitude(
        ra_ref=center[0] + east / 3600 / np.cos(np.radians(center[1])),
        dec_ref=center[1] + north / 3600,
        roll_ref=turn,
        v2_ref=aperture.v2_ref,
        v3_ref=aperture.v3_ref,
    )


def draw_light(sources: Sources, attitude: Attitude) -> np.ndarray:
    """Draw the sources on the detector, (4088, 4088) [DN / s]."""
    image = np.zeros((SIZE, SIZE), np.float32)
    area = relative_pixel_area(DETECTOR, Window())
    x, y = sky_to_detector(attitude, DETECTOR, sources.ra, sources.dec)
    on = (x > -REACH) & (x < SIZE + REACH) & (y > -REACH) & (y < SIZE + REACH)
    offsets = np.arange(-REACH, REACH + 1)
    for i in np.flatnonzero(on):
        column, row = round(x[i]), round(y[i])
        dx, dy = offsets[None, :] + column - x[i], offsets[:, None] + row - y[i]
        cosine, sine = np.cos(sources.angle[i]), np.sin(sources.angle[i])
        along, across = cosine * dx + sine * dy, (cosine * dy - sine * dx) / sources.ratio[i]
        scale = MOFFAT_WIDTHS * sources.width[i] ** 2
        profile = (1 + (along**2 + across**2) / scale) ** -MOFFAT_POWER
        nearest = np.clip(row, 0, SIZE - 1), np.clip(column, 0, SIZE - 1)
        profile *= sources.flux[i] / profile.sum() / area[nearest]
        rows = slice(max(0, row - REACH), min(SIZE, row + REACH + 1))
        columns = slice(max(0, column - REACH), min(SIZE, column + REACH + 1))
        image[rows, columns] += profile[
            rows.start - row + REACH : rows.stop - row + REACH,
            columns.start - column + REACH : columns.stop - column + REACH,
        ]
    return image


def expose(light: np.ndarray, attitude: Attitude, rng: np.random.Generator) -> tuple:
    """Return the image of a scene, and rows and columns (2, n) of what cosmic rays hit first."""
    rate = light + np.float32(SKY + SKY_SCATTER * rng.standard_normal())
    poisson, read = rate / SECONDS, np.full_like(rate, READ_VARIANCE / SECONDS**2)
    err = np.sqrt(poisson + read)
    data = rate + err * rng.standard_normal(rate.shape, np.float32)
    dq = np.where(rng.random(rate.shape, np.float32) < BAD_SHARE, flags.DO_NOT_USE, 0)
    rays = rng.integers(5, SIZE - 5, (2, N_RAYS))
    data[rays[0], rays[1]] += rng.lognormal(1.0, 0.8, N_RAYS).astype(np.float32)
    data[rays[0], rays[1] + 1] += rng.lognormal(0.3, 0.8, N_RAYS).astype(np.float32)
    nothing = np.zeros_like(rate)
    image = Image(
        detector=DETECTOR,
        optical_element=ELEMENT,
        window=Window(),
        data=data,
        dq=dq.astype(np.uint32),
        err=err,
        var_poisson=poisson,
        var_rnoise=read,
        var_flat=nothing,
        chisq=nothing,
        dumo=nothing,
        jumps=np.zeros((0, 3), np.int16),
        attitude=attitude,
        wcs=build_gwcs(attitude, DETECTOR, Window()),
        conversion_megajanskys=CONVERSION,
        conversion_uncertainty=0.01,
        pixel_area_sr=nominal_pixel_area_arcsec2(DETECTOR) * (np.pi / 648000) ** 2,
    )
    return image, rays


def write_level2(folder: Path, number: int, image: Image) -> None:
    """Write an image with its WCS, as if the alignment had found nothing to correct."""
    attitude, center = image.attitude, siaf.aperture(siaf.WFI_CENTER)
    boresight = boresight_of(attitude)
    target = move_reference(attitude, center.v2_ref, center.v3_ref)
    pattern = read_patterns()[TABLE]
    hour, day = divmod(number - 1, 28)
    header = ExposureHeader(
        key=ExposureKey(1, 1, 1, 1, 1, 1, number),
        optical_element=ELEMENT,
        ma_table_number=TABLE,
        start_time=f"2028-07-{day + 1:02d}T{hour:02d}:00:00",
        exposure_type="WFI_IMAGE",
        ra_v1=boresight.ra_ref,
        dec_v1=boresight.dec_ref,
        pa_v3=boresight.roll_ref,
        target_ra=target.ra_ref,
        target_dec=target.dec_ref,
        pa_aperture=target.roll_ref + center.v3_ideal_y_angle,
    )
    meta = exposure_meta(header, DETECTOR, image.window, pattern, 0)
    # The times of the recipe, not of the table, and no aberration.
    meta["exposure"] |= {"exposure_time": SECONDS, "effective_exposure_time": SECONDS}
    meta["velocity_aberration"]["scale_factor"] = 1.0
    path = folder / file_name(header, DETECTOR, "cal")
    write_image(path, image, *empty_border(image.window), meta, {}, {}, {"stage": "level3_inputs"})
    none = np.zeros(0, int)
    found = Alignment(attitude, True, "exact", 0, 0, 0.0, 0.0, 0.0, 0.0, none, none)
    wcs = path.with_name(path.name.replace("_cal", "_wcs"))
    write_wcs(wcs, image, read_meta(path), found, {"stage": "level3_inputs"})


def write_nothing_to_correct(run: Path, lattice: Lattice) -> None:
    """Write the joint solution of the region: no correction of any image."""
    names = [path.stem.removesuffix("_cal") for path in sorted((run / "level2").glob("*_cal.asdf"))]
    path = run / "level3" / f"region{lattice.region:04d}_astrometry.ecsv"
    path.parent.mkdir(exist_ok=True)
    images = tuple(SolvedImage(name, "exact", True, 0, 0, 0.0, WcsCorrection()) for name in names)
    write_astrometry(path, JointSolution(images, 0.0, 0, 0, None), {"stage": "level3_inputs"})


def empty_border(full: Window) -> tuple[Border, np.ndarray]:
    """Return reference pixels and reference output of one resultant that hold nothing."""
    shapes = {side: (full.ny, 4) for side in ("left", "right")}
    shapes |= {side: (4, full.nx) for side in ("bottom", "top")}
    border = Border(
        counts={side: np.zeros((1, *shape), np.float32) for side, shape in shapes.items()},
        resultant_dq={side: np.zeros((1, *shape), np.uint8) for side, shape in shapes.items()},
        dq={side: np.zeros(shape, np.uint32) for side, shape in shapes.items()},
        amp33=np.zeros((1, full.ny, 128), np.float32),
        amp33_dq=np.zeros((1, full.ny), np.uint8),
    )
    return border, np.zeros((1, full.ny, 128), np.uint16)


def tangent_header(lattice: Lattice) -> fits.Header:
    """Return the FITS header of a lattice."""
    header = fits.Header()
    header["CTYPE1"], header["CTYPE2"] = "RA---TAN", "DEC--TAN"
    header["CRVAL1"], header["CRVAL2"] = lattice.ra_tangent, lattice.dec_tangent
    header["CRPIX1"], header["CRPIX2"] = lattice.x_tangent + 1, lattice.y_tangent + 1
    header["CD1_1"] = header["CD2_2"] = lattice.pixel_scale_arcsec / 3600
    header["CD1_2"] = header["CD2_1"] = 0.0
    header["CUNIT1"] = header["CUNIT2"] = "deg"
    return header


def tpv_header(attitude: Attitude) -> tuple[fits.Header, float]:
    """Fit a TPV projection to the WCS of an image; return it and its largest error [mas].

    TPV: plane coordinates are polynomials of those which a matrix gives (Calabretta et al. 2004).
    The distortion of the SIAF is of degree 5; a cubic would be 18 mas off.
    """
    middle = SIZE / 2 - 0.5
    nodes = np.linspace(0, SIZE - 1, 41)
    x, y = (values.ravel() for values in np.meshgrid(nodes, nodes))
    ra, dec = detector_to_sky(attitude, DETECTOR, x, y)
    ra0, dec0 = (float(v) for v in detector_to_sky(attitude, DETECTOR, middle, middle))
    # Pixels of one degree: plane coordinates.
    plane = np.array(sky_to_pixel(Lattice(ra0, dec0, 0.0, 0.0, 3600.0, 1, 1), ra, dec))
    terms = np.stack([x - middle, y - middle], 1)
    matrix = np.linalg.lstsq(np.c_[terms, np.ones(len(x))], plane.T, rcond=None)[0].T[:, :2]
    linear = matrix @ terms.T
    header = fits.Header()
    header["CTYPE1"], header["CTYPE2"] = "RA---TPV", "DEC--TPV"
    header["CRVAL1"], header["CRVAL2"] = ra0, dec0
    header["CRPIX1"] = header["CRPIX2"] = middle + 1
    header["CUNIT1"] = header["CUNIT2"] = "deg"
    error = 0.0
    # Powers of the axis itself and of the other one, by the number of the coefficient.
    first = {0: 0, 1: 1, 2: 4, 3: 7, 4: 12, 5: 17}
    powers = {first[n] + k: (n - k, k) for n in first for k in range(n + 1)}
    size = np.abs(linear).max()
    for axis in (0, 1):
        own, other = linear[axis] / size, linear[1 - axis] / size
        basis = np.stack([own**a * other**b for a, b in powers.values()], 1)
        values = np.linalg.lstsq(basis, plane[axis] / size, rcond=None)[0]
        error = max(error, float(np.abs(basis @ values * size - plane[axis]).max()) * 3.6e6)
        for other_axis in (0, 1):
            header[f"CD{axis + 1}_{other_axis + 1}"] = matrix[axis, other_axis]
        for (number, (a, b)), value in zip(powers.items(), values, strict=True):
            header[f"PV{axis + 1}_{number}"] = value * size ** (1.0 - a - b)
    return header, error


def write_fits(folder: Path, name: str, image: Image) -> float:
    """Write an image and its weights; return the error of its projection [mas].

    One weight for all good pixels, that of the empty sky: with the variance of each pixel the
    cores of stars would come out too faint, whichever program adds them.
    """
    header, error = tpv_header(image.attitude)
    header["EXPTIME"] = header["GAIN"] = SECONDS
    good = (image.dq & flags.DO_NOT_USE) == 0
    weight = (good / np.median((image.err**2)[good])).astype(np.float32)
    fits.writeto(folder / f"{name}.fits", image.data, header, overwrite=True)
    fits.writeto(folder / f"{name}.weight.fits", weight, header, overwrite=True)
    return error


def write_cell(work: Path, lattice: Lattice) -> None:
    """Write the lattice of the cell in three ways."""
    (work / "cell.json").write_text(json.dumps(vars(lattice), indent=1) + "\n")
    asdf.AsdfFile({"wcs": build_tangent_gwcs(lattice)}).write_to(work / "cell_wcs.asdf")
    cards = [str(card) for card in tangent_header(lattice).cards]
    size = [f"NAXIS   = 2\nNAXIS1  = {lattice.nx}\nNAXIS2  = {lattice.ny}"]
    (work / "fits" / "coadd.head").write_text("\n".join([*cards, *size, "END"]) + "\n")


def make_inputs(work: Path, seed: int) -> None:
    """Make everything, and say what."""
    lattice = choose_cell()
    ra, dec = pixel_to_sky(lattice, lattice.nx / 2 - 0.5, lattice.ny / 2 - 0.5)
    center = float(ra), float(dec)
    run = start_run(work / "run").folder
    for folder in (run / "level2", work / "fits"):
        folder.mkdir(parents=True, exist_ok=True)
    write_cell(work, lattice)
    sources = draw_sources(center, np.random.default_rng(seed))
    np.savez(work / "truth.npz", **vars(sources))
    for number, dither in enumerate(DITHERS, 1):
        rng = np.random.default_rng((seed, number))
        attitude = attitude_at(center, *dither)
        light = draw_light(sources, attitude)
        image, rays = expose(light, attitude, rng)
        np.save(work / f"rays{number - 1}.npy", rays)
        np.save(work / f"light{number - 1}.npy", light)
        write_level2(run / "level2", number, image)
        error = write_fits(work / "fits", f"d{number - 1}", image)
        sys.stderr.write(f"image {number} of {len(DITHERS)}; TPV to {error:.2f} mas\n")
    write_nothing_to_correct(run, lattice)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path)
    parser.add_argument("--seed", type=int, default=SEED)
    args = parser.parse_args()
    make_inputs(args.work.resolve(), args.seed)


if __name__ == "__main__":
    main()
