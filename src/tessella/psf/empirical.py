"""The effective PSF of a detector and filter from its stars: the optical model, moved by the data.

The model has few ways to move (`tessella.psf.optical_basis.MODES`), each a polynomial of the place
on the detector: constant, and of higher order where the stars ask for it. What the modes cannot
follow is a smooth free form on a grid finer than the pixels (Anderson & King 2000, PASP 112, 1360.
doi:10.1086/316632), drawn to zero. All stars are fitted together, by Gauss-Newton steps.
"""

from dataclasses import dataclass, replace

import numpy as np

from tessella.psf.effective import EffectivePsf
from tessella.psf.moments import adaptive_moments
from tessella.psf.optical_basis import (
    MODES,
    PLACES,
    DetectorPsf,
    OpticalBasis,
    place_weights,
    polynomial_terms,
)
from tessella.psf.star_stamps import StarStamps, join, phase_coverage
from tessella.psf.star_sweep import (
    FLUX,
    FREE_SIDE,
    Sweep,
    X,
    Y,
    free_form,
    knot_places,
    surfaces,
    sweep,
)

#: Fewer stars than this do not make a PSF of their own.
# ASSUME: with 30 stars of a signal-to-noise of 300 the size is known to 0.1 %.
LEAST_STARS = 30
#: Terms of the polynomials, by their order.
_N_TERMS = {0: 1, 1: 3, 2: 6}
_N_ALL = _N_TERMS[2]
#: Sweeps in which the stars alone move, and the most in which all do.
_FIRST_SWEEPS, _SWEEPS = 4, 15
#: A fit has settled when no parameter moves by more than this share of its error.
_SETTLED = 0.02
#: Focus moves by so much a step at most [waves].
_LARGEST_STEP = 0.03
#: Stars are left out that are this many standard deviations worse than the others; that moved so
#: far [pixels]; or of which less than this share of the pixels counts.
_CLIP, _FURTHEST, _LEAST_PIXELS = 5.0, 1.5, 0.6
#: What the free form may be: this share of the PSF around a knot, and of its peak.
# ASSUME: the model is right to some per cent.
_FREE_SHARE, _FREE_FLOOR = 0.03, 1e-4
#: Steps of the modes for the derivatives of size and ellipticity: waves, pixels^2.
_STEPS = np.array([1e-3, 1e-3, 1e-3, 1e-3])


@dataclass(frozen=True)
class PsfQuality:
    """How well a PSF is known; shapes are those of `tessella.psf.moments.adaptive_moments`."""

    n_stars: int
    n_rejected: int
    #: Chi-squared per degree of freedom.
    chisq: float
    #: Of the PSF in the middle of the detector [pixels], with errors.
    size: float
    size_error: float
    e1: float
    e1_error: float
    e2: float
    e2_error: float
    #: Stars less PSF, relative in size: root mean square over the thirds of the detector along
    #: both axes that hold stars, and what noise alone makes of it.
    size_residual: float
    size_residual_noise: float
    e1_residual: float
    e1_residual_noise: float
    e2_residual: float
    e2_residual_noise: float
    #: `tessella.psf.star_stamps.phase_coverage`.
    phase_chisq: float
    phase_probability: float
    #: Order of the polynomials, 0 to 2.
    order: int
    #: Largest value of the free form over the peak of the PSF; 0 where the stars ask for none.
    free_form: float


@dataclass(frozen=True, eq=False)
class FittedPsf:
    """An effective PSF from stars."""

    psf: DetectorPsf
    #: (4, 6): `MODES` by `tessella.psf.optical_basis.polynomial_terms`, beyond the optical model.
    coefficients: np.ndarray
    #: (24, 24): their covariance, in the order of ``coefficients.ravel()``; 0 for terms that were
    #: not moved. It counts a chi-squared above 1 as noise.
    covariance: np.ndarray
    quality: PsfQuality


@dataclass(frozen=True, eq=False)
class _State:
    stars: StarStamps
    #: (n, 4): see `tessella.psf.star_sweep`.
    fits: np.ndarray
    coefficients: np.ndarray
    #: (FREE_SIDE**2,); zero at first.
    knots: np.ndarray


