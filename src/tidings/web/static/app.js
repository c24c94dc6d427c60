// What pages do beyond links and forms. Everything works without this file, only less comfortably.
"use strict";

const find = (selector, within = document) => within.querySelector(selector);
const all = (selector, within = document) => within.querySelectorAll(selector);
const painted = (then) => requestAnimationFrame(() => setTimeout(then)); // what can wait until the page is there
document.documentElement.classList.add("scripted"); // what only scripts can do is shown, also in what is streamed

document.addEventListener("click", async (event) => {
  const target = event.target instanceof Element ? event.target : null;
  const copy = target?.closest("[data-copy]");
  if (copy) {
    await navigator.clipboard?.writeText(copy.dataset.copy || document.getElementById(copy.dataset.of).textContent);
    say("Copied.");
    return;
  }
  const reveal = target?.closest("[data-reveal]");
  if (reveal) {
    const field = document.getElementById(reveal.dataset.reveal);
    field.type = field.type === "password" ? "text" : "password";
    reveal.setAttribute("aria-label", field.type === "password" ? "Show" : "Hide");
    return;
  }
  const abort = target?.closest("[data-abort]");
  if (abort) {
    htmx.trigger(document.getElementById(abort.dataset.abort), "htmx:abort");
    return;
  }
  const opener = target?.closest("[data-dialog]");
  const dialog = opener && document.getElementById(opener.dataset.dialog);
  if (dialog) {
    event.preventDefault();
    dialog.showModal();
    return;
  }
  const close = target?.closest("[data-close]");
  if (close?.closest("dialog")) {
    event.preventDefault();
    close.closest("dialog").close();
  } else if (target?.matches("dialog")) {
    target.close(); // beside its content
  }
});

// A form is sent once, however often its button is pressed.
document.addEventListener("submit", (event) => {
  if (event.defaultPrevented || event.target.method !== "post") return;
  if (event.target.dataset.sent) event.preventDefault();
  event.target.dataset.sent = "yes";
});
addEventListener("pageshow", () => all("[data-sent]").forEach((form) => delete form.dataset.sent));

let went = 0; // when `g` was pressed
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, textarea, select, [contenteditable]");
  if (typing || event.ctrlKey || event.metaKey || event.altKey || find("dialog[open]")) return;
  if (event.key === "?") find("#keys")?.showModal();
  else if (event.key === "/") search();
  else if (event.key === "g") went = Date.now();
  else if (Date.now() - went < 1500) find(`.side [data-key="${CSS.escape(event.key)}"]`)?.click();
  else return;
  event.preventDefault();
});

// Into the field that searches what the page shows; where there is none, to the page of this bot that searches.
function search() {
  const field = find("[data-search]");
  if (field) field.focus();
  else find('.tabs a[href$="/search"]')?.click();
}

function say(sentence, kind = "good") {
  find("[data-toast]")?.remove();
  const toast = document.createElement("div");
  toast.className = `toast ${kind}`;
  toast.setAttribute("role", "status");
  toast.dataset.toast = "";
  toast.textContent = sentence;
  document.body.append(toast);
  fade();
  return toast;
}

function fade() {
  const toast = find("[data-toast].good");
  if (toast) setTimeout(() => toast.remove(), 6000);
}

// The same words as the server's, kept true while the page stays open.
function relative(at) {
  const seconds = Math.floor((Date.now() - at) / 1000);
  for (const [unit, name, below] of [[1, "s", 60], [60, "min", 3600], [3600, "h", 86400], [86400, "days", 30 * 86400]]) {
    if (Math.abs(seconds) >= below) continue;
    const count = seconds >= 0 ? Math.floor(seconds / unit) : Math.round(-seconds / unit);
    if (unit === 1 && count < 10) return seconds >= 0 ? "just now" : "in a moment";
    const words = `${count} ${name === "days" && count === 1 ? "day" : name}`;
    return seconds >= 0 ? `${words} ago` : `in ${words}`;
  }
  return null;
}

setInterval(() => {
  for (const time of all("time[data-relative]")) {
    const at = Date.parse(time.dateTime);
    const words = "due" in time.dataset && at <= Date.now() ? "any moment now" : relative(at);
    if (words && words !== time.textContent) time.textContent = words;
  }
}, 10000);

document.addEventListener("htmx:xhr:progress", (event) => {
  const bar = find("progress", event.target);
  if (!bar || !event.detail.lengthComputable) return;
  bar.hidden = false;
  bar.max = event.detail.total;
  bar.value = event.detail.loaded;
});

// A part of the page that was asked for and did not come: what the page says that came instead. What was typed stays.
function failed(event, sentence) {
  const bar = find("progress", event.target);
  if (bar) bar.hidden = true;
  event.detail.target?.closest("dialog")?.close();
  if (["click", "submit", "input"].includes(event.detail.requestConfig.triggeringEvent?.type)) say(sentence, "bad"); // else nobody asked for it just now
}

