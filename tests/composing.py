"""Figures that are composed but not drawn: a short fit spends most of its time on drawing."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np


def fingerprint(figures: Any, close: bool = True) -> Any:
    """A picture of a few pixels, in place of the figures: another one where their curves, areas or words are others."""
    content = hashlib.sha256()
    for figure in figures if isinstance(figures, list) else [figures]:
        for axes in figure.axes:
            words = [axes.get_title(), axes.get_xlabel(), axes.get_ylabel(), *(text.get_text() for text in axes.texts)]
            numbers = [line.get_xydata() for line in axes.lines]
            numbers += [path.vertices for collection in axes.collections for path in collection.get_paths()]
            numbers += [collection.get_offsets() for collection in axes.collections]
            numbers += [image.get_array() for image in axes.images]
            content.update(repr(words).encode())
            for array in numbers:
                content.update(np.asarray(array, dtype=float).tobytes())
    return np.frombuffer(content.digest()[:30], dtype=np.uint8).reshape(3, 2, 5)


@contextlib.contextmanager
def composed_only() -> Iterator[None]:
    """Send fingerprints of figures to TensorBoard."""
    from torch.utils.tensorboard import writer

    draw = writer.figure_to_image
    writer.figure_to_image = fingerprint
    try:
        yield
    finally:
        writer.figure_to_image = draw
