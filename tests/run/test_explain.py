"""The roots of a difference are found in what the seals say, or it is said that there are none."""

from tessella.io.digests import Digest
from tessella.io.seals import Seal
from tessella.run.explain import explain

EXPOSURES = "r0000101001001001001_0001", "r0000101001001001001_0002"
ENVIRONMENT = {"cpu_level": "x86-64-v3", "packages": {"numpy": "2.0"}}
CATALOG = "level4/r00001_p_full_000p86x36y63_cat.parquet"
COADD = "level3/r00001_p_full_000p86x36y63_f106_coadd.asdf"


class Hand:
    """Writes seals of a run by hand; content stands for itself."""

    def __init__(self, code="one", environment=ENVIRONMENT, options=(), outside=()):
        self.code, self.environment = code, environment
        self.options, self.outside = dict(options), {"dark.asdf": "d1", **dict(outside)}
        self.seals = {}

    def make(self, name, content, stage, *made_from):
        entries = [
            {"name": n, "sha256": self.seals[n].whole.sha256 if n in self.seals else sha256}
            for n, sha256 in ((n, self.outside.get(n, "")) for n in made_from)
        ]
        made_by = {
            "stage": stage,
            "software": "tessella 1",
            "code": self.code,
            "environment": self.environment,
            "options": self.options.get(stage, {}),
            "made_from": entries,
        }
        self.seals[name] = Seal(name, "run", Digest(1, content), content, None, made_by)
        return name


def run(images="i", coadd="c", catalog="k", exposures=EXPOSURES, dark="dark.asdf", **how):
    """Two ramps, their images, a coadd, a catalog; each is told by its content."""
    hand = Hand(**how)
    made = []
    for exposure in exposures:
        ramp = hand.make(f"level1/{exposure}_uncal.asdf", "r", "assemble_ramp")
        image = f"level2/{exposure}_cal.asdf"
        made.append(hand.make(image, images, "calibrate_exposure", ramp, dark))
    hand.make(COADD, coadd, "cut_cell", *made)
    hand.make(CATALOG, catalog, "join_bands", COADD)
    return hand.seals


def test_equal_seals_are_the_same_bits():
    found = explain(run(), run())
    assert found.same_bits
    assert not found.effects
    assert len(found.equal) == 6


def test_an_option_explains_all_that_follows_from_it():
    one, two = ({"calibrate_exposure": {"slopes": {"threshold": t}}} for t in (4.5, 5.0))
    found = explain(run(options=one), run("I", "C", "K", options=two))
    (effect,) = found.effects
    assert str(effect.cause) == "calibrate_exposure: option slopes.threshold 4.5 -> 5.0"
    assert effect.products == found.differing
    assert effect.n_alone == 4
    assert effect.direct == tuple(f"level2/{exposure}_cal.asdf" for exposure in EXPOSURES)
    assert effect.stages == ("calibrate_exposure", "cut_cell", "join_bands")
    assert not found.unexplained


def test_an_effect_ends_where_products_come_out_equal():
    found = explain(run(), run("I", "C", options={"calibrate_exposure": {"a": 1}}))
    (effect,) = found.effects
    assert effect.stages == ("calibrate_exposure", "cut_cell")
    assert effect.equal == (CATALOG,)
    assert str(effect.cause).endswith("option a nothing -> 1")


def test_an_option_without_effect_explains_nothing():
    (effect,) = explain(run(), run(options={"join_bands": {"a": 1}})).effects
    assert (effect.products, effect.equal) == ((), (CATALOG,))


def test_a_reference_from_outside_is_named_with_both_hashes():
    found = explain(run(), run("I", "C", "K", outside={"dark.asdf": "d2"}))
    (effect,) = found.effects
    assert str(effect.cause) == "input dark.asdf: other content, SHA-256 d1 -> d2"
    assert len(effect.products) == 4


def test_a_reference_of_another_name_is_the_other_reference():
    other = run("I", "C", "K", dark="new_dark.asdf", outside={"new_dark.asdf": "d2"})
    (effect,) = explain(run(), other).effects
    assert str(effect.cause) == "input dark.asdf (d1) -> new_dark.asdf (d2)"


