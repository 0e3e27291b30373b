"""Light curves: how much brighter or fainter than in the truth table a source is at a time."""

import numpy as np

#: Time in which a supernova rises over that in which it fades.
_RISE = 0.2


def supernova(days: np.ndarray, fading_days: np.ndarray) -> np.ndarray:
    """Return the flux of a supernova over that at its maximum.

    It rises and fades by exponentials (Bazin et al. 2009, A&A 499, 653, equation 1,
    doi:10.1051/0004-6361/200911847), the rise five times faster.

    Parameters
    ----------
    days, fading_days : ndarray
        Time since maximum, and in which it fades by a factor e [d].

    Examples
    --------
    >>> supernova(np.array([-40.0, 0.0, 20.0]), 20.0).round(2).tolist()
    [0.0, 1.0, 0.46]
    """
    rise = _RISE * np.asarray(fading_days, float)
    # The maximum stands this long after the time that the formula refers to.
    first = rise * np.log(1 / _RISE - 1)

    def shape(t: np.ndarray) -> np.ndarray:
        # exp(-t / fading) / (1 + exp(-t / rise)), without overflow long before.
        return np.exp(-t / fading_days - np.logaddexp(0, -t / rise))

    return shape(np.asarray(days, float) + first) / shape(first)


def periodic(days: np.ndarray, period_days: np.ndarray, amplitude_mag: np.ndarray) -> np.ndarray:
    """Return the flux of a star whose magnitude is a sine, over that of its mean magnitude.

    Parameters
    ----------
    days, period_days : ndarray
        Time since a maximum, and period [d].
    amplitude_mag : ndarray
        Half of the range of magnitudes [mag].

    Examples
    --------
    >>> (-2.5 * np.log10(periodic(np.array([0.0, 1.0, 2.0]), 2.0, 0.5))).round(3).tolist()
    [-0.5, 0.5, -0.5]
    """
    phase = 2 * np.pi * np.asarray(days, float) / period_days
    return 10 ** (0.4 * np.asarray(amplitude_mag) * np.cos(phase))


def microlensing(days: np.ndarray, einstein_days: np.ndarray, u0: np.ndarray) -> np.ndarray:
    """Return how much a point lens magnifies a point source (Paczynski 1986, ApJ 304, 1).

    doi:10.1086/164140

    Parameters
    ----------
    days, einstein_days : ndarray
        Time since the closest approach, and in which the lens moves by an Einstein radius [d].
    u0 : ndarray
        Smallest distance [Einstein radii].

    Examples
    --------
    >>> microlensing(np.array([0.0, 1000.0]), 20.0, 0.1).round(2).tolist()
    [10.04, 1.0]
    """
    u2 = np.asarray(u0, float) ** 2 + (np.asarray(days, float) / einstein_days) ** 2
    return (u2 + 2) / np.sqrt(u2 * (u2 + 4))


#: Kinds of light curves that truth tables name; all others are constant.
KINDS = ("supernova", "periodic", "microlensing")
