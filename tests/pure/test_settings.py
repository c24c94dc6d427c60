"""Settings: where they come from, what is refused, what is shown."""

import re
import secrets
from ipaddress import ip_network
from pathlib import Path

import pytest
from pydantic import ValidationError

from tidings.errors import Invalid
from tidings.settings import MASK, Settings, load_settings, unknown_variables, variable


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(variable(name), raising=False)
    monkeypatch.chdir(tmp_path)


def test_defaults_are_those_of_the_contract(tmp_path: Path) -> None:
    settings = load_settings()
    assert settings.home == tmp_path / "tidings-data"
    assert settings.retry_schedule == (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)
    assert settings.plans == {"unlimited": None}
    assert settings.default_plan == "unlimited"
    assert (settings.delivery_timeout, settings.trigger_rate, settings.lease_seconds) == (15, 60, 30)
    assert (settings.disable_after_days, settings.retention_days) == (5, 90)
    assert (settings.max_file_mb, settings.sync_hours, settings.keep_snapshots, settings.removal_guard) == (50, 6, 10, 0.3)
    assert (settings.database_url, settings.base_url, settings.secret_key, settings.metrics_token) == (None, None, None, None)
    assert settings.allowed_networks == settings.local_roots == settings.trusted_proxies == ()


def test_every_setting_says_what_it_is() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rate = secrets.randbelow(1000)
    monkeypatch.setenv("TIDINGS_TRIGGER_RATE", str(rate))
    monkeypatch.setenv("TIDINGS_ALLOWED_NETWORKS", " 127.0.0.0/8, ::1 ,10.0.0.7,")
    monkeypatch.setenv("TIDINGS_LOCAL_ROOTS", f"{tmp_path}/one,two")
    monkeypatch.setenv("TIDINGS_PLANS", '{"free": 500, "pro": null}')
    monkeypatch.setenv("TIDINGS_DEFAULT_PLAN", "free")
    monkeypatch.setenv("TIDINGS_RETRY_SCHEDULE", "0.1,2,0")
    monkeypatch.setenv("TIDINGS_DELIVERY_TIMEOUT", "0.5")
    monkeypatch.setenv("TIDINGS_BASE_URL", "https://tidings.example.com/")
    monkeypatch.setenv("TIDINGS_DATABASE_URL", "postgres://me@db/x")
    settings = load_settings()
    assert settings.trigger_rate == rate
    assert settings.allowed_networks == (ip_network("127.0.0.0/8"), ip_network("::1"), ip_network("10.0.0.7"))
    assert settings.local_roots == (tmp_path / "one", tmp_path / "two")
    assert settings.plans == {"free": 500, "pro": None}
    assert settings.default_plan == "free"
    assert settings.retry_schedule == (0.1, 2, 0)
    assert settings.delivery_timeout == 0.5
    assert settings.base_url == "https://tidings.example.com"
    assert settings.database_url == "postgresql://me@db/x"


