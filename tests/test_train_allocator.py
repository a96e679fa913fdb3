import subprocess
import sys

import pytest

NUM_FAULTS = """
import resource, torch
from hpsearch.train.allocator import keep_freed_memory
{call}
def use():
    first, second = torch.ones(1_000_000), torch.ones(2_000_000)
    return float((first + 1).sum() + (second + 1).sum())
for _ in range(5):
    use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(200):
    use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def num_faults(call: str) -> int:
    output = subprocess.run([sys.executable, "-c", NUM_FAULTS.format(call=call)], capture_output=True, text=True, check=True)
    return int(output.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_freed_memory_is_used_again_with_few_page_faults() -> None:
    # The heap may still grow by some tensors (1,953 pages each); where pages are huge, there are fewer faults without it.
    assert num_faults("assert keep_freed_memory()") < num_faults("") / 5
