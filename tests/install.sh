#!/usr/bin/env bash
# Installs what is missing, by name from the system's packages; says what it does, and does nothing when all is there.
#   install.sh demo    a C compiler and a Redis
#   install.sh lint    and node with npm
#   install.sh test    and Chromium with its driver, Python with the package that the wire must fit, and node
set -euo pipefail
cd "$(dirname "$0")/.."

what=${1:?demo, lint or test}
missing=()

# want COMMAND DEBIAN-PACKAGE HOMEBREW-PACKAGE
want() { command -v "$1" >/dev/null || missing+=("$2|$3"); }

install() {
  local debian=() homebrew=()
  for pair in "${missing[@]}"; do
    debian+=(${pair%%|*})
    [ -z "${pair##*|}" ] || homebrew+=(${pair##*|})
  done
  if command -v apt-get >/dev/null; then
    local as_root=
    [ "$(id -u)" = 0 ] || as_root=sudo
    echo "installing: ${debian[*]}"
    $as_root apt-get update -qq
    # A package's daemon is not wanted: every test starts its own, and the demo a private one.
    $as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends "${debian[@]}" >/dev/null
  elif command -v brew >/dev/null; then
    echo "installing: ${homebrew[*]}"
    for package in "${homebrew[@]}"; do
      case $package in
        chromium | chromedriver) brew install --quiet --cask "$package" ;;
        *) brew install --quiet "$package" ;;
      esac
    done
  else
    echo "please install: ${debian[*]} (neither apt-get nor brew is here to do it)" >&2
    exit 1
  fi
}

command -v cargo >/dev/null || { echo "please install Rust first: https://rustup.rs" >&2; exit 1; }
want cc build-essential ""
command -v valkey-server >/dev/null || want redis-server redis-server redis
if [ "$what" != demo ]; then
  want node nodejs node
  want npm npm ""
fi
if [ "$what" = test ]; then
  [ -x "/Applications/Chromium.app/Contents/MacOS/Chromium" ] || want chromium chromium chromium
  want chromedriver chromium-driver chromedriver
  want python3 "python3 python3-venv" python
  # Chinese records are looked at too.
  [ ! -d /usr/share/fonts ] || ls /usr/share/fonts/opentype/noto/NotoSansCJK* >/dev/null 2>&1 || missing+=("fonts-noto-cjk|")
fi
[ ${#missing[@]} = 0 ] || install

# venv FOLDER CONDITION: the package on a version of the Redis library for which the condition on v holds.
venv() {
  local python=target/$1
  "$python/bin/python" -c "import asyncredisrpc, redis; v = redis.VERSION[0]; assert v $2" 2>/dev/null && return
  echo "installing: asyncredisrpc with redis$2 into $python"
  rm -rf "$python"
  python3 -m venv "$python" 2>/dev/null || { missing=("python3-venv|"); install; python3 -m venv "$python"; }
  "$python/bin/pip" install --quiet --disable-pip-version-check 'asyncredisrpc==22.11.1.1' "redis$2"
}

if [ "$what" = test ]; then
  venv python '<8'
  # From 8 on the library gives up what takes five seconds, and the package does not know.
  venv python8 '>=8'
fi

if [ "$what" = test ] && [ ! -f target/axe/node_modules/axe-core/axe.min.js ]; then
  echo "installing: axe-core, which checks that the page is accessible, into target/axe"
  npm install --prefix target/axe --no-save --no-package-lock --silent axe-core@4.14.1
fi
