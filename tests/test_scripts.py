"""The scripts: from any folder, a second time in no time, and one sentence where they can't work. Without the network, but for the tests marked `fresh`."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
STAND_IN = '#!/bin/sh\nprintf "%s\\n" "$TIDINGS_HOME" "$PWD" "$@"\n'  # for .venv/bin/tidings: says how it was called
WHAT_A_MACHINE_HAS = ("bash", "sh", "env", "dirname", "awk", "rm", "mv", "tail", "cat", "sleep")
SHIPPED = ("scripts", ".ci", "src", "pyproject.toml", "README.md", "LICENSE", "requirements.lock", "requirements-test.lock")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout without a virtual environment, in a folder whose name has a space in it."""
    folder = tmp_path / "a checkout"
    folder.mkdir()
    for name in SHIPPED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    return folder


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A folder for PATH with what every machine has, and no Python."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in WHAT_A_MACHINE_HAS:
        program = shutil.which(name)
        assert program
        (folder / name).symlink_to(program)
    return folder


def run(script: Path, *arguments: str, path: Path | None = None, cwd: Path = Path("/"), **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a script as a user of a plain machine would; `path` is the one folder of PATH."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("TIDINGS_", "VIRTUAL_ENV", "PYTHON"))}
    inherited |= {"PATH": str(path)} if path else {}
    return subprocess.run([script, *arguments], cwd=cwd, env=inherited | environment, capture_output=True, text=True, check=False, timeout=240)


def a_program(path: Path, text: str) -> None:
    """Writes an executable."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def prepared(checkout: Path, lock: str = "requirements.lock") -> None:
    """Makes .venv look as if `prepare` had filled it, with a stand-in for `tidings`."""
    (checkout / ".venv" / "bin").mkdir(parents=True)
    (checkout / ".venv" / "bin" / "python").symlink_to(sys.executable)
    a_program(checkout / ".venv" / "bin" / "tidings", STAND_IN)
    facts = subprocess.run(["bash", "-c", f'. scripts/prepare; facts {lock} >"$stamp"'], cwd=checkout, capture_output=True, text=True, check=False)
    assert facts.returncode == 0, facts.stderr


def one_sentence(text: str) -> bool:
    """Whether this is one line that ends as a sentence does."""
    return len(text.splitlines()) == 1 and bool(re.fullmatch(r"[A-Z].*[.)\w]", text.strip()))


@pytest.mark.parametrize(
    "script", ["scripts/serve", "scripts/demo", "scripts/test", "scripts/check", "scripts/lock", "scripts/docs", "scripts/pictures", ".ci/run"]
)
def test_without_python_each_says_so_in_one_sentence(script: str, checkout: Path, machine: Path) -> None:
    done = run(checkout / script, path=machine)
    assert done.returncode == 1
    assert one_sentence(done.stderr), done.stderr
    assert "Python 3.11" in done.stderr
    assert not (checkout / ".venv").exists()


def a_python(path: Path, preamble: str) -> None:
    """A Python that is like ours, but for what `preamble` does to it before any `-c`."""
    a_program(path, f'#!/bin/sh\nexec "{sys.executable}" -c "{preamble}\n$2"\n')


def test_a_python_that_is_too_old_is_passed_over(checkout: Path, machine: Path) -> None:
    a_python(machine / "python3", "import sys; sys.version_info = (3, 10, 14)")
    done = run(checkout / "scripts" / "serve", path=machine)
    assert done.returncode == 1
    assert one_sentence(done.stderr), done.stderr
    assert "there is none on PATH" in done.stderr


def test_a_python_without_venv_names_the_package(checkout: Path, machine: Path) -> None:
    hide = "lambda name: None if name in {'ensurepip', 'pip'} else find(name)"
    a_python(machine / "python3.11", f"import importlib.util as u; find = u.find_spec; u.find_spec = {hide}")
    done = run(checkout / "scripts" / "serve", path=machine)
    assert done.returncode == 1
    assert one_sentence(done.stderr), done.stderr
    assert f"apt install python{sys.version_info.major}.{sys.version_info.minor}-venv" in done.stderr


def test_a_wrong_choice_of_python_is_named(checkout: Path) -> None:
    done = run(checkout / "scripts" / "serve", PYTHON="/nowhere/python9")
    assert done.returncode == 1
    assert one_sentence(done.stderr), done.stderr
    assert "/nowhere/python9" in done.stderr


def test_without_network_the_sentence_says_where_the_details_are(checkout: Path) -> None:
    done = run(checkout / "scripts" / "serve", PYTHON=sys.executable, PIP_NO_INDEX="1", PIP_FIND_LINKS="", PIP_CONFIG_FILE=os.devnull)
    assert done.returncode == 1
    *progress, last = done.stderr.splitlines()
    assert all(line.endswith("...") for line in progress)
    assert "could not be installed" in last
    assert str(checkout / ".venv" / "prepare.log") in last
    assert not (checkout / ".venv" / "prepared").exists()


@pytest.mark.parametrize("held", ["requirements.lock", "requirements-test.lock"])
def test_the_second_time_nothing_is_prepared_whatever_the_folder(held: str, checkout: Path, tmp_path: Path) -> None:
    prepared(checkout, held)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = run(checkout / "scripts" / "serve", "--port", "9 1", cwd=elsewhere)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [str(checkout / "tidings-data"), str(elsewhere), "serve", "--port", "9 1"]


def test_a_home_of_ones_own_is_kept(checkout: Path, tmp_path: Path) -> None:
    prepared(checkout)
    done = run(checkout / "scripts" / "serve", TIDINGS_HOME=str(tmp_path))
    assert done.stdout.splitlines()[0] == str(tmp_path)


def test_the_exit_code_is_that_of_the_command(checkout: Path) -> None:
    prepared(checkout)
    a_program(checkout / ".venv" / "bin" / "tidings", "#!/bin/sh\nexit 2\n")
    assert run(checkout / "scripts" / "demo").returncode == 2


@pytest.mark.parametrize("changed", ["requirements.lock", "pyproject.toml", "the folder", "the tests' packages"])
def test_what_is_out_of_date_is_prepared_again(changed: str, checkout: Path, machine: Path) -> None:
    prepared(checkout)
    script = "scripts/serve"
    if changed == "the folder":
        checkout = checkout.rename(checkout.with_name("moved"))
    elif changed == "the tests' packages":
        script = "scripts/test"
    else:
        with (checkout / changed).open("a") as file:
            file.write("# changed\n")
    (checkout / ".venv" / "bin" / "python").unlink()
    a_program(checkout / ".venv" / "bin" / "python", f'#!/bin/sh\n[ "$1" = -V ] && exec "{sys.executable}" -V\nexit 1\n')
    done = run(checkout / script, path=machine)
    assert done.returncode == 1
    assert "Python 3.11" in done.stderr  # it looked for a Python to prepare with


def test_the_lock_of_the_tests_contains_that_of_the_product() -> None:
    def pins(name: str) -> set[str]:
        return {line.partition(" ;")[0].rstrip(" \\") for line in (ROOT / name).read_text().splitlines() if re.match(r"\w", line)}

    assert pins("requirements.lock")
    assert pins("requirements.lock") - pins("requirements-test.lock") == set()


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-test.lock"])
def test_locks_name_hashes_and_no_place(name: str) -> None:
    lines = (ROOT / name).read_text().splitlines()
    pinned = [number for number, line in enumerate(lines) if re.match(r"\w", line)]
    assert [lines[number] for number in pinned if "==" not in lines[number] or "--hash=sha256:" not in lines[number + 1]] == []
    assert [line for line in lines if re.search(r"https?://|file:|--(?:extra-)?index-url|--find-links|(?:^|\s)/\w", line)] == []


@pytest.mark.fresh
def test_two_at_once_on_a_fresh_checkout(checkout: Path) -> None:
    """One prepares and the other one waits; both work, and the environment is whole."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("TIDINGS_", "VIRTUAL_ENV"))} | {"PYTHON": sys.executable}
    command = ["bash", "-c", f'. "{checkout}/scripts/prepare"; prepare requirements.lock; "$venv/bin/python" -c "import tidings; print(tidings.__version__)"']
    both = [subprocess.Popen(command, env=inherited, cwd="/", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=280) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert said[0][0] == said[1][0]
    assert sum("Installing" in stderr for _, stderr in said) == 1
    log = (checkout / ".venv" / "prepare.log").read_text()
    assert "Successfully installed tidings" in log
