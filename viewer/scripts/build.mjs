// Build both pages into the Python package, then stamp them with a hash of what they came from.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
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
    .map((name) => `${name}\n\n${readFileSync(join(root, "node_modules", name, "LICENSE"), "utf8").trim()}\n`)
    .join("\n\n");
}

for (const mode of ["app", "export"])
  await build({ root, mode, configFile: join(root, "vite.config.ts"), logLevel: "warn" });
writeFileSync(join(out, "source.sha256"), `${sourceHash()}\n`);
writeFileSync(join(out, "third-party-licences.txt"), licences());
