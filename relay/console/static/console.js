"use strict";

// Every view is a row of this table: where its rows come from, which columns it shows, and what opens below a row.
const TEAM_VIEWS = {
  messages: {
    title: "Messages", path: "/v1/messages", before: sendForm,
    columns: { created_at: time, status: state, text: text, to_count: text, counts: pairs, reference: text },
    open: (row) => [["Recipients", `/v1/messages/${row.id}/recipients`,
      { to: text, status: state, reason: text, provider_status: text, final_at: time }], ["Message", `/v1/messages/${row.id}`]],
  },
  inbound: {
    title: "Inbound", path: "/v1/inbound",
    columns: { received_at: time, from: text, to_extension: text, text: text, matched_by: text },
    open: (row) => [["Inbound message", `/v1/inbound/${row.id}`]],
  },
  endpoints: {
    title: "Webhook endpoints", path: "/v1/webhook-endpoints",
    columns: { url: text, status: state, event_types: list, extensions: list, max_in_flight: text, created_at: time },
    open: (row) => [["Deliveries", `/v1/deliveries?endpoint_id=${row.id}`,
      { created_at: time, event_type: text, status: state, attempt_count: text, next_attempt_at: time }],
      ["Endpoint", `/v1/webhook-endpoints/${row.id}`]],
  },
  deliveries: {
    title: "Deliveries", path: "/v1/deliveries",
    columns: { created_at: time, event_type: text, status: state, attempt_count: text, next_attempt_at: time },
    open: (row) => [["Delivery", `/v1/deliveries/${row.id}`], ["Event", `/v1/events/${row.event_id}`]],
  },
  balance: {
    title: "Balance", path: "/v1/balance",
    columns: { account_name: text, balance: text, prepaid: text, as_of: time }, open: null,
  },
};
const PLATFORM_VIEWS = {
  teams: {
    title: "Teams", path: "/v1/admin/teams",
    columns: { name: text, signature: text, extensions: list, quota_units_per_day: text, created_at: time },
    open: (row) => [["Team", `/v1/admin/teams/${row.id}`]],
  },
  accounts: {
    title: "Accounts", path: "/v1/admin/accounts",
    columns: { name: text, base_url: text, account: text, requests_per_s: text, connections: text, created_at: time },
    open: (row) => [["Account", `/v1/admin/accounts/${row.id}`]],
  },
  keys: {
    title: "Keys", path: "/v1/admin/keys",
    columns: { name: text, hint: text, team_id: text, scopes: list, mode: text, created_at: time, expires_at: time },
    open: (row) => [["Key", `/v1/admin/keys/${row.id}`]],
  },
};

let key = "";
let views = {};
const $ = (id) => document.getElementById(id);

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// -- cells: textContent only, so that nothing that a stranger wrote is ever markup -----------------------------------

function text(value) { return value === null || value === undefined || value === "" ? element("span", { className: "dim", textContent: "–" }) : String(value); }
function time(value) { return value ? element("time", { dateTime: value, title: value, textContent: new Date(value).toLocaleString() }) : text(null); }
function list(value) { return value.length ? value.join(", ") : element("span", { className: "dim", textContent: "all" }); }
function pairs(value) { return Object.entries(value).map(([name, count]) => `${name} ${count}`).join(", "); }
function state(value) {
  const good = ["delivered", "enabled"], bad = ["failed", "undelivered", "rejected", "expired", "no_report", "exhausted", "disabled"];
  return element("span", { className: good.includes(value) ? "good" : bad.includes(value) ? "bad" : "", textContent: value });
}

// -- the API ---------------------------------------------------------------------------------------------------------

async function call(path, options = {}) {
  const headers = { Authorization: `Bearer ${key}`, ...options.headers };
  const answer = await fetch(path, { ...options, headers });
  const body = await answer.json();
  if (!answer.ok) {
    const details = (body.errors || []).map((error) => ` ${error.pointer}: ${error.detail}.`).join("");
    throw new Error(`${body.title}. ${body.detail}${details}`);
  }
  return body;
}

