import os

import pytest

from labdata import loops


@pytest.fixture(scope="module", params=["compiled", "NumPy"])
def loops_either_way(request):
    """Run the tests of a module with the compiled inner loops, and with those in NumPy."""
    if request.param == "compiled":
        if loops.compiled is None and not os.environ.get("CI"):
            pytest.skip("the inner loops are not compiled: install a C compiler, then labdata")
        assert loops.compiled is not None
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loops, "compiled", None)
        yield
