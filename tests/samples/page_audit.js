// What is wrong with the page that is open: a list of sentences. `arguments[0]` is what its addresses begin with.
const base = arguments[0];
const faults = [];
const fault = (element, what) => faults.push(`${what}: ${element.outerHTML.slice(0, 200)}`);
const all = (selector) => [...document.querySelectorAll(selector)];

// Nothing runs, or comes from elsewhere.
const allowed = { SCRIPT: /\/static\/[\w.-]+\.js$/, LINK: /\/static\/[\w.-]+\.css$|^data:image\/|\/static\/[\w.-]+\.png$/, IMG: /^data:image\/(png|jpeg|gif|webp);base64,/ };
for (const it of all("iframe, object, embed, base, style, video, audio, math, meta[http-equiv], foreignObject, animate, image, use"))
  fault(it, "an element that pages do not have");
for (const it of all("*")) {
  for (const { name, value } of it.attributes) {
    if (/^on|^style$|^srcdoc$|^srcset$|^xlink/i.test(name)) fault(it, `the attribute ${name}`);
    if (/^(href|action|formaction)$/.test(name) && it.tagName !== "LINK" && !value.startsWith("#") && !new URL(value, location).href.startsWith(base))
      fault(it, `an address of elsewhere in ${name}`);
  }
  if (it.tagName in allowed && !allowed[it.tagName].test(it.getAttribute("src") ?? it.getAttribute("href"))) fault(it, "a source that is not ours");
}
if (typeof window.marker !== "undefined") faults.push(`a script ran: ${window.marker}`);

// It can be read without seeing it, and used without a mouse.
if (all("h1").length !== 1 || all("main").length !== 1) faults.push("not one h1 and one main");
if (!document.title.trim() || !document.documentElement.lang) faults.push("no title or no language");
const ids = all("[id]").map((it) => it.id);
if (new Set(ids).size !== ids.length) faults.push(`ids that are there twice: ${ids.filter((id, index) => ids.indexOf(id) !== index)}`);
const named = (it) => it.labels?.length || it.getAttribute("aria-label") || it.getAttribute("aria-labelledby");
for (const it of all("input:not([type=hidden], [type=submit]), select, textarea")) if (!named(it)) fault(it, "a field without a label");
for (const it of all("button, a[href], summary")) if (!it.textContent.trim() && !it.getAttribute("aria-label")) fault(it, "nothing to read in it");
for (const it of all("th")) if (!it.scope) fault(it, "a heading without a scope");
for (const it of all("img")) if (!it.hasAttribute("alt")) fault(it, "an image without alt");
for (const it of all("svg")) if (!it.getAttribute("aria-label") && !it.querySelector("title") && !it.closest("[aria-hidden=true]") && it.getAttribute("aria-hidden") !== "true") fault(it, "a drawing without a name");
for (const it of all("[tabindex]")) if (it.tabIndex > 0) fault(it, "an order of its own for Tab");
let level = 0;
for (const it of all("h1, h2, h3, h4, h5, h6")) {
  const next = Number(it.tagName[1]);
  if (next > level + 1) fault(it, `a heading two levels below the one before (h${level})`);
  level = next;
}
return faults;
