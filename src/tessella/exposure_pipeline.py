"""The recipe at work: a detector goes through the exposure pipeline in blocks of rows.

What a pixel's result needs besides its own ramp is measured beforehand, on the whole of the
detector, by the steps that say so; no array of the size of the ramp is ever made. Blocks know
nothing of each other: results do not depend on their size, nor on the number of threads.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from functools import partial
from threading import Lock
from typing import Any

import numpy as np

from tessella.detector.encoding import decode_block
from tessella.half_precision import to_half
from tessella.models import BORDER, Border, Image, Ramp, Window, rows_of
from tessella.recipe import Step
from tessella.steps.frame import Frame, References
from tessella.steps.ramp import initialize_quality

#: Rows that a step works on: a block's numbers stay in the caches.
BLOCK_ROWS = 64
#: Rows that a thread takes at a time; files are compressed in chunks of about as many.
_TASK_ROWS = 512


@dataclass(frozen=True)
class Calibrated:
    """What the pipeline makes of a ramp."""

    #: `err`, `chisq` and `dumo` in half precision.
    image: Image
    #: The reference pixels as `dq_init` leaves them.
    border: Border
    #: Steps that ran, in order.
    ran: tuple[Step, ...]


def calibrate(
    steps: Sequence[Step],
    ramp: Ramp,
    references: References,
    options: Mapping[str, Any],
    n_threads: int = 1,
    block_rows: int = BLOCK_ROWS,
) -> Calibrated:
    """Run the steps that the exposure needs and the configuration does not skip, in order.

    Parameters
    ----------
    steps : sequence of Step
        The recipe.
    ramp : Ramp
        Left unchanged.
    references : mapping of str to Reference
        By RAD type in lower case.
    options : mapping
        ``skip`` lists names of steps; ``options[name]`` holds a step's own keywords, None where a
        step that runs on request alone shall not.
    n_threads, block_rows : int
        Of no influence on the result.

    Examples
    --------
    >>> # image = calibrate(LEVEL2_STEPS, ramp, references, {"skip": ["flat"], ...}).image
    """
    ran = tuple(step for step in steps if step.is_asked_for(options) and step.serves(ramp))
    work = _Work(ramp, references, options, block_rows)
    frame = Frame(ramp, read_border(ramp, references, n_threads), n_threads=n_threads)
    for number, step in enumerate(ran):
        if step.measure is not None:
            before = partial(work.blocks, ran[:number])
            own = options.get(step.name, {})
            work.measured[step.name] = step.measure(
                replace(frame, blocks=before), references, **own
            )
    image = work.image(ran, n_threads)
    for step in ran:
        if step.look_again is None:
            continue
        events = step.look_again(image, ramp, **options.get(step.name, {}))
        image = work.again(ran, image, events, n_threads)
    for step in ran:
        if step.scope == "image":
            image = step.function(image, references, **options.get(step.name, {}))
    return Calibrated(image, frame.border, ran)


def read_border(ramp: Ramp, references: References, n_threads: int = 1) -> Border:
    """Return the reference pixels of a ramp as `dq_init` leaves them.

    Parameters
    ----------
    ramp : Ramp
        As it was stored.
    references : mapping of str to Reference
        ``mask`` is used.
    n_threads : int
        Of no influence on the result.
    """
    ny, nx = ramp.window.shape
    left, right = slice(None, BORDER), slice(nx - BORDER, None)

    def columns_of(first: int) -> list[Ramp]:
        block = _stored_rows(ramp, first, min(first + _TASK_ROWS, ny))
        return [_initialized(block, references, columns) for columns in (left, right)]

    with ThreadPoolExecutor(n_threads) as pool:
        parts = list(pool.map(columns_of, range(0, ny, _TASK_ROWS)))
    sides = {
        "left": [part[0] for part in parts],
        "right": [part[1] for part in parts],
        "bottom": [_initialized(_stored_rows(ramp, 0, BORDER), references, slice(None))],
        "top": [_initialized(_stored_rows(ramp, ny - BORDER, ny), references, slice(None))],
    }
    amp33, _ = decode_block(
        np.asarray(ramp.amp33), None, ramp.reference_amp33, ramp.encoding_offset
    )
    return Border(
        counts={side: np.concatenate([r.data for r in ramps], 1) for side, ramps in sides.items()},
        resultant_dq={
            side: np.concatenate([r.resultant_dq for r in ramps], 1)
            for side, ramps in sides.items()
        },
        dq={side: np.concatenate([r.known_dq for r in ramps]) for side, ramps in sides.items()},
        amp33=amp33,
        amp33_dq=np.zeros(amp33.shape[:2], np.uint8) if ramp.amp33_dq is None else ramp.amp33_dq,
    )


def _initialized(block: Ramp, references: References, columns: slice) -> Ramp:
    """Run `dq_init` on some columns of a block; the guide window lies among the others."""
    first, stop = block.first_row, block.first_row + block.data.shape[1]
    mask = references["mask"]
    cut = _Rows(mask.arrays, lambda array: rows_of(array, first, stop)[..., columns])
    part = replace(
        block,
        data=np.ascontiguousarray(block.data[..., columns]),
        resultant_dq=block.resultant_dq[..., columns],
        reference_read=None if block.reference_read is None else block.reference_read[:, columns],
        guide_window=None,
    )
    return initialize_quality(part, {"mask": replace(mask, arrays=cut)})


def _stored_rows(ramp: Ramp, first: int, stop: int) -> Ramp:
    return replace(
        ramp,
        data=rows_of(ramp.data, first, stop),
        resultant_dq=rows_of(ramp.resultant_dq, first, stop),
        reference_read=rows_of(ramp.reference_read, first, stop),
        first_row=first,
    )


class _Rows(Mapping[str, np.ndarray]):
    """Some rows of the arrays of a reference, read when they are asked for."""

    def __init__(self, arrays: Mapping[str, Any], cut: Callable[[Any], np.ndarray]) -> None:
        self._arrays, self._cut = arrays, cut

    def __getitem__(self, name: str) -> np.ndarray:
        return self._cut(self._arrays[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)


class _Work:
    """One exposure of one detector on its way."""

    def __init__(
        self, ramp: Ramp, references: References, options: Mapping[str, Any], block_rows: int
    ) -> None:
        self.ramp, self.references, self.options = ramp, references, options
        self.block_rows = block_rows
        #: By step.
        self.measured: dict[str, Any] = {}

    def blocks(self, steps: Sequence[Step]) -> Iterator[Ramp]:
        """Give all blocks of the detector as some steps leave them, from the first row on."""
        for first in range(0, self.ramp.window.ny, self.block_rows):
            block = self._block(first, None)
            for step in steps:
                block = self._apply(step, block)
            yield block

    def image(self, steps: Sequence[Step], n_threads: int) -> Image:
        """Make the image of all blocks."""
        canvas = _Canvas(self.ramp.window)
        first_rows = range(0, self.ramp.window.ny, _TASK_ROWS)
        self._paint(canvas, steps, first_rows, None, n_threads)
        return canvas.image()

    def again(
        self, steps: Sequence[Step], image: Image, events: np.ndarray, n_threads: int
    ) -> Image:
        """Make those blocks again that large events touch, in the arrays of `image`."""
        if not len(events):
            return image
        touched = sorted({int(y) // _TASK_ROWS * _TASK_ROWS for y in events[:, 1]})
        canvas = _Canvas(self.ramp.window, image, touched)
        self._paint(canvas, steps, touched, events, n_threads)
        return canvas.image()

    def _paint(
        self,
        canvas: "_Canvas",
        steps: Sequence[Step],
        first_rows: Iterable[int],
        events: np.ndarray | None,
        n_threads: int,
    ) -> None:
        def paint(first: int) -> None:
            end = min(first + _TASK_ROWS, self.ramp.window.ny)
            for start in range(first, end, self.block_rows):
                rows = slice(start, min(start + self.block_rows, end))
                exposure: Ramp | Image = self._block(rows.start, events, rows.stop)
                for step in steps:
                    if step.scope != "image":
                        exposure = self._apply(step, exposure, rows)
                assert isinstance(exposure, Image), "the recipe ends with an image"
                canvas.put(rows.start, exposure)

        with ThreadPoolExecutor(n_threads) as pool:
            list(pool.map(paint, first_rows))

    def _block(self, first: int, events: np.ndarray | None, stop: int | None = None) -> Ramp:
        ramp = self.ramp
        stop = min(first + self.block_rows, ramp.window.ny) if stop is None else stop
        if events is not None:
            events = events[(events[:, 1] >= first) & (events[:, 1] < stop)]
        return replace(_stored_rows(ramp, first, stop), large_events=events)

    def _apply(self, step: Step, exposure: Any, rows: slice | None = None) -> Any:
        if isinstance(exposure, Ramp):
            cut = partial(_ramp_rows, exposure.first_row, exposure.data.shape[1])
        else:
            assert rows is not None
            cut = partial(_image_rows, self.ramp.window.ny, rows)
        references = {
            name: replace(
                self.references[name],
                arrays=_Rows(self.references[name].arrays, cut),
            )
            for name in (*step.references, *step.optional)
            if name in self.references
        }
        keywords = dict(self.options.get(step.name, {}))
        if step.name in self.measured:
            keywords["measured"] = self.measured[step.name]
        return step.function(exposure, references, **keywords)


def _ramp_rows(first: int, n_rows: int, array: Any) -> np.ndarray:
    return rows_of(array, first, first + n_rows)


def _image_rows(ny: int, rows: slice, array: Any) -> np.ndarray:
    """Cut a reference to the rows of an image's block; some hold active pixels only."""
    first, stop = max(rows.start, BORDER), min(rows.stop, ny - BORDER)
    if array.shape[-2] == ny:
        return rows_of(array, first, stop)[..., BORDER:-BORDER]
    return rows_of(array, first - BORDER, stop - BORDER)