def fit_psf(stars: StarStamps, basis: OpticalBasis) -> FittedPsf:
    """Fit the effective PSF of a detector and filter to stars, in whatever order they are given.

    Stars that disagree are left out. Higher orders of the polynomials, and the free form, are
    taken where they lower chi-squared by more than the logarithm of the number of pixels for each
    parameter (Schwarz 1978, Ann. Statist. 6, 461. doi:10.1214/aos/1176344136).

    Parameters
    ----------
    stars : StarStamps
        Of one detector and filter, in a time in which the PSF stands still.
    basis : OpticalBasis
        Of the same.

    Returns
    -------
    FittedPsf

    Raises
    ------
    ValueError
        If fewer than `LEAST_STARS` stars are left, or the fit does not settle.

    Examples
    --------
    >>> # fitted = fit_psf(join(stamps), optical_basis("WFI01", "F158", Blur(8.0, 2.94), kernel))
    >>> # fitted.psf.at(100.0, 4000.0).evaluate(0.0, 0.0)
    """
    n_given = len(stars)
    state = _first_state(stars)
    for _ in range(_FIRST_SWEEPS):
        told = _sweep(basis, state)
        state = replace(state, fits=told.moved(state.fits, np.zeros(told.vector.size)))
        state = _kept(state, _is_sound(state))
    active = _active(0)
    state, told = _settled(basis, state, active)
    state = _kept(state, _agrees(told))
    state, told = _settled(basis, state, active)
    order = _best_order(told)
    if order:
        active = _active(order)
        state, told = _settled(basis, state, active)
    state = _with_free_form(basis, state, active)
    if state.knots.any():
        state, told = _settled(basis, state, active)
    return _fitted(basis, state, told, active, order, n_given)


def _require(n: int) -> None:
    if n < LEAST_STARS:
        raise ValueError(
            f"effective PSF: {n} stars are left, it takes {LEAST_STARS}; give a longer time or "
            "fainter stars"
        )


def _first_state(stars: StarStamps) -> _State:
    counts = np.isfinite(stars.variance)
    middle = stars.data.shape[1] // 2
    core = slice(middle - 1, middle + 2)
    sound = (counts.mean((1, 2)) >= _LEAST_PIXELS) & counts[:, core, core].all((1, 2))
    used = join([stars.take(sound)])
    _require(len(used))
    values = np.where(np.isfinite(used.variance), used.data, np.nan)
    sky = np.nanmedian(values, axis=(1, 2))
    flux = np.nansum(values - sky[:, None, None], axis=(1, 2))
    fits = np.stack([used.x - used.column, used.y - used.row, flux, sky], -1)
    state = _State(used, fits, np.zeros((len(MODES), _N_ALL)), np.zeros(FREE_SIDE**2))
    return _kept(state, _is_sound(state))


def _is_sound(state: _State) -> np.ndarray:
    stars, fits = state.stars, state.fits
    away = np.hypot(fits[:, X] + stars.column - stars.x, fits[:, Y] + stars.row - stars.y)
    return np.asarray(np.isfinite(fits).all(1) & (fits[:, FLUX] > 0) & (away < _FURTHEST))


def _kept(state: _State, is_kept: np.ndarray) -> _State:
    if is_kept.all():
        return state
    _require(int(is_kept.sum()))
    return replace(state, stars=state.stars.take(is_kept), fits=state.fits[is_kept])


def _agrees(told: Sweep) -> np.ndarray:
    """Mark stars whose chi-squared is not far above that of most."""
    each = told.chisq / told.freedom
    middle = np.median(each)
    spread = np.maximum(1.4826 * np.median(np.abs(each - middle)), np.sqrt(2 / told.freedom))
    return np.asarray(each < middle + _CLIP * spread)


def _at_places(coefficients: np.ndarray) -> np.ndarray:
    return np.asarray(coefficients @ polynomial_terms(*PLACES.T).T)


