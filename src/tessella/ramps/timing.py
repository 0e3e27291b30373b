"""What a read pattern means for the covariance of resultants and of their differences.

Brandt 2024a, PASP 136, 045004, equations 6 to 17. doi:10.1088/1538-3873/ad38d9
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class DifferenceTiming:
    """Coefficients of the tridiagonal covariance of scaled differences of resultants.

    With n resultants there are m = n - 1 differences ``(R[i+1] - R[i]) / interval[i]``. Their
    covariance is ``rate * poisson + read_noise**2 * read``, on the diagonal (m) and beside it
    (m - 1); rates are in DN / s divided by the gain, noise in DN a read.
    """

    #: (m) time between the mean times of neighbouring resultants [s].
    interval: np.ndarray
    #: (m) and (m - 1) [1 / s].
    poisson_diagonal: np.ndarray
    poisson_beside: np.ndarray
    #: (m) and (m - 1) [1 / s^2].
    read_diagonal: np.ndarray
    read_beside: np.ndarray


def mean_times(read_pattern: tuple[tuple[int, ...], ...], frame_time: float) -> np.ndarray:
    """Return the mean time of the reads of each resultant [s], shape (n_resultants,)."""
    return np.array([np.mean(reads) for reads in read_pattern]) * frame_time


def variance_times(read_pattern: tuple[tuple[int, ...], ...], frame_time: float) -> np.ndarray:
    """Return the time tau whose product with the rate is a resultant's photon variance [s].

    ``tau = sum over k of (2 (N - k) + 1) t_k / N**2`` for the N reads t_1 ... t_N.

    Examples
    --------
    >>> variance_times(((1,), (2, 3)), 1.0).tolist()
    [1.0, 2.25]
    """
    times = []
    for reads in read_pattern:
        n = len(reads)
        weights = 2 * (n - np.arange(1, n + 1)) + 1
        times.append(float(np.sum(weights * np.asarray(reads)) / n**2))
    return np.array(times) * frame_time


def difference_timing(
    read_pattern: tuple[tuple[int, ...], ...], frame_time: float
) -> DifferenceTiming:
    """Return the covariance coefficients of a read pattern.

    Raises
    ------
    ValueError
        If the mean times of the resultants do not increase.

    Examples
    --------
    >>> difference_timing(((1,), (2,), (3,)), 2.0).poisson_diagonal.tolist()
    [0.5, 0.5]
    """
    mean = mean_times(read_pattern, frame_time)
    tau = variance_times(read_pattern, frame_time)
    n_reads = np.array([len(reads) for reads in read_pattern], float)
    interval = np.diff(mean)
    if (interval <= 0).any():
        raise ValueError(f"mean times of the resultants must increase; they are {mean.tolist()} s")
    between = interval[:-1] * interval[1:]
    return DifferenceTiming(
        interval=interval,
        poisson_diagonal=(tau[:-1] + tau[1:] - 2 * mean[:-1]) / interval**2,
        poisson_beside=(mean[1:-1] - tau[1:-1]) / between,
        read_diagonal=(1 / n_reads[:-1] + 1 / n_reads[1:]) / interval**2,
        read_beside=-1 / n_reads[1:-1] / between,
    )