#: Kept in half precision, as they are archived: nothing is computed from them any more.
_HALF = ("err", "chisq", "dumo")


class _Canvas:
    """An image that is put together from blocks, in whatever order they come."""

    def __init__(
        self, window: Window, image: Image | None = None, touched: Sequence[int] = ()
    ) -> None:
        self._shape = window.active_shape
        self._lock = Lock()
        self._any = image
        self._arrays: dict[str, np.ndarray] = {} if image is None else _maps(image)
        self._jumps = [] if image is None else [_jumps_elsewhere(image.jumps, touched)]

    def put(self, first_row: int, block: Image) -> None:
        """Put in the image of a block that starts at a row of the window."""
        with self._lock:
            if self._any is None:
                self._any = block
                self._arrays = {
                    name: np.empty(self._shape, np.float16 if name in _HALF else values.dtype)
                    for name, values in _maps(block).items()
                }
            self._jumps.append(block.jumps)
        start = max(first_row, BORDER) - BORDER
        for name, values in _maps(block).items():
            kept = to_half(values) if name in _HALF else values
            self._arrays[name][start : start + len(values)] = kept

    def image(self) -> Image:
        """Return the whole."""
        assert self._any is not None, "a detector has rows"
        jumps = np.concatenate(self._jumps)
        maps: dict[str, Any] = {**self._arrays, "jumps": jumps[np.lexsort(jumps.T[::-1])]}
        return replace(self._any, first_row=0, **maps)


def _maps(image: Image) -> dict[str, np.ndarray]:
    values = {field.name: getattr(image, field.name) for field in fields(Image)}
    return {
        name: value
        for name, value in values.items()
        if isinstance(value, np.ndarray) and name != "jumps"
    }


def _jumps_elsewhere(jumps: np.ndarray, touched: Sequence[int]) -> np.ndarray:
    """Return the jumps that do not lie in blocks which are made again."""
    return jumps[~np.isin((jumps[:, 1] + BORDER) // _TASK_ROWS * _TASK_ROWS, touched)]
