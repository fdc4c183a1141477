import { resolve } from "node:path";
import { defineConfig } from "vite";
import { viteSingleFile } from "vite-plugin-singlefile";

const out = resolve(import.meta.dirname, "../pear_avatar/viewer/static");

/** `--mode app`: files for the server. `--mode export`: one file that the Python side fills. */
export default defineConfig(({ mode }) => {
  const single = mode === "export";
  return {
    base: "./",
    publicDir: false,
    resolve: single
      ? {
          alias: [
            { find: /^\.\/spawn$/, replacement: resolve(import.meta.dirname, "src/worker/spawnInline.ts") },
            {
              find: /^\.\/spawnDetector$/,
              replacement: resolve(import.meta.dirname, "src/live/spawnNothing.ts"),
            },
          ],
        }
      : {},
    plugins: single ? [viteSingleFile({ removeViteModuleLoader: true })] : [],
    // The detector's program is loaded by import(), which only module workers can do.
    worker: { format: single ? "iife" : "es" },
    build: {
      outDir: out,
      emptyOutDir: !single,
      target: "es2022",
      modulePreload: false,
      assetsInlineLimit: 0,
      reportCompressedSize: false,
      rolldownOptions: { input: single ? "export_template.html" : "index.html" },
    },
  };
});
