"""What `tessella packets` and `tessella ledger` say."""

from pathlib import Path

import asdf
import numpy as np
import pytest
from telemetry.transfer_frames import frames_of, unit

from tessella.cli import main
from tessella.instrument.read_patterns import read_patterns
from tessella.io.asdf_files import plain
from tessella.io.ledgers import write_ledger
from tessella.io.level0 import write_level0
from tessella.io.level1 import write_ramp
from tessella.models import ExposureHeader, ExposureKey, Readout, Reliability, Window
from tessella.telemetry.assemble import assemble_ramp
from tessella.telemetry.decode import decode, receive
from tessella.telemetry.encode import packetize
from tessella.telemetry.frames import FrameFormat

CCSDS = Path(__file__).parents[3] / "shared" / "data" / "ccsds"
KEY = ExposureKey(1, 2, 3, 4, 5, 6, 7)
HEADER = ExposureHeader(
    KEY, "F106", 3, "2027-01-01T00:00:00.000", "WFI_IMAGE", 1.0, 2.0, 3.0, 1.25, 2.25, 4.0
)


@pytest.fixture(scope="module")
def packets():
    pixels = np.random.default_rng(3).integers(0, 50, (2, 128, 128), dtype=np.uint16)
    planes = (pixels, pixels, pixels[0], pixels[0])
    return packetize(HEADER, [Readout("WFI07", Window(0, 0, 128, 128), *planes, 4000)])


def said(capsys, *words) -> str:
    assert main([str(word) for word in words]) == 0
    return capsys.readouterr().out


def test_inventory_of_our_packets_names_exposures_and_what_is_there(packets, tmp_path, capsys):
    write_level0(tmp_path / "a.l0", [*packets[:10], b"noise", *packets[11:]], {})
    text = said(capsys, "packets", "inventory", tmp_path / "a.l0")
    assert f"{KEY.name}  F106" in text
    # One of 6 planes of 4 packets each is a quarter short.
    assert f"{100 * (1 - 1 / 24):.2f} %" in text
    assert "science WFI07" in text
    assert "rejected: no header" in text


def test_inventory_of_other_packets_names_gaps_and_groups(capsys):
    file = CCSDS / "imap-hit-segmented" / "sci_sample.ccsds"
    if not file.is_file():
        pytest.skip(f"{file} is not there")
    lines = said(capsys, "packets", "inventory", file).splitlines()
    assert lines[-1].split() == ["1252", "1,740", "473,280", "272", "272", *"000", "86", "2"]


def test_packets_are_taken_out_of_frames_and_decoded(packets, tmp_path, capsys):
    form = FrameFormat(octets=300, interleaving=0)
    units = [unit(frame, form) for frame in frames_of(packets, form, 9)]
    (tmp_path / "pass.cadu").write_bytes(b"".join(units[:5] + units[6:]))
    frames = ("--frames", "300:0", tmp_path / "pass.cadu")
    assert f"{KEY.name}  F106" in said(capsys, "packets", "inventory", *frames)
    text = said(capsys, "packets", "unframe", *frames, "--out", tmp_path)
    assert text.splitlines()[-1].split() == ["9", f"{len(units) - 1}", "1", "0", "1"]
    exposures, ledger = decode([(tmp_path / "pass_vc09.l0").read_bytes()])
    ledger.check()
    assert set(exposures) == {KEY}
    assert ledger.counts.missing_rows > 0


def test_frames_that_are_not_announced_or_wrongly_are_refused(packets, tmp_path, capsys):
    form = FrameFormat(octets=300, interleaving=0)
    path = tmp_path / "pass.cadu"
    path.write_bytes(b"".join(unit(frame, form) for frame in frames_of(packets, form, 9)))
    for words, reason in (
        ((path,), "say how long the frames are"),
        (("--frames", "300", path), "such as 1115:5"),
        (("--frames", "8:0", path), "leave no room for packets"),
        (("--frames", "999999:0", path), "no transfer frame of 999999 octets"),
        (("--frames", "2000:5", "--correct", path), "found 400 octets a codeword, expected at"),
        ((tmp_path / "none",), "no such file"),
    ):
        assert main(["packets", "inventory", *map(str, words)]) == 1
        assert reason in capsys.readouterr().err


