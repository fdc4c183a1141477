#!/bin/sh
# Lints the viewer's TypeScript and checks its types, where npm and the packages are there.
set -eu
cd "$(dirname "$0")/.."
if ! command -v npm >/dev/null || [ ! -x node_modules/.bin/biome ]; then
  echo "viewer: npm or viewer/node_modules is missing, so its TypeScript is not linted;" \
       "\`make viewer-tools\` gets what it can" >&2
  exit 0
fi
npm run --silent lint
npm run --silent typecheck
