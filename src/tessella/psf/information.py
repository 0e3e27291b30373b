"""How well the position of a star can be known at best."""

import numpy as np

from tessella.psf.effective import EffectivePsf


def position_bound(
    psf: EffectivePsf,
    x: float,
    y: float,
    flux: float,
    variance: np.ndarray | float,
    gain: float,
    half_box: int = 3,
) -> tuple[np.ndarray, float]:
    """Return the Cramer-Rao bound of a star's position, and its signal-to-noise.

    Pixel p at the offset ``u_p`` from the star holds ``m_p = F P(u_p) + b`` with independent
    Gaussian noise of variance ``v_p``, so that the logarithm of the likelihood is
    ``-sum (d_p - m_p)^2 / (2 v_p)`` and its expected second derivatives by the parameters
    ``t = (x, y, F, b)`` are (Fisher 1925; Rao 1945, Bull. Calcutta Math. Soc. 37, 81)::

        I_jk = sum_p (dm_p / dt_j) (dm_p / dt_k) / v_p,
        dm/dx = -F dP/du_x,  dm/dy = -F dP/du_y,  dm/dF = P,  dm/db = 1

    No unbiased estimate has a smaller covariance than the inverse of I; its first two rows and
    columns are the bound with flux and sky unknown. (That the variance itself tells about the flux
    is left out: it adds 1 / (2 v_p) of a count.) For a Gaussian image of width s without sky it is
    ``s / (S/N)``: at a signal-to-noise of 1000 some 0.05 mas for a pixel of 110 mas.

    Parameters
    ----------
    psf : EffectivePsf
    x, y : float
        Star's place relative to the centre of a pixel [pixels].
    flux : float
        In the unit of the image.
    variance : float or ndarray of shape (2 half_box + 1, 2 half_box + 1)
        Of the pixels without the star.
    gain : float
        Variance that one unit of signal adds; 0 for none.
    half_box : int
        Half the side of the box of pixels that is used.

    Returns
    -------
    covariance : ndarray of shape (2, 2)
        [pixel^2]
    signal_to_noise : float
        Of the flux, its position and sky known.

    Examples
    --------
    >>> axis = np.arange(-32, 33) / 4
    >>> image = np.exp(-(axis[:, None] ** 2 + axis**2) / 2) / (2 * np.pi)
    >>> bound, ratio = position_bound(EffectivePsf(image, 4), 0.0, 0.0, 1e8, 1.0, 1.0, half_box=6)
    >>> round(float(np.sqrt(bound[0, 0]) * ratio), 3)
    1.0
    """
    axis = np.arange(-half_box, half_box + 1, dtype=float)
    shape = psf.evaluate_grid(axis - x, axis - y)
    by_x, by_y = psf.gradient_grid(axis - x, axis - y)
    weight = 1 / (np.asarray(variance, float) + gain * flux * np.maximum(shape, 0.0))
    design = np.stack([-flux * by_x, -flux * by_y, shape, np.ones_like(shape)]).reshape(4, -1)
    information = (design * np.broadcast_to(weight, shape.shape).ravel()) @ design.T
    # Position and flux differ by many orders of magnitude: the inverse is taken of unit diagonal.
    scale = 1 / np.sqrt(np.diag(information))
    covariance = np.linalg.inv(information * np.outer(scale, scale)) * np.outer(scale, scale)
    return covariance[:2, :2], float(flux * np.sqrt(information[2, 2]))
