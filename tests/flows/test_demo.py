"""`tidings demo`: the whole loop, told so that a program can follow it, and nothing left behind."""

import json
import re
import signal
from pathlib import Path

import psutil
import pytest

from tests.flows.commands import environment, run, started

REASON = "Over plan storage token limit, please upgrade plan"


@pytest.fixture
def plain(tmp_path: Path) -> dict[str, str]:
    """What a user's shell has: settings of a Tidings of their own, which the demo must not touch; temporary files go to a folder that is looked at."""
    (tmp_path / "temporary").mkdir()
    return environment(tmp_path / "own home", TIDINGS_PLANS='{"none": 0}', TIDINGS_DEFAULT_PLAN="none", TMPDIR=str(tmp_path / "temporary"), COLUMNS="80")


def left(tmp_path: Path) -> list[str]:
    return [path.name for path in (tmp_path / "temporary").iterdir()] + [path.name for path in tmp_path.iterdir() if path.name == "own home"]


def test_the_whole_loop_is_shown(plain: dict[str, str], tmp_path: Path) -> None:
    done = run("demo", env=plain, cwd=tmp_path, ordinary=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    assert re.search(r"^  http://127\.0\.0\.1:\d+/api/public/hooks/[0-9a-f-]{36}/[0-9a-f]{32}$", done.stdout, re.MULTILINE)
    assert len(re.findall(r"^\$ curl http", done.stdout, re.MULTILINE)) == 2
    payloads = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"success": ') and "bot" in line]
    first, second, third = payloads
    assert list(first) == list(second) == ["success", "results", "bot", "dataSource"]
    total = first["results"]["totalDataSourceRows"]
    assert total >= 24
    assert (first["results"]["modifiedRows"], first["results"]["unmodifiedRows"]) == (total, 0)
    assert (second["results"]["modifiedRows"], second["results"]["unmodifiedRows"], second["results"]["totalDataSourceRows"]) == (2, total - 3, total - 1)
    assert 0 < second["results"]["totalTokens"] < first["results"]["totalTokens"]
    assert third == {"success": False, "reason": REASON, "bot": "Testing bot", "dataSource": "Data source one"}
    assert done.stdout.count("signature valid") == 3
    assert f'"reason": "{REASON}"' in done.stdout
    assert left(tmp_path) == []


def test_programs_can_follow_it(plain: dict[str, str], tmp_path: Path) -> None:
    done = run("demo", "--json", env=plain, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["webhook"]["success"] for one in told if "webhook" in one] == [True, True, False]
    assert {one["signature"] for one in told if "webhook" in one} == {"valid"}
    assert told[-1]["done"] is True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_halfway_it_leaves_nothing_behind(number: signal.Signals, plain: dict[str, str], tmp_path: Path) -> None:
    with started("demo", "--json", env=plain) as process:
        process.fact()  # the server is up, the first sync under way
        assert list(Path(plain["TMPDIR"]).iterdir())
        children = psutil.Process(process.process.pid).children(recursive=True)
        assert process.stop(number) == 1
        assert left(tmp_path) == []
        psutil.wait_procs(children, timeout=60)
        assert [child for child in children if child.is_running()] == []


def test_the_files_are_of_four_kinds_and_real(tmp_path: Path) -> None:
    from tidings.cli.demo.files import articles, write_folder
    from tidings.text.documents import Source
    from tidings.text.extract import extract_source

    counts = write_folder(tmp_path)
    assert set(counts) == {"md", "html", "pdf", "docx"}
    assert min(counts.values()) >= 5
    for article in articles():
        found = extract_source(Source((tmp_path / article.path).read_bytes(), article.path))
        text = " ".join(" ".join(document.text for document in found.documents).split())
        assert article.title in f"{found.title} {text}"
        for heading, part in article.parts:
            assert part[:60] in text
            assert heading in text or heading in " ".join(document.heading for document in found.documents)


def test_a_reader_that_goes_away_is_no_traceback(plain: dict[str, str], tmp_path: Path) -> None:
    with started("demo", env=plain) as process:
        process.line()
        process.output.close()
        process.process.wait(120)
        assert not any("Traceback" in line for line in process.errors)
    assert left(tmp_path) == []