function guarded(work) {
  return async (...given) => {
    $("notice").textContent = "";
    try { await work(...given); } catch (error) { $("notice").textContent = error.message; }
  };
}

// -- views -----------------------------------------------------------------------------------------------------------

async function show(name) {
  const view = views[name];
  for (const button of $("views").children) button.toggleAttribute("aria-current", button.value === name);
  const parts = [element("h2", { textContent: view.title })];
  if (view.before) parts.push(view.before());
  const below = element("section");
  parts.push(await table(view.path, view.columns, view.open && guarded((row) => open(below, view.open(row)))), below);
  $("main").replaceChildren(...parts);
}

async function table(path, columns, opened) {
  const head = element("tr", {}, ...Object.keys(columns).map((name) => element("th", { textContent: name.replaceAll("_", " ") })));
  const body = element("tbody");
  const more = element("button", { type: "button", textContent: "More", hidden: true });
  let cursor = null;
  const load = guarded(async () => {
    const url = new URL(path, location.origin);
    if (cursor) url.searchParams.set("cursor", cursor);
    const page = await call(url.pathname + url.search);
    for (const row of page.data) {
      const line = element("tr", {}, ...Object.entries(columns).map(([name, cell]) => element("td", {}, cell(row[name]))));
      if (opened) { line.className = "opens"; line.tabIndex = 0; line.onclick = () => opened(row); line.onkeydown = (pressed) => { if (pressed.key === "Enter") opened(row); }; }
      body.append(line);
    }
    if (!body.children.length) body.append(element("tr", {}, element("td", { colSpan: head.children.length, className: "dim", textContent: "Nothing yet." })));
    cursor = page.next_cursor;
    more.hidden = !page.has_more;
  });
  more.onclick = load;
  await load();
  return element("div", {}, element("table", {}, element("thead", {}, head), body), more);
}

async function open(place, parts) {
  const made = [];
  for (const [title, path, columns] of parts) {
    made.push(element("h2", { textContent: title }));
    made.push(columns ? await table(path, columns, null) : element("pre", { textContent: JSON.stringify(await call(path), null, 2) }));
  }
  place.replaceChildren(...made);
  place.scrollIntoView({ behavior: "smooth" });
}

function sendForm() {
  const to = element("input", { placeholder: "13800130001, …", required: true });
  const words = element("textarea", { placeholder: "Text", required: true, rows: 1 });
  const form = element("form", {}, element("label", {}, "To ", to), element("label", {}, "Text ", words), element("button", { textContent: "Send" }));
  let idempotency = crypto.randomUUID ? crypto.randomUUID() : String(Math.random()).slice(2);
  form.onsubmit = (submitted) => { submitted.preventDefault(); send(); };
  const send = guarded(async () => {
    const body = JSON.stringify({ to: to.value.split(/[\s,;]+/).filter(Boolean), text: words.value });
    // One key per message as typed: pressing twice sends once.
    await call("/v1/messages", { method: "POST", body, headers: { "Content-Type": "application/json", "Idempotency-Key": idempotency, Prefer: "wait=5" } });
    await show("messages");
  });
  words.oninput = to.oninput = () => { idempotency = crypto.randomUUID ? crypto.randomUUID() : String(Math.random()).slice(2); };
  return form;
}

// -- signing in and out ----------------------------------------------------------------------------------------------

$("sign-in").onsubmit = (submitted) => { submitted.preventDefault(); signIn(); };
const signIn = guarded(async () => {
  key = $("key").value.trim();
  views = key.startsWith("rk_admin_") ? PLATFORM_VIEWS : TEAM_VIEWS;
  const first = Object.keys(views)[0];
  $("views").replaceChildren(...Object.entries(views).map(([name, view]) =>
    element("button", { type: "button", value: name, textContent: view.title, onclick: guarded(() => show(name)) })));
  await call(`${views[first].path}?limit=1`);
  await show(first);
  $("key").value = "";
  $("sign-in").hidden = true;
  $("views").hidden = $("sign-out").hidden = false;
});
$("sign-out").onclick = () => location.reload();