def _sweep(basis: OpticalBasis, state: _State, with_free_form: bool = False) -> Sweep:
    stamps, by_colour = basis.stamps(_at_places(state.coefficients))
    stamps[0] += free_form(state.knots, basis.oversample, stamps.shape[-1])
    half_box = state.stars.data.shape[1] // 2
    images = surfaces(stamps, by_colour, basis.oversample, half_box)
    return sweep(state.stars, state.fits, images, with_free_form)


def _active(order: int) -> np.ndarray:
    """Return which of the coefficients an order of the polynomials moves."""
    terms = np.arange(_N_TERMS[order])
    return (np.arange(len(MODES))[:, None] * _N_ALL + terms).ravel()


def _solved(told: Sweep, active: np.ndarray, prior: np.ndarray | None = None) -> np.ndarray:
    """Return the inverse of the normal matrix of some parameters, a prior's weight added."""
    normal = told.normal[np.ix_(active, active)]
    if prior is not None:
        normal = normal + np.diag(prior)
    scale = 1 / np.sqrt(np.diag(normal))
    both = np.outer(scale, scale)
    return np.asarray(np.linalg.inv(normal * both) * both)


def _settled(basis: OpticalBasis, state: _State, active: np.ndarray) -> tuple[_State, Sweep]:
    """Move modes and stars until they stand still; return the last comparison too."""
    for _ in range(_SWEEPS):
        told = _sweep(basis, state)
        covariance = _solved(told, active)
        step = np.zeros(told.vector.size)
        step[active] = covariance @ told.vector[active]
        if (np.abs(step[active]) < _SETTLED * np.sqrt(np.diag(covariance))).all():
            break
        step *= min(1.0, _LARGEST_STEP / max(np.abs(step[:_N_ALL]).max(), 1e-30))
        state = replace(
            state,
            fits=told.moved(state.fits, step),
            coefficients=state.coefficients + step.reshape(len(MODES), _N_ALL),
        )
        state = _kept(state, _is_sound(state))
    else:
        raise ValueError(
            f"effective PSF: the fit has not settled after {_SWEEPS} sweeps; the stars are none, "
            "or the optical model is far from them"
        )
    return state, told


def _excess(told: Sweep) -> float:
    """Return chi-squared per degree of freedom, 1 at least."""
    return max(1.0, float(told.chisq.sum() / told.freedom.sum()))


def _best_order(told: Sweep) -> int:
    """Return the order of the polynomials that chi-squared is worth."""
    price = _excess(told) * np.log(told.freedom.sum())
    worth = {}
    for order in _N_TERMS:
        active = _active(order)
        vector = told.vector[active]
        worth[order] = vector @ _solved(told, active) @ vector - price * len(active)
    return max(worth, key=lambda order: worth[order])


def _with_free_form(basis: OpticalBasis, state: _State, active: np.ndarray) -> _State:
    """Add the free form if chi-squared is worth it."""
    told = _sweep(basis, state, with_free_form=True)
    middle = basis.psf(_at_places(state.coefficients)).at(*PLACES[4])
    at = knot_places()
    around = np.abs(middle.evaluate_grid(at, at)).ravel()
    may_be = _FREE_SHARE * around + _FREE_FLOOR * around.max()
    parameters = np.concatenate([active, len(MODES) * _N_ALL + np.arange(FREE_SIDE**2)])
    prior = np.concatenate([np.zeros(len(active)), may_be**-2.0])
    covariance = _solved(told, parameters, prior)
    vector = told.vector[parameters]
    step = covariance @ vector
    n_effective = len(parameters) - prior @ np.diag(covariance)
    if vector @ step < _excess(told) * n_effective * np.log(told.freedom.sum()):
        return state
    moved = np.zeros(told.vector.size)
    moved[parameters] = step
    n_modes = len(MODES) * _N_ALL
    return replace(
        state,
        fits=told.moved(state.fits, moved),
        coefficients=state.coefficients + moved[:n_modes].reshape(len(MODES), _N_ALL),
        knots=state.knots + moved[n_modes:],
    )


