"""What callbacks ask of a data module: how tags name its laws."""

from __future__ import annotations

from renorm.datamodules import CLTDataModule
from renorm.datamodules.blocks import law_tags


def test_laws_of_one_short_text_go_by_their_whole_text_in_tags() -> None:
    held_out = ["gaussian(std=0.33331)", "gaussian(std=0.33332)", "gaussian(std=2)"]
    tags = law_tags(CLTDataModule(train_laws="uniform()", held_out_laws=held_out))
    assert list(tags.values()) == [
        "uniform()",
        "gaussian(mean=0, std=0.33331)",
        "gaussian(mean=0, std=0.33332)",
        "gaussian(std=2)",
    ]


def test_what_is_no_law_goes_by_its_text_in_tags() -> None:
    class Own:
        laws = ("pixels", "noise (strong)")

    assert law_tags(Own(), ["gamma(shape=3, scale=1)", "probe"]) == {
        "pixels": "pixels",
        "noise (strong)": "noise (strong)",
        "gamma(shape=3, scale=1)": "gamma(shape=3)",
        "probe": "probe",
    }
