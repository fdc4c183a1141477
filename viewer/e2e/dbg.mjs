import { launch, open, ready } from "./browser.mjs";
const { context, close } = await launch();
const { page, problems } = await open(context, process.argv[2]);
await ready(page);
const hook = (name, ...args) => page.evaluate(([n, a]) => window.__pear[n](...a), [name, args]);
const byId = (id) => page.locator(`[data-testid="${id}"]`).first();
const setRange = (id, value) => byId(id).evaluate((element, v) => { element.value = v; element.dispatchEvent(new Event("input", { bubbles: true })); return [element.value, window.__pear.getSlider?.(element.dataset.testid.slice(7))]; }, String(value));
await hook("pause");
await hook("seek", 0); console.log("0", await hook("hash"), await hook("frame"));
await setRange("scrub", 241); console.log("241", await hook("hash"), await hook("frame"));
await setRange("scrub", 0); console.log("0", await hook("hash"), await hook("frame"));console.log("0", await hook("hash"), await hook("frame"));
await byId("step-forward").click(); console.log("1", await hook("hash"), await hook("frame"));
await byId("step-back").click(); console.log("0", await hook("hash"), await hook("frame"));
await hook("seek", 0); console.log("0", await hook("hash"), await hook("frame"));
for (let i=0;i<5;i++){ await byId(`motion:${i}`).evaluate(e=>e.click()); await hook("seek",7); console.log("motion",i, await hook("hash"), await hook("frame"), await hook("hash")); }
await byId(`motion:0`).evaluate(e=>e.click()); await hook("seek",0); console.log("0", await hook("hash"));
for (const v of [0, 3, 0, 0]) { console.log("shape", v, await setRange("slider:shape:0", v), await hook("hash")); }
for (const v of [0, 3, 0, 0]) { console.log("shape", v, await setRange("slider:shape:1", v), await hook("hash")); }
await close();