def test_the_file_is_read_and_the_environment_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "tidings.toml").write_text(
        "trigger_rate = 7\nlease_seconds = 3\n"
        'allowed_networks = ["10.0.0.0/8", "fd00::/8"]\nretry_schedule = [1, 0.5]\ndefault_plan = "big"\n[plans]\nbig = "unlimited"\nsmall = 9\n'
    )
    monkeypatch.setenv("TIDINGS_HOME", str(tmp_path))
    monkeypatch.setenv("TIDINGS_TRIGGER_RATE", "8")
    settings = load_settings(keep_snapshots=3)
    assert (settings.trigger_rate, settings.lease_seconds, settings.keep_snapshots) == (8, 3, 3)
    assert settings.allowed_networks == (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
    assert settings.plans == {"big": None, "small": 9}
    assert settings.retry_schedule == (1, 0.5)
    monkeypatch.setenv("TIDINGS_TRIGGER_RATE", "")
    assert load_settings().trigger_rate == 60, "an empty variable means the default"
    (tmp_path / "tidings.toml").write_text('TIDINGS_TRIGGER_RATE = 9\nTIDINGS_PLANS = \'{"unlimited": null, "small": 9}\'\n')
    monkeypatch.delenv("TIDINGS_TRIGGER_RATE")
    copied = load_settings()
    assert (copied.trigger_rate, copied.plans) == (9, {"unlimited": None, "small": 9}), "as lines of the environment, too"


def test_the_plan_unlimited_stays_while_it_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDINGS_PLANS", '{"tiny": 10}')
    assert load_settings().plans == {"tiny": 10, "unlimited": None}
    monkeypatch.setenv("TIDINGS_DEFAULT_PLAN", "tiny")
    assert load_settings().plans == {"tiny": 10}
    monkeypatch.setenv("TIDINGS_DEFAULT_PLAN", "huge")
    with pytest.raises(Invalid, match=r"TIDINGS_DEFAULT_PLAN: 'huge' is not a plan; the plans of TIDINGS_PLANS are tiny\."):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value", "part"),
    [
        ("TRIGGER_RATE", "many", "valid integer"),
        ("TRIGGER_RATE", "-1", "greater than or equal to 0"),
        ("DELIVERY_TIMEOUT", "0", "greater than 0"),
        ("DELIVERY_TIMEOUT", "nan", "finite number"),
        ("RETRY_SCHEDULE", "5,soon", "'soon' is not a number of seconds"),
        ("RETRY_SCHEDULE", "5,-1", "'-1' is not a number of seconds"),
        ("RETRY_SCHEDULE", "inf", "'inf' is not a number of seconds"),
        ("RETRY_SCHEDULE", ",".join("1" * 101), "100 waits"),
        ("ALLOWED_NETWORKS", "10.0.0.1/8", "write 10.0.0.0/8"),
        ("ALLOWED_NETWORKS", "localhost", "'localhost' is not a network"),
        ("TRUSTED_PROXIES", "*", "'*' is not a network"),
        ("OIDC_ISSUER", "https://sso.example.com", "it needs TIDINGS_OIDC_CLIENT_ID and TIDINGS_OIDC_CLIENT_SECRET beside it"),
        ("OIDC_ISSUER", "http://sso.example.com", "it has to be a URL like https://sso.example.com"),
        ("OIDC_ISSUER", "https://sso.example.com/?x=1", "it has to be a URL like https://sso.example.com"),
        ("PLANS", "free", "it is not JSON"),
        ("PLANS", "{}", "at least one plan"),
        ("PLANS", "[1]", "at least one plan"),
        ("PLANS", '{"free": -1}', "plan 'free' has to be a whole number"),
        ("PLANS", '{"free": true}', "plan 'free' has to be a whole number"),
        ("PLANS", '{"free": 1.5}', "plan 'free' has to be a whole number"),
        ("PLANS", '{" ": 1}', "has to have a name"),
        ("DATABASE_URL", "mysql://db/x", "begin with postgresql://"),
        ("BASE_URL", "tidings.example.com", "it has to be a URL like https://"),
        ("BASE_URL", "https://a b/", "it has to be a URL like https://"),
        ("REQUESTS_URL", "javascript:alert(1)", "it has to be a URL like https://"),
        ("REQUESTS_URL", "mailto:nobody", "or mailto:support@example.com"),
        ("REMOVAL_GUARD", "30", "less than or equal to 1"),
        ("KEEP_SNAPSHOTS", "0", "greater than or equal to 1"),
        ("KEEP_SNAPSHOTS", str(2**70), "less than or equal to 1000000"),
        ("RETENTION_DAYS", "1e300", "less than or equal to 36500"),
        ("DISABLE_AFTER_DAYS", "1e300", "less than or equal to 36500"),
        ("SYNC_HOURS", "1e300", "less than or equal to 8760"),
        ("LEASE_SECONDS", "1e-300", "greater than or equal to 0.1"),
        ("TRIGGER_RATE", str(10**20), "less than or equal to 1000000"),
        ("MAX_FILE_MB", "1e308", "less than or equal to 1000000"),
        ("HOME", "~nobody-of-this-name/x", "write the whole path"),
        ("LOCAL_ROOTS", "~nobody-of-this-name/x", "write the whole path"),
        ("SQL_HOSTS", "a b", "'a b' is not a host"),
        ("OIDC_DOMAINS", "@example.com", "'@example.com' is not a host"),
        ("OIDC_NAME", "x" * 61, "it has to have at most 60 characters"),
        ("OIDC_ISSUER", "https://sso.example.com:x", "it has to be a URL like https://sso.example.com"),
        ("PLANS", "[" * 100_000, "it is not JSON"),
        ("BASE_URL", "http://[::1", "it has to be a URL like https://"),
        ("BASE_URL", "https://tidings.example.com:x", "it has to be a URL like https://"),
        ("BASE_URL", 'https://tidings.example.com"', "it has to be a URL like https://"),
        ("BASE_URL", "https://me:word@tidings.example.com", "leave them out"),
        ("BASE_URL", "https://me:word@tidings.example.com:x", "it can't hold a user name or password; leave them out."),
        ("OIDC_ISSUER", "https://me:word@sso.example.com:x", "it can't hold a user name or password; leave them out."),
        ("HTTP_CLIENT", "curl", "'curl' will not do: it has to be 'own' or 'aiohttp'"),
    ],
)
def test_what_will_not_do_is_refused_in_a_sentence_that_names_the_setting(monkeypatch: pytest.MonkeyPatch, name: str, value: str, part: str) -> None:
    monkeypatch.setenv(f"TIDINGS_{name}", value)
    with pytest.raises(Invalid) as caught:
        load_settings()
    [problem] = caught.value.errors
    assert problem.field == f"TIDINGS_{name}"
    assert part in problem.message
    assert problem.message.endswith(".")
    assert "Input should" not in problem.message


