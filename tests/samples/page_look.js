// What cannot be read on the page that is open, as wide and in the colours that it has now: a list of sentences.
const faults = [];
const root = document.documentElement;
if (root.scrollWidth > root.clientWidth) {
  const wide = [...document.querySelectorAll("body *")].filter((it) => it.getBoundingClientRect().right > root.clientWidth + 1);
  faults.push(`it scrolls sideways, ${root.scrollWidth} of ${root.clientWidth} px, by ${wide.slice(0, 3).map((it) => it.outerHTML.slice(0, 120)).join(" · ")}`);
}

const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
const known = new Map();
const rgba = (color) => {
  if (!known.has(color)) {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data;
    known.set(color, [red, green, blue, alpha / 255]);
  }
  return known.get(color);
};
const over = ([r, g, b, a], [R, G, B]) => [r * a + R * (1 - a), g * a + G * (1 - a), b * a + B * (1 - a)];
const grounds = new Map();
const ground = (it) => {
  if (!it) return rgba(getComputedStyle(root).colorScheme.includes("dark") && matchMedia("(prefers-color-scheme: dark)").matches ? "#121212" : "#fff");
  if (!grounds.has(it)) {
    const own = rgba(getComputedStyle(it).backgroundColor);
    grounds.set(it, own[3] === 1 ? own : over(own, ground(it.parentElement)));
  }
  return grounds.get(it);
};
// https://www.w3.org/TR/WCAG21/#dfn-relative-luminance
const light = (color) => {
  const [r, g, b] = color.map((it) => (it / 255 <= 0.04045 ? it / 255 / 12.92 : ((it / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const contrast = (one, other) => {
  const [high, low] = [light(one), light(other)].sort((a, b) => b - a);
  return (high + 0.05) / (low + 0.05);
};
const seen = new Set();
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
for (let node = walker.nextNode(); node; node = walker.nextNode()) {
  const it = node.parentElement;
  if (!node.data.trim() || it.closest("svg, option, [aria-hidden=true]") || !it.checkVisibility()) continue;
  const style = getComputedStyle(it);
  const back = ground(it);
  const ratio = contrast(over(rgba(style.color), back), back);
  const size = parseFloat(style.fontSize);
  const least = size >= 24 || (size >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5;
  const what = `contrast ${ratio.toFixed(1)} of <${it.tagName.toLowerCase()} class="${it.className}"> (${style.color} on ${back.map(Math.round)})`;
  if (ratio < least && !seen.has(what)) faults.push(`${what}: ${node.data.trim().slice(0, 40)}`);
  seen.add(what);
  if (size < 11 && !seen.has(size)) faults.push(`text of ${size} px: ${node.data.trim().slice(0, 40)}`);
  seen.add(size);
}
return faults;
