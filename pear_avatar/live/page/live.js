"use strict";
// The page of a live run: shows two picture streams, sends what the user switches, shows rates.

const KEYS = { c: "calibrate", r: "record", " ": "frozen", m: "mirror", h: "hands", f: "face", o: "overlay" };
const POLL_MS = 500;
const RECORD_FPS = 30;

const notice = document.getElementById("notice");
const stats = document.getElementById("stats");
const avatar = document.getElementById("avatar");
let video = null;

async function control(body) {
  const answer = await fetch("control", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  const state = await answer.json();
  if (answer.ok) show(state);
  else notice.textContent = state.error;
}

function show(state) {
  for (const button of document.querySelectorAll("[data-toggle]")) {
    button.setAttribute("aria-pressed", String(state[button.dataset.toggle]));
  }
  const record = document.querySelector('[data-action="record"]');
  record.setAttribute("aria-pressed", String(state.recording));
  document.getElementById("legs").value = state.legs;
  document.getElementById("framing").value = state.framing;
  document.getElementById("camera-figure").dataset.mirrored = String(state.mirror);
  notice.textContent = state.notice;
  const lag = state.lag_ms === null ? "–" : `${Math.round(state.lag_ms)} ms`;
  stats.textContent =
    `${state.drawn.toFixed(0)} pictures/s · ${state.detections.toFixed(0)} detections/s · lag ${lag}` +
    ` · ${state.dropped} of ${state.read} frames skipped`;
}

function press(name) {
  if (name === "record") toggleRecording();
  else if (name === "calibrate") control({ calibrate: true });
  else {
    const button = document.querySelector(`[data-toggle="${name}"]`);
    control({ [name]: button.getAttribute("aria-pressed") !== "true" });
  }
}

function toggleRecording() {
  const button = document.querySelector('[data-action="record"]');
  const on = button.getAttribute("aria-pressed") !== "true";
  control({ recording: on });
  if (on) video = startVideo();
  else if (video) { video.stop(); video = null; }
}

// The picture is drawn into a canvas whose stream the browser encodes; the file stays in the page
// until it is saved by the user's own download.
function startVideo() {
  if (!window.MediaRecorder) return null;
  const canvas = document.createElement("canvas");
  canvas.width = avatar.naturalWidth || 512;
  canvas.height = avatar.naturalHeight || 640;
  const context = canvas.getContext("2d");
  const recorder = new MediaRecorder(canvas.captureStream(RECORD_FPS));
  const parts = [];
  const timer = setInterval(() => context.drawImage(avatar, 0, 0), 1000 / RECORD_FPS);
  recorder.ondataavailable = (event) => parts.push(event.data);
  recorder.onstop = () => {
    clearInterval(timer);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(parts, { type: recorder.mimeType }));
    link.download = "pear-avatar-live.webm";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  };
  recorder.start(1000);
  return recorder;
}

for (const button of document.querySelectorAll("button")) {
  button.addEventListener("click", () => press(button.dataset.toggle ?? button.dataset.action));
}
for (const name of ["legs", "framing"]) {
  const select = document.getElementById(name);
  select.addEventListener("change", () => control({ [name]: select.value }));
}
document.addEventListener("keydown", (event) => {
  const name = KEYS[event.key.toLowerCase()];
  if (!name || event.ctrlKey || event.metaKey || event.altKey || event.target.matches("select")) return;
  event.preventDefault();
  press(name);
});

async function poll() {
  try {
    const answer = await fetch("status");
    if (answer.ok) show(await answer.json());
  } catch {
    notice.textContent = "The run has ended.";
    return;
  }
  setTimeout(poll, POLL_MS);
}
poll();
