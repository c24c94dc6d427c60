"""The story of the demo: a first sync, an edit and a trigger, a plan that is too small. Everything goes over HTTP, as it would from another machine."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidings.cli.demo.client import Client
from tidings.cli.demo.telling import Teller
from tidings.errors import TidingsError
from tidings.web.receiver import Received

PLANS: dict[str, int | None] = {"unlimited": None, "tiny": 100}
OVER_PLAN = "Over plan storage token limit, please upgrade plan"
KINDS = {"md": "Markdown", "html": "HTML", "pdf": "PDF", "docx": "DOCX"}
POLL_SECONDS = 0.1
PATIENCE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Scene:
    """What the story plays with. `secrets`: the signing secret of each kind of outgoing hook; `arrived`: what the receiver got."""

    teller: Teller
    client: Client
    docs: Path
    counts: Mapping[str, int]
    url: str
    target: str
    secrets: Mapping[str, str]
    arrived: asyncio.Queue[Received]


async def tell(scene: Scene) -> None:
    """The whole story. TidingsError where something does not go as it should."""
    teller, total = scene.teller, sum(scene.counts.values())
    teller.say("What a bot knows is kept in sync with files, and other programs are told: the whole loop, on this machine.")
    teller.chapter("A bot, a data source, three webhooks")
    teller.say(
        f"A folder with {total} files: {', '.join(f'{count} {KINDS[kind]}' for kind, count in scene.counts.items())}",
        f"  {scene.docs}",
        "A Tidings of its own, and a receiver for its webhooks:",
        f"  {scene.url}, {scene.target}",
    )
    source_id, trigger_url = await _set_the_scene(scene)

    teller.chapter("The first sync")
    requested = await scene.client.api("POST", f"/data-sources/{source_id}/sync")
    await _watch(scene, requested["syncId"])
    await _webhook(scene, {"modifiedRows": total, "unmodifiedRows": 0, "totalDataSourceRows": total})

    teller.chapter("Two files are edited, one is removed, and the trigger URL is called")
    _edit(scene)
    await _trigger(scene, trigger_url)
    await _webhook(scene, {"modifiedRows": 2, "unmodifiedRows": total - 3, "totalDataSourceRows": total - 1})
    teller.say("", "Only the two edited files were extracted, and charged, again.")

    teller.chapter("The plan shrinks to 100 storage tokens a month, and another file is edited")
    await scene.client.api("PATCH", "/workspace", {"plan": "tiny"})
    await asyncio.to_thread(_append, scene.docs / "guides/ferries.md", "\nFerry 5 runs in summer only and takes bikes at any time.\n")
    await _trigger(scene, trigger_url)
    await _webhook(scene, None)
    found = await scene.client.api("GET", f"/data-sources/{source_id}")
    teller.fact(rowsStillServed=found["rows"])
    teller.say("", f"Nothing was published and nothing charged: the bot still answers from the {found['rows']} rows of the sync before.")


async def _set_the_scene(scene: Scene) -> tuple[str, str]:
    """Makes the bot and what hangs on it: (id of the data source, trigger URL)."""
    bot = await scene.client.api("POST", "/bots", {"name": "Testing bot"})
    settings = {"name": "Data source one", "type": "folder", "config": {"path": str(scene.docs)}, "syncNow": False}
    source = await scene.client.api("POST", f"/bots/{bot['id']}/data-sources", settings)
    hooks = f"/bots/{bot['id']}/webhooks"
    trigger = await scene.client.api("POST", hooks, {"type": "sync_trigger", "dataSourceId": source["id"]})
    for kind, secret in scene.secrets.items():
        await scene.client.api("POST", hooks, {"type": kind, "targetUrl": f"{scene.target}/{kind}", "secret": secret})
    scene.teller.fact(triggerUrl=trigger["url"], target=scene.target, botId=bot["id"], dataSourceId=source["id"], files=dict(scene.counts))
    scene.teller.say("The trigger URL of the data source, to be kept secret:", f"  {trigger['url']}")
    return source["id"], trigger["url"]


async def _watch(scene: Scene, sync_id: str) -> None:
    """Shows a sync until it has ended."""
    with scene.teller.bar() as bar:
        for _ in range(int(PATIENCE_SECONDS / POLL_SECONDS)):
            sync = await scene.client.api("GET", f"/syncs/{sync_id}")
            progress = sync["progress"]
            bar.show(progress["phase"], progress["rowsDone"], progress["rowsTotal"])
            if sync["finishedAt"] is not None:
                break
            await asyncio.sleep(POLL_SECONDS)
        else:
            raise TidingsError(f"The sync did not end within {PATIENCE_SECONDS} seconds. Is the machine very busy? Run the demo again.")
    for row in (await scene.client.api("GET", f"/syncs/{sync_id}/changes?kind=failed"))["items"]:
        raise TidingsError(f"{row['key']} could not be read: {row['reason']}")


async def _trigger(scene: Scene, url: str) -> None:
    """Calls the trigger URL, as curl would."""
    sync_id, answer = await scene.client.get(url)
    scene.teller.called(f"curl {url}", answer)
    await _watch(scene, sync_id)


async def _webhook(scene: Scene, figures: Mapping[str, int] | None) -> None:
    """Waits for the webhook, shows it, and looks whether it says what it should: these figures, or that the plan is too small."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            received = await scene.arrived.get()
    except TimeoutError:
        raise TidingsError(f"No webhook arrived within {PATIENCE_SECONDS} seconds. Run the demo again.") from None
    scene.teller.webhook(received)
    payload: dict[str, Any] = received.payload()
    told = payload.get("results", {}) if figures is not None else {"reason": payload.get("reason")}
    expected: Mapping[str, object] = figures if figures is not None else {"reason": OVER_PLAN}
    if received.signature != "valid" or any(told.get(name) != value for name, value in expected.items()):
        raise TidingsError(f"This webhook is not what it should be: {dict(expected)} and a valid signature were expected.")


def _edit(scene: Scene) -> None:
    """Two files get another text, one goes."""
    _append(scene.docs / "guides/first-ride.md", "\n## Rain\n\nSaddle covers hang at every station; please put them back.\n")
    prices = scene.docs / "faq/prices.html"
    prices.write_text(prices.read_text(encoding="utf-8").replace("190 crowns", "210 crowns"), encoding="utf-8")
    (scene.docs / "manuals/van-routes.pdf").unlink()
    scene.teller.changed(
        str(scene.docs), ["edited   guides/first-ride.md (a section more)", "edited   faq/prices.html (another price)", "removed  manuals/van-routes.pdf"]
    )


def _append(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(text)
