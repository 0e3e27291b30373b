"""Zero points: from DN per second to surface brightness."""

#: Flux density of AB magnitude 0 [Jy]; Oke & Gunn 1983, ApJ 266, 713. doi:10.1086/160817
AB_ZERO_JANSKY = 3631.0


def surface_brightness_of_dn(zero_point: float, gain: float, pixel_area_sr: float) -> float:
    """Return the surface brightness of 1 DN / s in a pixel [MJy / sr].

    Parameters
    ----------
    zero_point : float
        AB magnitude of 1 electron / s.
    gain : float
        [electrons / DN]
    pixel_area_sr : float
        Solid angle of the pixel [sr].

    Examples
    --------
    >>> round(surface_brightness_of_dn(26.32, 2.0, 2.844e-13), 3)
    0.757
    """
    return gain * AB_ZERO_JANSKY * 1e-6 * 10 ** (-0.4 * zero_point) / pixel_area_sr
