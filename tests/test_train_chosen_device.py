import pytest
import torch

from hpsearch.errors import InputError
from hpsearch.train.chosen_device import chosen_device


def test_without_a_wish_it_is_what_the_machine_has() -> None:
    assert chosen_device() == ("cuda" if torch.cuda.is_available() else "cpu")
    assert chosen_device("cpu") == "cpu"


@pytest.mark.parametrize("given", ["gpu", "cuda:x", "mps", "tpu:0"])
def test_a_name_that_is_none_says_which_there_are(given: str) -> None:
    with pytest.raises(InputError, match=f"device '{given}': there is none of this name. Give cpu, cuda or cuda:N"):
        chosen_device(given)


def test_a_gpu_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match="device 'cuda:99': this machine has "):
        chosen_device("cuda:99")
