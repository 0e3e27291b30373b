"""Outliers are found, stars are not eaten, and nothing depends on how the sky is cut."""

import tempfile
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
from ranks import as_ranks
from scipy.special import erf

from tessella.astrometry.tangent import pixel_to_sky
from tessella.coadd.disagreement import Thresholds, grown
from tessella.coadd.median_stack import median_of_file
from tessella.coadd.outlier_search import SearchInput, joined, outliers_of, search
from tessella.coadd.places import places_of
from tessella.coadd.search_area import EDGE, Area, Room, blocks_of
from tessella.models import Lattice

REGION = Lattice(30.0, 60.0, 2499.5, 2499.5, 0.055, 5000, 5000)
#: As configured.
THRESHOLDS = Thresholds((5.0, 4.0), (0.75, 0.5), (1.0, 0.7))
SIDE, SIGMA = 96, 0.1
#: Where the middle of the field lies on the region's lattice; all images hold `WHOLE`.
MIDDLE = np.array([700.0, 900.0])
WHOLE = Area(640, 760, 840, 960)


def placed(shift, turn, side=SIDE):
    """An image of pixels of two lattice pixels, turned about its middle."""

    def to_sky(x, y):
        u, v = 2 * (x - (side - 1) / 2), 2 * (y - (side - 1) / 2)
        across = u * np.cos(turn) - v * np.sin(turn) + MIDDLE[0] + shift[0]
        up = u * np.sin(turn) + v * np.cos(turn) + MIDDLE[1] + shift[1]
        return pixel_to_sky(REGION, across, up)

    return places_of(to_sky, (side, side), REGION)


def pixel_of(position, shift, turn, side=SIDE):
    """Column and row, with fractions, at which an image has a place of the lattice."""
    dx, dy = position - MIDDLE - shift
    u, v = dx * np.cos(turn) + dy * np.sin(turn), -dx * np.sin(turn) + dy * np.cos(turn)
    return u / 2 + (side - 1) / 2, v / 2 + (side - 1) / 2


def star(shape, x, y, width):
    """Light of a star in each pixel: a Gaussian, integrated over pixels."""

    def share_of(n, at):
        return 0.5 * np.diff(erf((np.arange(n + 1) - 0.5 - at) / (width * np.sqrt(2))))

    return np.outer(share_of(shape[0], y), share_of(shape[1], x))


def pointings(n, seed=1, turn=0.1):
    rng = np.random.default_rng(seed)
    return [(rng.uniform(-15, 15, 2), rng.uniform(-turn, turn)) for _ in range(n)]


def images(n, seed=1, turn=0.1, stars=(), width=0.5, sky=0.0):
    """Dithered images of stars, noise of the sky and photon noise, and their errors."""
    rng = np.random.default_rng(seed)
    made = []
    for shift, angle in pointings(n, seed, turn):
        light = np.zeros((SIDE, SIDE))
        for position, flux in stars:
            light += flux * star(light.shape, *pixel_of(np.array(position), shift, angle), width)
        error = np.sqrt(SIGMA**2 + light * SIGMA**2)
        data = sky + light + error * rng.standard_normal(light.shape)
        made.append((placed(shift, angle), data, error))
    return made


def searched(made, good=None, **how):
    inputs = []
    for k, (places, data, error) in enumerate(made):
        known = np.ones(data.shape, bool) if good is None else good[k]
        arrays = data.astype(np.float32), error.astype(np.float32), known

        def read(first, stop, arrays=arrays):
            data, err, good = (array[first:stop] for array in arrays)
            return SimpleNamespace(data=data, err=err, good=good)

        inputs.append(SearchInput(places, read, **how))
    return inputs


def found_in(inputs, area=WHOLE, **how):
    with tempfile.TemporaryFile() as scratch:
        return search(inputs, area, THRESHOLDS, scratch, **how)


def marked(inputs, area=WHOLE, **how):
    found = found_in(inputs, area, **how)
    return [outliers_of(one, item.places, area) for one, item in zip(found, inputs, strict=True)]


