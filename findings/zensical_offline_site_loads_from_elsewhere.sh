#!/bin/sh
# Date: 2026-12-01. Versions: zensical 0.0.73, pymdown-extensions 12.3, Python 3.11.
# The likely guess: a site that is built with the plugin `offline`, and without web fonts, loads nothing from elsewhere:
#   that is what the plugin is for.
# What is so: with the plugin every page gets one more script, from unpkg.com; without the plugin there is none, but
#   search does not work from files then. Named among `polyfills`, a copy of the script in the site takes its place.
# Why it matters: documentation that is read where there is no network waits for that script, and one that must not
#   call anybody calls a content delivery network from every page.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet zensical==0.0.73 pymdown-extensions==12.3
build() { # NAME EXTRA-SETTINGS
    mkdir -p "$work/$1/docs/assets"
    printf '# Start\n\nSome words.\n' > "$work/$1/docs/index.md"
    echo '/* a copy of the script */' > "$work/$1/docs/assets/iframe-worker.js"
    printf '[project]\nsite_name = "words"\n[project.theme]\nfont = false\n%b' "$2" > "$work/$1/zensical.toml"
    (cd "$work/$1" && "$work/venv/bin/zensical" build --clean > log 2>&1) || { cat "$work/$1/log"; exit 1; }
    found=$(grep -oE '<script[^>]*src="?https?://[^ ">]+' "$work/$1/site/index.html" | grep -oE 'https?://[^/]+' | sort | uniq -c | tr -s ' ' | sed 's/^ //' || true)
    echo "$1: scripts from elsewhere: ${found:-none}"
}
"$work/venv/bin/pip" list --format freeze | grep -iE "^(zensical|pymdown-extensions)=="
plain=$(build plain '')
offline=$(build offline '[project.plugins.offline]\n')
named=$(build named '[project.plugins.offline]\n[project.extra]\npolyfills = [{ path = "assets/iframe-worker.js", type = "text/javascript", async = false, defer = false }]\n')
printf '%s\n' "$plain" "$offline" "$named"
[ "$plain" = "plain: scripts from elsewhere: none" ] || { echo "this has changed"; exit 1; }
[ "$offline" = "offline: scripts from elsewhere: 1 https://unpkg.com" ] || { echo "this has changed"; exit 1; }
[ "$named" = "named: scripts from elsewhere: none" ] || { echo "this has changed"; exit 1; }
# Output seen:
# pymdown-extensions==12.3
# zensical==0.0.73
# plain: scripts from elsewhere: none
# offline: scripts from elsewhere: 1 https://unpkg.com
# named: scripts from elsewhere: none