def test_another_name_of_the_same_content_is_a_cause_too():
    """Products record the names of their references."""
    other = run("I", "C", "K", dark="copy.asdf", outside={"copy.asdf": "d1"})
    (effect,) = explain(run(), other).effects
    assert str(effect.cause) == "input dark.asdf (d1) -> copy.asdf (d1)"


def test_references_made_in_another_folder_lead_to_what_they_were_made_from():
    def made(state, content):
        hand = Hand(outside={"a.yaml": "1", "b.yaml": "2"})
        dark = f"references/{state}/wfi01_dark.asdf"
        hand.make(dark, content, "make_references", f"{state}.yaml")
        hand.make("level2/x_cal.asdf", content, "calibrate_exposure", dark)
        return hand.seals

    found = explain(made("a", "A"), made("b", "B"))
    assert found.differing == ("level2/x_cal.asdf",)
    (effect,) = found.effects
    assert str(effect.cause) == "input a.yaml (1) -> b.yaml (2)"
    assert effect.direct == ()


def test_code_and_environment_explain_with_what_differs_in_them():
    newer = {**ENVIRONMENT, "packages": {"numpy": "2.1"}}
    found = explain(run(), run(catalog="K", code="two", environment=newer))
    code, environment = found.effects
    assert str(code.cause) == "code one (tessella 1) -> two (tessella 1)"
    assert str(environment.cause) == 'environment packages.numpy "2.0" -> packages.numpy "2.1"'
    for effect in (code, environment):
        assert (effect.products, effect.n_alone, len(effect.equal)) == ((CATALOG,), 0, 5)


def test_of_several_causes_the_one_that_explains_most_comes_first():
    options = {"calibrate_exposure": {"a": 1}, "join_bands": {"b": 1}}
    first, second = explain(run(), run("I", "C", "K", options=options)).effects
    assert (first.cause.what, len(first.products), first.n_alone) == ("a", 4, 3)
    assert (second.cause.what, len(second.products), second.n_alone) == ("b", 1, 0)


def test_what_nothing_explains_is_named_and_what_follows_from_it_is_not():
    found = explain(run(), run(coadd="C", catalog="K"))
    assert found.unexplained == (COADD,)
    (effect,) = found.effects
    assert str(effect.cause) == (
        f"cut_cell: {COADD} differs and nothing that is recorded explains it"
    )
    assert effect.products == (COADD, CATALOG)


def test_the_unexplained_comes_before_all_that_is_explained():
    found = explain(run(), run("I", "C", "K", options={"join_bands": {"b": 1}}))
    kinds = [effect.cause.kind for effect in found.effects]
    assert kinds == ["unexplained", "unexplained", "option"]


def test_where_no_equal_bits_were_promised_it_is_said():
    one, two = (run(catalog=c, environment={"cpu_level": "native"}) for c in "kK")
    found = explain(one, two)
    assert found.unexplained == (CATALOG,)
    assert "promises no equal bits" in str(found.effects[0].cause)


def test_a_product_that_was_not_made_again_is_told_from_one_that_was():
    stale = run("I", "C", "K")
    stale |= {name: seal for name, seal in run("j", "j").items() if "level2" in name}
    found = explain(run(), stale)
    first, second = (effect for effect in found.effects if effect.cause.kind == "stale")
    assert first.direct == second.direct == (COADD,)
    assert str(first.cause).endswith(
        "_0001_cal.asdf: in A as it is now, in B in another version than is there now"
    )


def test_other_exposures_are_said_to_be_others():
    found = explain(run(), run(coadd="C", catalog="K", exposures=EXPOSURES[:1]))
    assert found.exposures == ((EXPOSURES[1],), ())
    assert found.tiles == ((), ())
    assert len(found.only_in_a) == 2
    (effect,) = found.effects
    assert str(effect.cause) == f"cut_cell: made from level2/{EXPOSURES[1]}_cal.asdf only in A"
    assert not found.unexplained


def test_as_many_other_exposures_are_not_taken_for_the_same():
    other = run(coadd="C", catalog="K", exposures=(EXPOSURES[0], EXPOSURES[1][:-1] + "9"))
    found = explain(run(), other)
    assert {effect.cause.kind for effect in found.effects} == {"members"}
    assert len(found.effects) == 2