def _fitted(
    basis: OpticalBasis,
    state: _State,
    told: Sweep,
    active: np.ndarray,
    order: int,
    n_given: int,
) -> FittedPsf:
    at_places = _at_places(state.coefficients)
    free = free_form(state.knots, basis.oversample, basis.focus.shape[-1])
    fitted = basis.psf(at_places)
    psf = replace(fitted, stamps=fitted.stamps + free)
    covariance = np.zeros((told.normal.shape[0],) * 2)
    covariance[np.ix_(active, active)] = _solved(told, active) * _excess(told)
    quality = _quality(basis, state, told, psf, free, covariance, order, n_given)
    return FittedPsf(psf, state.coefficients, covariance, quality)


def _quality(
    basis: OpticalBasis,
    state: _State,
    told: Sweep,
    psf: DetectorPsf,
    free: np.ndarray,
    covariance: np.ndarray,
    order: int,
    n_given: int,
) -> PsfQuality:
    middle = psf.at(*PLACES[4])
    shape = adaptive_moments(middle)
    by_mode = _shape_by_mode(basis, _at_places(state.coefficients), free)
    constant = np.arange(len(MODES)) * _N_ALL
    of_modes = covariance[np.ix_(constant, constant)]
    errors = np.sqrt(np.diag(by_mode @ of_modes @ by_mode.T))
    stars = state.stars
    x, y = stars.column + state.fits[:, X], stars.row + state.fits[:, Y]
    residual, noise = _residuals(told, by_mode[:, 1:], place_weights(x, y), _excess(told))
    phase_chisq, phase_probability = phase_coverage(x, y)
    return PsfQuality(
        n_stars=len(stars),
        n_rejected=n_given - len(stars),
        chisq=float(told.chisq.sum() / told.freedom.sum()),
        size=shape.size,
        size_error=float(shape.size * errors[0]),
        e1=shape.e1,
        e1_error=float(errors[1]),
        e2=shape.e2,
        e2_error=float(errors[2]),
        size_residual=residual[0],
        size_residual_noise=noise[0],
        e1_residual=residual[1],
        e1_residual_noise=noise[1],
        e2_residual=residual[2],
        e2_residual_noise=noise[2],
        phase_chisq=phase_chisq,
        phase_probability=phase_probability,
        order=order,
        free_form=float(np.abs(free).max() / middle.stamp.max()),
    )


def _shape_by_mode(basis: OpticalBasis, at_places: np.ndarray, free: np.ndarray) -> np.ndarray:
    """Return derivatives (3, 4) of relative size, e1 and e2 in the middle by the modes."""

    def shape(state: np.ndarray) -> np.ndarray:
        stamp = basis.psf(state).stamps[4] + free
        size, e1, e2 = adaptive_moments(EffectivePsf(stamp, basis.oversample))
        return np.array([np.log(size), e1, e2])

    columns = []
    for k, step in enumerate(_STEPS):
        change = np.zeros((len(MODES), 1))
        change[k] = step
        columns.append((shape(at_places + change) - shape(at_places - change)) / (2 * step))
    return np.stack(columns, -1)


def _residuals(
    told: Sweep, by_moment: np.ndarray, weights: np.ndarray, excess: float
) -> tuple[list[float], list[float]]:
    """Return rms over the regions of the detector of what stars add to size, e1 and e2, and noise.

    Each star's own second moments beyond the PSF follow from its normal equations; a region is
    that of the place which counts most at the star.
    """
    region = np.argmax(weights, axis=1)
    means, noises = [], []
    for own in (region == k for k in range(weights.shape[1])):
        if not own.any():
            continue
        # Together the stars of a region are one star: singly, the modes of a faint one are not
        # told apart.
        covariance = np.linalg.inv(told.own_normal[own][:, 1:, 1:].sum(0))
        moments = covariance @ told.own_vector[own][:, 1:].sum(0)
        means.append(by_moment @ moments)
        noises.append(np.diag(by_moment @ covariance @ by_moment.T) * excess)
    rms = np.sqrt(np.mean(np.square(means), axis=0))
    return rms.tolist(), np.sqrt(np.mean(noises, axis=0)).tolist()