def test_problems_of_the_file_name_the_file(tmp_path: Path) -> None:
    file = tmp_path / "tidings.toml"
    file.write_text("trigger_rte = 5\n")
    with pytest.raises(Invalid, match=re.escape(f"trigger_rte in {file}: this is not a setting; did you mean trigger_rate?")):
        load_settings(home=tmp_path)
    file.write_text("trigger_rate = true\n")
    with pytest.raises(Invalid, match=re.escape(f"trigger_rate in {file}: true will not do")):
        load_settings(home=tmp_path)
    file.write_text('home = "elsewhere"\n')
    with pytest.raises(Invalid, match="set TIDINGS_HOME instead"):
        load_settings(home=tmp_path)
    file.write_text("= nonsense")
    with pytest.raises(Invalid, match=re.escape(f"{file}: it can't be read")):
        load_settings(home=tmp_path)
    file.unlink()
    file.mkdir()
    with pytest.raises(Invalid, match=re.escape(f"{file}: it can't be read: Is a directory. Give the account")):
        load_settings(home=tmp_path)


def test_an_unknown_override_is_refused() -> None:
    with pytest.raises(Invalid, match=r"TIDINGS_TRIGER_RATE: this is not a setting; did you mean trigger_rate\?"):
        load_settings(triger_rate=3)


def test_unknown_variables_are_named_with_the_nearest_setting() -> None:
    environ = {"TIDINGS_TRIGER_RATE": "5", "TIDINGS_HOME": "/x", "PATH": "/bin", "TIDINGS_QQQQQQQQ": "1"}
    assert list(unknown_variables(environ)) == [
        "TIDINGS_QQQQQQQQ is not a setting and is ignored.",
        "TIDINGS_TRIGER_RATE is not a setting and is ignored; did you mean TIDINGS_TRIGGER_RATE?",
    ]


def test_what_is_shown_has_every_setting_and_no_secret() -> None:
    key, token, password = secrets.token_hex(32), secrets.token_hex(16), secrets.token_hex(8)
    for url in (f"postgresql://me:{password}@db:5432/x?sslmode=require", f"postgresql://db/x?password={password}"):
        settings = load_settings(secret_key=key, metrics_token=token, database_url=url, allowed_networks="10.0.0.0/8")
        shown = settings.shown()
        assert list(shown) == [variable(name) for name in Settings.model_fields]
        assert shown["TIDINGS_SECRET_KEY"] == shown["TIDINGS_METRICS_TOKEN"] == MASK
        assert shown["TIDINGS_ALLOWED_NETWORKS"] == ["10.0.0.0/8"]
        for secret in (key, token, password):
            assert secret not in str(shown)
            assert secret not in repr(settings)
        assert settings.database_url == url
    assert load_settings().shown()["TIDINGS_SECRET_KEY"] is None


def test_a_secret_that_will_not_do_is_not_repeated() -> None:
    password = secrets.token_hex(8)
    with pytest.raises(Invalid) as caught:
        load_settings(database_url=f"mysql://me:{password}@db/x")
    assert password not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["me:{}#x@db/x", "me:{}/x@db/x", "me:7?{}@db/x", "me:{}@x@db/x", "me:{}@db:port/x", "me:{}@[::1/x", "me:{}@db:99999/x", "me:12?a={}@db/x"]
)
def test_a_database_url_that_can_be_read_in_two_ways_is_refused_and_not_repeated(url: str) -> None:
    password = secrets.token_hex(8)
    with pytest.raises(Invalid, match="write : as %3A") as caught:
        load_settings(database_url=f"postgresql://{url.format(password)}")
    assert password not in str(caught.value)


@pytest.mark.parametrize("url", ["", "me:p%2Fw@db:5432/x?sslmode=require&options=-c%20x", "/x?host=/run/pg", "me@[::1]:5432/x", "db,other/x?user=a@b"])
def test_a_database_url_is_taken_as_it_is(url: str) -> None:
    assert load_settings(database_url=f"postgresql://{url}").database_url == f"postgresql://{url}"


def test_a_local_root_has_a_name_and_a_home_that_is_a_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "tidings.toml").write_text('local_roots = [""]\n')
    with pytest.raises(Invalid, match="an empty path names no folder"):
        load_settings(home=tmp_path)
    assert load_settings(home=tmp_path / "tidings.toml").local_roots == ()


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        load_settings().trigger_rate = 5
