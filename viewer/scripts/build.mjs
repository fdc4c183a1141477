// Build both pages into the Python package, then stamp them with a hash of what they came from.
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vite";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const out = join(root, "..", "pear_avatar", "viewer", "static");

/** SHA-256 over the names and contents of all that decides the build; tests compute it again. */
export function sourceHash() {
  const files = [
    "index.html",
    "export_template.html",
    "package-lock.json",
    "vite.config.ts",
    ...walk(join(root, "src")),
  ].sort();
  const hash = createHash("sha256");
  for (const file of files)
    hash
      .update(`${file}\0`)
      .update(readFileSync(join(root, file)))
      .update("\0");
  return hash.digest("hex");
}

function walk(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? walk(path) : [relative(root, path).split(sep).join("/")];
  });
}

/** The licences of what is bundled, as those ask for. */
function licences() {
  const { dependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  return Object.keys(dependencies)
    .sort()
    .map((name) => `${name}\n\n${licence(name)}\n`)
    .join("\n\n");
}

/** A package's licence; one without the text ships under the Apache licence of this project's own file. */
function licence(name) {
  const path = join(root, "node_modules", name, "LICENSE");
  if (existsSync(path)) return readFileSync(path, "utf8").trim();
  const { license } = JSON.parse(readFileSync(join(root, "node_modules", name, "package.json"), "utf8"));
  if (license !== "Apache-2.0") throw new Error(`${name} ships no licence text`);
  return readFileSync(join(root, "..", "LICENSE"), "utf8").trim();
}

for (const mode of ["app", "export"])
  await build({ root, mode, configFile: join(root, "vite.config.ts"), logLevel: "warn" });
// The detector's program, as the package ships it.
const vision = join(root, "node_modules", "@mediapipe", "tasks-vision", "wasm");
for (const ending of ["js", "wasm"])
  copyFileSync(
    join(vision, `vision_wasm_module_internal.${ending}`),
    join(out, "..", "models", `vision.${ending}`),
  );
writeFileSync(join(out, "source.sha256"), `${sourceHash()}\n`);
writeFileSync(join(out, "third-party-licences.txt"), licences());
