#!/usr/bin/env bash
# Makes the base image when no registry can be reached: Debian 12 by debootstrap, as slim as Debian's own slim image.
# The image has no certificates of this machine: the Dockerfile installs Debian's ca-certificates, and a build behind a
# proxy gets the proxy's certificates as a secret. Does nothing if the image exists (REBUILD=1 makes it again).
#   BASE    name and tag of the image (default byoc-base:bookworm)
#   MIRROR  the server of Debian's packages (default: debootstrap's own)
set -euo pipefail
case ${1:-} in --help | -h) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
base=${BASE:-byoc-base:bookworm}

fail() { echo "base: $1" >&2; exit 1; }

docker info > /dev/null 2>&1 || fail "Docker does not answer; start it, for example with docker/engine.sh"
if [ -z "${REBUILD:-}" ] && docker image inspect "$base" > /dev/null 2>&1; then
  echo "base: $base exists"
  exit 0
fi
[ "$(id -u)" = 0 ] || fail "debootstrap needs root; run this as root, or pull an image and name it: make build BASE_IMAGE=debian:12-slim"
command -v debootstrap > /dev/null || {
  command -v apt-get > /dev/null || fail "debootstrap is not installed; install it"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends debootstrap > /dev/null
}
mirror=${MIRROR:-$(sed -n 's#^DEF_MIRROR="\(.*\)/debian"$#\1#p' "$(command -v debootstrap)")}
[ -n "$mirror" ] || fail "debootstrap has no default mirror; name one: MIRROR=URL docker/base.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
echo "base: debootstrap of bookworm from $mirror"
debootstrap --variant=minbase bookworm "$root" "$mirror/debian" > "$work/log" 2>&1 || fail "debootstrap failed: $(tail -n 1 "$work/log")"
cat > "$root/etc/apt/sources.list" <<SOURCES
deb $mirror/debian bookworm main
deb $mirror/debian bookworm-updates main
deb $mirror/debian-security bookworm-security main
SOURCES
# Leave out manuals and translations, as Debian's slim image does. This also holds for packages that are installed later.
cat > "$root/etc/dpkg/dpkg.cfg.d/slim" <<SLIM
path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/info/*
path-exclude /usr/share/locale/*
path-exclude /usr/share/man/*
SLIM
chroot "$root" sh -c 'apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get upgrade -qq --yes && apt-get clean' >> "$work/log" 2>&1 ||
  fail "the security updates could not be installed: $(tail -n 1 "$work/log")"
find "$root/usr/share/doc" -type f ! -name copyright -delete
rm -rf "$root"/usr/share/{info,locale,man}/* "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin "$root"/var/log/*
rm -f "$root/etc/resolv.conf" "$root/etc/hostname"
tar -C "$root" --numeric-owner -c . | docker import --change 'CMD ["bash"]' - "$base" > /dev/null
echo "base: made $base, $(docker image inspect --format '{{.Size}}' "$base" | numfmt --to=si)B"
