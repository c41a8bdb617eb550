"""What is kept for later calls is right for them, whatever mode or default device torch had when it was made."""

import subprocess
import sys

import pytest

SCRIPT = """
import contextlib
import sys
import numpy as np
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

bits, signs = torch.tensor([[1.0, 0.0, 1.0]]), torch.tensor([[1.0, -1.0, 1.0]])
CASES = dict(
    multi_margin=(torch.tensor([0]), [-2 / 3, 1 / 3, 1 / 3]),
    multilabel_margin=(torch.tensor([[0, -1, -1]]), [-2 / 3, 1 / 3, 1 / 3]),
    multilabel_soft_margin=(bits, [-1 / 6, 1 / 6, -1 / 6]),
    soft_margin=(signs, [-1 / 6, 1 / 6, -1 / 6]),
    mean_absolute_error=(bits, [-1 / 3, 0.0, -1 / 3]),
)
scores = [torch.zeros(1, 3, dtype=dtype) for dtype in (torch.float32, torch.float64)]
labels, frames = torch.tensor([[1, 2]]), torch.zeros(1, 4, 3)
FIRST = dict(
    meta=torch.device("meta"), fake=FakeTensorMode(allow_non_fake_inputs=True), inference=torch.inference_mode()
)

def gradient(loss, t, p):
    leaf = p.clone().requires_grad_()
    loss(t if t.dtype == torch.int64 else t.to(p.dtype), leaf).backward()
    return leaf.grad

torch.set_default_dtype(torch.float16)
with FIRST[sys.argv[1]]:
    import multiloss
    losses = dict((name, multiloss.get(name, "torch")) for name in CASES)
    for name, (t, _) in CASES.items():
        for p in scores:
            with contextlib.suppress(Exception):
                gradient(losses[name], t, p)
torch.set_default_dtype(torch.float32)
for name, (t, wanted) in CASES.items():
    for p in scores:
        for loss in (losses[name], multiloss.get(name, "torch")):
            np.testing.assert_allclose(gradient(loss, t, p).numpy(), [wanted], rtol=1e-6, err_msg=name)
with torch.device("meta"):
    found = gradient(multiloss.get("ctc", "torch"), labels, frames)
assert np.isfinite(found.numpy()).all() and found.any()
"""


@pytest.mark.parametrize("first", ["meta", "fake", "inference"])
def test_nothing_is_kept_of_the_first_use(first: str) -> None:
    subprocess.run([sys.executable, "-c", SCRIPT, first], check=True)
