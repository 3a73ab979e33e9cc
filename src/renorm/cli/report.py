"""``renorm report``: test every claim, and write the page, ``claims.json``, ``claims.md`` and the figures."""

from __future__ import annotations

import json
import os
import platform
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import __version__
from ..checks import check_at_least
from ..console import print_wrapped
from ..errors import InputError
from ..files.whole import is_unused, one_writer
from ..progress import Told, shown_progress
from ..report.claim import Claim, claim_ids, read_claim
from ..report.claims import find_judge
from ..report.experiments import ExperimentError, Experiments
from ..report.finding import UNDECIDED
from ..report.outcome import JSON_FILE, Outcome, check_finding, undecided, write_outcomes
from ..sweep.table import write_text
from .interrupt import stopped_in_words
from .options import OneLineParser

DESCRIPTION_FILE = "report.json"
PAGE_FILE = "index.html"


def run(words: list[str]) -> None:
    """Run ``renorm report``."""
    arguments = parse(words[1:])
    claims = [read_claim(name, arguments.quick) for name in chosen_claims(arguments.only)]
    out = Path(arguments.out)
    open_folder(out, arguments.quick, arguments.seed)
    start = time.perf_counter()
    with one_writer(out):
        with stopped_in_words(words, lambda: "every experiment that has ended is kept"):
            outcomes, computed = _judge_all(claims, out, arguments)
        made = made_with(arguments.workers, time.perf_counter() - start, computed)
        with shown_progress() as tell:
            write_all(out, outcomes, arguments.quick, arguments.seed, made, arguments.workers, tell)
    print_summary(out, outcomes)


def parse(words: list[str]) -> Any:
    """The options of the command.

    Raises:
        ValueError: for a value out of range.
    """
    parser = OneLineParser(prog="renorm report", description="test the claims; every result is kept and used again")
    parser.add_argument("--only", help=f"claims to test, as in C4,C6a (default: all, {', '.join(claim_ids())})")
    parser.add_argument("--quick", action="store_true", help="a preview with few members and steps")
    parser.add_argument("--out", help="folder to write (default: report, or report_preview with --quick)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: one a core)")
    parser.add_argument("--seed", type=int, default=0, help="of weights, data and bootstrap (default: 0)")
    parser.add_argument("--retry_failed", action="store_true", help="run experiments again that failed")
    arguments = parser.parse_args(words)
    for name, low in (("workers", 1), ("seed", 0)):
        check_at_least(name, getattr(arguments, name), low)
    arguments.out = arguments.out or ("report_preview" if arguments.quick else "report")
    return arguments


def chosen_claims(only: str | None) -> list[str]:
    """The claims that were asked for, in the order of the report.

    Raises:
        ValueError: for an unknown claim, or none.

    Example:
        >>> chosen_claims("C3,C1")
        ['C1', 'C3']
    """
    if only is None:
        return claim_ids()
    names = [name.strip() for name in only.split(",") if name.strip()]
    unknown = [name for name in names if name not in claim_ids()]
    if unknown or not names:
        wrong = unknown[0] if unknown else only
        raise InputError(f"only={wrong!r} is not a claim", f"{', '.join(claim_ids())}, separated by commas")
    return [name for name in claim_ids() if name in names]


def open_folder(out: Path, quick: bool, seed: int) -> None:
    """Make the folder of the report, or resume in one that holds the same report.

    Raises:
        ValueError: where it cannot be written to, or holds anything else.
    """
    wanted = {"kind": "renorm report", "renorm": __version__, "preview": quick, "seed": seed}
    known = out / DESCRIPTION_FILE
    try:
        if not is_unused(out) and not known.exists():
            raise InputError(f"out={str(out)!r} holds other files", "a new or empty folder, or a report's own")
        if known.exists():
            found = _description(known)
            for key, value in wanted.items():
                if found.get(key) != value:
                    raise InputError(
                        f"out={str(out)!r} holds a report with {key}={found.get(key)!r}, not {value!r}",
                        "another folder",
                    )
        out.mkdir(parents=True, exist_ok=True)
        write_text(known, json.dumps(wanted) + "\n")  # first, as it marks the folder as a report's
        (out / "figures").mkdir(exist_ok=True)
    except OSError as error:
        raise InputError(f"out={str(out)!r} cannot be written to ({error.strerror or error})") from None


def _description(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        content = None
    return content if isinstance(content, dict) else {}


def _judge_all(claims: Sequence[Claim], out: Path, arguments: Any) -> tuple[list[Outcome], float]:
    """The claims with their findings, and the seconds of processor time that their experiments took."""
    own = (arguments.workers, arguments.quick, arguments.seed, arguments.retry_failed)
    with shown_progress() as tell, Experiments(out / "experiments", *own, tell) as experiments:
        return judge_claims(claims, experiments), sum(experiments.seconds.values())


def judge_claims(claims: Sequence[Claim], experiments: Experiments) -> list[Outcome]:
    """Run the experiments that have no result yet and judge every claim; a claim that cannot be judged does not stop others.

    Args:
        claims: in the order of the report.
        experiments: where they are run and kept.
    """
    # all at once, so that no worker waits for the last fit of a claim
    experiments.run_sweeps(sweep for claim in claims for sweep in claim.sweeps.values())
    return [judge_claim(claim, experiments) for claim in claims]


def judge_claim(claim: Claim, experiments: Experiments) -> Outcome:
    """A claim with its finding, or with its error."""
    try:
        finding = find_judge(claim.id)(claim, experiments)
        check_finding(claim, finding)
    except ExperimentError as error:
        return undecided(claim, str(error))
    except Exception as error:  # a mistake in one claim must not cost the others
        traceback.print_exc()
        return undecided(claim, " ".join(f"{type(error).__name__}: {error}".split()))
    return Outcome(claim, finding)


def write_all(
    out: Path,
    outcomes: Sequence[Outcome],
    quick: bool,
    seed: int,
    made: dict[str, str],
    workers: int = 0,
    tell: Told = lambda what, done, total: None,
) -> None:
    """Write figures, ``claims.json``, ``claims.md`` and the page."""
    from ..report.page import render_page
    from ..report.pictures import write_pictures

    pictures = write_pictures(outcomes, out / "figures", workers, tell)
    write_outcomes(out, outcomes, quick, seed)
    write_text(out / PAGE_FILE, render_page(outcomes, quick, made, pictures))


def made_with(workers: int, seconds: float, computed: float) -> dict[str, str]:
    """Versions and machine, for the footer."""
    from ..sweep.point import versions

    return {
        "Made by": "renorm report",
        "Versions": ", ".join(f"{name} {version}" for name, version in versions().items())
        + f", Python {platform.python_version()}",
        "Machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
        "This run": f"{time.strftime('%Y-%m-%d')}, {seconds / 60:.1f} minutes, {workers} worker{'s' * (workers > 1)}",
        "Computations": f"{computed / 60:.0f} minutes of one processor, with those of earlier runs",
    }


def print_summary(out: Path, outcomes: Sequence[Outcome]) -> None:
    """Print the verdicts and the path of the page."""
    for claim, finding, error in outcomes:
        print_wrapped(f"{claim.id:<4} {finding.verdict:<15} {claim.title}" + (f" ({error})" if error else ""))
    failed = sum(finding.verdict == UNDECIDED for _, finding, _ in outcomes)
    print(f"claims: {len(outcomes) - failed} judged" + (f", {failed} undecided" if failed else ""))
    print(f"page:   {out / PAGE_FILE}")
    print(f"data:   {out / JSON_FILE}")