def hit(made, which, y, x, amount):
    made[which][1][y, x] += amount


@pytest.fixture(scope="module")
def busy():
    """Four images with stars and many hits."""
    stars = [((700.3 + 11 * k, 890.6 - 7 * k), 40.0 * 3**k) for k in range(-4, 5)]
    made = images(4, stars=stars, turn=2.0)
    rng = np.random.default_rng(8)
    for _, data, _ in made:
        y, x = rng.integers(0, SIDE, (2, 300))
        data[y, x] += rng.lognormal(0.0, 1.0, 300)
    return made


@pytest.mark.parametrize("n", [3, 4, 8])
def test_hits_are_found_with_their_tails(n):
    made = images(n)
    hit(made, 1, 40, 50, 2.0)
    hit(made, 1, 40, 51, 1.0)
    found = marked(searched(made))
    assert {40 * SIDE + 50, 40 * SIDE + 51} <= set(found[1].tolist())
    # A difference of 5 sigma and more, of some 3600 pixels an image: below 1e-6 each, and a median
    # of three has noise of its own, of half a pixel's: below 1e-5.
    assert sum(len(pixels) for pixels in found) <= 3


@pytest.mark.parametrize("n", [2, 3, 4, 8])
@pytest.mark.parametrize("width", [0.3, 0.4, 0.6, 0.8])
def test_cores_of_undersampled_stars_are_kept(n, width):
    # Full widths at half maximum of 0.08 to 0.2 arcsec, in pixels of 0.11; far above the noise.
    rng = np.random.default_rng(int(100 * width) + n)
    stars = [
        (
            (660 + 16 * i + rng.uniform(-2, 2), 860 + 16 * j + rng.uniform(-2, 2)),
            10 ** rng.uniform(1, 4),
        )
        for i in range(6)
        for j in range(6)
    ]
    made = images(n, seed=n, stars=stars, width=width)
    found = marked(searched(made))
    lost = kept = n_core = n_lost = 0
    for (shift, angle), (_, data, _), pixels in zip(pointings(n, n), made, found, strict=True):
        gone = np.zeros(data.size, bool)
        gone[pixels] = True
        gone = gone.reshape(data.shape)
        for position, flux in stars:
            light = flux * star(data.shape, *pixel_of(np.array(position), shift, angle), width)
            core = light > 0.01 * flux
            lost, kept = lost + light[gone].sum() / flux, kept + light[~gone].sum() / flux
            n_core, n_lost = n_core + core.sum(), n_lost + (core & gone).sum()
    # What is missing in one image biases the flux of the sum at most by its share.
    assert lost / (lost + kept) < 1e-3
    assert n_lost / n_core < 1e-3


def test_of_two_that_disagree_the_brighter_is_marked():
    made = images(2)
    made[0][1][30:60, 30:60] += 100
    brighter, fainter = marked(searched(made))
    assert brighter.size > 800
    assert fainter.size == 0


def test_where_one_image_lies_nothing_is_decided_and_that_is_counted():
    made = images(1)
    hit(made, 0, 40, 50, 100.0)
    inputs = searched(made)
    (found,) = found_in(inputs)
    assert found.pixels.size == 0
    centers = made[0][0].centers(0, SIDE) + 0.5
    x0, x1, y0, y1 = (2 * edge for edge in WHOLE.coarse)
    inside = (centers >= [x0, y0]).all(-1) & (centers < [x1, y1]).all(-1)
    assert found.n_undecided == inside.sum()


def test_pixels_that_do_not_count_are_neither_marked_nor_used():
    made = images(3)
    good = [np.ones((SIDE, SIDE), bool) for _ in made]
    made[1][1][40:44, 50:54] = np.nan
    good[1][40:44, 50:54] = False
    found = marked(searched(made, good))
    assert not set(found[1].tolist()) & set(
        (np.arange(40, 44)[:, None] * SIDE + np.arange(50, 54)).ravel()
    )
    assert sum(len(pixels) for pixels in found) <= 3