def test_nothing_is_written_over_by_unframe(packets, tmp_path, capsys):
    form = FrameFormat(octets=300, interleaving=0)
    units = [unit(frame, form) for frame in frames_of(packets, form, 9)]
    for day, own in (("d1", units), ("d2", units[3:])):
        (tmp_path / day).mkdir()
        (tmp_path / day / "pass.cadu").write_bytes(b"".join(own))
    command = ["packets", "unframe", "--frames", "300:0", "--out", str(tmp_path / "out")]
    days = [str(tmp_path / day / "pass.cadu") for day in ("d1", "d2")]
    assert main([*command, *days]) == 1
    assert "would be written over those of" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert main([*command, days[0]]) == 0
    written = (tmp_path / "out" / "pass_vc09.l0").read_bytes()
    assert main([*command, days[1]]) == 1
    assert "pass_vc09.l0: it exists; remove it" in capsys.readouterr().err
    assert (tmp_path / "out" / "pass_vc09.l0").read_bytes() == written


@pytest.mark.parametrize("content", [b"", b"abc"])
def test_file_without_any_packet_is_an_error_of_one_line(content, tmp_path, capsys):
    (tmp_path / "x.l0").write_bytes(content)
    assert main(["packets", "inventory", str(tmp_path / "x.l0")]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "x.l0: space packets" in said.err


@pytest.fixture
def level1(packets, tmp_path):
    """A Level 1 file under a name of its user's, and the ledger of its exposure."""
    for folder in ("level0", "level1"):
        (tmp_path / folder).mkdir()
    data = b"".join(packets)
    reception = receive([data, data[:3000]])
    (assembly,) = reception.exposures.values()
    (part,) = assembly.detectors()
    ledger, path = reception.ledger(), tmp_path / "level1" / "my favourite.asdf"
    write_ledger(tmp_path / "level0" / f"{KEY.name}_ledger.parquet", ledger, ["a.l0", "b.l0"], {})
    ramp = assemble_ramp(HEADER, part.readout(), part.received())
    reliability = Reliability(assembly.problems, assembly.completeness, assembly.version)
    write_ramp(path, ramp, HEADER, read_patterns()[3], {}, reliability)
    return path


def test_level_1_file_leads_to_its_packets(packets, level1, tmp_path, capsys):
    data = b"".join(packets)
    text = said(capsys, "ledger", level1)
    ranges = [line.split() for line in text.partition("Packets of WFI07")[2].splitlines()[2:]]
    assert {(words[0], words[1]) for words in ranges} >= {("a.l0", "0x107"), ("a.l0", "0x127")}
    for words in ranges:
        first, last = (int(word.replace(",", "")) for word in words[-4:-2])
        packet = {"a.l0": data, "b.l0": data[:3000]}[words[0]][first : last + 1]
        assert int.from_bytes(packet[:2], "big") & 0x7FF == int(words[1], 16)
    assert "Packets of" not in said(capsys, "ledger", tmp_path / "level0" / KEY.name)
    assert main(["ledger", str(level1), "--detector", "WFI08"]) == 1
    assert "it has WFI07" in capsys.readouterr().err
    assert main(["ledger", str(tmp_path / "nothing")]) == 1
    assert "name a ledger, a Level 1 file" in capsys.readouterr().err


def test_ledger_of_other_packets_than_a_level_1_file_is_made_of_is_refused(
    packets, level1, tmp_path, capsys
):
    other = decode([b"".join(packets[:-9])])[1]
    write_ledger(tmp_path / "level0" / f"{KEY.name}_ledger.parquet", other, ["a.l0"], {})
    assert main(["ledger", str(level1)]) == 1
    assert "it was made of the packets of version" in capsys.readouterr().err


def test_level_1_file_that_names_no_ledger_is_refused(packets, level1, tmp_path, capsys):
    with asdf.open(level1, lazy_load=False, memmap=False) as file:
        roman = plain(file["roman"])
    roman["meta"]["exposure"]["sdf_log_file"] = None
    asdf.AsdfFile({"roman": roman}).write_to(tmp_path / "level1/other.asdf")
    assert main(["ledger", str(tmp_path / "level1/other.asdf")]) == 1
    assert "meta.exposure.sdf_log_file is None" in capsys.readouterr().err
