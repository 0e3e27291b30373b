"""A small CRDS cache, and the rule of CRDS written out for it."""

from fnmatch import fnmatch
from pathlib import Path

KEYS = {
    "D": "ROMAN.META.INSTRUMENT.DETECTOR",
    "E": "ROMAN.META.INSTRUMENT.OPTICAL_ELEMENT",
    "T": "ROMAN.META.EXPOSURE.TYPE",
    "M": "ROMAN.META.EXPOSURE.MA_TABLE_NUMBER",
}
#: Reference type to its keys and what they choose: file serial by useafter.
RULES = {
    "dark": (
        "DTM",
        {
            ("WFI01", "WFI_IMAGE|WFI_FLAT", 3): {"2026-01-01 00:00:00": 1},
            ("WFI01", "WFI_IMAGE", "N/A"): {"2026-01-01 00:00:00": 2, "2028-01-01 00:00:00": 3},
            ("WFI01", "ANY", "N/A"): {"2025-01-01 00:00:00": 4},
            ("WFI02", "N/A", "N/A"): {"2026-01-01 00:00:00": 5, "2031-01-01 00:00:00": 6},
            ("WFI*", "WFI_IM_DARK", "*"): {"2027-06-01 12:30:00": 7},
        },
    ),
    "flat": (
        "DE",
        {
            ("WFI01", "F158"): {"2026-01-01 00:00:00": 1, "2028-01-01 00:00:00": 2},
            ("WFI01", "F106|F129"): {"2026-01-01 00:00:00": 3},
            ("WFI02", "F158"): {"2026-01-01 00:00:00": 4},
            ("N/A", "GRISM"): {"2020-01-01 00:00:00": "N/A"},
        },
    ),
    "gain": ("D", {("WFI01",): {"2026-01-01 00:00:00": 1}, ("WFI02",): {"2026-01-01": 2}}),
    "darkdecaysignal": ("", {(): {"2026-01-01 00:00:00": 1}}),
    "saturation": ("D", {("WFI01",): {"2026-01-01": 1}, ("(WFI0[23])",): {"2026-01-01": 2}}),
    "skycells": ("", {(): {"2026-01-01 00:00:00": 1}}),
}


def file_of(reftype, serial):
    return serial if serial == "N/A" else f"roman_wfi_{reftype}_{serial:04d}.asdf"


def rmap(reftype):
    letters, rules = RULES[reftype]
    parkey = (tuple(KEYS[letter] for letter in letters), ("ROMAN.META.EXPOSURE.START_TIME",))
    header = {"classes": ("Match", "UseAfter"), "name": f"{reftype}.rmap", "parkey": parkey}
    lines = [f"header = {header!r}", "", "selector = Match({"]
    for key, choices in rules.items():
        files = {when: file_of(reftype, serial) for when, serial in choices.items()}
        lines.append(f"    {key!r} : UseAfter({files!r}),")
    return "\n".join([*lines, "})", ""])


def write_mappings(folder: Path, under="mappings/roman"):
    """Write pipeline, instrument and reference mappings."""
    place = folder / under
    place.mkdir(parents=True)
    kinds = {kind.upper(): f"roman_wfi_{kind}_0001.rmap" for kind in RULES}
    kinds["LINEARITY"] = "N/A"
    for name, chosen in {
        "roman_0046.pmap": {"WFI": "roman_wfi_0040.imap"},
        "roman_wfi_0040.imap": kinds,
    }.items():
        text = f"header = {{'name': {name!r}, 'parkey': ('REFTYPE',)}}\n\nselector = {chosen!r}\n"
        (place / name).write_text(text)
    for kind in RULES:
        (place / f"roman_wfi_{kind}_0001.rmap").write_text(rmap(kind))


def choose(reftype, exposure):
    """Choose as CRDS does: best agreeing keys first, the latest useafter that has come of them."""
    letters, rules = RULES[reftype]
    found = []
    for key, choices in rules.items():
        weight = 0
        for letter, wanted in zip(letters, key, strict=True):
            if wanted == "N/A":
                continue
            if not any(
                fnmatch(exposure[letter], x)
                for x in str(wanted).split("|") + ["*"] * (wanted == "ANY")
            ):
                break
            weight += 1
        else:
            come = [when for when in choices if when <= exposure["start"].replace("T", " ")]
            if come:
                found.append((weight, max(come), file_of(reftype, choices[max(come)])))
    file = max(found)[2] if found else None
    return None if file == "N/A" else file
