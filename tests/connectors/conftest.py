"""What the tests of connectors share: a site on loopback and a context that reaches it.

Failed assertions of the suite of behaviours are explained like those of the tests themselves.
"""

from collections.abc import AsyncIterator
from ipaddress import ip_network
from pathlib import Path

import pytest

from tests.connectors.site import Site, serving
from tests.connectors.site_syncs import LIMIT
from tidings.connectors.base import SourceContext
from tidings.outbound import Outbound

pytest.register_assert_rewrite("tests.connectors.behaviours")


@pytest.fixture
async def context() -> AsyncIterator[SourceContext]:
    outbound = Outbound([ip_network("127.0.0.0/8")])
    yield SourceContext("some id", Path("/nonexistent"), (), LIMIT, outbound)
    await outbound.aclose()


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with serving(Site()) as found:
        yield found
