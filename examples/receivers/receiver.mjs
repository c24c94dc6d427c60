// Receives the webhooks of one hook: checks each, keeps it, answers, and works in order. WEBHOOK_SECRET=whsec_... node receiver.mjs
import { createHmac, timingSafeEqual } from "node:crypto";
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, writeSync } from "node:fs";
import { createServer } from "node:http";

const file = process.env.INBOX ?? "inbox.jsonl"; // in your product: a table
const ids = new Set(); // of all that was kept
const waiting = new Map(); // by number
let done = Number(process.env.FIRST ?? 1) - 1; // FIRST: the number to begin with, for a hook that has sent some already
let busy = false;

// Yours. It may take long; it is called once for each event, in order, and again only where the program died within it.
async function work(sequence, told) {
  console.log(sequence, JSON.stringify(told));
}

const key = Buffer.from((process.env.WEBHOOK_SECRET ?? "").replace(/^whsec_/, ""), "base64");
if (!key.length) throw new Error("WEBHOOK_SECRET has to be the webhook's secret, whsec_...");

// Whether it was signed with the secret, less than five minutes ago.
function genuine(headers, body) {
  const timestamp = headers["webhook-timestamp"];
  if (!(Math.abs(Date.now() / 1000 - Number(timestamp)) <= 300)) return false;
  const signed = createHmac("sha256", key).update(`${headers["webhook-id"]}.${timestamp}.`).update(body);
  const expected = Buffer.from(`v1,${signed.digest("base64")}`);
  return (headers["webhook-signature"] ?? "").split(" ").some((one) => {
    const given = Buffer.from(one);
    return given.length === expected.length && timingSafeEqual(given, expected);
  });
}

// A line is an event, or a number that is done. It begins with its line break, so that one that was cut short spoils no other.
function write(line) {
  const opened = openSync(file, "a");
  writeSync(opened, "\n" + JSON.stringify(line));
  fsyncSync(opened);
  closeSync(opened);
}

function remember(line) {
  if (line.done) {
    done = line.done;
    waiting.delete(done);
  } else {
    ids.add(line.id);
    waiting.set(line.sequence, line.told);
  }
}

// In the order of the numbers; what comes after a missing one waits for it.
async function workOff() {
  if (busy) return;
  busy = true;
  while (waiting.has(done + 1)) {
    await work(done + 1, waiting.get(done + 1));
    write({ done: done + 1 });
    remember({ done: done + 1 });
  }
  busy = false;
}

const server = createServer((request, response) => {
  let body = Buffer.alloc(0);
  request.on("data", (chunk) => {
    if (body.length < 1_000_000) body = Buffer.concat([body, chunk]);
  });
  request.on("end", () => {
    const headers = request.headers, allowed = request.method === "POST" && genuine(headers, body);
    if (allowed && headers["tidings-sequence"] && !ids.has(headers["webhook-id"])) { // a test has no number, a repeat the same id
      const line = { id: headers["webhook-id"], sequence: Number(headers["tidings-sequence"]), told: JSON.parse(body) };
      write(line);
      remember(line);
    }
    response.writeHead(allowed ? 200 : 401).end();
    workOff();
  });
});

for (const line of existsSync(file) ? readFileSync(file, "utf8").split("\n") : []) {
  try {
    remember(JSON.parse(line));
  } catch {} // empty, or cut short by a crash before it was answered
}
server.listen(Number(process.env.PORT ?? 8701), "127.0.0.1", () => {
  console.log(`Listening on http://127.0.0.1:${server.address().port}`);
  workOff();
});
