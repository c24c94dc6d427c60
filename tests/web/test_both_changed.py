"""Two people change the same webhook at a time: who comes second is told; and half of a form switches nothing; on both databases."""

import re

from tests.web.test_sign_in import house
from tests.web.test_webhook_page import at, everything, sees
from tests.web.test_webhook_pages import Ann, ann
from tidings.model.webhooks import RowMapping

__all__ = ["ann", "house"]  # the fixtures


def shown_with(page: str, action: str) -> str:
    """What a form of a page was filled with, as it sends it back."""
    found: str = re.findall(rf'action="{re.escape(action)}".*?name="shown_with" value="([^"]+)"', page, re.DOTALL)[0]
    return found


async def test_what_somebody_else_has_changed_too_is_told_before_it_is_overwritten(ann: Ann) -> None:
    hook = await ann.outgoing()
    for path in (at(hook), f"{ann.root}/{hook.id}"):
        (hook,) = await ann.hooks()
        open_here = shown_with(await sees(ann, hook), f"{at(hook)}#settings")
        theirs = {"targetUrl": f"https://8.8.4.4/theirs/{len(path)}", "secret": "whsec_" + str(len(path)) * 16, "header-name-0": "X-Theirs"}
        await ann.sends(at(hook), **everything(hook, **theirs, dataSourceId=ann.source.id, **{"header-value-0": "hidden"}))
        (before,) = await ann.hooks()
        mine = {"targetUrl": "https://1.1.1.1/mine", "secret": "whsec_" + "C" * 32, "header-name-0": "X-Mine", "header-value-0": "abc"}
        page = (await ann.sends(path, 422, **everything(hook, **mine, shown_with=open_here))).text
        assert f"it is “{theirs['targetUrl']}” now. Send it again, and yours takes its place." in page
        assert "it is another one now" in page
        assert 'value="https://1.1.1.1/mine"' in page
        assert await ann.hooks() == (before,)
        again = shown_with(page, f"{path}#settings" if path == at(hook) else f"{path}#hook-{hook.id}")
        await ann.sends(path, **everything(before, **{**mine, "dataSourceId": ann.source.id}, shown_with=again))
        (found,) = await ann.hooks()
        assert (found.target_url, found.secret, found.headers, found.data_source_id) == (mine["targetUrl"], mine["secret"], {"X-Mine": "abc"}, ann.source.id)
        await ann.sends(at(hook), **everything(hook))


async def test_a_mapping_that_somebody_else_has_changed_too_is_told(ann: Ann) -> None:
    hook = await ann.trigger()
    here = f"{at(hook)}/mapping"
    open_here = shown_with(await sees(ann, hook), f"{here}#mapping")
    await ann.sends(here, keys="$.theirs\n$.also", urls="$.url")
    page = (await ann.sends(here, 422, keys="$.mine", urls="", shown_with=open_here)).text
    assert "it is “$.theirs, $.also” now" in page
    assert ">$.mine</textarea>" in page
    assert ">$.url</textarea>" in page  # which nobody typed into here
    await ann.sends(here, keys="$.mine", urls="$.url", shown_with=shown_with(page, f"{here}#mapping"))
    assert (await ann.hooks())[0].mapping == RowMapping(("$.mine",), ("$.url",))


async def test_a_form_that_did_not_come_whole_switches_nothing(ann: Ann) -> None:
    hook = await ann.trigger()
    await ann.sends(f"{at(hook)}/mapping", keys="$.a", urls="")
    await ann.sends(at(hook), dataSourceId=ann.source.id, secret=hook.secret, postOnly="yes")
    before = await ann.hooks()
    for end in ("/enabled", "/mapping", ""):
        page = (await ann.sends(f"{at(hook)}{end}", 422)).text
        assert "This form did not come whole, so nothing was done." in page
        assert await ann.hooks() == before
    await ann.sends(f"{at(hook)}/enabled", 422, enabled="perhaps")
    await ann.sends(at(hook), dataSourceId=ann.source.id)
    assert await ann.hooks() == before
