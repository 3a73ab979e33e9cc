"""Every tutorial runs as a script, draws its figures, and finds what its text says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from website import tutorials
from website.tutorials import SCRIPTS

from ..forked import run_forked

FINDS = {  # what the text of a tutorial claims, in terms of its variables
    "central_limit": "median('gaussian(mean=1, std=3)') > 100 * median('uniform') and abs(learned[3].median() - exact[3]) < 0.1 "
    "and skewness > 0.2 and 0.55 < spectrum[:, 3].median() / 2**-0.5 < 0.75",
    "phase_diagram": "max(errors['full'][-1], errors['free'][-1]) < 1e-9 and (errors['full'] > 3 * errors['odd'])[:6].all()",
    "cumulants_of_a_network": "gap('edgeworth') < gap('gaussian') / 2",
    "own_map": "errors['ReLU, free'][0] < errors['ReLU, permutation'][0] < errors['linear'][0]",
    "paper_figure": "errors['full'][-1].median() > errors['odd'][-1].median() and open('figure.pdf', 'rb').read(4) == b'%PDF'",
}
PRELUDE = """
def gap(method):
    return abs(predicted[method]["out"].marginal(3).item() - measured[2].item())


def median(law):
    return next(float(m["relative_mse"].median()) for name, m in judged.results.items() if name.startswith(law))
"""


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_tutorial_runs_and_finds_what_it_says(script: Path, tmp_path: Path) -> None:
    code = script.read_text().replace("plt.show()", "plt.gcf().savefig(f'{len(plt.get_fignums())}.png')")
    file = tmp_path / script.name
    file.write_text(f"{code}\n{PRELUDE}\nassert {FINDS[script.stem]}\n")
    done = run_forked([], tmp_path, file)
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob("*.png"))) == len(re.findall(r"^plt\.show\(\)", script.read_text(), re.MULTILINE))


def test_every_tutorial_says_what_it_finds() -> None:
    assert set(FINDS) == {script.stem for script in SCRIPTS}


def test_a_page_has_text_code_prints_and_figures(tmp_path: Path) -> None:
    script = tmp_path / "small.py"
    script.write_text(
        "# %% [markdown]\n# # Title\n\n# %%\nimport matplotlib.pyplot as plt\nprint('one')\nx = 2\n\n"
        "# %%\nfigure, panel = plt.subplots()\nplt.show()\n\n# %%\nx + 1\n"
    )
    before = Path.cwd()
    made = tutorials.page(script)
    assert Path.cwd() == before
    text, picture = made["tutorials/small.md"], made["tutorials/small_figures/0.png"]
    assert text.startswith("# Title\n\n```python\nimport")
    assert "```text\none\n```" in text
    assert "```python\nx + 1\n```\n\n```text\n3\n```" in text
    assert text.count("](small_figures/0.png)") == 1
    assert bytes(picture).startswith(b"\x89PNG")
    assert len(made) == 2