def test_sky_is_taken_off():
    made = images(3, sky=5.0)
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    made[2] = made[2][0], made[2][1] + 3.0 + 0.02 * x - 0.01 * y, made[2][2]
    inputs = searched(made[:2], level=5.0)
    inputs += searched(made[2:], level=8.0, slope_x=0.02, slope_y=-0.01)
    assert sum(len(pixels) for pixels in marked(inputs)) <= 3


@pytest.mark.parametrize(
    "room", [Room(memory=1), Room(memory=40_000), Room(scratch=20_000), Room(scratch=100_000)]
)
@pytest.mark.parametrize("turn", [0.0, np.pi / 2])
def test_block_size_does_not_matter(busy, room, turn):
    made = busy if turn == 0 else images(3, turn=0.05, stars=[((700, 900), 300.0)])
    inputs = searched(made)
    expected = found_in(inputs)
    found = found_in(inputs, room=room)
    for one, other in zip(found, expected, strict=True):
        order = np.argsort(one.pixels), np.argsort(other.pixels)
        np.testing.assert_array_equal(one.pixels[order[0]], other.pixels[order[1]])
        np.testing.assert_array_equal(one.kinds[order[0]], other.kinds[order[1]])
        assert one.n_undecided == other.n_undecided


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_number_of_ranks_does_not_matter(busy, size):
    inputs = searched(busy)
    expected = marked(inputs)
    assert sum(len(pixels) for pixels in expected) > 100
    # Blocks of two sizes; some ranks have no image of a block, or no line.
    room = Room() if size < 3 else Room(memory=30_000)
    parts = as_ranks(lambda comm: found_in(inputs, comm=comm, room=room), size)
    found = [joined(of_image) for of_image in zip(*parts, strict=True)]
    for one, item, pixels in zip(found, inputs, expected, strict=True):
        np.testing.assert_array_equal(outliers_of(one, item.places, WHOLE), pixels)


@pytest.mark.parametrize("cut", [Area(640, 703, 840, 960), Area(691, 760, 871, 913)])
def test_patches_agree_wherever_both_decide(busy, cut):
    inputs = searched(busy)
    whole, part = marked(inputs), marked(inputs, cut)
    both = 0
    for (places, _, _), one, other in zip(busy, whole, part, strict=True):
        x, y = (places.centers(0, SIDE).reshape(-1, 2) + 0.5).T
        inside = (
            (x >= cut.x0 - EDGE) & (x < cut.x1 + EDGE) & (y >= cut.y0 - EDGE) & (y < cut.y1 + EDGE)
        )
        inside &= (x >= 640 - EDGE) & (x < 760 + EDGE) & (y >= 840 - EDGE) & (y < 960 + EDGE)
        np.testing.assert_array_equal(one[inside[one]], other[inside[other]])
        both += inside[other].sum()
    assert both > 50


def test_decisions_do_not_depend_on_the_order_of_images(busy):
    straight = marked(searched(busy))
    turned = marked(searched(busy[::-1]))[::-1]
    for one, other in zip(straight, turned, strict=True):
        np.testing.assert_array_equal(one, other)


def test_recall_of_hits_and_false_alarms():
    made = images(8, seed=3)
    rng = np.random.default_rng(4)
    hits = []
    for _, data, _ in made:
        at = rng.choice(SIDE * SIDE, 80, replace=False)
        data.ravel()[at] += SIGMA * 30 * rng.lognormal(1.0, 0.8, at.size)
        hits.append(at)
    found = marked(searched(made))
    n_found = n_hit = n_false = n_inside = 0
    for (places, _, _), at, pixels in zip(made, hits, found, strict=True):
        centers = places.centers(0, SIDE).reshape(-1, 2)
        inside = ((centers >= [640, 840]) & (centers < [760, 960])).all(-1)
        true = np.zeros(inside.size, bool)
        true[at] = True
        gone = np.zeros(inside.size, bool)
        gone[pixels] = True
        n_found, n_hit = n_found + (gone & true & inside).sum(), n_hit + (true & inside).sum()
        n_false += (gone & ~true & inside).sum()
        n_inside += inside.sum()
    # A lognormal of 30 sigma e^(1 +- 0.8): one in a thousand is below 7 sigma; of some 300 three.
    assert n_found / n_hit > 0.985
    # A neighbour of a hit needs 4 sigma: 3e-5 of the 8 x 80 x 8; elsewhere 5 sigma.
    assert n_false <= 3


