"""The module with metrics that docs/evaluation.md shows, run with stand-ins for the packages that it imports."""

import re
import sys
import types
from pathlib import Path

import pytest
import torch
from torch import nn

from deepot.evaluation.metric_fn import MetricFn

ROOT = Path(__file__).resolve().parents[1]


class MeanDifference(nn.Module):
    """Returns a mean difference in the shape of LPIPS, and refuses images below its range."""

    def forward(self, image, clean):
        assert float(clean.min()) >= self.low
        return (image - clean).abs().mean().view(1, 1, 1, 1)


@pytest.mark.parametrize(("metric", "low", "scale"), [("lpips", -1.0, 2.0), ("dists", 0.0, 1.0)])
def test_metrics_of_the_documentation_measure_photos(tmp_path, monkeypatch, metric, low, scale):
    (source,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8"), re.S)
    (tmp_path / "my_metrics.py").write_text(source, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "my_metrics", raising=False)

    def make_network(**_):
        network = MeanDifference()
        network.low = low
        return network

    monkeypatch.setitem(sys.modules, "lpips", types.SimpleNamespace(LPIPS=make_network))
    monkeypatch.setitem(sys.modules, "DISTS_pytorch", types.SimpleNamespace(DISTS=make_network))
    clean = torch.rand(1, 3, 20, 30, generator=torch.Generator().manual_seed(0)) / 2
    assert float(MetricFn(f"my_metrics:{metric}")(clean + 0.25, clean)) == pytest.approx(0.25 * scale)
