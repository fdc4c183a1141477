#!/bin/sh
# Gets what the viewer's tests need: Node's packages, and a Chromium to drive; and the readers of
# ../tests/node that check exported files. It changes nothing that is there already, and a step
# that cannot be done is told, never an error: the tests that need it are then skipped.
set -u
cd "$(dirname "$0")/.."

tell() { echo "viewer tests: $*" >&2; }

usable_node() {
  node -e 'const [a, b] = process.versions.node.split(".").map(Number);
           process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' 2>/dev/null
}

get_packages() {
  if ! command -v npm >/dev/null || ! command -v node >/dev/null; then
    tell "node and npm are missing, so the browser tests are skipped;" \
         "on Debian or Ubuntu: apt-get install nodejs npm (Node 20.19 or newer)"
    return
  fi
  if ! usable_node; then
    tell "Node $(node --version) is too old (20.19 is needed), so the browser tests are skipped"
    return
  fi
  install_in . "the browser tests"
  install_in ../tests/node "the tests with independent readers"
}

# install_in FOLDER WHAT-NEEDS-IT: npm ci, unless the folder holds just what its lock file says.
install_in() {
  stamp=$1/node_modules/.installed-lock
  if [ -f "$stamp" ] && cmp -s "$1/package-lock.json" "$stamp"; then
    return
  fi
  echo "installing npm packages for $2 ..."
  if (cd "$1" && npm ci --no-audit --no-fund --loglevel=error); then
    cp "$1/package-lock.json" "$stamp"
  else
    tell "npm ci failed, so $2 are skipped"
  fi
}

have_chromium() {
  for name in "${PEAR_AVATAR_CHROMIUM:-}" chromium chromium-browser google-chrome-stable google-chrome; do
    [ -n "$name" ] && command -v "$name" >/dev/null && return 0
  done
  return 1
}

get_chromium() {
  have_chromium && return
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    tell "no Chromium was found, so the browser tests are skipped;" \
         "on Debian: apt-get install chromium, or name one in PEAR_AVATAR_CHROMIUM"
    return
  fi
  echo "installing Chromium ..."
  export DEBIAN_FRONTEND=noninteractive
  if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; } \
      >/dev/null 2>&1 || ! have_chromium; then
    tell "apt-get could not install chromium, so the browser tests are skipped"
  fi
}

get_packages
get_chromium
exit 0