def test_memory_is_that_of_a_block_whatever_the_number_of_images():
    made = images(1)[0]
    room, peaks = Room(memory=200_000, scratch=4 << 20, planes=100_000), {}
    found_in(searched([made] * 2))
    for n in (8, 64, 512):
        inputs = searched([made] * n)
        boxes = [item.box for item in inputs]
        assert len(blocks_of(boxes, WHOLE.coarse, True, room)) > (4 if n == 512 else 1)
        tracemalloc.start()
        found_in(inputs, room=room)
        peaks[n] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    # All planes at once would take 15 MB more. What is found takes 3 kB an image.
    assert max(peaks.values()) < 1.1 * min(peaks.values()) + 512 * 4000


def test_planes_are_read_in_parts_of_lines_too():
    rng = np.random.default_rng(5)
    boxes = [(0, 30, 0, 20), (3, 17, 2, 20), (10, 30, 0, 9), (5, 25, 4, 16)]
    planes = [rng.standard_normal((b[3] - b[2], b[1] - b[0])).astype(np.float32) for b in boxes]
    with tempfile.TemporaryFile() as file:
        file.write(b"".join(plane.tobytes() for plane in planes))
        file.flush()
        at_once = median_of_file(file, boxes, 20, 30, 1 << 20)
        for n_bytes in (1, 50, 16 * 7, 16 * 30, 16 * 95):
            found = median_of_file(file, boxes, 20, 30, n_bytes)
            np.testing.assert_array_equal(found[0], at_once[0])
            np.testing.assert_array_equal(found[1], at_once[1])
    whole = np.full((4, 20, 30), np.nan, np.float32)
    for k, (x0, x1, y0, y1) in enumerate(boxes):
        whole[k, y0:y1, x0:x1] = planes[k]
    count = (~np.isnan(whole)).sum(axis=0)
    np.testing.assert_array_equal(at_once[1], count)
    middle, fainter = np.nanmedian(whole, axis=0), np.nanmin(whole, axis=0)
    stack = np.where(count > 2, middle, np.where(count == 2, fainter, np.nan))
    np.testing.assert_array_equal(at_once[0], stack)


def test_a_scratch_file_that_is_cut_short_is_named():
    with tempfile.NamedTemporaryFile() as file, pytest.raises(OSError, match="cut short"):
        median_of_file(file, [(0, 2, 0, 2)], 2, 2, 100)


@pytest.mark.parametrize("room", [Room(memory=2_000_000), Room(scratch=100_000)])
def test_blocks_cover_every_line_once(room):
    boxes = [(0, 500, 0, 90), (300, 900, 50, 400)]
    for along_x in (True, False):
        blocks = blocks_of(boxes, (10, 910, 20, 420), along_x, room)
        lines = [block[2:] if along_x else block[:2] for block in blocks]
        assert len(lines) > 3
        assert (lines[0][0], lines[-1][1]) == ((20, 420) if along_x else (10, 910))
        assert all(a[1] == b[0] for a, b in zip(lines, lines[1:], strict=False))


def test_growth_stays_within_the_image():
    # The last pixel of a row and the first of the next one are no neighbours.
    assert grown(np.array([9, 10]), np.array([3, 1]), (4, 10)).tolist() == [9]
    assert grown(np.array([0, 11]), np.array([3, 1]), (4, 10)).tolist() == [0, 11]
