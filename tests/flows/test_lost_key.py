"""A copy restored without its secret key: what is lost is listed, gets new secrets, and everything else goes on; on both databases."""

from pathlib import Path

from tests.flows.commands import answer, environment, run, serving

NETWORKS = {"TIDINGS_ALLOWED_NETWORKS": "127.0.0.0/8"}


def test_a_restore_without_the_key_goes_on_with_new_secrets(home: Path, database_url: str | None) -> None:
    env = environment(home, database_url, **NETWORKS)
    key = answer("setup", "--email", "ann@example.com", "--password", "a-long-password", env=env)["apiKey"]
    with serving(env=env) as server:
        bot = server.api("POST", "/bots", key, {"name": "Testing bot"})["id"]
        notion = {"name": "Wiki", "type": "notion", "config": {"token": "ntn_secret"}, "syncNow": False}
        source = server.api("POST", f"/bots/{bot}/data-sources", key, notion)["id"]
        trigger = server.api("POST", f"/bots/{bot}/webhooks", key, {"type": "sync_trigger", "dataSourceId": source})
        target = {"type": "sync_failure", "targetUrl": "http://127.0.0.1:8999/", "headers": {"X-Key": "k"}, "ed25519": True}
        outgoing = server.api("POST", f"/bots/{bot}/webhooks", key, target)
        assert server.process.stop() == 0
    assert answer("secrets", "check", env=env) == {"lost": []}
    (home / "secret.key").unlink()
    refused = run("serve", "--port", "0", env=env)
    assert refused.returncode == 1
    assert "tidings secrets replace" in refused.stderr
    assert run("secrets", "check", env=env).returncode == 1
    assert not (home / "secret.key").exists()
    assert run("secrets", "replace", env=env).returncode == 2  # nobody said that the key is lost for good
    lost = {one["id"]: one["what"] for one in answer("secrets", "replace", "--yes", env=env)["lost"]}
    assert lost == {trigger["id"]: ["secret"], outgoing["id"]: ["secret", "headers", "Ed25519 key"], source: ["token"]}
    with serving(env=env) as server:
        anew = server.api("GET", f"/webhooks/{trigger['id']}", key)
        assert anew["secret"] != trigger["secret"]
        paths = [one["url"].partition("/api/public")[2] for one in (trigger, anew)]
        assert [server.call("GET", f"/api/public{path}")[0] for path in paths] == [404, 200]
        told = server.api("GET", f"/webhooks/{outgoing['id']}", key)
        assert (told["enabled"], told["headers"]) == (False, {})
        assert told["secret"].startswith("whsec_")
        queued = server.api("GET", f"/data-sources/{source}/syncs", key)["items"][0]["id"]
        ended = server.ended(queued, key)
        assert (ended["state"], ended["code"]) == ("failed", "source_rejected")
        assert ended["reason"].startswith("The token of this data source can't be opened")
        deliveries = server.api("GET", f"/webhooks/{outgoing['id']}/deliveries", key)["items"]
        assert [one["state"] for one in deliveries] == ["held"]
        paused = server.api("PATCH", f"/data-sources/{source}", key, {"paused": True, "config": {"token": "ntn_anew"}})
        assert paused["config"]["token"] == "********"
    assert answer("secrets", "check", env=env) == {"lost": []}