const SIGNED_OUT = "You are signed out. Load the page again to sign in.";
const sentenceOf = (html) => find("[data-sentence]", new DOMParser().parseFromString(html, "text/html"))?.textContent;

document.addEventListener("htmx:responseError", (event) => {
  failed(event, sentenceOf(event.detail.xhr.responseText) || "This did not work. Wait a little, then try again.");
});
document.addEventListener("htmx:sendError", (event) => failed(event, "Tidings can't be reached. Check your connection, then try again."));
document.addEventListener("htmx:beforeSwap", (event) => {
  if (!new URL(event.detail.xhr.responseURL).pathname.endsWith("/login")) return;
  event.detail.shouldSwap = false;
  failed(event, SIGNED_OUT);
});

// A stream that rests while nobody sees the page: a browser keeps no more than six connections to one place, over all its tabs.
class Stream extends EventTarget {
  static open = new Set();
  static begun = 0; // how many streams came
  static refusal = null; // what says why one did not
  names = new Set();

  constructor(url) {
    super();
    this.url = url;
    Stream.open.add(this);
    painted(() => this.turn());
  }

  get readyState() {
    return this.source?.readyState ?? EventSource.CONNECTING;
  }

  addEventListener(name, listener, options) {
    super.addEventListener(name, listener, options);
    if (!this.names.has(name)) this.listen(name);
    this.names.add(name);
  }

  listen(name) {
    this.source?.addEventListener(name, (event) => this.dispatchEvent(new MessageEvent(name, { data: event.data })));
  }

  turn() {
    if (!Stream.open.has(this) || document.hidden === !this.source) return;
    if (document.hidden) {
      this.source.close();
      this.source = null;
      return;
    }
    this.source = new EventSource(this.url, { withCredentials: true });
    this.source.onopen = (event) => {
      Stream.begun += 1;
      Stream.refusal?.remove();
      this.onopen?.(event);
    };
    this.source.onerror = (event) => {
      if (this.readyState === EventSource.CLOSED) {
        Stream.open.delete(this); // who made it makes another one
        this.refused();
      }
      this.onerror?.(event);
    };
    this.names.forEach((name) => this.listen(name));
  }

  // Says why what the page shows does not change any more: a browser does not tell what came instead of the stream, so it is asked for once more.
  async refused() {
    const asking = new AbortController();
    const { begun } = Stream;
    try {
      const answer = await fetch(this.url, { signal: asking.signal });
      if (!answer.headers.get("content-type")?.startsWith("text/html")) return;
      // What the page shows was deleted, or is another workspace's: it is asked for anew and says so, else its streams are asked for without end.
      // Not where somebody has typed something, which is lost then, nor by `reload`, which sends a form again where the page is the answer to one.
      const typed = [...document.querySelectorAll("input:not([type=hidden]), textarea")].some((field) => field.value !== field.defaultValue);
      const page = location.pathname + location.search;
      if (answer.status === 404 && !typed && (await fetch(page, { method: "HEAD" })).status === 404) return location.replace(page);
      const sentence = new URL(answer.url).pathname.endsWith("/login") ? SIGNED_OUT : sentenceOf(await answer.text());
      if (!sentence || begun !== Stream.begun) return; // the next stream came before this answer
      const said = find("[data-toast]");
      Stream.refusal = said?.textContent === sentence ? said : say(sentence, "bad");
    } catch {
      return; // it can't be reached; whoever made the stream tries again
    } finally {
      asking.abort(); // of a stream that is there after all
    }
  }

  close() {
    Stream.open.delete(this);
    this.source?.close();
  }
}

// What draws charts is asked for once there is one; where it does not come, the tables are shown, and it is asked for with the next one.
async function drawCharts() {
  const kit = find("meta[name=charts]");
  if (!kit || !find("figure[data-chart]")) return;
  kit.remove();
  const added = (address) => new Promise((onload, onerror) => {
    const [kind, place] = address.endsWith(".css") ? ["link", { rel: "stylesheet", href: address }] : ["script", { src: address }];
    document.head.append(Object.assign(document.createElement(kind), place, { onload, onerror }));
  });
  try {
    for (const address of kit.content.split(" ")) await added(address); // each needs those before it
    document.documentElement.classList.remove("chartless");
  } catch {
    document.documentElement.classList.add("chartless");
    document.head.append(kit);
  }
}
document.addEventListener("htmx:load", () => painted(drawCharts));

document.addEventListener("DOMContentLoaded", () => {
  if (window.htmx) htmx.createEventSource = (url) => new Stream(url);
  painted(() => document.documentElement.classList.add("painted"));
});
document.addEventListener("htmx:load", () => painted(() => htmx.trigger(document.body, "painted")), { once: true });
document.addEventListener("visibilitychange", () => Stream.open.forEach((stream) => stream.turn()));

fade();
