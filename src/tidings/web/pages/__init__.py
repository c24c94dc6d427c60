"""The pages that people look at, one file per area, rendered here.

How a page is made: a route reads through `store` and the rooms, like the API does (never over HTTP), and renders a template:

    @router.get("/app/bots/{bot_id}/settings")
    async def show(request: Request, bot_id: PathId, visitor: Member, house: House) -> Response:
        bot = await house.db.read(stored.get, visitor.workspace_id, bot_id)
        return render(request, "bots/settings.html", bot=bot, form=Form({"name": bot.name}))

    @router.post("/app/bots/{bot_id}/settings")
    async def rename(request: Request, bot_id: PathId, visitor: Owner, house: House) -> Response:
        form = sent(request)
        try:
            await house.db.write(stored.rename, visitor.workspace_id, bot_id, cleaned_name(form["name"]))
        except Invalid as error:
            return render(request, "bots/settings.html", 422, bot=..., form=form.refused(error))
        return go(request, f"/app/bots/{bot_id}/settings", said="The bot was renamed.")

- Who may call it stands in the signature: `Member` (whoever has signed in), `Owner`, or neither for guests. Who has not signed in is led to `/login`
  and back; whoever may not is told so. `gate.py` has checked the token of every unsafe request before a route sees it.
- A form is `<form method="post">` with `{{ parts.token(form_token) }}` in it, and works without JavaScript. After it was carried out: `go` (303), with
  a sentence for the next page. Where a room raises `Invalid`, the page is shown again (422) with what was typed and each sentence at its field.
- Other errors of ours (NotFound, Conflict, ...) become a page by themselves.
- Addresses in templates go through `url("/app/...")`, files through `static("app.css")`, since Tidings may live below a path.
- What changes by itself stands in a template of its own, is included by the page, and streamed by a route ending in `/live` (`web/live.py`).
- A new area: its router into `site.ROUTERS`, its entry into `render.PLACES` (the side bar) or `bots.TABS` (the tabs of a bot), and its templates.
- Behaviour in the browser hangs on attributes that `static/app.js` knows (`data-copy`: what is in it, or in the element
  `data-of`; `data-dialog`, `data-reveal`): no inline script, no inline style.
"""
