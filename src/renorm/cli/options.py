"""Options taken out of a command line before a parser sees it."""

from __future__ import annotations


def split_configs(words: list[str]) -> tuple[list[str], list[str]]:
    """Take ``--config X`` out of the arguments, wherever it stands.

    Example:
        >>> split_configs(["--trainer.max_epochs", "2", "-c", "a.yaml", "--config=b.yaml"])
        (['a.yaml', 'b.yaml'], ['--trainer.max_epochs', '2'])
    """
    configs: list[str] = []
    for option in ("-c", "--config"):
        value: str | None = ""
        while value is not None:
            value, words = take_option(words, option)
            configs += [] if value is None else [value]
    return configs, words


def take_option(words: list[str], option: str) -> tuple[str | None, list[str]]:
    """Value of the first ``--option VALUE`` or ``--option=VALUE``, and the other arguments.

    Raises:
        ValueError: where the option has no value.

    Example:
        >>> take_option(["--seed", "3", "--name=x"], "--seed")
        ('3', ['--name=x'])
    """
    for i, word in enumerate(words):
        if word == option:
            if i + 1 == len(words):
                raise ValueError(f"{option} has no value")
            return words[i + 1], words[:i] + words[i + 2 :]
        if word.startswith(f"{option}="):
            return word.partition("=")[2], words[:i] + words[i + 1 :]
    return None, words


def without_option(words: list[str], option: str) -> list[str]:
    """The words without ``--option VALUE`` and ``--option=VALUE``.

    Example:
        >>> without_option(["fit", "--ckpt_path", "last", "--name=x"], "--ckpt_path")
        ['fit', '--name=x']
    """
    kept: list[str] = []
    skip = False
    for word in words:
        if skip or word == option:
            skip = not skip
        elif not word.startswith(f"{option}="):
            kept.append(word)
    return kept
