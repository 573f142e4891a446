import threading

import pytest
import torch
import torch.nn.functional as F
from torch.profiler import ProfilerActivity, profile

from deepot.autoencoder.convolution_precision import FullFloat32Convolutions, disable_tf32
from tests.support.fake_gpu import FAKE_DEVICE, fake_gpu

CONVOLUTIONS = {
    "conv1d": lambda: F.conv1d(torch.rand(1, 2, 9), torch.rand(4, 2, 3), torch.rand(4), stride=2),
    "conv2d": lambda: F.conv2d(torch.rand(2, 4, 9, 8), torch.rand(6, 2, 3, 3), groups=2, dilation=2),
    "conv2d same": lambda: F.conv2d(torch.rand(1, 3, 9, 8), torch.rand(4, 3, 5, 3), padding="same"),
    "conv2d of one image": lambda: F.conv2d(torch.rand(3, 9, 8), torch.rand(4, 3, 3, 3), padding=1),
    "conv3d": lambda: F.conv3d(torch.rand(1, 2, 5, 5, 5), torch.rand(3, 2, 3, 3, 3)),
    "conv_transpose1d": lambda: F.conv_transpose1d(torch.rand(1, 2, 9), torch.rand(2, 4, 3)),
    "conv_transpose2d": lambda: F.conv_transpose2d(torch.rand(1, 3, 5, 5), torch.rand(3, 2, 3, 3), stride=2),
    "conv_transpose3d": lambda: F.conv_transpose3d(torch.rand(1, 2, 5, 5, 5), torch.rand(2, 3, 3, 3, 3)),
    "module": lambda: torch.nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect")(torch.rand(1, 3, 9, 8)),
}


@pytest.fixture(params=["tf32", "ieee"])
def process_setting(request):
    setting = torch.backends.cudnn.conv
    default, setting.fp32_precision = setting.fp32_precision, request.param
    yield request.param
    setting.fp32_precision = default


def tf32_arguments(compute):
    """Return whether TF32 is allowed in each convolution that PyTorch runs, as its profiler records them."""
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as profiler:
        compute()
    events = profiler.profiler.kineto_results.events()
    return [event.concrete_inputs()[-1] for event in events if event.name() == "aten::_convolution"]


@pytest.mark.parametrize("grad_mode", [torch.inference_mode, torch.no_grad, torch.enable_grad])
@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_convolutions_in_the_context_give_the_same_values_without_tf32(process_setting, kind, grad_mode):
    """PyTorch's own call shows which argument this is: it follows the process's setting outside the context."""

    def run():
        torch.manual_seed(0)
        return CONVOLUTIONS[kind]()

    def run_in_context():
        with FullFloat32Convolutions():
            return run()

    with grad_mode():
        assert torch.equal(run_in_context(), run())
        assert tf32_arguments(run) == [process_setting == "tf32"]
        assert tf32_arguments(run_in_context) == [False]
    assert torch.backends.cudnn.conv.fp32_precision == process_setting


def test_context_of_a_thread_does_not_end_with_that_of_another():
    """The first thread leaves its context while the second is in the middle of its own."""
    entered, left, results = threading.Event(), threading.Event(), {}
    values, kernel = torch.rand(1, 1, 6, 6), torch.full((1, 1, 1, 1), 1 / 3)

    def error_of_convolution():
        with fake_gpu(), disable_tf32(FAKE_DEVICE):
            entered.set()
            assert left.wait(60)
            found = F.conv2d(values.to(FAKE_DEVICE), kernel.to(FAKE_DEVICE)).cpu()
        results["inside"] = float((found - values * (1 / 3)).abs().max())

    with disable_tf32("cuda"):
        thread = threading.Thread(target=error_of_convolution)
        thread.start()
        assert entered.wait(60)
        assert tf32_arguments(lambda: F.conv2d(values, kernel)) == [False]
    assert tf32_arguments(lambda: F.conv2d(values, kernel)) == [True], "this thread has left its context"
    left.set()
    thread.join()
    assert results["inside"] < 1e-6


def test_context_is_left_after_an_error():
    with pytest.raises(KeyError), disable_tf32("cuda"):
        raise KeyError
    assert tf32_arguments(CONVOLUTIONS["conv2d"]) == [True]


@pytest.mark.parametrize(
    ("device", "dtype", "is_affected"),
    [("cuda:1", torch.float32, True), ("cuda", torch.bfloat16, False), ("cpu", torch.float32, False)],
)
def test_context_does_nothing_where_there_is_no_tf32(device, dtype, is_affected):
    with disable_tf32(device, dtype):
        assert tf32_arguments(CONVOLUTIONS["conv2d"]) == [not is_affected]
