"""Which exposures are added together: the groupings of the official file names."""

from collections.abc import Sequence

from tessella.errors import DataError
from tessella.models import ExposureKey, PlannedExposure


def group_name(grouping: str, key: ExposureKey) -> str:
    """Return what file names call the group of a grouping that an exposure belongs to.

    Names of romancal's `skycell_asn`: execution plan, pass, segment, observation and visit, as
    far as the grouping tells them apart; `full` and `user` have one group a run.

    Examples
    --------
    >>> key = ExposureKey(1, 2, 3, 4, 5, 6, 7)
    >>> [group_name(grouping, key) for grouping in ("visit", "daily", "pass", "full")]
    ['v02003004005006', 'd02003004', 'p02003', 'full']
    """
    of_pass = f"{key.execution_plan:02d}{key.pass_number:03d}"
    of_day = f"{of_pass}{key.segment:03d}"
    names = {
        "visit": f"v{of_day}{key.observation:03d}{key.visit:03d}",
        "daily": f"d{of_day}",
        "pass": f"p{of_pass}",
    }
    return names.get(grouping, grouping)


def groups_of(
    exposures: Sequence[PlannedExposure], made: Sequence[str]
) -> dict[str, tuple[str, list[PlannedExposure]]]:
    """Sort exposures into the groups of groupings.

    Parameters
    ----------
    exposures : sequence of PlannedExposure
        In the order of adding, which they keep.
    made : sequence of str
        Groupings: visit, daily, pass, full, user.

    Returns
    -------
    dict
        Name of the group to its grouping and exposures: groupings in the order given, groups
        in that of their first exposures.

    Raises
    ------
    DataError
        If exposures of two programs belong to groups of one name: names of groups do not tell
        programs apart. Groups of the whole run may hold several.
    """
    groups: dict[str, tuple[str, list[PlannedExposure]]] = {}
    for grouping in made:
        for exposure in exposures:
            name = group_name(grouping, exposure.key)
            members = groups.setdefault(name, (grouping, []))[1]
            if name != grouping and members and members[0].key.program != exposure.key.program:
                raise DataError(
                    f"groupings.made: {members[0].name} and {exposure.name} are of two programs "
                    f"and of one {grouping}, {name}; process them in runs of their own"
                )
            members.append(exposure)
    return groups
