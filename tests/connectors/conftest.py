"""Failed assertions of the suite that all connectors share are explained like those of the tests themselves."""

import pytest

pytest.register_assert_rewrite("tests.connectors.behaviours")
