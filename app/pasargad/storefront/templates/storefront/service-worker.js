// Keeps what never changes, remembers public pages for when there is no network, and touches nothing that is a shopper's own.
const told = {{ told|safe }};
const STATIC = `pp-static-${told.version}`;
const PAGES = `pp-pages-${told.version}`;
const PICTURES = `pp-pictures-${told.version}`;
const OURS = [STATIC, PAGES, PICTURES];
const MOST = { [PAGES]: 40, [PICTURES]: 80 };
const NAMED_BY_CONTENT = /\.[0-9a-f]{12}\.[a-z0-9]+$/;

self.addEventListener("install", (event) => {
  event.waitUntil((async () => {
    const cache = await caches.open(STATIC);
    // Without cookies: what is kept must be what anybody gets.
    await cache.addAll(told.shell.map((url) => new Request(url, { credentials: "omit", cache: Object.values(told.offline).includes(url) ? "reload" : "default" })));
    // Two releases never share a file's name, so the new worker may take over pages of the old one.
    await self.skipWaiting();
  })());
});

self.addEventListener("activate", (event) => {
  event.waitUntil((async () => {
    for (const name of await caches.keys()) if (name.startsWith("pp-") && !OURS.includes(name)) await caches.delete(name);
    if (self.registration.navigationPreload) await self.registration.navigationPreload.enable();
    await self.clients.claim();
  })());
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== self.location.origin || request.headers.has("range")) return;
  if (request.mode === "navigate") event.respondWith(page(event, url));
  else if (url.pathname.startsWith(told.static) && NAMED_BY_CONTENT.test(url.pathname)) event.respondWith(known(event, STATIC));
  else if (url.pathname.startsWith(told.media) && request.destination === "image") event.respondWith(known(event, PICTURES));
});

async function known(event, name) {
  const cache = await caches.open(name);
  const kept = await cache.match(event.request, { ignoreVary: true });
  if (kept) return kept;
  const answer = await fetch(event.request);
  if (answer.status === 200) event.waitUntil(keep(name, event.request, answer.clone()));
  return answer;
}

async function page(event, url) {
  try {
    const answer = (await event.preloadResponse) || (await fetch(event.request));
    if (isForAll(answer, url)) event.waitUntil(keep(PAGES, event.request, answer.clone()));
    return answer;
  } catch {
    const kept = isPrivate(url) ? undefined : await (await caches.open(PAGES)).match(event.request, { ignoreVary: true });
    return kept || (await (await caches.open(STATIC)).match(offlineFor(url))) || Response.error();
  }
}

// The shop itself says which pages are the same for everybody; all others are shown once and forgotten.
function isForAll(answer, url) {
  const control = answer.headers.get("Cache-Control") || "";
  const type = answer.headers.get("Content-Type") || "";
  return answer.status === 200 && answer.type === "basic" && !answer.redirected && /\bpublic\b/.test(control)
    && !/\b(private|no-store)\b/.test(control) && type.startsWith("text/html") && !isPrivate(url);
}

// The page without a network speaks the language of the page that was asked for: its prefix, or none.
function offlineFor(url) {
  const code = url.pathname.split("/")[1];
  return told.offline[Object.hasOwn(told.offline, code) ? code : told.own];
}

function isPrivate(url) {
  return told.never.some((prefix) => url.pathname.startsWith(prefix));
}

async function keep(name, request, answer) {
  try {
    const cache = await caches.open(name);
    await cache.put(request, answer);
    const requests = await cache.keys();
    for (const old of requests.slice(0, Math.max(0, requests.length - (MOST[name] || Infinity)))) await cache.delete(old);
  } catch {
    // No room left on this phone: the page is shown all the same.
  }
}
