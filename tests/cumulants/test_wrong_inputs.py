"""Arrays, lists and other things where a tensor is meant, and what torch.func.vmap does not allow: one line each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from renorm import cumulants
from renorm.zoo import MLP

ONE: dict[str, Callable[[Any], Any]] = {
    "kappa in clt_step": cumulants.clt_step,
    "kappa in clt_flow": lambda value: cumulants.clt_flow(value, 2),
    "kappa in clt_fixed_point": cumulants.clt_fixed_point,
    "x in Cumulants": lambda value: cumulants.Cumulants(num_features=1).update(value),
    "x in JointCumulants": lambda value: cumulants.JointCumulants(num_features=1).update(value),
    "x in rg_flow": lambda value: cumulants.rg_flow(MLP(), value),
}
SEVERAL: dict[str, Callable[[Any], Any]] = {
    "moments": cumulants.moments_to_cumulants,
    "cumulants": cumulants.cumulants_to_moments,
    "joint": cumulants.clt_step_joint,
}


@pytest.mark.parametrize("value", [np.ones((20, 1)), [0.0, 1.0], "a", None], ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("name", ONE)
def test_one_tensor(name: str, value: Any) -> None:
    argument = name.partition(" ")[0]
    with pytest.raises(ValueError, match=rf"^{argument} is of type {type(value).__name__}; allowed: Tensor, as torch"):
        ONE[name](value)


@pytest.mark.parametrize("value", [np.ones(3), [0.0, 1.0], "a", None], ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("name", SEVERAL)
def test_a_list_of_tensors(name: str, value: Any) -> None:
    with pytest.raises(
        ValueError, match=rf"^{name} is (of type|a list that does not hold).*; allowed: .*a list of ten"
    ):
        SEVERAL[name](value)


@pytest.mark.parametrize("name", ["kappa in clt_step", "kappa in clt_flow", "kappa in clt_fixed_point"])
def test_a_single_number(name: str) -> None:
    with pytest.raises(ValueError, match=r"^kappa has shape \(\); allowed: 1 axes or more$"):
        ONE[name](torch.tensor(1.0))


@pytest.mark.parametrize("nan_policy", ["omit", "raise"])
def test_what_depends_on_values_is_refused_under_vmap(nan_policy: Any) -> None:
    with pytest.raises(
        ValueError, match=rf"^nan_policy='{nan_policy}' depends on the values.*; allowed: nan_policy='pro"
    ):
        torch.func.vmap(lambda x: cumulants.kstat(x, nan_policy=nan_policy))(torch.randn(3, 10))
